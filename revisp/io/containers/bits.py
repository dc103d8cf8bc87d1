"""Bits of a video bitstream, one field after the other."""

from __future__ import annotations

from revisp.io.containers.damage import DamagedError

__all__ = ["Bits"]

_LONGEST_PREFIX = 32


class Bits:
    """A reader of fields, the most significant bit first.

    Args:
        data: the bytes.

    Raises:
        DamagedError: by its methods, at the end of the bytes.

    Example:
        >>> bits = Bits(bytes([0b1010_0110]))
        >>> bits.number(3), bits.flag(), bits.exp_golomb()
        (5, False, 2)
    """

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def number(self, size: int) -> int:
        """Read an unsigned number of some bits."""
        first, self.at = self.at, self.at + size
        if self.at > 8 * len(self.data):
            raise DamagedError("a bitstream is cut off")
        last = (self.at + 7) // 8
        whole = int.from_bytes(self.data[first // 8 : last], "big")
        return whole >> (8 * last - self.at) & ((1 << size) - 1)

    def flag(self) -> bool:
        """Read one bit."""
        return self.number(1) == 1

    def exp_golomb(self) -> int:
        """Read an unsigned Exp-Golomb code (ue(v) of ITU-T H.265, uvlc() of AV1)."""
        zeros = 0
        while not self.flag():
            zeros += 1
            if zeros > _LONGEST_PREFIX:
                raise DamagedError("a bitstream has an impossible number")
        return (1 << zeros) - 1 + self.number(zeros)
