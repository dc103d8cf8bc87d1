"""Describe the result of a preparation, and require that it has a use."""

from __future__ import annotations

from revisp.errors import DataError
from revisp.io.header import photo_size, raw_header
from revisp.prepare.run import Preparation
from revisp.wording import counted

__all__ = ["describe_preparation", "require_use"]

MOST_REJECTS, MOST_CAMERAS = 20, 4
"""Most rejections, and cameras of a kind of pictures, that are listed."""


def describe_preparation(result: Preparation) -> str:
    """Return the closing lines: pictures by kind, split and camera, and the reasons of rejections."""
    entries = result.manifest.entries
    lines = [
        f"{len(result.made)} made, {len(result.kept)} kept, {len(result.refused)} rejected; "
        f"{counted(len(entries), 'picture')} in {result.root}"
    ]
    for kind in sorted({entry.kind for entry in entries}):
        of_kind = [entry for entry in entries if entry.kind == kind]
        train = sum(entry.split == "train" for entry in of_kind)
        share = sum(entry.oe_share * entry.height * entry.width for entry in of_kind)
        share /= sum(entry.height * entry.width for entry in of_kind)
        cameras = sorted({entry.camera for entry in of_kind})
        more = f" and {len(cameras) - MOST_CAMERAS} more" if len(cameras) > MOST_CAMERAS else ""
        shown = ", ".join(cameras[:MOST_CAMERAS]) + more
        counts = f"{train:>6} train {len(of_kind) - train:>5} val"
        lines.append(f"  {kind:<14}{counts}   overexposed {100 * share:.2f} %   {shown}")
    lines += _unused(result)
    lines += [f"  rejected: {reject.reason}" for reject in result.refused[:MOST_REJECTS]]
    if len(result.refused) > MOST_REJECTS:
        left = len(result.refused) - MOST_REJECTS
        lines.append(f"  and {left} more rejected: see {result.root / 'manifest.jsonl'}")
    return "\n".join(lines)


def _unused(result: Preparation) -> list[str]:
    """Return a line for each JPEG that was found for a RAW and is too small, at most `MOST_REJECTS`."""
    made = {*result.made, *result.kept}
    instead = {"raw+preview": "the preview in it", "raw+developer": "a rendering of it"}
    found = {
        entry.sources[1]["path"]: (entry.sources[0]["path"], instead[entry.kind])
        for entry in result.manifest.entries
        if entry.name in made and entry.kind in instead and len(entry.sources) > 1
    }
    lines = [
        f"  not used: {jpeg}{_share(jpeg, raw)}: too small for its RAW, of which {taken} was taken; a lower "
        "--min-preview takes it"
        for jpeg, (raw, taken) in list(found.items())[:MOST_REJECTS]
    ]
    more = len(found) - len(lines)
    return lines + ([f"  and {counted(more, 'more JPEG')} not used"] if more else [])


def _share(jpeg: str, raw: str) -> str:
    """Return the size of a JPEG as a share of its RAW's, in brackets; nothing if a header cannot be read."""
    size, header = photo_size(jpeg), raw_header(raw)
    return "" if size is None or header is None else f" ({max(size) / max(header.height, header.width):.2f})"


def require_use(result: Preparation) -> None:
    """Require that a picture was made or kept, and one for every file that was given by name.

    Raises:
        DataError: there is none; the message has the first reason.
    """
    named = [reject for reject in result.refused if reject.name in result.explicit]
    if named:
        raise DataError(f"{named[0].reason} ({len(named)} of the files given could not be used)")
    if not result.made and not result.kept:
        raise DataError(f"nothing could be used: {result.refused[0].reason}")
