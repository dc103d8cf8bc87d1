"""The reverse-ISP challenges: the sizes of their tiles, their levels and their files.

AIM 2022 stores 10 bits as ``floor(1024 x)`` (its declared maximum is 1024, not 1023); NTIRE 2025 stores 12 bits as
``floor(4095 x)``. Both hold RGGB only.

Neither describes its cameras. The levels are those that participants of AIM 2022 used: black 0 for the Samsung S7,
black 60 and white 1020 for the Huawei P20. The colour matrices are unknown. The white balance assumed here serves
two purposes: demosaicing of training targets, and pictures to look at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from revisp.camera.profile import SRGB_TO_XYZ, CameraProfile
from revisp.cfa import CFA
from revisp.errors import ConfigError

__all__ = ["CHALLENGES", "Challenge", "by_photo", "by_tile", "challenge_scale", "of_profile"]

ASSUMED_NEUTRAL = (1 / 2.0, 1.0, 1 / 1.7)
"""Camera RGB of white in daylight, approximately, for most phones."""


@dataclass(frozen=True)
class Challenge:
    """One track of a challenge.

    Attributes:
        name: short name.
        event: the challenge; data sets use it as the kind of their pictures.
        tile: rows and columns of a packed array ``[h, w, 4]``; photos have twice as many.
        photo_ending: file name extension of its photos.
        profile: its camera; bits and levels are known, colours are assumed.

    Example:
        >>> track = CHALLENGES["s7"]
        >>> track.photo_size, track.bits, track.scale
        ((504, 504), 10, 1024)
    """

    name: str
    event: str
    tile: tuple[int, int]
    photo_ending: str
    profile: CameraProfile

    @property
    def photo_size(self) -> tuple[int, int]:
        """Rows and columns of a photo."""
        return 2 * self.tile[0], 2 * self.tile[1]

    @property
    def bits(self) -> int:
        """Bits of its arrays."""
        return self.profile.bits

    @property
    def scale(self) -> int:
        """Stored value of normalised 1."""
        return challenge_scale(self.bits)


def challenge_scale(bits: int) -> int:
    """Return the stored value of normalised 1 in arrays of 10 bits (AIM 2022) or 12 bits (NTIRE 2025).

    Raises:
        ConfigError: other bits.

    Example:
        >>> challenge_scale(10), challenge_scale(12)
        (1024, 4095)
    """
    scales = {10: 1024, 12: 4095}
    if bits not in scales:
        raise ConfigError(f"challenge files hold 10 bits (AIM 2022) or 12 bits (NTIRE 2025), not {bits}")
    return scales[bits]


def _profile(make: str, model: str, black: float, white: float, bits: int) -> CameraProfile:
    matrix = np.linalg.inv(SRGB_TO_XYZ).tolist()
    return CameraProfile(make, model, CFA.RGGB, (black,) * 4, white, bits, matrix, ASSUMED_NEUTRAL)


CHALLENGES = {
    challenge.name: challenge
    for challenge in (
        Challenge("s7", "aim2022", (252, 252), ".jpg", _profile("Samsung", "S7 (AIM 2022)", 0, 1024, 10)),
        Challenge("p20", "aim2022", (248, 248), ".jpg", _profile("Huawei", "P20 (AIM 2022)", 60, 1020, 10)),
        Challenge("ntire2025", "ntire2025", (512, 512), ".png", _profile("Phone", "(NTIRE 2025)", 0, 4095, 12)),
    )
}
"""The tracks by name."""


def by_tile(size: tuple[int, ...]) -> Challenge | None:
    """Return the challenge whose packed arrays have these rows and columns.

    Example:
        >>> by_tile((252, 252)).name
        's7'
    """
    return next((challenge for challenge in CHALLENGES.values() if challenge.tile == size), None)


def by_photo(size: tuple[int, ...] | None) -> Challenge | None:
    """Return the challenge whose photos have these rows and columns.

    Example:
        >>> by_photo((1024, 1024)).name
        'ntire2025'
    """
    return next((challenge for challenge in CHALLENGES.values() if challenge.photo_size == size), None)


def of_profile(profile: CameraProfile | None) -> Challenge | None:
    """Return the challenge whose camera has this profile's model; None if there is none.

    Example:
        >>> of_profile(CHALLENGES["p20"].profile).name
        'p20'
    """
    models = {challenge.profile.model: challenge for challenge in CHALLENGES.values()}
    return models.get(profile.model) if profile is not None else None
