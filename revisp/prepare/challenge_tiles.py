"""Tiles of the AIM 2022 and NTIRE 2025 challenges to pictures."""

from __future__ import annotations

from revisp.cfa import CFA
from revisp.errors import DataError
from revisp.io.challenge_npy import CHALLENGE_PROFILES, CHALLENGE_SCALE
from revisp.io.exif import PhotoMetadata
from revisp.io.mosaic_file import read_planes
from revisp.io.photo import read_srgb
from revisp.io.raw.read import RawImage
from revisp.prepare.frame import Frame, measure
from revisp.prepare.items import ChallengeTile
from revisp.prepare.store import AlignedPair

__all__ = ["challenge_picture"]


def challenge_picture(item: ChallengeTile) -> AlignedPair:
    """Make the picture of a tile; its pixels are left where the challenge has them, and their offset is measured.

    Raises:
        RevispError: a half is missing, damaged, of another size or dtype, or holds values above the maximum.
    """
    if item.challenge == "damaged":
        raise DataError(
            f"{item.files[0]}: not an array of a challenge: uint16 [252, 252, 4], [248, 248, 4] or [512, 512, 4]"
        )
    if len(item.files) == 1:
        present = item.files[0]
        missing = ".npy" if present.suffix != ".npy" else ".png" if item.challenge == "ntire2025" else ".jpg"
        hint = "; to use it alone, give its camera profile by --profile" if present.suffix == ".npy" else ""
        raise DataError(f"{present}: its other half {present.with_suffix(missing).name} is missing{hint}")
    profile = CHALLENGE_PROFILES[item.challenge]
    stored, maximum = read_planes(item.files[0], CFA.RGGB), CHALLENGE_SCALE[profile.bits]
    if (highest := int(stored.max())) > maximum:
        raise DataError(f"{item.files[0]}: holds {highest}, above the {maximum} that the challenge allows")
    photo = read_srgb(item.files[1])
    if tuple(photo.shape[-2:]) != stored.shape:
        height, width = stored.shape
        raise DataError(
            f"{item.files[1]}: is {photo.shape[-2]}x{photo.shape[-1]}, but its RAW is {height}x{width}"
        )
    kind = "ntire2025" if item.challenge == "ntire2025" else "aim2022"
    frame = Frame(RawImage(stored, profile, PhotoMetadata(), orientation=1))
    return AlignedPair(item.name, kind, profile, stored, photo, alignment=measure(photo, frame), fit=False)
