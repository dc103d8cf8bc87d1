"""The boundary around decoders: whatever they raise becomes one of our errors that names the file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from revisp.errors import ImageError, RevispError
from revisp.io.crash_record import decoder_crash, told

__all__ = ["decoding", "first_line"]


@contextlib.contextmanager
def decoding(
    path: str | Path, fault: str = "cut off or damaged", raises: type[RevispError] = ImageError
) -> Iterator[None]:
    """Turn every exception of the block into one of ours, which names the file.

    Decoders raise errors of any type on damaged files, also `MemoryError`, `NotImplementedError` and exceptions of
    Rust that do not derive from `Exception`. Our own errors pass, and so do requests to end the program and
    warnings that the caller's filter raises.

    A file whose decoder ended an earlier process of this command (`revisp.io.crash_record`) is refused.

    Args:
        path: the file that is decoded.
        fault: what is wrong with it, before the decoder's own words.
        raises: type of the error.

    Raises:
        RevispError: of the type ``raises``: the block failed.

    Example:
        >>> with decoding("photo.jpg"):
        ...     raise NotImplementedError("arithmetic coding")
        Traceback (most recent call last):
        ...
        revisp.errors.ImageError: photo.jpg: cut off or damaged (arithmetic coding)
    """
    if crash := decoder_crash(str(path)):
        raise raises(f"{path}: damaged, its decoder crashes ({crash})")
    try:
        with told(str(path)):
            yield
    except (RevispError, Warning, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except OSError as error:
        if error.errno is None:  # of a decoder, not of the file system
            raise raises(f"{path}: {fault} ({first_line(error)})") from error
        raise raises(f"{path}: {error.strerror or error}") from error
    except BaseException as error:
        raise raises(f"{path}: {fault} ({first_line(error)})") from error


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, cut to 200 letters; its type if it has none."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return line if len(line) <= 200 else f"{line[:197]}..."
