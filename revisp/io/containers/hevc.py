"""The colours that an HEVC bitstream states: in the VUI of its parameter set (ITU-T H.265, 7.3.2.2 and E.2.1)."""

from __future__ import annotations

from revisp.io.containers.bits import Bits
from revisp.io.containers.damage import DamagedError

__all__ = ["hevc_colours"]

_SEQUENCE_PARAMETERS = 33
_MOST_SETS, _MOST_PICTURES, _MOST_LONG_TERM = 64, 16, 32
"""Reference picture sets, pictures in each, and long-term pictures, by the limits of the standard."""


def hevc_colours(configuration: bytes) -> tuple[int, int] | None:
    """Return colour primaries and transfer function by their numbers of ITU-T H.273.

    Args:
        configuration: content of the box hvcC (ISO/IEC 14496-15, 8.3.3.1).

    Returns:
        None if there is no sequence parameter set, or it states no colours.

    Raises:
        DamagedError: it is cut off, or has impossible numbers.
    """
    bits = Bits(configuration)
    bits.number(22 * 8)
    for _ in range(bits.number(8)):
        kind = bits.number(8) & 63
        for _ in range(bits.number(16)):
            size = bits.number(16)
            first = bits.at // 8
            bits.number(8 * size)
            if kind == _SEQUENCE_PARAMETERS:
                return _colours(Bits(configuration[first + 2 : first + size].replace(b"\0\0\3", b"\0\0")))
    return None


def _colours(bits: Bits) -> tuple[int, int] | None:
    bits.number(4)
    layers = bits.number(3)  # sps_max_sub_layers_minus1
    bits.number(1)
    _skip_profile(bits, layers)
    bits.exp_golomb()
    if bits.exp_golomb() == 3:  # chroma_format_idc
        bits.number(1)
    _skip_codes(bits, 2)  # width, height
    if bits.flag():
        _skip_codes(bits, 4)  # conformance window
    _skip_codes(bits, 2)  # bit depths
    order_bits = bits.exp_golomb() + 4
    _skip_codes(bits, 3 * (layers + 1 if bits.flag() else 1))
    _skip_codes(bits, 6)  # block sizes
    if bits.flag() and bits.flag():
        _skip_scaling_lists(bits)
    bits.number(2)
    if bits.flag():  # pcm_enabled_flag
        bits.number(8)
        _skip_codes(bits, 2)
        bits.number(1)
    _skip_reference_sets(bits)
    if bits.flag():  # long_term_ref_pics_present_flag
        for _ in range(_count(bits, _MOST_LONG_TERM)):
            bits.number(order_bits + 1)
    bits.number(2)
    return _vui_colours(bits) if bits.flag() else None


def _vui_colours(bits: Bits) -> tuple[int, int] | None:
    if bits.flag() and bits.number(8) == 255:  # aspect_ratio_idc
        bits.number(32)
    if bits.flag():
        bits.number(1)  # overscan_appropriate_flag
    if not bits.flag():  # video_signal_type_present_flag
        return None
    bits.number(4)  # video_format, video_full_range_flag
    return (bits.number(8), bits.number(8)) if bits.flag() else None


def _skip_codes(bits: Bits, count: int) -> None:
    for _ in range(count):
        bits.exp_golomb()


def _count(bits: Bits, most: int) -> int:
    found = bits.exp_golomb()
    if found > most:
        raise DamagedError("a bitstream has an impossible number")
    return found


def _skip_profile(bits: Bits, layers: int) -> None:
    bits.number(88 + 8)
    present = [(bits.flag(), bits.flag()) for _ in range(layers)]
    if layers:
        bits.number(2 * (8 - layers))
    for profile, level in present:
        bits.number(88 * profile + 8 * level)


def _skip_scaling_lists(bits: Bits) -> None:
    for size in range(4):
        for _ in range(2 if size == 3 else 6):
            if bits.flag():  # scaling_list_pred_mode_flag
                _skip_codes(bits, (size > 1) + min(64, 1 << (4 + 2 * size)))
            else:
                bits.exp_golomb()


def _skip_reference_sets(bits: Bits) -> None:
    """Pass over the short-term reference picture sets (7.3.7); later ones may change earlier ones (7.4.8)."""
    distances: list[int] = []  # of the pictures of the last set
    for index in range(_count(bits, _MOST_SETS)):
        if index and bits.flag():  # inter_ref_pic_set_prediction_flag
            backwards = bits.flag()
            step = bits.exp_golomb() + 1
            step = -step if backwards else step
            kept = [bits.flag() or bits.flag() for _ in range(len(distances) + 1)]
            moved = [distance + step for distance in (*distances, 0)]
            distances = [distance for distance, used in zip(moved, kept, strict=True) if used and distance]
            distances.sort(key=lambda distance: (distance > 0, abs(distance)))  # the order of the next set's flags
            continue
        before, after = _count(bits, _MOST_PICTURES), _count(bits, _MOST_PICTURES)
        distances = []
        for count, sign in ((before, -1), (after, 1)):
            at = 0
            for _ in range(count):
                at += sign * (bits.exp_golomb() + 1)
                bits.number(1)
                distances.append(at)
