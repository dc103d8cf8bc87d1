"""The colours that an AV1 bitstream states: its sequence header (AV1 Bitstream Specification 1.0.0, 5.5)."""

from __future__ import annotations

from revisp.io.containers.bits import Bits

__all__ = ["av1_colours"]

_SEQUENCE_HEADER = 1
_MOST_UNITS = 16
"""Units that are looked through: the sequence header comes first, or after a temporal delimiter."""


def av1_colours(data: bytes) -> tuple[int, int] | None:
    """Return colour primaries and transfer function by their numbers of ITU-T H.273.

    Args:
        data: open bitstream units: those of the box av1C, or a coded picture.

    Returns:
        None if there is no sequence header, or it states no colours.

    Raises:
        DamagedError: a unit is cut off.
    """
    bits = Bits(data)
    for _ in range(_MOST_UNITS):
        if bits.at >= 8 * len(data):
            return None
        bits.number(1)
        kind, extended, sized = bits.number(4), bits.flag(), bits.flag()
        bits.number(9 if extended else 1)
        size = _leb128(bits) if sized else len(data) - bits.at // 8
        if kind == _SEQUENCE_HEADER:
            return _colours(bits)
        bits.at += 8 * size
    return None


def _leb128(bits: Bits) -> int:
    value = 0
    for place in range(8):
        more, seven = bits.flag(), bits.number(7)
        value |= seven << (7 * place)
        if not more:
            break
    return value


def _colours(bits: Bits) -> tuple[int, int] | None:
    profile = bits.number(3)
    bits.number(1)  # still_picture
    reduced = bits.flag()
    if reduced:
        bits.number(5)  # seq_level_idx
    else:
        _skip_operating_points(bits)
    sizes = bits.number(4) + 1, bits.number(4) + 1
    bits.number(sum(sizes))  # the greatest width and height
    if not reduced and bits.flag():  # frame_id_numbers_present_flag
        bits.number(7)
    bits.number(3)  # use_128x128_superblock, enable_filter_intra, enable_intra_edge_filter
    if not reduced:
        _skip_tools(bits)
    bits.number(3)  # enable_superres, enable_cdef, enable_restoration
    high = bits.flag()
    if profile == 2 and high:
        bits.number(1)  # twelve_bit
    if profile != 1:
        bits.number(1)  # mono_chrome
    return (bits.number(8), bits.number(8)) if bits.flag() else None


def _skip_operating_points(bits: Bits) -> None:
    delay = 0
    if bits.flag():  # timing_info_present_flag
        bits.number(64)
        if bits.flag():
            bits.exp_golomb()
        if bits.flag():  # decoder_model_info_present_flag
            delay = bits.number(5) + 1
            bits.number(32 + 5 + 5)
    displayed = bits.flag()  # initial_display_delay_present_flag
    for _ in range(bits.number(5) + 1):
        bits.number(12)
        if bits.number(5) > 7:
            bits.number(1)  # seq_tier
        if delay and bits.flag():
            bits.number(2 * delay + 1)
        if displayed and bits.flag():
            bits.number(4)


def _skip_tools(bits: Bits) -> None:
    bits.number(4)  # interintra compounds, masked compounds, warped motion, dual filter
    ordered = bits.flag()
    if ordered:
        bits.number(2)
    screen = 2 if bits.flag() else bits.number(1)  # seq_force_screen_content_tools
    if screen and not bits.flag():  # seq_choose_integer_mv
        bits.number(1)
    if ordered:
        bits.number(3)
