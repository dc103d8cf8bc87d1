"""Make pictures of the tiles of the AIM 2022 and NTIRE 2025 challenges."""

from __future__ import annotations

from revisp.cfa import CFA
from revisp.challenges import CHALLENGES
from revisp.errors import DataError
from revisp.io.exif import PhotoMetadata
from revisp.io.mosaic_file import read_planes
from revisp.io.photo import read_srgb
from revisp.io.raw.read import RawImage
from revisp.prepare.frame import Frame, measure
from revisp.prepare.items import ChallengeTile
from revisp.prepare.options import PrepareOptions
from revisp.prepare.store import AlignedPair

__all__ = ["challenge_picture"]


def challenge_picture(item: ChallengeTile, options: PrepareOptions) -> AlignedPair:
    """Make the picture of a tile. Its pixels stay as the challenge has them; their offset is measured.

    Raises:
        RevispError: photo or RAW is missing, damaged, of another size or dtype, or holds values above the maximum.
    """
    if item.challenge == "damaged":
        raise DataError(
            f"{item.files[0]}: not an array of a challenge: uint16 "
            + ", ".join(str([*challenge.tile, 4]) for challenge in CHALLENGES.values())
        )
    if len(item.files) == 1:
        present = item.files[0]
        missing = ".npy" if present.suffix != ".npy" else CHALLENGES[item.challenge].photo_ending
        hint = "; to use it alone, give its camera profile by --profile" if present.suffix == ".npy" else ""
        raise DataError(f"{present}: its other half {present.with_suffix(missing).name} is missing{hint}")
    challenge = CHALLENGES[item.challenge]
    stored, maximum = read_planes(item.files[0], CFA.RGGB), challenge.scale
    if (highest := int(stored.max())) > maximum:
        raise DataError(f"{item.files[0]}: holds {highest}, above the {maximum} that the challenge allows")
    photo = read_srgb(item.files[1], damaged=options.damaged)
    if tuple(photo.shape[-2:]) != stored.shape:
        height, width = stored.shape
        raise DataError(
            f"{item.files[1]}: is {photo.shape[-2]}x{photo.shape[-1]}, but its RAW is {height}x{width}"
        )
    frame = Frame(RawImage(stored, challenge.profile, PhotoMetadata(), orientation=1))
    return AlignedPair(
        item.name, challenge.event, challenge.profile, stored, photo, alignment=measure(photo, frame), fit=False
    )
