"""Crops drawn evenly over brightness: which windows there are, how they are drawn, and what stays as it was."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image

from revisp.cfa import CFA
from revisp.data import create_data
from revisp.data.crops import CropSampler
from revisp.data.datamodule import embedded
from revisp.data.picture import BRIGHTNESS_STEP
from revisp.data.prepared import PreparedSource
from revisp.data.strata import MOST_WINDOWS, Strata
from revisp.errors import ConfigError

CROP = 32


@dataclass
class Painted:
    """What a sampler must know of a picture, and its pixels."""

    target: np.ndarray
    cfa: CFA = CFA.RGGB
    name: str = "painted"
    pixels: tuple[tuple[int, int], ...] = ()

    @property
    def height(self) -> int:
        return self.target.shape[1]

    @property
    def width(self) -> int:
        return self.target.shape[2]

    @property
    def has_overexposed(self) -> bool:
        return bool(self.pixels)

    def overexposed(self) -> np.ndarray:
        return np.array(self.pixels, np.int32)

    def brightness(self) -> np.ndarray:
        return self.target[:, ::BRIGHTNESS_STEP, ::BRIGHTNESS_STEP]


def mostly_dark(cfa=CFA.RGGB, **changes) -> Painted:
    """A dark picture with one bright corner."""
    target = np.full((3, 512, 512), 0.04, np.float32)
    target[:, :96, :96] = np.array([0.75, 0.95, 0.55]).reshape(3, 1, 1)
    return Painted(target, cfa, **changes)


def level(picture, spec):
    window = picture.target[:, spec.top : spec.top + CROP, spec.left : spec.left + CROP]
    return window.mean(axis=(1, 2))


def test_every_window_lies_in_the_bin_of_its_mean_in_each_channel():
    rng = np.random.default_rng(0)
    smooth = np.repeat(np.repeat(rng.random((3, 10, 12)), 16, axis=1), 16, axis=2)
    pictures = [Painted(1.2 * smooth - 0.05), Painted(np.full((3, CROP, CROP), 0.999)), mostly_dark()]
    strata = Strata(pictures, CROP, 7)
    for channel in range(3):
        seen = np.concatenate([s.windows for s in strata.strata if s.channel == channel])
        assert sorted(seen) == list(range(len(strata.places)))
    for stratum in strata.strata:
        for image, top, left, _ in strata.places[stratum.windows][::17]:
            target = pictures[image].target.clip(0, 1)
            assert 0 <= top <= target.shape[1] - CROP
            assert 0 <= left <= target.shape[2] - CROP
            step = BRIGHTNESS_STEP
            mean = target[stratum.channel, top : top + CROP : step, left : left + CROP : step].mean()
            assert stratum.level == min(int(mean * 7 + 1e-9), 6) or mean * 7 == pytest.approx(round(mean * 7))


def test_bright_crops_are_as_many_as_the_bins_they_fill():
    picture = mostly_dark()
    plain = [level(picture, s) for s in CropSampler([picture], CFA.RGGB, crop=CROP, length=3000, oe_share=0)]
    even = [
        level(picture, s) for s in CropSampler([picture], CFA.RGGB, crop=CROP, length=3000, oe_share=0, strata=10)
    ]
    assert np.mean([mean[1] > 0.5 for mean in plain]) < 0.06
    assert np.mean([mean[1] > 0.5 for mean in even]) > 0.3
    strata = Strata([picture], CROP, 10)
    numbers = np.random.default_rng(1).random((6000, 4))
    drawn = [strata.draw(which, at, 0.5, 0.5) for which, at, _, _ in numbers]
    found = {place: window for window, place in enumerate(map(tuple, strata.places[:, :3].tolist()))}
    members = [set(s.windows.tolist()) for s in strata.strata]
    own = [sum(found[place] in windows for windows in members) for place in drawn]
    assert set(own) == {3}  # one bin of each channel
    channels = [[s for s in strata.strata if s.channel == c] for c in range(3)]
    expected = {
        id(s): sum(
            len(np.intersect1d(s.windows, other.windows)) / len(other.windows) / len(group)
            for group in channels for other in group
        ) / 3
        for s in strata.strata
    }  # fmt: skip
    for stratum, windows in zip(strata.strata, members, strict=True):
        share = np.mean([found[place] in windows for place in drawn])
        assert share == pytest.approx(expected[id(stratum)], abs=0.03)


@pytest.mark.parametrize("cfa", list(CFA))
def test_windows_fit_and_get_the_phase(cfa):
    picture = Painted(np.random.default_rng(0).random((3, 50, 90)), cfa)
    for spec in CropSampler([picture], CFA.GRBG, crop=CROP, length=300, oe_share=0, strata=10):
        assert 0 <= spec.top <= 50 - CROP
        assert 0 <= spec.left <= 90 - CROP
        assert spec.symmetry.phase_after(cfa.crop(spec.top, spec.left), CROP, CROP) is CFA.GRBG


def test_epochs_are_reproducible_and_dealt_out_as_ever():
    pictures = [mostly_dark(), mostly_dark(CFA.BGGR)]

    def draw(epoch=0, **options):
        sampler = CropSampler(pictures, CFA.RGGB, crop=CROP, length=60, strata=10, seed=3, **options)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert draw(2) == draw(2)
    assert draw(2) != draw(3)
    assert sorted(draw(rank=0, world_size=2) + draw(rank=1, world_size=2)) == sorted(draw())


def test_overexposed_crops_keep_their_share():
    pictures = [mostly_dark(pixels=((300, 400),)), mostly_dark()]
    specs = list(CropSampler(pictures, CFA.RGGB, crop=CROP, length=2000, oe_share=0.3, strata=10))
    held = [s.image == 0 and s.top <= 300 < s.top + CROP and s.left <= 400 < s.left + CROP for s in specs]
    assert np.mean(held) == pytest.approx(0.3, abs=0.04)
    plain = list(CropSampler(pictures, CFA.RGGB, crop=CROP, length=2000, oe_share=0.3))
    assert [a == b for a, b, around in zip(specs, plain, held, strict=True) if around].count(True) > 500


def test_large_pictures_and_small_crops_are_no_burden():
    strata = Strata([Painted(np.zeros((3, 2000, 3000), np.float16))], 4, 10)
    assert 0.8 * MOST_WINDOWS < len(strata.places) <= 1.1 * MOST_WINDOWS
    assert strata.places[:, 3].max() == 2
    assert [(s.channel, s.level) for s in strata.strata] == [(0, 0), (1, 0), (2, 0)]


def test_pictures_of_every_kind_tell_their_brightness(root):
    data = embedded(exposures=[0.0], crop=64, crops_per_epoch=8, strata=10, demosaic={"method": "malvar"})
    whole = data.train_pictures[0]
    sample = whole.read(0, 0, whole.height, whole.width)
    assert np.array_equal(whole.brightness(), sample.target[:, ::BRIGHTNESS_STEP, ::BRIGHTNESS_STEP])
    assert torch.stack([batch.target.amax() for batch in data.train_dataloader()]).isfinite().all()
    for picture in PreparedSource(root).train_pictures():
        stored = np.load(root / "arrays" / f"{picture.name}.target.npy")
        assert picture.brightness().dtype == np.float32
        assert np.array_equal(picture.brightness(), stored[:, ::BRIGHTNESS_STEP, ::BRIGHTNESS_STEP])


def test_simulated_photos_tell_how_bright_their_places_are(tmp_path):
    pixels = np.zeros((64, 80, 3), np.uint8)
    pixels[:, 40:] = (255, 188, 0)
    for name in ("one", "two"):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    data = create_data("simulated", photos=tmp_path, crop=32, crops_per_epoch=8, strata=10)
    found = data.train_pictures[0].brightness()
    assert found.shape == (3, 8, 10)
    assert (found[:, :, :5] == 0).all()
    np.testing.assert_allclose(found[:, 0, 5], [1, ((188 / 255 + 0.055) / 1.055) ** 2.4, 0], atol=1e-6)
    assert next(iter(data.train_dataloader())).target.isfinite().all()


def test_wrong_numbers_of_bins_are_refused():
    with pytest.raises(ConfigError, match="strata"):
        CropSampler([mostly_dark()], CFA.RGGB, crop=CROP, length=4, strata=1)
    with pytest.raises(ConfigError, match=r"data\.strata"):
        embedded(strata=2.5)
