"""Tiles equal the whole photo where a network looks no farther than they overlap, and leave no seams elsewhere."""

from __future__ import annotations

import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import revisp
from revisp.backbones import BACKBONES, create_backbone
from revisp.backbones.blocks.whole_image import GroupNorm, WholeImage
from revisp.backbones.classical import Classical
from revisp.camera.place import Place, place_map
from revisp.errors import ConfigError
from revisp.inference.tiles import fit_tile, plan_tiles, tile_apply, tile_choices, tile_spans
from revisp.pipeline import ReverseISP

UNET = {"width": 4, "depth": 3, "norm": "none"}
REFINE = {"width": 4, "depth": 2, "norm": "none"}
SOFT = {"kind": "soft"}
MODELS = {
    "two networks": {"backbone": "unet", "backbone_kwargs": UNET},
    "one trunk": {"backbone": "unet", "backbone_kwargs": UNET, "branches": "shared", "mask": {"dilation": 3}},
    "feathered": {"backbone": "unet", "backbone_kwargs": UNET, "fusion": {"kind": "feathered", "feather": 1.5}},
    "soft": {"backbone": "zeronoise", "backbone_kwargs": {"channels": 4}, "mask": {"ramp": 0.4}, "fusion": SOFT},
    "framed by ones": {"backbone": "unet", "backbone_kwargs": UNET, "padding": "ones4", "cfa": "GBRG"},
    "planes": {"backbone": "unet_aim", "backbone_kwargs": {"width": 4}, "branches": "plain", "cfa": "BGGR"},
    "planes of 2x2": {"backbone": "zeronoise", "backbone_kwargs": {"channels": 4}, "branches": "plain"},
    "pixels": {"backbone": "upi", "branches": "plain", "mask_channel": False},
    "invertible": {"backbone": "invisp", "backbone_kwargs": {"steps": 1, "growth": 4}, "branches": "plain"},
    "placed": {"backbone": "unet", "backbone_kwargs": UNET, "place": True},
    "on a shaded base": {"backbone": "unet", "backbone_kwargs": UNET, "base": "classical", "place": True},
    "refined": {"backbone": "zeronoise", "backbone_kwargs": {"channels": 4, "head": "raw_rgb"}, "refine": REFINE},
}  # fmt: skip


@functools.cache
def build(name: str) -> ReverseISP:
    torch.manual_seed(0)
    model = ReverseISP(**MODELS[name]).eval()
    if model.refine is not None:
        torch.nn.init.normal_(model.refine.network.head.weight, std=0.1)  # else it refines nothing yet
    if isinstance(model.base, Classical):
        model.base.shading.copy_(torch.tensor([0.4, 0.2]))
        for gain in model.gains.values():
            torch.nn.init.constant_(gain, 0.3)
    return model


def photo(height: int, width: int, seed: int = 0) -> Tensor:
    """Noise with some clipped rectangles."""
    generator = torch.Generator().manual_seed(seed)
    srgb = torch.rand(1, 3, height, width, generator=generator) * 0.95
    for _ in range(3):
        top, left = (int(torch.randint(extent, (), generator=generator)) for extent in (height, width))
        srgb[..., top : top + 20, left : left + 30] = 1
    return srgb


@settings(max_examples=20, deadline=None)
@given(
    name=st.sampled_from(sorted(MODELS)), height=st.integers(16, 190), width=st.integers(16, 190), data=st.data()
)
def test_tiles_equal_the_whole_photo(name: str, height: int, width: int, data: st.DataObject) -> None:
    model = build(name)
    least = 2 * (model.spec.receptive_field // 2) + model.spec.multiple_of
    least = max(least, 24 + 4 * (model.refine is not None) * 12)
    tile = data.draw(st.integers(least, least + 60), label="tile")
    srgb = photo(height, width)
    out = revisp.predict(model, srgb, tile=tile, branches=True)
    with torch.no_grad():
        whole = model(srgb)
    for field, found, wanted in zip(out._fields, out, whole, strict=True):
        assert found is wanted is None or (found - wanted).abs().max() <= 1e-5, field


@pytest.mark.parametrize("name", ["placed", "on a shaded base"])
def test_a_part_of_a_photo_that_tells_its_place_is_predicted_as_in_the_photo(name: str) -> None:
    model, srgb, place = build(name), photo(160, 128), place_map(160, 128)
    window = (..., slice(32, 144), slice(24, 120))
    inner = (..., slice(28, -28), slice(28, -28))  # farther from the cut than the networks look
    with torch.no_grad():
        whole = model(srgb).bayer[window]
    part = revisp.predict(model, srgb[0][window], place=place[window], tile=72)
    torch.testing.assert_close(part.bayer[None][inner], whole[inner], atol=1e-5, rtol=0)
    lost = revisp.predict(model, srgb[0][window], tile=72)
    assert (lost.bayer[None] - whole)[inner].abs().max() > 0.005


@settings(max_examples=25, deadline=None)
@given(
    size=st.tuples(st.integers(1, 400), st.integers(1, 400)),
    align=st.sampled_from([2, 8, 16]),
    reach=st.integers(0, 40),
    pixels=st.integers(2000, 100_000),
)
def test_every_pixel_comes_from_one_tile_that_sees_all_it_needs(
    size: tuple[int, int], align: int, reach: int, pixels: int
) -> None:
    choices = tile_choices(size, overlap=2 * reach, align=align)
    tile = fit_tile(choices, pixels).tile
    tiles = plan_tiles(size, tile, overlap=2 * reach, align=align, reach=reach)
    count = torch.zeros(size, dtype=torch.int)
    for each in tiles:
        count[each.kept] += 1
        for cut, extent in zip(each, size, strict=True):
            assert cut.span[0] % align == 0
            assert cut.span[0] <= max(cut.kept[0] - reach, 0)
            assert cut.span[1] >= min(cut.kept[1] + reach, extent)
    assert (count == 1).all()
    largest = max(each.read(count).numel() for each in tiles)
    assert largest <= max(pixels, min(choice.pixels for choice in choices))


def test_a_photo_is_cut_into_few_tiles_with_little_overlap() -> None:
    """12 megapixels by a network that looks 58 pixels far: margins cost less than a third of the work."""
    tile = fit_tile(tile_choices((3024, 4032), overlap=120, align=8), 10**6).tile
    tiles = plan_tiles((3024, 4032), tile, overlap=120, align=8, reach=58)
    work = sum(each.read(torch.empty(3024, 4032)).numel() for each in tiles)
    assert tile[0] * tile[1] <= 10**6
    assert work < 1.33 * 3024 * 4032


def test_an_overlap_of_less_than_the_reach_is_blended() -> None:
    tiles = plan_tiles((100, 100), (40, 40), overlap=10, reach=6)
    assert all(each.kept == (slice(*each.rows.span), slice(*each.columns.span)) for each in tiles)
    with pytest.raises(ConfigError, match=r"between 0 and half a tile \(20\)"):
        plan_tiles((100, 100), (40, 40), overlap=30, reach=20)


def test_a_tile_larger_than_the_photo_is_the_photo() -> None:
    steps = []
    srgb = photo(50, 70)[0]
    for arguments in ({"tile": 10_000}, {"memory": 2**40}, {}):
        model = build("two networks")
        revisp.predict(model, srgb, **arguments, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(1, 1)] * 3


def test_tiles_of_known_reach_show_no_step() -> None:
    """A blur that reaches four pixels is exact with an overlap of eight."""
    x = torch.rand(1, 1, 90, 110)

    def blur(part: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(part, 9, stride=1, padding=4, count_include_pad=False)

    assert torch.allclose(tile_apply(blur, x, tile=32, overlap=8, channels=1, reach=4), blur(x), atol=1e-6)


# Networks that look at the whole photo ---------------------------------------------------------------------------

SERVED = {
    "mialgo", "hit_liteisp", "hit_nafnet", "nafnet", "cycleisp", "cvip", "restormer", "ssdnet", "dualraw",
    "rst_isp", "reraw", "coordnet", "mbispld",
}  # fmt: skip


def scene(height: int, width: int) -> Tensor:
    """A smooth scene that is dark on the left and bright on the right, so that tiles have other means."""
    rows, columns = torch.linspace(0, 1, height)[:, None], torch.linspace(0, 1, width)
    planes = [0.1 + 0.7 * columns + 0.1 * torch.sin(phase + 20 * rows) for phase in range(3)]
    return torch.stack(planes).clamp(0, 1)


def global_model(name: str, **options: bool) -> ReverseISP:
    torch.manual_seed(0)
    kwargs = dict(BACKBONES.spec(name).small)
    model = ReverseISP(name, backbone_kwargs=kwargs, branches="plain", mask_channel=False, **options)
    for key, parameter in model.named_parameters():
        if key.endswith((".beta", ".gamma")):  # blocks of NAFNet start as the identity
            torch.nn.init.constant_(parameter, 0.5)
    return model.eval()


def test_all_networks_that_average_say_where() -> None:
    found = set()
    for name in BACKBONES.names():
        spec = BACKBONES.spec(name)
        with torch.device("meta"):
            network = create_backbone(name, **spec.small)
        if spec.global_context and any(isinstance(x, WholeImage) for x in network.modules()):
            found.add(name)
    assert found == SERVED


def overlaps(width: int, tile: int, overlap: int) -> Tensor:
    """Return which steps from column to column lie where tiles overlap."""
    at = torch.zeros(width - 1, dtype=torch.bool)
    for start, _ in tile_spans(width, tile, overlap, align=32)[1:]:
        at[start - 1 : start + overlap] = True
    return at


@pytest.mark.parametrize("name", ["mialgo", "nafnet", "restormer", "rst_isp"])
def test_seams_do_not_show(name: str) -> None:
    """Against the photo in one piece, the result changes no more where tiles overlap than it does elsewhere."""
    model, srgb, at = global_model(name), scene(192, 320), overlaps(320, 128, 32)
    contrasts = []
    for tile in (128, 1000):
        raw = revisp.predict(model, srgb, tile=tile, overlap=32).raw_rgb
        steps = raw.diff(dim=-1).abs().mean(dim=(0, 1))
        contrasts.append(steps[at].mean() / steps[~at].mean())
    assert contrasts[0] <= 1.04 * contrasts[1]


@pytest.mark.parametrize("name", ["nafnet", "restormer", "rst_isp"])
def test_the_photos_statistics_bring_tiles_nearer_to_the_photo_in_one_piece(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, srgb = global_model(name), scene(192, 320)
    whole = revisp.predict(model, srgb, tile=1000).raw_rgb
    shared = revisp.predict(model, srgb, tile=128, overlap=32).raw_rgb
    assert not any(x.watched for x in model.modules() if isinstance(x, WholeImage))
    monkeypatch.setattr("revisp.inference.whole_photo.WholeImage", ReverseISP)  # nothing is found
    alone = revisp.predict(model, srgb, tile=128, overlap=32).raw_rgb
    assert (shared - whole).square().mean() < 0.8 * (alone - whole).square().mean()


@pytest.mark.parametrize("known", ["gain", "place"])
def test_the_photos_statistics_are_taken_with_its_gain_map_and_place(
    monkeypatch: pytest.MonkeyPatch, known: str
) -> None:
    model, srgb = global_model("nafnet", gain_channel=known == "gain", place=known == "place"), scene(96, 200)
    told = {"gain": 6 * srgb.mean(dim=0, keepdim=True), "place": place_map(96, 200, Place(0, 900, 1000, 1100))}
    told = {known: told[known]}

    def error() -> float:
        return (revisp.predict(model, srgb, **told, tile=128, overlap=32).raw_rgb - whole).square().mean().item()

    whole = revisp.predict(model, srgb, **told, tile=1000).raw_rgb
    shared, run = error(), ReverseISP.run_branch

    def blind(self: ReverseISP, name: str, photo: Tensor, *rest: object, **told: object) -> object:
        if "part" not in told:  # the reduced photo
            told[known] = None
        return run(self, name, photo, *rest, **told)  # type: ignore[arg-type]

    monkeypatch.setattr(ReverseISP, "run_branch", blind)
    assert shared < 0.5 * error()


def test_group_normalisation_with_given_moments_is_that_of_torch() -> None:
    torch.manual_seed(0)
    norm, x = GroupNorm(2, 6), torch.randn(2, 6, 9, 7)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    expected = norm(x)
    norm.moments.register_forward_hook(lambda *_: None)
    assert norm.moments.watched
    assert torch.allclose(norm(x), expected, atol=1e-5)
    model = ReverseISP("unet", backbone_kwargs={**UNET, "norm": "group"})
    assert model.spec.global_context
    assert model.spec.receptive_field is None
