import sys
from pathlib import Path

import numpy as np
import pytest
import rawpy
import torch
from skimage import data

from revisp.camera.isp import apply_ccm, apply_gains, srgb_to_linear
from revisp.camera.profile import CameraProfile
from revisp.errors import ConfigError, ImageError
from revisp.io import (
    CONVERTERS,
    STYLES,
    PhotoMetadata,
    RawImage,
    Style,
    available_converters,
    converters,
    develop_raw,
    write_dng,
)
from revisp.mosaic import mosaic

LUMA = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    """A natural photo ``[3, 257, 258]``."""
    return torch.from_numpy(data.astronaut()[:257, 100:358]).permute(2, 0, 1).float() / 255


def _raw(photo: torch.Tensor, profile: CameraProfile, cfa: str = "RGGB", orientation: int = 1) -> RawImage:
    """A 12-bit RAW of which the photo is a plain development."""
    profile = profile.replace(cfa=cfa, bits=12, black_level=(250, 256, 260, 254), white_level=4000)
    linear = apply_ccm(srgb_to_linear(photo[None]), profile.srgb_to_camera)
    bayer = mosaic(apply_gains(linear, profile.as_shot_neutral).clamp(0, 1), cfa)
    return RawImage(profile.quantise(bayer[0, 0].numpy()), profile, PhotoMetadata(), orientation)


def _installed(name: str) -> str:
    if name not in available_converters():
        pytest.skip(f"{name} is not installed")
    return name


def test_libraw_develops_as_when_called_directly(tmp_path: Path, profile: CameraProfile, photo: torch.Tensor):
    raw = _raw(photo[:, :256], profile)
    write_dng(tmp_path / "a.dng", raw.mosaic, raw.profile)
    with rawpy.imread(str(tmp_path / "a.dng")) as file:
        direct = file.postprocess(
            use_camera_wb=True, no_auto_bright=True, adjust_maximum_thr=0, gamma=(2.4, 12.92), output_bps=16
        )
    found = develop_raw(raw, "libraw")
    assert found.dtype == torch.float32
    assert np.array_equal(np.rint(found.permute(1, 2, 0).numpy() * 65535), direct)


@pytest.mark.parametrize("converter", CONVERTERS)
def test_pictures_lie_over_their_mosaic_and_brighten_with_the_style(profile, photo, converter: str):
    raw = _raw(photo, profile)
    pictures = {style: develop_raw(raw, _installed(converter), style) for style in STYLES}
    for picture in pictures.values():
        assert picture.shape == photo.shape
        assert 0 <= picture.min() < picture.max() <= 1
    means = [float(pictures[style].mean()) for style in ("neutral", "bright", "punchy")]
    assert means == sorted(means)
    assert means[2] > means[0] + 0.1
    plain = (pictures["neutral"] * LUMA).sum(0)
    target = (photo * LUMA).sum(0)
    best = _shift(plain, target)
    assert best == (0, 0)  # no border cut off, nothing moved
    for colour in range(3):  # and channels are not exchanged
        own, others = photo[colour] - target, [photo[c] - target for c in range(3) if c != colour]
        found = pictures["neutral"][colour] - plain
        assert _correlation(found, own) > max(0.5, *(_correlation(found, other) for other in others))


def _correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])


def _shift(found: torch.Tensor, target: torch.Tensor) -> tuple[int, int]:
    """Rows and columns by which ``found`` fits ``target`` best; edges decide, not tones."""
    edges = [x.diff(dim=0)[:, 1:].abs() + x.diff(dim=1)[1:].abs() for x in (found, target)]
    inner = edges[1][8:-8, 8:-8]
    height, width = inner.shape
    moves = [(rows, columns) for rows in range(-4, 5) for columns in range(-4, 5)]
    return max(
        moves,
        key=lambda m: _correlation(edges[0][8 + m[0] : 8 + m[0] + height, 8 + m[1] : 8 + m[1] + width], inner),
    )


@pytest.mark.parametrize(("cfa", "orientation"), [("GBRG", 1), ("GRBG", 2), ("BGGR", 6)])
@pytest.mark.parametrize("converter", CONVERTERS)
def test_every_phase_and_turn_comes_out_upright(profile, photo, converter: str, cfa: str, orientation: int):
    raw = _raw(photo[:, :, :257], profile, cfa, orientation)
    picture = develop_raw(raw, _installed(converter))
    assert picture.shape[-2:] == raw.upright().mosaic.shape
    straight = develop_raw(raw.upright(), converter)
    assert torch.allclose(picture, straight, atol=1e-3)


@pytest.mark.parametrize("neutral", [(0.26, 1, 0.26), (0.1, 1, 0.2)])
@pytest.mark.parametrize("converter", CONVERTERS)
def test_grey_stays_grey_under_any_white_balance(profile, converter: str, neutral):
    grey = torch.linspace(0.3, 0.6, 256).expand(3, 256, 256)
    picture = develop_raw(_raw(grey, profile.replace(as_shot_neutral=neutral)), _installed(converter))
    middle = picture[:, 64:192, 64:192].mean(dim=(1, 2))
    assert float(middle.max() - middle.min()) < 0.01
    assert float(middle.mean()) > 0.25


def test_styles_clip_highlights_that_the_raw_has(profile: CameraProfile, photo: torch.Tensor):
    raw = _raw(photo * 0.8, profile)
    assert raw.mosaic.max() < 0.8 * raw.profile.white_level
    shares = [float((develop_raw(raw, style=style) >= 0.99).float().mean()) for style in STYLES]
    assert shares[0] == 0
    assert 0.005 < shares[1] < shares[2]


def test_one_stop_is_one_stop(profile: CameraProfile, photo: torch.Tensor):
    raw = _raw(photo, profile)
    linear = [srgb_to_linear(develop_raw(raw, style=Style(stops))) for stops in (0, 1)]
    dim = linear[0] < 0.3
    ratio = linear[1][dim].mean() / linear[0][dim].mean()
    assert 1.9 < ratio < 2.1  # clipped neighbours pull some pixels down
    contrast = [
        develop_raw(raw, style=Style(0, c)).std() / develop_raw(raw, style=Style(0, c)).mean() for c in (0, 0.5)
    ]
    assert contrast[1] > contrast[0]


def test_nonsense_is_refused(profile: CameraProfile, photo: torch.Tensor):
    raw = _raw(photo[:, :32, :32], profile)
    with pytest.raises(ConfigError, match="unknown converter 'photoshop': use libraw, darktable, rawtherapee"):
        develop_raw(raw, "photoshop")
    with pytest.raises(ConfigError, match="unknown style 'x': use neutral, bright, punchy"):
        develop_raw(raw, style="x")
    for values in ((-1, 0), (9, 0), (0, 2), (float("nan"), 0)):
        with pytest.raises(ConfigError, match="stops"):
            Style(*values)
    few = raw.profile.replace(black_level=60, white_level=70)
    with pytest.raises(ConfigError, match="Acme One: too few levels for 6 more stops"):
        develop_raw(RawImage(raw.mosaic, few, raw.metadata, 1), style=Style(6))
    with pytest.raises(ImageError, match="needs at least 256 pixels a side, the mosaic has 32x32"):
        develop_raw(raw, _installed("rawtherapee"))


def test_a_missing_program_is_named(profile: CameraProfile, photo: torch.Tensor, monkeypatch):
    raw = _raw(photo[:, :32, :32], profile)
    monkeypatch.setenv("PATH", "")
    assert available_converters() == ("libraw",)
    with pytest.raises(
        ConfigError, match="darktable needs the program darktable-cli: install the package darktable"
    ):
        develop_raw(raw, "darktable")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("import sys; sys.exit('first\\nno such camera')", r"failed \(exit status 1\): no such camera"),
        ("print('done')", r"failed \(exit status 0\): done"),
        ("import time; time.sleep(60)", "took more than 0.5 s"),
    ],
)
def test_a_program_that_fails_is_one_line(tmp_path: Path, script: str, reason: str):
    with pytest.raises(ImageError, match=reason) as caught:
        converters._run(
            [sys.executable, "-c", script], tmp_path / "photo.tif", 0.5 if "sleep" in script else 30, {}
        )
    assert "\n" not in str(caught.value)


def test_programs_leave_nothing_behind(profile, photo, tmp_path: Path, monkeypatch):
    """Neither settings of the user's are read or written, nor temporary files kept."""
    raw = _raw(photo, profile)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    (tmp_path / "home").mkdir()
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    for converter in available_converters():
        develop_raw(raw, converter)
    assert not list((tmp_path / "tmp").iterdir())
    left = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert not [path for path in left if "darktable" in str(path).lower() or "rawtherapee" in str(path).lower()]
