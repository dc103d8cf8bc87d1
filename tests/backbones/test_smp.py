"""segmentation-models-pytorch as a backbone: any architecture, any encoder, local weights, clear refusals."""

from __future__ import annotations

import pytest
import timm
import torch
from safetensors.torch import save_file

from revisp.backbones import create_backbone, resolve_spec
from revisp.errors import ConfigError, ShapeError, UnknownNameError, WeightsError

ENCODER = "test_resnet"  # timm's smallest residual network


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.mark.parametrize(
    ("arch", "encoder", "multiple"),
    [
        ("Unet", "tu-test_resnet", 32),
        ("unet", "test_efficientnet", 32),
        ("FPN", "test_resnet", 32),
        ("Linknet", "test_convnext", 32),
        ("PSPNet", "test_resnet", 8),
        ("DeepLabV3Plus", "resnet18", 16),
        ("Segformer", "test_resnet", 32),
    ],
)
def test_the_multiple_follows_the_encoders_stride(arch, encoder, multiple):
    network = create_backbone("smp", in_channels=4, arch=arch, encoder_name=encoder).eval()
    assert network.multiple_of == resolve_spec(network, "smp").multiple_of == multiple
    with torch.no_grad():
        for height, width in ((multiple, 2 * multiple), (3 * multiple, multiple)):
            assert network(torch.rand(1, 4, height, width)).shape == (1, 3, height, width)


def test_pan_says_how_large_its_input_must_be():
    network = create_backbone("smp", arch="PAN", encoder_name=ENCODER).eval()
    assert network.min_size == 128
    with torch.no_grad():
        assert network(torch.rand(1, 3, 128, 144)).shape == (1, 3, 128, 144)
    with pytest.raises(ShapeError, match="multiples of 16 and at least 128, got 112x144"):
        network(torch.rand(1, 3, 112, 144))


def test_unknown_names_come_with_near_misses():
    with pytest.raises(UnknownNameError, match="unknown architecture 'Unte': did you mean 'Unet'"):
        create_backbone("smp", arch="Unte")
    with pytest.raises(UnknownNameError, match="unknown encoder 'resnt18': did you mean 'resnet18'"):
        create_backbone("smp", encoder_name="resnt18")
    with pytest.raises(
        UnknownNameError, match="unknown encoder 'tu-convnxt_tiny': did you mean 'tu-convnext_tiny'"
    ):
        create_backbone("smp", encoder_name="tu-convnxt_tiny")


def test_arguments_that_do_not_agree_are_refused():
    with pytest.raises(
        ConfigError, match=r"Unet with encoder 'tu-test_resnet' cannot be built: .*decoder_channels"
    ):
        create_backbone("smp", encoder_name=ENCODER, encoder_depth=3)
    with pytest.raises(ConfigError, match="FPN has no argument 'decoder_chanels'; it has encoder_name"):
        create_backbone("smp", arch="FPN", encoder_name="resnet18", decoder_chanels=[8])


@pytest.mark.parametrize("ending", ["pt", "safetensors"])
def test_a_local_file_of_timm_weights_reaches_the_encoder(ending, tmp_path):
    source = timm.create_model(ENCODER, num_classes=7)
    path = tmp_path / f"weights.{ending}"
    (save_file if ending == "safetensors" else torch.save)(source.state_dict(), path)
    encoder = create_backbone("smp", encoder_name=ENCODER, encoder_weights=str(path)).network.encoder.model
    assert torch.equal(encoder.layer3[0].conv1.weight, source.layer3[0].conv1.weight)
    four = create_backbone("smp", in_channels=4, encoder_name=ENCODER, encoder_weights=str(path))
    assert torch.equal(four.network.encoder.model.layer3[0].conv1.weight, source.layer3[0].conv1.weight)
    assert four(torch.rand(2, 4, 64, 64)).shape == (2, 3, 64, 64)


def test_a_local_file_reaches_an_encoder_of_smp_itself(tmp_path):
    source = timm.create_model("resnet18", num_classes=0)
    torch.save(source.state_dict(), tmp_path / "resnet18.pth")
    network = create_backbone("smp", in_channels=4, encoder_weights=tmp_path / "resnet18.pth").network
    assert torch.equal(network.encoder.layer4[1].conv2.weight, source.layer4[1].conv2.weight)
    assert network.encoder.conv1.weight.shape == (64, 4, 7, 7)


@pytest.mark.parametrize("encoder", ["resnet18", "test_efficientnet"])
def test_a_file_for_another_encoder_is_refused(encoder, tmp_path):
    path = tmp_path / "other.pt"
    torch.save(timm.create_model(ENCODER).state_dict(), path)
    with pytest.raises(WeightsError, match=f"other.pt: does not fit the encoder '(tu-)?{encoder}': .*Missing key"):
        create_backbone("smp", encoder_name=encoder, encoder_weights=path)


def test_weights_that_cannot_be_had_are_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"none\.pt: no such weights file"):
        create_backbone("smp", encoder_name=ENCODER, encoder_weights=tmp_path / "none.pt")
    with pytest.raises(WeightsError, match=r"'resnet18' cannot take the weights 'imagnet': .*imagenet"):
        create_backbone("smp", encoder_weights="imagnet")
