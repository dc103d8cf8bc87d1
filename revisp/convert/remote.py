"""Conversions of photos at addresses, or to addresses: each passes through a folder on the disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from revisp.convert.jobs import Conversion, plan_conversions, preview_path
from revisp.errors import RevispError
from revisp.io.file_names import OUTPUT_ENDINGS
from revisp.io.storage import as_local, fetch, is_address, is_newer, photos_at, send

__all__ = ["deliver", "discard", "is_delivered", "plan_addresses", "receive", "renamed"]


def plan_addresses(
    photos: Sequence[str], out: str, scratch: Path, format: str | None = None, *, preview: bool = False
) -> list[Conversion]:
    """Decide which file each photo becomes, as `plan_conversions` does, of paths and addresses.

    A photo that is given twice is converted once.

    Args:
        photos: paths, and addresses of photos and of folders.
        out: a path or an address of a file or folder.
        scratch: an empty folder; a photo or result is there only while it is worked on.
        format: as for `plan_conversions`.
        preview: as for `plan_conversions`.

    Raises:
        ImageError: as `plan_conversions`, or an address cannot be reached.
        OutputError: as `plan_conversions`.
    """
    copies: dict[str, Path] = {}
    places: list[Path] = []
    for number, photo in enumerate(map(as_local, photos)):
        if not is_address(photo):
            places.append(Path(photo))
            continue
        for address in photos_at(photo):
            places.append(copies.setdefault(address, scratch / "in" / str(number) / _file_name(address)))
    sources = {place: address for address, place in copies.items()}
    out = as_local(out)
    target = out.rstrip("/") if is_address(out) else None
    one_file = target is not None and PurePosixPath(target).suffix.lower() in OUTPUT_ENDINGS
    local = Path(out) if target is None else scratch / "out" / (PurePosixPath(target).name if one_file else "")
    try:
        jobs = plan_conversions(places, local, format, preview=preview)
    except RevispError as error:
        raise renamed(error, {**sources, scratch / "out": target or ""}) from None
    if target is None:
        return [replace(job, source=sources.get(job.photo)) for job in jobs]
    folder = target.rpartition("/")[0] if one_file else target
    return [replace(job, source=sources.get(job.photo), target=f"{folder}/{job.output.name}") for job in jobs]


def _file_name(address: str) -> str:
    """Return the name of the file at an address; in addresses of the web, ``?``, ``#`` and ``%`` are not of it."""
    path = unquote(urlsplit(address).path) if address.lower().startswith(("http:", "https:")) else address
    return PurePosixPath(path or address).name


def receive(job: Conversion) -> None:
    """Copy the photo of a conversion to the disk, if it is at an address.

    Raises:
        ImageError: it cannot be read.
        OutputError: there is no folder for it.
    """
    if job.source is not None:
        fetch(job.source, job.photo)


def discard(job: Conversion) -> None:
    """Remove the copy of a photo that `receive` made, if there is one."""
    if job.source is not None:
        job.photo.unlink(missing_ok=True)


def deliver(job: Conversion, files: Sequence[Path]) -> tuple[str | Path, ...]:
    """Move the files that a conversion wrote to its address, if it has one; return where they are.

    Raises:
        OutputError: they cannot be written there.
    """
    if job.target is None:
        return tuple(files)
    folder = job.target.rpartition("/")[0]
    places = [f"{folder}/{file.name}" for file in files]
    try:
        for file, place in zip(reversed(files), reversed(places), strict=True):  # the RAW last: it ends the work
            send(file, place)
    finally:
        for file in files:
            file.unlink(missing_ok=True)
    return tuple(places)


def is_delivered(job: Conversion, *, preview: bool) -> bool:
    """Whether the results of a conversion are at their address and no older than the photo.

    Raises:
        OutputError: the address cannot be reached.
        ImageError: the photo's address cannot be reached.
    """
    assert job.target is not None
    names = [job.output.name, *([preview_path(job.output).name] if preview else [])]
    folder = job.target.rpartition("/")[0]
    return all(is_newer(f"{folder}/{name}", job.origin) for name in names)


def renamed(error: Exception, names: Mapping[Path, str | None]) -> Exception:
    """Return an error of ours whose message has addresses in place of paths on the disk."""
    if not isinstance(error, RevispError):
        return error
    text = str(error)
    for path, name in names.items():
        if name:
            text = text.replace(str(path), name)
    return type(error)(text)
