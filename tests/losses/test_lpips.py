"""LPIPS: where the trunk comes from, and what the distance says."""

import copy
import warnings

import pytest
import torch
from safetensors.torch import load_file, save_file

from revisp.errors import ConfigError, ShapeError, WeightsError
from revisp.losses import LPIPSLoss, create_loss, find_trunk
from revisp.losses.perceptual import TRUNK_VARIABLE

CACHED = {"alex": "alexnet-owt-7be5be79.pth", "vgg": "vgg16-397923af.pth", "squeeze": "squeezenet1_1-b8a52dc0.pth"}


@pytest.fixture(autouse=True)
def no_trunk(monkeypatch, tmp_path):
    """A machine without any trunk."""
    monkeypatch.delenv(TRUNK_VARIABLE, raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))


@pytest.fixture(scope="session")
def trunk_file(sample_data):
    path = sample_data / "weights" / "alexnet_features_fp16.safetensors"
    if not path.is_file():
        pytest.skip("no AlexNet trunk among the sample data")
    return path


@pytest.fixture(scope="session")
def random_trunk(tmp_path_factory):
    """A trunk of the right shapes, as a whole classifier's state dict in torchvision's names."""
    generator = torch.Generator().manual_seed(0)
    shapes = {
        0: (64, 3, 11, 11),
        3: (192, 64, 5, 5),
        6: (384, 192, 3, 3),
        8: (256, 384, 3, 3),
        10: (256, 256, 3, 3),
    }
    state = {"classifier.1.weight": torch.zeros(2, 2)}
    for layer, shape in shapes.items():
        state[f"features.{layer}.weight"] = 0.05 * torch.randn(shape, generator=generator)
        state[f"features.{layer}.bias"] = torch.zeros(shape[0])
    path = tmp_path_factory.mktemp("trunk") / "alexnet.pth"
    torch.save(state, path)
    return path


@pytest.fixture(scope="session")
def loss(random_trunk):
    return LPIPSLoss("alex", random_trunk)


def images(seed=0, size=64):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, 3, size, size, generator=generator), torch.rand(2, 3, size, size, generator=generator)


def test_trunk_is_sought_in_the_documented_order(monkeypatch, tmp_path, random_trunk):
    assert find_trunk("alex") is None
    cached = tmp_path / "hub" / "checkpoints" / CACHED["alex"]
    cached.parent.mkdir(parents=True)
    cached.write_bytes(random_trunk.read_bytes())
    assert find_trunk("alex").source == "torchvision cache"
    assert find_trunk("vgg") is None
    monkeypatch.setenv(TRUNK_VARIABLE, str(random_trunk))
    assert (find_trunk("alex").source, find_trunk("alex").path) == ("environment", random_trunk)
    assert find_trunk("alex", cached).source == "argument"
    assert str(cached) in str(find_trunk("alex", cached))


@pytest.mark.parametrize("net", CACHED)
def test_cache_names_are_torchvisions(net, tmp_path):
    from torchvision import models

    enum = {"alex": models.AlexNet_Weights, "vgg": models.VGG16_Weights, "squeeze": models.SqueezeNet1_1_Weights}
    name = enum[net].IMAGENET1K_V1.url.rpartition("/")[2]
    cached = tmp_path / "hub" / "checkpoints" / name
    cached.parent.mkdir(parents=True)
    cached.touch()
    assert find_trunk(net).path == cached


def test_no_trunk_says_how_to_get_one():
    with pytest.raises(WeightsError, match=r"REVISP_LPIPS_TRUNK.*download.*alexnet-owt-7be5be79\.pth"):
        create_loss("lpips")


def test_download_is_torchvisions_weights_and_its_failure_is_one_line(monkeypatch):
    asked = []

    def refuse(url, **options):
        asked.append((url, options["weights_only"], options["check_hash"]))
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuse)
    with pytest.raises(WeightsError, match=r"cannot download the LPIPS vgg trunk .*: no network"):
        create_loss("lpips", net="vgg", download=True)
    assert asked == [(f"https://download.pytorch.org/models/{CACHED['vgg']}", True, True)]


def test_bad_trunks_are_refused(monkeypatch, tmp_path, random_trunk):
    with pytest.raises(ConfigError, match="resnet"):
        find_trunk("resnet")
    with pytest.raises(WeightsError, match="not a file"):
        find_trunk("alex", tmp_path / "missing.pth")
    monkeypatch.setenv(TRUNK_VARIABLE, str(tmp_path / "missing.pth"))
    with pytest.raises(WeightsError, match=TRUNK_VARIABLE):
        find_trunk("alex")
    for name in ("damaged.pth", "damaged.safetensors"):
        (tmp_path / name).write_bytes(b"not weights")
        with pytest.raises(WeightsError, match="cannot read"):
            LPIPSLoss("alex", tmp_path / name)
    with pytest.raises(WeightsError, match=r"squeeze .*does not fit.* features\.0\.weight"):
        LPIPSLoss("squeeze", random_trunk)
    save_file({"features.0.weight": torch.zeros(64, 3, 11, 11)}, tmp_path / "part.safetensors")
    with pytest.raises(WeightsError, match=r"lacks features\.0\.bias"):
        LPIPSLoss("alex", tmp_path / "part.safetensors")


def test_network_is_frozen_and_unseen_by_optimisers_and_checkpoints(random_trunk, capsys):
    state = torch.random.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        built = LPIPSLoss("alex", random_trunk)
    assert capsys.readouterr().out == ""
    assert torch.equal(torch.random.get_rng_state(), state)
    assert list(built.parameters()) == []
    assert built.state_dict() == {}
    x, y = images()
    before = built(x, y)
    built.train()  # as a parent module does: no dropout may wake up
    assert torch.equal(built(x, y), before)
    assert all(
        not buffer.is_floating_point() or buffer.dtype == torch.float64 for buffer in built.double().buffers()
    )


@pytest.mark.filterwarnings("ignore::UserWarning:torchvision.models._utils")
def test_value_is_that_of_the_lpips_package(random_trunk, loss):
    import lpips

    reference = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    weights = torch.load(random_trunk, weights_only=True)
    for name, own in reference.net.state_dict().items():
        own.copy_(weights["features." + name.split(".", 1)[1]])
    x, y = images()
    with torch.no_grad():
        expected = reference(x, y, normalize=True).mean()
    torch.testing.assert_close(loss(x, y), expected, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(loss(x, y, torch.ones(2, 1, 64, 64)), expected, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(loss(x.double(), y.bfloat16()), expected, rtol=1e-2, atol=0, check_dtype=False)
    beyond = x + (x > 0.9) * 0.5
    torch.testing.assert_close(loss(beyond, y), loss(beyond.clamp(0, 1), y))


def test_region_rule(loss):
    x, y = images(1)
    weight = torch.zeros(2, 1, 64, 64)
    assert loss(x, y, weight).item() == 0
    weight[0, :, :40, :40] = 1
    assert loss(x, y, weight).item() > 0
    elsewhere = torch.where(weight > 0, x, 1 - x)
    assert torch.equal(loss(elsewhere, y, weight), loss(x, y, weight))
    torch.testing.assert_close(loss(x, y, weight), loss(x[:1], y[:1], weight[:1]))


@pytest.mark.parametrize("size", [16, 31, 50])
def test_small_crop_is_a_region_of_a_larger_image(loss, size):
    (x, y), (wide_x, wide_y) = images(2, size), images(3)
    wide_x[..., :size, :size], wide_y[..., :size, :size] = x, y
    weight = torch.zeros(2, 1, 64, 64)
    weight[..., :size, :size] = 1
    x.requires_grad_()
    value = loss(x, y)
    value.backward()
    assert value.item() > 0
    torch.testing.assert_close(value, loss(wide_x, wide_y, weight))
    assert x.grad.abs().amax((1, 2, 3)).min() > 0


def test_gradient_is_zero_where_all_features_vanish(loss):
    silent = copy.deepcopy(loss)
    for name, buffer in silent.named_buffers():
        if name.endswith("bias"):
            buffer.fill_(-1e3)
    x, y = images(4)
    (gradient,) = torch.autograd.grad(silent(x.requires_grad_(), y), x)
    assert torch.equal(gradient, torch.zeros_like(x))


def test_three_channels_are_needed(loss):
    with pytest.raises(ShapeError, match="3"):
        loss(torch.rand(1, 4, 64, 64), torch.rand(1, 4, 64, 64))


def test_real_trunk_orders_distortions_and_file_kinds_agree(trunk_file, tmp_path):
    import kornia
    from skimage import data

    photo = torch.from_numpy(data.astronaut()[:128, 128:256] / 255.0).permute(2, 0, 1)[None].float()
    noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
    loss = LPIPSLoss("alex", trunk_file)
    slight = loss(photo + 0.01 * noise, photo).item()
    noisy = loss(photo + 0.1 * noise, photo).item()
    blurred = loss(kornia.filters.gaussian_blur2d(photo, (21, 21), (4.0, 4.0)), photo).item()
    assert 0 < slight < 0.05 < min(noisy, blurred)
    assert loss(photo, photo).item() == pytest.approx(0, abs=1e-7)
    torch.save(load_file(trunk_file), tmp_path / "alexnet.pth")
    assert LPIPSLoss("alex", tmp_path / "alexnet.pth")(photo + 0.1 * noise, photo).item() == noisy
