"""The released checkpoints: an independent reading of the paper's network agrees with the converted pipeline."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from revisp.errors import WeightsError
from revisp.released import convert_released_state_dict, from_released_checkpoints


class ConvBlock(nn.Module):
    """Two convolutions, each with batch normalisation and ReLU; submodules are numbered 0 to 5."""

    def __init__(self, before, after):
        super().__init__()
        layers = [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        layers += [nn.Conv2d(after, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        self.conv = nn.Sequential(*layers)

    def forward(self, x):
        return self.conv(x)


class UpConv(nn.Module):
    """Nearest upsampling and a convolution; submodules are numbered 0 to 3."""

    def __init__(self, before, after):
        super().__init__()
        self.up = nn.Sequential(
            nn.Upsample(scale_factor=2), nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()
        )

    def forward(self, x):
        return self.up(x)


class ReleasedNetwork(nn.Module):
    """The network under the attribute names of the released state dictionaries."""

    def __init__(self):
        super().__init__()
        widths = [4, 64, 128, 256, 512, 1024]
        for level in range(1, 6):
            setattr(self, f"Conv{level}", ConvBlock(widths[level - 1], widths[level]))
        for level in range(5, 1, -1):
            setattr(self, f"Up{level}", UpConv(widths[level], widths[level - 1]))
            setattr(self, f"Up_conv{level}", ConvBlock(widths[level], widths[level - 1]))
        self.Conv = nn.Conv2d(64, 3, 1)

    def forward(self, x):
        x = F.pad(x, (4, 4, 4, 4), "constant", 1.0)
        x1 = self.Conv1(x)
        x2 = self.Conv2(F.max_pool2d(x1, 2))
        x3 = self.Conv3(F.max_pool2d(x2, 2))
        x4 = self.Conv4(F.max_pool2d(x3, 2))
        y = self.Conv5(F.max_pool2d(x4, 2))
        y = self.Up_conv5(torch.cat((x4, self.Up5(y)), 1))
        y = self.Up_conv4(torch.cat((x3, self.Up4(y)), 1))
        y = self.Up_conv3(torch.cat((x2, self.Up3(y)), 1))
        y = self.Up_conv2(torch.cat((x1, self.Up2(y)), 1))
        return self.Conv(y)[:, :, 4:-4, 4:-4].clamp(0, 1)


def released_network(seed):
    """A network with random weights and running statistics whose outputs straddle [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    with torch.device("meta"):
        network = ReleasedNetwork()
    network = network.to_empty(device="cpu").eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan_in = module.weight[0].numel()
            module.weight.data.normal_(0, (2 / fan_in) ** 0.5, generator=generator)
            module.bias.data.normal_(0, 0.1, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.8, 1.2, generator=generator)
            module.bias.data.normal_(0, 0.1, generator=generator)
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.8, 1.2, generator=generator)
            module.num_batches_tracked.fill_(100)
    network.Conv.weight.data.mul_(0.3)
    network.Conv.bias.data.fill_(0.5)
    return network


def released_raw(oe, noe, photo):
    """What the released code stores: uint16 ``[B, H, W]``, and the values before it rounds them down."""
    red, green, blue = photo.unbind(1)
    mask = ((0.299 * red + 0.587 * green + 0.114 * blue) >= 0.978).float()[:, None]
    x = torch.cat([photo, mask], 1)
    fused = (mask * oe(x) + (1 - mask) * noe(x)).numpy()
    bayer = np.empty(fused[:, 0].shape, np.float32)
    bayer[:, 0::2, 0::2] = fused[:, 0, 0::2, 0::2]
    bayer[:, 0::2, 1::2] = fused[:, 1, 0::2, 1::2]
    bayer[:, 1::2, 0::2] = fused[:, 1, 1::2, 0::2]
    bayer[:, 1::2, 1::2] = fused[:, 2, 1::2, 1::2]
    return bayer, np.floor(1024 * bayer).astype(np.uint16)


@pytest.fixture(scope="module")
def networks():
    return {"oe": released_network(1), "noe": released_network(2)}


@pytest.fixture(scope="module")
def files(networks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("released")
    torch.save(networks["oe"].state_dict(), folder / "oe.pth")
    save_file(
        {f"module.{key}": value for key, value in networks["noe"].state_dict().items()}, folder / "noe.safetensors"
    )
    return folder / "oe.pth", folder / "noe.safetensors"


@pytest.fixture(scope="module")
def model(files):
    return from_released_checkpoints(*files)


@pytest.mark.parametrize(("height", "width"), [(56, 56), (24, 72)])
def test_the_pipeline_computes_what_the_released_code_computes(model, networks, height, width):
    photo = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(3))
    photo[:, :, :12, 8:24] = 1.0  # overexposed, up to the border
    with torch.no_grad():
        expected, stored = released_raw(networks["oe"], networks["noe"], photo)
        result = model(photo)
    assert 0.05 < result.mask.mean() < 0.5
    assert expected.std() > 0.1
    assert ((expected > 0) & (expected < 1)).mean() > 0.5
    np.testing.assert_allclose(result.bayer[:, 0].numpy(), expected, rtol=0, atol=1e-5)
    ours = np.floor(1024 * result.bayer[:, 0].numpy()).astype(np.uint16)
    assert np.abs(ours.astype(int) - stored).max() <= 1
    assert (ours == stored).mean() > 0.99


def test_the_branches_are_not_exchanged(model, networks):
    for branch, network in networks.items():
        assert torch.equal(model.branches[branch].head.weight, network.Conv.weight)


def test_the_pipeline_is_ready_for_inference(model):
    assert not model.training
    assert model.cfa == "RGGB"
    assert sum(parameter.numel() for parameter in model.parameters()) == 2 * 34_527_747


def state(networks):
    return dict(networks["oe"].state_dict())


def test_conversion_is_one_to_one(networks, model):
    converted = convert_released_state_dict(state(networks))
    assert set(converted) == set(model.branches["oe"].state_dict())


@pytest.mark.parametrize(
    "key", ["Conv1.conv.0.weight", "Up5.up.2.running_var", "Up_conv5.conv.3.bias", "Conv.bias"]
)
def test_a_missing_key_is_named(networks, key):
    incomplete = state(networks)
    del incomplete[key]
    with pytest.raises(WeightsError, match=f"missing keys \\(1\\), first '{key}'"):
        convert_released_state_dict(incomplete)


def test_an_unknown_key_is_named(networks):
    with pytest.raises(WeightsError, match=r"unknown keys \(1\), first 'Att5\.W_g\.0\.weight'"):
        convert_released_state_dict({**state(networks), "Att5.W_g.0.weight": torch.zeros(1)})


def test_a_wrong_shape_names_file_and_key(networks, files, tmp_path):
    three = {**state(networks), "Conv1.conv.0.weight": torch.zeros(64, 3, 3, 3)}
    torch.save(three, tmp_path / "rgb.pth")
    with pytest.raises(
        WeightsError, match=r"rgb\.pth: 'Conv1\.conv\.0\.weight' has shape \[64, 3, 3, 3\].* \[64, 4, 3, 3\]"
    ):
        from_released_checkpoints(files[0], tmp_path / "rgb.pth")


def test_another_network_or_a_missing_file_is_refused_by_name(files, tmp_path):
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "linear.pth")
    with pytest.raises(WeightsError, match=r"linear\.pth: not a checkpoint of the released code"):
        from_released_checkpoints(tmp_path / "linear.pth", files[1])
    with pytest.raises(WeightsError, match=r"none\.pth: no such weights file"):
        from_released_checkpoints(files[0], tmp_path / "none.pth")
