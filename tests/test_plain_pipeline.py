"""One network alone: planes where they belong, padding, tiles, and what networks predict beside the RAW."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

import revisp
from revisp.backbones import BACKBONES, BackboneSpec
from revisp.cfa import CFA, unpack
from revisp.demosaic import demosaic
from revisp.errors import ConfigError
from revisp.inference.tiles import tile_spans
from revisp.model_folder import from_pretrained, save_pretrained
from revisp.mosaic import mosaic
from revisp.pipeline import ReverseISP

UNET = {"width": 4, "depth": 3, "norm": "none"}
SSDNET = {"width": 8, "blocks": [1, 1], "refinement": 1, "error_blocks": 1}
RERAW = {**BACKBONES.spec("reraw").small, "gammas": [1.0, 0.5, 0.25]}


def plain(name: str, **arguments: object) -> ReverseISP:
    torch.manual_seed(0)
    return ReverseISP(name, **{"branches": "plain", "mask_channel": False, **arguments}).eval()


def photo(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def register() -> Iterator[object]:
    """Register networks that are forgotten after the test."""
    before = dict(BACKBONES._factories), dict(BACKBONES._specs)
    yield BACKBONES.register
    BACKBONES._factories, BACKBONES._specs = before


# Planes and mosaic -----------------------------------------------------------------------------------------------


@settings(max_examples=12, deadline=None)
@given(height=st.integers(16, 41), width=st.integers(16, 41), padding=st.sampled_from(["reflect", "ones4"]))
def test_planes_of_any_size_become_a_whole_mosaic(height: int, width: int, padding: str) -> None:
    model = plain("zeronoise", backbone_kwargs={"channels": 4}, padding=padding, cfa="GBRG")
    out = model(photo(height, width))
    assert out.bayer.shape == (1, 1, height, width)
    assert torch.equal(out.raw_rgb, demosaic(out.bayer, "GBRG", "bilinear"))
    assert torch.equal(out.mosaiced, out.bayer)


@settings(max_examples=12, deadline=None)
@given(height=st.integers(16, 41), width=st.integers(16, 41), cfa=st.sampled_from(list(CFA)))
def test_demosaiced_raw_of_any_size_is_mosaiced(height: int, width: int, cfa: CFA) -> None:
    out = plain("unet", backbone_kwargs=UNET, cfa=cfa)(photo(height, width))
    assert out.raw_rgb.shape == (1, 3, height, width)
    assert torch.equal(out.bayer, mosaic(out.raw_rgb, cfa))


@pytest.mark.parametrize(
    ("name", "arguments", "packed"),
    [
        ("unet", UNET, False),
        ("zeronoise", {"channels": 4}, True),
        ("zeronoise", {"channels": 4, "head": "packed"}, True),
        ("zeronoise", {"channels": 4, "head": "raw_rgb"}, False),
        ("zeronoise", {"channels": 4, "head": None}, True),
    ],
)
def test_a_network_predicts_what_it_was_published_with_unless_told(
    name: str, arguments: dict, packed: bool
) -> None:
    model = plain(name, backbone_kwargs=arguments)
    out = model(photo(20, 24))
    assert model.plain
    assert (model.packed, model.raw_channels) == (packed, 1 if packed else 3)
    assert out.oe is None
    assert out.noe is None
    assert torch.equal(out.bayer, mosaic(out.raw_rgb, model.cfa)) or packed
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in model.branches.plain.parameters())


def test_the_published_network_is_what_runs_alone() -> None:
    parameters = sum(p.numel() for p in plain("zeronoise").parameters())
    assert parameters == BACKBONES.spec("zeronoise").parameters == 171_112


@pytest.mark.parametrize("padding", ["reflect", "ones4"])
@pytest.mark.parametrize("cfa", list(CFA))
def test_each_plane_lands_on_the_photosites_of_its_colour(register, cfa: CFA, padding: str) -> None:
    """Red 0.1, green on red's rows 0.2, green on blue's rows 0.3, blue 0.4, read off the name of the CFA."""

    @register("flat_planes", BackboneSpec(multiple_of=2, native="packed"))
    class FlatPlanes(nn.Module):
        def __init__(self, in_channels: int, out_channels: int, head: str) -> None:
            super().__init__()
            assert (in_channels, out_channels, head) == (3, 4, "packed")

        def forward(self, x: Tensor) -> Tensor:
            planes = torch.tensor([0.1, 0.2, 0.3, 0.4])[None, :, None, None]
            return planes.expand(len(x), 4, x.shape[-2] // 2, x.shape[-1] // 2)

    out = plain("flat_planes", cfa=cfa, padding=padding)(photo(17, 23))
    tile = cfa.value[:2], cfa.value[2:]
    for row in range(17):
        for column in range(23):
            letter = tile[row % 2][column % 2]
            green = 0.2 if "R" in tile[row % 2] else 0.3
            wanted = {"R": 0.1, "G": green, "B": 0.4}[letter]
            assert out.bayer[0, 0, row, column].item() == pytest.approx(wanted), (row, column)


@pytest.mark.parametrize("padding", ["reflect", "ones4"])
@pytest.mark.parametrize("size", [(16, 16), (17, 31), (30, 19)])
def test_planes_are_not_shifted(register, size: tuple[int, int], padding: str) -> None:
    """A network whose planes are the photo's own red values in their places gives these back as the mosaic."""

    @register("red_planes", BackboneSpec(multiple_of=8, min_size=24, native="packed"))
    class RedPlanes(nn.Module):
        def __init__(self, in_channels: int, out_channels: int, head: str) -> None:
            super().__init__()

        def forward(self, x: Tensor) -> Tensor:
            assert min(x.shape[-2:]) >= 24
            assert x.shape[-2] % 8 == x.shape[-1] % 8 == 0
            return F.pixel_unshuffle(x[:, :1], 2)

    srgb = photo(*size)
    assert torch.equal(plain("red_planes", padding=padding)(srgb).bayer, srgb[:, :1])


def test_ones_padding_is_what_a_network_of_planes_sees() -> None:
    model = plain("zeronoise", backbone_kwargs={"channels": 4}, padding="ones4", mask_channel=True, cfa="GRBG")
    srgb = photo(19, 26)
    framed = torch.ones(1, 4, 28, 34)
    framed[..., 4:23, 4:30] = torch.cat([srgb, model.overexposure_mask(srgb)], dim=1)
    expected = unpack(model.branches["plain"](framed), "GRBG")[..., 4:23, 4:30].clamp(0, 1)
    assert torch.equal(model(srgb).bayer, expected)


def test_training_does_not_clamp_planes() -> None:
    model = plain("ssdnet", backbone_kwargs=SSDNET)
    srgb = photo(24, 24) * 3 - 1
    assert model.train()(srgb).bayer.min() < 0
    out = model.eval()(srgb)
    assert out.bayer.min() >= 0
    assert out.bayer.max() <= 1


# Tiles and folders -----------------------------------------------------------------------------------------------


def test_tiles_of_planes_equal_one_pass_but_for_their_margins() -> None:
    """Further from a tile's edge than the network looks, it sees the same; there the blend is of equal values."""
    model = plain("zeronoise", backbone_kwargs={"channels": 4}, cfa="BGGR")
    srgb = photo(111, 134)[0]
    whole, tiled = (revisp.predict(model, srgb, tile=tile, overlap=24) for tile in (None, 64))
    reach = (model.spec.receptive_field - 1) // 2
    assert reach == 6
    rows, columns = torch.ones(111, dtype=torch.bool), torch.ones(134, dtype=torch.bool)
    for keep in (rows, columns):
        for start, stop in tile_spans(len(keep), 64, 24):
            keep[start : start + reach] &= start == 0
            keep[stop - reach : stop] &= stop == len(keep)
    interior = rows[:, None] & columns
    difference = (whole.bayer - tiled.bayer).abs()[0]
    assert 0.4 < interior.float().mean() < 1
    assert difference[interior].max() <= 1e-5
    assert difference.max() < 0.05
    assert tiled.oe is None
    assert tiled.noe is None
    assert tiled.raw_rgb.shape == (3, 111, 134)


def test_a_photo_within_a_tile_equals_the_pipeline() -> None:
    model = plain("zeronoise", backbone_kwargs={"channels": 4})
    srgb = torch.cat([photo(33, 47), photo(33, 47, seed=1)])
    out = revisp.predict(model, srgb)
    with torch.no_grad():
        expected = model(srgb)
    for name, found, wanted in zip(out._fields, out, expected, strict=True):
        assert found is wanted is None or torch.allclose(found, wanted, atol=1e-6), name


@pytest.mark.parametrize(
    ("name", "arguments"), [("zeronoise", {"channels": 4}), ("ssdnet", SSDNET), ("unet", UNET)]
)
def test_a_model_folder_brings_it_back(tmp_path: Path, name: str, arguments: dict) -> None:
    model = plain(name, backbone_kwargs=arguments, cfa="GRBG")
    again = from_pretrained(save_pretrained(model, tmp_path / "model"))
    srgb = photo(21, 34)
    assert (again.plain, again.packed, again.cfa) == (True, model.packed, CFA.GRBG)
    assert torch.equal(again(srgb).bayer, model(srgb).bayer)


# Beside the RAW --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("padding", "margin"), [("reflect", 0), ("ones4", 4)])
@pytest.mark.parametrize("size", [(17, 31), (24, 18)])
@pytest.mark.parametrize(
    ("name", "arguments", "key"), [("ssdnet", SSDNET, "error"), ("reraw", RERAW, "gamma_heads")]
)
@pytest.mark.parametrize("head", ["packed", "raw_rgb"])
def test_what_is_predicted_beside_fits_the_prediction(
    name: str, arguments: dict, key: str, head: str, size: tuple[int, int], padding: str, margin: int
) -> None:
    model = plain(name, backbone_kwargs={**arguments, "head": head}, padding=padding)
    srgb = photo(*size)
    height, width = size
    parts, more = model.run_branches(srgb, model.overexposure_mask(srgb), auxiliary=(key,))
    assert torch.equal(parts["plain"], model.run_branches(srgb, model.overexposure_mask(srgb))[0]["plain"])
    found = more["plain"][key]
    raw, expected = model.branches["plain"].forward_auxiliary(model.frame.put_around(srgb))
    if head == "packed":
        height, width, margin = height // 2, width // 2, margin // 2
    assert found.shape == (1, expected[key].shape[1], height, width)
    assert torch.equal(found, expected[key][..., margin : margin + height, margin : margin + width])
    if key == "error":
        assert found.shape[1] == raw.shape[1]


def test_a_shared_trunk_gives_each_branch_its_own_candidates() -> None:
    """Candidates come as six channels a gamma: three of the OE head, then three of the NOE head."""
    model = plain("reraw", backbone_kwargs=RERAW, branches="shared")
    srgb = photo(20, 22)
    parts, more = model.run_branches(srgb, model.overexposure_mask(srgb), auxiliary=("gamma_heads",))
    candidates = model.branches["shared"].forward_auxiliary(srgb)[1]["gamma_heads"]
    assert candidates.shape[1] == 3 * 6
    assert set(more) == {"oe", "noe"}
    for branch, first in (("oe", 0), ("noe", 3)):
        expected = torch.cat([candidates[:, 6 * i + first : 6 * i + first + 3] for i in range(3)], dim=1)
        assert torch.equal(more[branch]["gamma_heads"], expected)
    assert {name: tuple(part.shape) for name, part in parts.items()} == dict.fromkeys(
        ("oe", "noe"), (1, 3, 20, 22)
    )


@pytest.mark.parametrize("branches", ["shared", "separate"])
def test_of_one_linear_candidate_each_branch_gets_its_prediction(branches: str) -> None:
    model = plain("reraw", backbone_kwargs={**RERAW, "gammas": [1.0]}, branches=branches).train()
    srgb = photo(19, 21)
    parts, more = model.run_branches(srgb, model.overexposure_mask(srgb), auxiliary=("gamma_heads",))
    for part in ("oe", "noe"):
        torch.testing.assert_close(more[part]["gamma_heads"], parts[part])
    assert not torch.allclose(parts["oe"], parts["noe"])


def test_what_a_network_does_not_predict_is_refused() -> None:
    srgb = photo(16, 16)
    for name, arguments, words in (("unet", UNET, "the RAW alone"), ("ssdnet", SSDNET, "it predicts error")):
        model = plain(name, backbone_kwargs=arguments)
        with pytest.raises(ConfigError, match=f"{name} predicts no 'gamma_heads'.*{words}"):
            model.run_branches(srgb, model.overexposure_mask(srgb), auxiliary=("gamma_heads",))


# What is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("zeronoise", {"branches": "separate", "backbone_kwargs": {"head": "packed"}}, "needs networks of head"),
        ("zeronoise", {"branches": "shared", "backbone_kwargs": {"head": "packed"}}, "needs networks of head"),
        ("unet", {"backbone_kwargs": {"head": "packed"}}, "backbone 'unet'.*head"),
        ("zeronoise", {"backbone_kwargs": {"head": "bayer"}}, "unknown head 'bayer'"),
    ],
)
def test_heads_that_do_not_fit_are_refused(name: str, arguments: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        plain(name, **arguments)
