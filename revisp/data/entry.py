"""One image of a prepared data set, or a refused input: a line of its manifest (`revisp.data.manifest`)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, PlainValidator
from typing_extensions import TypedDict

from revisp.camera.profile import Profile
from revisp.errors import DataError
from revisp.schema import Flag, Json, Share, Text, Whole, build, check_fields, one_of

__all__ = [
    "ARRAYS",
    "KINDS",
    "MAX_OE",
    "MIN_SIDE",
    "MOST_SIDE",
    "SPLITS",
    "VALID_BLOCK",
    "WHOLE_KINDS",
    "Array",
    "Entry",
    "Reject",
    "Source",
    "array_path",
    "outcome_of",
]

Array = Literal["raw", "srgb", "target", "valid", "oe"]
ARRAYS: tuple[Array, ...] = get_args(Array)
"""The stored arrays of an image, one file each. ``"valid"`` exists only if `Entry.has_valid` is true."""

KINDS = ("raw+jpeg", "raw+preview", "raw+developer", "aim2022", "ntire2025", "pair", "simulated")
"""The origins of the photo of a pair."""

WHOLE_KINDS = ("raw+jpeg", "raw+preview", "raw+developer", "simulated")
"""Those whose photo is the whole one that the camera took."""

SPLITS = ("train", "val")

VALID_BLOCK = 32
"""Pixels at each side of a block of the map of valid pixels."""

MIN_SIDE = 24
"""Least pixels at each side of an image: SSIM needs planes of 11, and another Bayer phase costs two pixels."""

MOST_SIDE = 2**20
"""Most pixels at each side of an image."""

MAX_OE = 4096
"""Most overexposed positions that are stored for an image."""

_FILE_NAME = re.compile(r"[^./\\:*?\"<>|\x00-\x1f\x7f][^/\\:*?\"<>|\x00-\x1f\x7f]*")


def _file_name(value: Any) -> str:
    """Require a plain file name: a name with a separator could leave the data set's folder."""
    whole = isinstance(value, str) and _FILE_NAME.fullmatch(value)
    if not whole or len(value.encode(errors="surrogatepass")) > 200:
        raise ValueError("must be a file name without folder, of at most 200 bytes, not beginning with a dot")
    return value


def _one_line(value: str) -> str:
    if not value.strip() or "\n" in value:
        raise ValueError("must be a text of one line, not empty")
    return value


def _even(value: int) -> int:
    if value % 2:
        raise ValueError("must be an even number of pixels")
    return value


Name = Annotated[str, PlainValidator(_file_name)]
Line = Annotated[Text, AfterValidator(_one_line)]
Side = Annotated[Whole, Field(ge=MIN_SIDE, le=MOST_SIDE), AfterValidator(_even)]
Object = dict[Text, Json]


class Source(TypedDict):
    """A file that an item was made of, and its state then."""

    path: Text
    size: Whole
    mtime_ns: Annotated[int, Field(strict=True, gt=-(2**63), lt=2**63)]


@dataclass(frozen=True)
class Entry:
    """One image of a prepared data set.

    Attributes:
        name: unique in its data set; the stem of its arrays.
        kind: the origin of its photo, one of `KINDS`.
        scene: name of the scene that it shows; all images of a scene are in the same split.
        split: ``"train"`` or ``"val"``.
        camera: make and model, such as ``"GoPro HERO7 Black"``.
        profile: constants of the stored mosaic.
        height: rows of the arrays, even, at least `MIN_SIDE`.
        width: columns of the arrays, even, at least `MIN_SIDE`.
        oe_share: share of overexposed pixels, in [0, 1].
        sources: the files from which it was made: ``{"path": str, "size": int, "mtime_ns": int}`` each.
        fingerprint: hash of sources and settings. If it differs, the image must be made again.
        alignment: the registration of photo and RAW, or None.
        developer: the program that developed the photo from the RAW, or None.
        style: the style of that program, or None.
        fitted: figures of the camera model fitted to the pair, such as ``{"psnr": dB}``, or None.
        has_valid: whether some pixels do not count; a file then lists them by blocks.

    Raises:
        DataError: a value has the wrong type or is outside its range; the message names the field.
    """

    name: Name
    kind: Annotated[Text, one_of(KINDS)]
    scene: Line
    split: Annotated[Text, one_of(SPLITS)]
    camera: Line
    profile: Profile
    height: Side
    width: Side
    oe_share: Share
    sources: tuple[Source, ...]
    fingerprint: Line
    alignment: Object | None = None
    developer: Text | None = None
    style: Text | None = None
    fitted: Object | None = None
    has_valid: Flag = False

    def __post_init__(self) -> None:
        check_fields(self, "", DataError)

    @property
    def whole(self) -> bool:
        """Whether it shows the whole photo that the camera took; the photos of challenges and pairs may be cut."""
        return self.kind in WHOLE_KINDS

    def to_dict(self) -> dict[str, Any]:
        """Return the entry as JSON values, with ``"status": "ok"``."""
        return {"status": "ok", **_shallow(self), "profile": self.profile.to_dict(), "sources": list(self.sources)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Entry:
        """Build an entry from the result of `to_dict`.

        Raises:
            DataError: a field is missing, unknown or wrong.
        """
        return build(cls, _fields(cls, values, "ok"), "", DataError)


@dataclass(frozen=True)
class Reject:
    """An input that did not become an image.

    Attributes:
        name: the name that the image would have; unique in the data set.
        sources: its files, as `Entry.sources`.
        fingerprint: as `Entry.fingerprint`. While it is the same, the input is not tried again.
        reason: the reason of the refusal, in one line.

    Raises:
        DataError: a value has the wrong type.
    """

    name: Name
    sources: tuple[Source, ...]
    fingerprint: Line
    reason: Line

    def __post_init__(self) -> None:
        check_fields(self, "", DataError)

    def to_dict(self) -> dict[str, Any]:
        """Return the rejection as JSON values, with ``"status": "rejected"``."""
        return {"status": "rejected", **_shallow(self), "sources": list(self.sources)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Reject:
        """Build a rejection from the result of `to_dict`.

        Raises:
            DataError: a field is missing, unknown or wrong.
        """
        return build(cls, _fields(cls, values, "rejected"), "", DataError)


def array_path(root: str | Path, name: str, what: Array) -> Path:
    """Return the file of an image's array.

    Args:
        root: the data set's folder.
        name: the image's name.
        what: the array, one of `ARRAYS`.
    """
    return Path(root) / "arrays" / f"{name}.{what}.npy"


def outcome_of(values: Any) -> Entry | Reject:
    """Build an entry or a rejection from JSON values, as their ``status`` says.

    Raises:
        DataError: neither; the message names the field.
    """
    if not isinstance(values, dict):
        raise DataError("not a JSON object")
    return Reject.from_dict(values) if values.get("status") == "rejected" else Entry.from_dict(values)


def _fields(cls: type[Entry] | type[Reject], values: Mapping[str, Any], status: str) -> dict[str, Any]:
    """Return the fields of a dictionary, which must be all those of the class."""
    if values.get("status") != status:
        raise DataError(f"status must be 'ok' or 'rejected', got {ascii(values.get('status'))[:60]}")
    if missing := sorted({field.name for field in dataclasses.fields(cls)} - set(values)):
        raise DataError(f"the field {missing[0]!r} is missing")
    return {key: value for key, value in values.items() if key != "status"}


def _shallow(item: Entry | Reject) -> dict[str, Any]:
    return {field.name: getattr(item, field.name) for field in dataclasses.fields(item)}
