"""A network runs in no tile where the fusion takes nothing of it, and the result is that of running it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import revisp
from revisp.pipeline import ReverseISP

NETWORK = {"backbone": "zeronoise", "backbone_kwargs": {"channels": 4, "head": "raw_rgb"}}  # looks 5 pixels far
KINDS = {
    "hard": {},
    "soft": {"mask": {"ramp": 0.5}, "fusion": {"kind": "soft"}},
    "feathered": {"fusion": {"kind": "feathered", "feather": 2.0}},
    "dilated": {"mask": {"dilation": 4}},
}
SIDE, TILE = 160, 64


def build(**arguments: object) -> ReverseISP:
    torch.manual_seed(0)
    return ReverseISP(**{**NETWORK, **arguments}).eval()


def photo(*clipped: tuple[int, int, int, int], value: float = 0.3) -> Tensor:
    """A dark photo [3, 160, 160], clipped in rectangles of rows and columns."""
    srgb = torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * value
    for top, bottom, left, right in clipped:
        srgb[:, top:bottom, left:right] = 1
    return srgb


@contextmanager
def counted(model: ReverseISP) -> Iterator[Counter[str]]:
    """Count how often each network runs."""
    calls: Counter[str] = Counter()
    handles = [
        network.register_forward_hook(lambda *_, name=name: calls.update([name]))
        for name, network in model.branches.items()
    ]
    yield calls
    for handle in handles:
        handle.remove()


def runs(model: ReverseISP, srgb: Tensor, **arguments: object) -> Counter[str]:
    with counted(model) as calls:
        revisp.predict(model, srgb, tile=TILE, **arguments)
    return calls


def test_only_tiles_with_clipped_pixels_run_the_overexposed_branch() -> None:
    model = build()
    assert runs(model, photo()) == {"noe": 9}
    assert runs(model, photo((2, 9, 2, 9))) == {"oe": 1, "noe": 9}
    assert runs(model, torch.ones(3, SIDE, SIDE)) == {"oe": 9}
    assert runs(model, photo((0, 100, 0, SIDE))) == {"oe": 6, "noe": 6}


def test_pixels_that_a_tile_reads_but_does_not_use_count_for_nothing() -> None:
    """The first tile reads rows 0 to 63 and uses those before row 59, the second starts at row 54."""
    model = build()
    assert runs(model, photo((60, 63, 0, 5))) == {"oe": 1, "noe": 9}
    assert runs(model, photo((57, 60, 0, 5))) == {"oe": 2, "noe": 9}


def test_both_run_everywhere_if_both_are_asked_for() -> None:
    assert runs(build(), photo(), branches=True) == {"oe": 9, "noe": 9}


def test_a_shared_trunk_runs_once_a_tile() -> None:
    model = build(branches="shared")
    assert runs(model, photo((0, 100, 0, SIDE))) == {"shared": 9}
    assert runs(model, photo((0, 100, 0, SIDE)), branches=True) == {"shared": 9}


def test_a_feathered_border_reaches_into_the_next_tile() -> None:
    """Clipped up to row 56: the hard mask leaves the second row of tiles alone, the blur of 6 pixels does not."""
    rows = (0, 56, 0, SIDE)
    assert runs(build(), photo(rows)) == {"oe": 3, "noe": 9}
    assert runs(build(**KINDS["feathered"]), photo(rows)) == {"oe": 6, "noe": 9}


@settings(max_examples=10, deadline=None)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    rows=st.tuples(st.integers(0, SIDE), st.integers(0, SIDE)),
    columns=st.tuples(st.integers(0, SIDE), st.integers(0, SIDE)),
    overlap=st.sampled_from([None, 4]),
)
def test_skipping_changes_nothing(
    kind: str, rows: tuple[int, int], columns: tuple[int, int], overlap: int | None
) -> None:
    model = build(**KINDS[kind])
    srgb = photo((*sorted(rows), *sorted(columns)))
    sparse, dense = (
        revisp.predict(model, srgb, tile=TILE, overlap=overlap, branches=branches) for branches in (False, True)
    )
    assert sparse.oe is sparse.noe is None
    assert torch.equal(sparse.raw_rgb, dense.raw_rgb)
    assert torch.equal(sparse.bayer, dense.bayer)
    assert torch.equal(dense.raw_rgb, model.fusion(dense.oe, dense.noe, dense.mask)) or overlap or kind != "hard"


UNETS = {
    "unet": {"backbone": "unet", "backbone_kwargs": {"width": 4, "depth": 2, "norm": "none"}},
    "unet in blocks": {
        "backbone": "unet",
        "backbone_kwargs": {"width": 4, "depth": 2, "norm": "none", "block": 2},
        "base": "classical",
    },
}


def sizes(model: ReverseISP, srgb: Tensor, layer: str = "") -> dict[str, tuple[int, int]]:
    """Predict in one tile, and return height and width of what the branches, or a layer of them, made."""
    found: dict[str, tuple[int, int]] = {}
    handles = [
        network.get_submodule(layer).register_forward_hook(
            lambda _, x, y, name=name: found.update({name: tuple(y.shape[-2:])})
        )
        for name, network in model.branches.items()
    ]
    revisp.predict(model, srgb, tile=SIDE)
    for handle in handles:
        handle.remove()
    return found


def test_few_pixels_ask_for_a_part_of_a_tile() -> None:
    """The network looks 5 pixels far; cuts begin at even pixels, and less than 64 of them is not worth one."""
    model = build()
    assert model.spec.receptive_field == 11
    assert sizes(model, photo()) == {"noe": (SIDE, SIDE)}
    assert sizes(model, photo((40, 100, 60, 61))) == {"oe": (72, 66), "noe": (SIDE, SIDE)}
    assert sizes(model, photo((0, 1, 159, 160))) == {"oe": (64, 64), "noe": (SIDE, SIDE)}
    assert sizes(model, photo((0, 1, 0, 1), (150, 151, 150, 151))) == {"oe": (SIDE, SIDE), "noe": (SIDE, SIDE)}
    assert sizes(model, photo((0, 60, 0, SIDE), (100, SIDE, 0, SIDE)))["noe"] == (66, SIDE)


def test_layers_of_a_unet_run_on_what_is_needed_of_them() -> None:
    """Rows 40 to 89 and one column of the result: three more on each side, in whole places of the level below."""
    model = ReverseISP(**UNETS["unet"]).eval()
    srgb = photo((40, 90, 60, 61))
    wanted = {"decoder.0": (58, 8), "encoder.1": (33, 8), "encoder.0": (70, 20)}
    for layer, size in wanted.items():
        whole = (SIDE // 2, SIDE // 2) if layer == "encoder.1" else (SIDE, SIDE)
        assert sizes(model, srgb, layer) == {"oe": size, "noe": whole}


@settings(max_examples=20, deadline=None)
@given(
    network=st.sampled_from(sorted(UNETS)),
    kind=st.sampled_from(sorted(KINDS)),
    rows=st.tuples(st.integers(0, SIDE), st.integers(0, SIDE)),
    columns=st.tuples(st.integers(0, SIDE), st.integers(0, SIDE)),
    tile=st.sampled_from([SIDE, 96]),
)
def test_parts_of_tiles_give_what_the_whole_gives(
    network: str, kind: str, rows: tuple[int, int], columns: tuple[int, int], tile: int
) -> None:
    torch.manual_seed(0)
    model = ReverseISP(**UNETS[network], **KINDS[kind]).eval()
    for gain in model.gains.values():
        torch.nn.init.ones_(gain)
    srgb = photo((*sorted(rows), *sorted(columns)))
    torch.testing.assert_close(
        revisp.predict(model, srgb, tile=tile).raw_rgb, model(srgb[None]).raw_rgb[0], atol=1e-5, rtol=0
    )
