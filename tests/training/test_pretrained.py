"""Trainings that start from a model folder: the base, the adapters, and what a user gets and is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from simulated_pairs import write_simulated_pairs

import revisp
from revisp.backbones.fitted import Fitted
from revisp.camera.canonical import canonical_profile
from revisp.camera.fitted import FittedCamera
from revisp.camera.place import place_map
from revisp.camera.simulate import SIMULATED
from revisp.config import compose
from revisp.data.picture import Sample
from revisp.errors import ConfigError, WeightsError
from revisp.model_folder import from_pretrained, save_pretrained
from revisp.pipeline import ReverseISP
from revisp.training.build import build_model
from revisp.training.pretrained import choose_learning, fit_trust, fold_adapters, start_from

GAMMA = tuple((np.linspace(0, 1, 65) ** 2.2).tolist())
CAMERA = FittedCamera(
    curve=GAMMA,
    matrix=((2.0, -0.3, 0.0), (-0.2, 1.4, -0.1), (0.0, -0.4, 1.8)),
    black=(0.01, 0.0, -0.01),
    headroom=((0, 0, 0, 0.2), (0, 0, 0, 0.3), (0, 0, 0, 0.2)),
    shading=(0.3, 0.2),
)


DIM_CAMERA = replace(CAMERA, matrix=tuple(tuple(4 * x for x in row) for row in CAMERA.matrix))
"""The same with white at 0.25, so that nothing saturates."""


def model_folder(folder: Path, base: str | None, branches: str = "separate") -> Path:
    torch.manual_seed(0)
    model = ReverseISP(
        "unet",
        backbone_kwargs={"width": 4, "depth": 2, "norm": "none"},
        branches=branches,  # type: ignore[arg-type]
        base=base,  # type: ignore[arg-type]
        profile=canonical_profile(),
    )
    for gain in model.gains.values():
        torch.nn.init.constant_(gain, 0.2)
    return save_pretrained(model, folder)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_simulated_pairs(tmp_path_factory.mktemp("dataset"), val=(2,))


def words(dataset: Path, folder: Path, run_dir: Path) -> list[str]:
    return [
        "data=prepared",
        f"data.root={dataset}",
        "data.crop=32",
        "data.batch_size=2",
        "data.crops_per_epoch=4",
        f"pretrained={folder}",
        "trainer.max_epochs=1",
        "trainer.precision=32-true",
        f"hydra.run.dir={run_dir}",
    ]


# The base -------------------------------------------------------------------------------------------------------


@pytest.fixture
def base() -> Fitted:
    base = Fitted(3 + 1 + 3)
    base.load(CAMERA)
    return base


def base_input(photo: torch.Tensor) -> torch.Tensor:
    return torch.cat([photo, torch.zeros_like(photo[:, :1]), place_map(*photo.shape[-2:])[None]], dim=1)


def test_no_correction_gives_the_fitted_formula(base: Fitted) -> None:
    photo = torch.rand(1, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    found = base.compose("noe", base_input(photo), torch.zeros_like(photo))
    torch.testing.assert_close(found.clamp(0, 1), CAMERA.unprocess(photo), atol=1e-5, rtol=0)


def test_a_correction_of_the_photo_is_undone_by_the_curve_of_the_camera(base: Fitted) -> None:
    photo = torch.full((1, 3, 8, 12), 0.4)
    found = base.compose("noe", base_input(photo), torch.full_like(photo, 0.1))
    torch.testing.assert_close(found, CAMERA.unprocess(photo + 0.1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("stops", [-1.0, 0.0, 2.0])
def test_a_stop_doubles_the_light_of_overexposed_pixels(base: Fitted, stops: float) -> None:
    x = base_input(torch.ones(1, 3, 8, 12))
    found = base.compose("oe", x, torch.full((1, 3, 8, 12), stops))[0, :, 3, 5]
    shading = 1 + 0.3 * float(x[0, -1, 3, 5]) ** 2 + 0.2 * float(x[0, -1, 3, 5]) ** 4
    light = np.linalg.inv(CAMERA.matrix).sum(axis=1) / shading
    np.testing.assert_allclose(found.detach().numpy(), light * 2**stops + CAMERA.black, atol=1e-5)


def test_a_gain_map_tells_how_far_the_light_is_above_that_of_the_curve(base: Fitted) -> None:
    """sRGB mid grey is 0.18 of the sRGB curve's light, whatever the camera's own curve makes of it."""
    x, none = base_input(torch.ones(1, 3, 8, 12)), torch.zeros(1, 3, 8, 12)
    low, high = (base.compose("oe", x, none, torch.full((1, 1, 8, 12), ev)) for ev in (1.0, 2.0))
    black = torch.tensor(CAMERA.black).view(3, 1, 1)
    torch.testing.assert_close(high - black, 2 * (low - black))
    unknown = base.compose("oe", x, none, torch.full((1, 1, 8, 12), torch.nan))
    torch.testing.assert_close(unknown, base.compose("oe", x, none))


# What it starts from --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"), [("estimated", "fitted"), ("fitted", "fitted"), ("classical", "classical"), (None, None)]
)
def test_the_networks_are_kept_and_the_base_is_that_of_the_camera(
    before: str | None, after: str | None, tmp_path: Path
) -> None:
    folder = model_folder(tmp_path / "model", before)
    model, source = start_from(folder, SIMULATED.profile), from_pretrained(folder)
    assert (model.config["base"], model.profile, model.cfa) == (after, SIMULATED.profile, SIMULATED.profile.cfa)
    for name, value in source.state_dict().items():
        assert name.startswith("base.") or torch.equal(model.state_dict()[name], value)


@pytest.mark.parametrize("branches", ["separate", "shared"])
def test_folded_adapters_compute_the_same_in_an_ordinary_model(branches: str, tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model", "estimated", branches)
    model = start_from(folder, SIMULATED.profile)
    names = set(model.state_dict())
    choose_learning(model, "adapters")
    learning = [p for p in model.parameters() if p.requires_grad]
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in learning:
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    photo = torch.rand(1, 3, 24, 32, generator=generator)
    before = model(photo).raw_rgb
    fold_adapters(model)
    assert set(model.state_dict()) == names
    torch.testing.assert_close(model(photo).raw_rgb, before, atol=1e-6, rtol=1e-5)
    assert (start_from(folder, SIMULATED.profile)(photo).raw_rgb - before).abs().max() > 1e-3


def test_adapters_of_the_default_are_few() -> None:
    model = start_from("default", SIMULATED.profile)
    total = sum(p.numel() for p in model.parameters())
    choose_learning(model, "adapters")
    assert 0.003 < sum(p.numel() for p in model.parameters() if p.requires_grad) / total < 0.02
    assert [name for name, p in model.named_parameters() if p.requires_grad and "base" in name] == ["base.trust"]


# How far its networks suit the camera ---------------------------------------------------------------------------


def trusting_model(folder: Path, oe: float, noe: float) -> ReverseISP:
    """Return a pipeline on the fitted camera, with a trust in each of its corrections."""
    model = start_from(model_folder(folder, "estimated"), SIMULATED.profile)
    assert isinstance(model.base, Fitted)
    model.base.load(DIM_CAMERA)
    with torch.no_grad():
        model.gains["noe"].mul_(noe)
        model.base.trust.fill_(oe)
    return model


def sky(clipped: int) -> torch.Tensor:
    photo = 0.6 * torch.rand(3, 48, 64, generator=torch.Generator().manual_seed(2))
    photo[:, :clipped] = 1
    return photo


def sample_of(photo: torch.Tensor, raw: torch.Tensor) -> Sample:
    return Sample(photo, raw[:1], raw, "x", torch.ones_like(photo[:1]), place=place_map(*photo.shape[-2:]))


@pytest.mark.parametrize("trust", [(0.0, 0.0), (0.4, 0.7), (1.0, 1.0)])
def test_the_trust_in_the_corrections_is_found_in_the_photos_of_the_camera(
    trust: tuple[float, float], tmp_path: Path
) -> None:
    photo = sky(16)
    truth = trusting_model(tmp_path / "a", *trust).eval()(photo[None]).raw_rgb[0].detach()
    model = trusting_model(tmp_path / "b", 1.0, 1.0)
    whole = model.gains["noe"].detach().clone()
    fit_trust(model, [sample_of(photo, truth)])
    assert isinstance(model.base, Fitted)
    assert model.base.trust.item() == pytest.approx(trust[0], abs=1e-3)
    torch.testing.assert_close(model.gains["noe"] / whole, torch.full_like(whole, trust[1]), atol=0.05, rtol=0)
    torch.testing.assert_close(model.eval()(photo[None]).raw_rgb[0], truth, atol=2e-3, rtol=0)
    assert model.train().training


def test_a_trust_that_was_found_is_found_again(tmp_path: Path) -> None:
    photo = sky(16)
    truth = trusting_model(tmp_path / "a", 0.4, 0.7).eval()(photo[None]).raw_rgb[0].detach()
    model = trusting_model(tmp_path / "b", 1.0, 1.0)
    for _ in range(2):
        fit_trust(model, [sample_of(photo, truth)])
    torch.testing.assert_close(model.eval()(photo[None]).raw_rgb[0], truth, atol=2e-3, rtol=0)


def test_the_trust_in_a_single_network_is_found_in_overexposed_pixels_too(tmp_path: Path) -> None:
    photo = sky(48)
    folder = model_folder(tmp_path / "model", "estimated", "plain")
    truth, model = (start_from(folder, SIMULATED.profile).eval() for _ in range(2))
    for each in (truth, model):
        assert isinstance(each.base, Fitted)
        each.base.load(DIM_CAMERA)
    whole = model.gains["plain"].detach().clone()
    with torch.no_grad():
        truth.gains["plain"].mul_(0.5)
        raw = truth(photo[None]).raw_rgb[0]
    fit_trust(model, [sample_of(photo, raw)])
    torch.testing.assert_close(model.gains["plain"] / whole, torch.full_like(whole, 0.5), atol=0.05, rtol=0)


def test_without_overexposed_pixels_their_network_is_trusted_as_before(tmp_path: Path) -> None:
    photo = sky(0)
    model = trusting_model(tmp_path / "a", 1.0, 1.0)
    fit_trust(model, [sample_of(photo, trusting_model(tmp_path / "b", 0.0, 0.0).eval()(photo[None]).raw_rgb[0])])
    assert isinstance(model.base, Fitted)
    assert model.base.trust.item() == 1
    assert model.gains["noe"].abs().max() < 1e-4


def test_a_model_folder_that_names_the_trust_a_share_loads_as_before(tmp_path: Path) -> None:
    model = trusting_model(tmp_path / "a", 0.4, 0.7).eval()
    folder = save_pretrained(model, tmp_path / "earlier")
    weights = load_file(folder / "model.safetensors")
    weights["base.share"] = weights.pop("base.trust")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    photo = sky(16)[None]
    torch.testing.assert_close(from_pretrained(folder)(photo).raw_rgb, model(photo).raw_rgb)


def test_a_gain_map_is_trusted_whatever_the_trust_is(base: Fitted) -> None:
    x, change, gain = base_input(torch.ones(1, 3, 8, 12)), torch.ones(1, 3, 8, 12), torch.full((1, 1, 8, 12), 2.0)
    gain[..., :6] = torch.nan
    trusted = base.compose("oe", x, change, gain)
    with torch.no_grad():
        base.trust.fill_(0.0)
    found = base.compose("oe", x, change, gain)
    assert torch.equal(found[..., 6:], trusted[..., 6:])
    torch.testing.assert_close(found[..., :6], base(x)[..., :6])


# For a user -----------------------------------------------------------------------------------------------------


def test_a_training_from_a_folder_leaves_a_model_that_says_how_good_it_is(dataset: Path, tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model", "estimated")
    done = revisp.train(words(dataset, folder, tmp_path / "run"))
    assert done.model.config["base"] == "fitted"
    before, after = from_pretrained(folder).state_dict(), done.model.state_dict()
    moved = {name for name in before if name in after and not torch.equal(before[name], after[name])}
    assert any(name.startswith("branches.noe") for name in moved)
    card = (done.model_folder / "README.md").read_text()
    assert re.search(r"^Use .*fitted classical inverse.*\d dB\.$", card, re.MULTILINE)
    assert f"pretrained: {folder}" in card
    assert "backbone:\n" not in card  # the model's own stands at the top, not that of the configuration
    raw = revisp.predict(revisp.from_pretrained(done.model_folder), torch.rand(3, 40, 50), tile=32).raw_rgb
    assert raw.isfinite().all()


def test_all_weights_learn_if_asked_for(dataset: Path, tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model", "estimated")
    cfg = compose([*words(dataset, folder, tmp_path / "run"), "pretrained_train=all"])
    assert all(p.requires_grad for p in build_model(cfg, SIMULATED.profile).parameters())


@pytest.mark.parametrize("word", ["backbone=unet", "+backbone=unet", "pipeline.place=true", "mask.threshold=0.9"])
def test_what_the_model_brings_cannot_be_set(word: str) -> None:
    with pytest.raises(ConfigError, match=r"pretrained=default brings its own \w+.*leave"):
        compose(["data=prepared", "data.root=x", "pretrained=default", word])
    compose(["data=prepared", "data.root=x", "pretrained=null", word])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["pretrained_train=some"], "pretrained_train must be 'adapters' or 'all', got 'some'"),
        (["data=scenes", "data.scenes=x"], "data=scenes shows photos of many: set data.camera=FILE"),
    ],
)
def test_a_wrong_setting_is_refused(more: list[str], message: str, tmp_path: Path) -> None:
    cfg = compose(["pretrained=default", *more, f"hydra.run.dir={tmp_path}"])
    with pytest.raises(ConfigError, match=message):
        build_model(cfg, SIMULATED.profile)


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such model folder"):
        start_from(tmp_path / "none", SIMULATED.profile)
