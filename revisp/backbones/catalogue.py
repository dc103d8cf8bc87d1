"""The registry of all networks and their descriptions. Importing it loads no torch."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from revisp.backbones.base import BackboneSpec
from revisp.registry import Registry

if TYPE_CHECKING:
    from torch import nn

__all__ = ["BACKBONES", "family", "resolve_spec"]

_GEOMETRY = ("multiple_of", "min_size", "global_context", "receptive_field")
"""Fields of `BackboneSpec` that a built network may replace by attributes of its own."""

BACKBONES: Registry[BackboneSpec] = Registry("backbone", "revisp.backbones")
"""All networks by name. Other distributions add theirs by an entry point of the group ``revisp.backbones``."""


def family(name: str) -> tuple[str, dict[str, str]]:
    """Split a name such as ``"smp:Unet"`` into the registered name and the argument after the colon.

    Example:
        >>> family("smp:Unet"), family("unet")
        (('smp', {'arch': 'Unet'}), ('unet', {}))
    """
    head, colon, rest = name.partition(":")
    return (head, {"arch": rest}) if colon and head == "smp" else (name, {})


def resolve_spec(module: nn.Module, name: str | None = None) -> BackboneSpec:
    """Return the spec of a built network: the registered one, with the values that the module has as attributes.

    Args:
        module: the network.
        name: the name by which it was created; None for a module that was never registered. Only its attributes
            are then known.

    Raises:
        UnknownNameError: no backbone of that name.

    Example:
        >>> from revisp.backbones import create_backbone
        >>> network = create_backbone("unet", width=4, depth=3)
        >>> resolve_spec(network, "unet").multiple_of
        4
    """
    registered = BACKBONES.spec(family(name)[0]) if name is not None else None
    own = {key: getattr(module, key) for key in _GEOMETRY if hasattr(module, key)}
    return dataclasses.replace(registered or BackboneSpec(), **own)


BACKBONES.register_lazy(
    "classical",
    "revisp.backbones.classical:Classical",
    BackboneSpec(
        receptive_field=1,
        parameters=88,
        gmac=0.0,
        license="Apache-2.0",
        paper="Fitted classical inverse, after the camera model of Brooks et al., CVPR 2019, arXiv 1811.11127",
    ),
)
BACKBONES.register_lazy(
    "coordnet",
    "revisp.backbones.coordnet:CoordNet",
    BackboneSpec(
        multiple_of=2,
        min_size=2,
        global_context=True,
        native="packed",
        parameters=183_269,
        gmac=10.1,
        small={"width": 16, "context": 16, "vector": 4, "octaves": 4},
        license="Apache-2.0",
        paper="RGB2RAWCoordNet, released in 2025 for the NTIRE 2025 challenge of Conde et al., RAW Image "
        "Reconstruction from RGB on Smartphones, arXiv 2506.01947",
    ),
)
BACKBONES.register_lazy(
    "cvip",
    "revisp.backbones.cvip:CVIP",
    BackboneSpec(
        min_size=2,
        global_context=True,
        parameters=2_850_203,
        gmac=721.9,
        small={"channels": 8, "blocks": 2, "reduction": 4},
        license="Apache-2.0",
        paper="Team CVIP in Conde et al., Reversed ISP challenge report, AIM 2022, arXiv 2210.11153",
        reported={"s7/psnr": 27.85, "s7/ssim": 0.80},
    ),
)
BACKBONES.register_lazy(
    "cycleisp",
    "revisp.backbones.cycleisp:CycleISP",
    BackboneSpec(
        global_context=True,
        parameters=3_143_109,
        gmac=788.0,
        small={"width": 8, "groups": 2, "blocks": 2},
        license="Apache-2.0",
        paper="Zamir et al., CycleISP, CVPR 2020, arXiv 2003.07761",
        reported={"s7/psnr": 26.75, "s7/ssim": 0.78, "p20/psnr": 32.70, "p20/ssim": 0.85},
    ),
)
BACKBONES.register_lazy(
    "dualraw",
    "revisp.backbones.dualraw:DualRAW",
    BackboneSpec(
        multiple_of=16,
        min_size=16,
        global_context=True,
        native="packed",
        parameters=3_967_658,
        gmac=22.5,
        small={"width": 4, "depth": 2, "blocks": 1},
        license="Apache-2.0",
        paper="Baseline of Conde et al., RAW Image Reconstruction from RGB on Smartphones, NTIRE 2025, "
        "arXiv 2506.01947, after its description",
    ),
)
BACKBONES.register_lazy(
    "hit_liteisp",
    "revisp.backbones.hit_liteisp:HITLiteISP",
    BackboneSpec(
        multiple_of=8,
        min_size=8,
        global_context=True,
        native="packed",
        parameters=8_876_500,
        gmac=327.2,
        small={"width": 8, "blocks": 1},
        license="Apache-2.0",
        paper="Conde et al., Reversed Image Signal Processing and RAW Reconstruction: AIM 2022 Challenge Report, "
        "arXiv 2210.11153 (team HIT-IIL, S7 track); Zhang et al., LiteISPNet, ICCV 2021, arXiv 2108.08119",
        reported={"s7/psnr": 29.12, "s7/ssim": 0.80},
    ),
)
BACKBONES.register_lazy(
    "hit_nafnet",
    "revisp.backbones.hit_nafnet:HITNAFNet",
    BackboneSpec(
        multiple_of=32,
        min_size=32,
        global_context=True,
        native="packed",
        parameters=116_024_580,
        gmac=66.0,
        small={"width": 8, "encoder": (1, 1), "middle": 1, "decoder": (1, 1)},
        license="Apache-2.0",
        paper="Conde et al., Reversed Image Signal Processing and RAW Reconstruction: AIM 2022 Challenge Report, "
        "arXiv 2210.11153 (team HIT-IIL, P20 track); Chen et al., NAFNet, ECCV 2022, arXiv 2204.04676",
        reported={"p20/psnr": 36.53, "p20/ssim": 0.91},
    ),
)
BACKBONES.register_lazy(
    "invisp",
    "revisp.backbones.invisp:InvISP",
    BackboneSpec(
        receptive_field=161,
        parameters=1_413_664,
        gmac=358.3,
        small={"steps": 2, "growth": 8},
        license="Apache-2.0",
        paper="Xing, Qian, Chen, Invertible Image Signal Processing, CVPR 2021, arXiv 2103.15061",
    ),
)
BACKBONES.register_lazy(
    "mbispld",
    "revisp.backbones.mbispld:MBISPLD",
    BackboneSpec(
        global_context=True,
        parameters=102_848,
        gmac=8.3,
        small={"colours": 5, "gains": 5, "width": 8},
        license="Apache-2.0",
        paper="Conde et al., Model-Based Image Signal Processors via Learnable Dictionaries, AAAI 2022, "
        "arXiv 2201.03210",
    ),
)
BACKBONES.register_lazy(
    "mialgo",
    "revisp.backbones.mialgo:MiAlgo",
    BackboneSpec(
        multiple_of=16,
        min_size=16,
        global_context=True,
        native="packed",
        parameters=4_533_106,
        gmac=24.1,
        small={"width": 8, "blocks": 1},
        license="Apache-2.0",
        paper="Conde et al., Reversed Image Signal Processing and RAW Reconstruction: AIM 2022 Challenge Report, "
        "arXiv 2210.11153 (team MiAlgo); Zhang et al., LiteISPNet, ICCV 2021, arXiv 2108.08119",
        reported={"s7/psnr": 31.39, "s7/ssim": 0.82, "p20/psnr": 40.06, "p20/ssim": 0.93},
    ),
)
BACKBONES.register_lazy(
    "nafnet",
    "revisp.backbones.nafnet:NAFNet",
    BackboneSpec(
        multiple_of=8,
        min_size=8,
        global_context=True,
        parameters=438_387,
        gmac=4.8,
        small={"width": 8, "encoder": (1, 1), "middle": 1, "decoder": (1, 1)},
        license="Apache-2.0",
        paper="Chen et al., Simple Baselines for Image Restoration (NAFNet), ECCV 2022, arXiv 2204.04676 "
        "(a small version)",
    ),
)
BACKBONES.register_lazy(
    "reraw",
    "revisp.backbones.reraw:ReRAW",
    BackboneSpec(
        multiple_of=2,
        min_size=2,
        global_context=True,
        native="packed",
        parameters=23_800_178,
        gmac=88.1,
        small={"stem": 12, "width": 16, "depth": 2, "encoder_width": 8, "gammas": (1.0, 0.5, 0.1)},
        auxiliary=("gamma_heads",),
        license="Apache-2.0",
        paper="Berdan et al., ReRAW: RGB-to-RAW Image Reconstruction via Stratified Sampling, CVPR 2025, "
        "arXiv 2503.03782",
    ),
)
BACKBONES.register_lazy(
    "restormer",
    "revisp.backbones.restormer:Restormer",
    BackboneSpec(
        multiple_of=4,
        min_size=4,
        global_context=True,
        parameters=272_275,
        gmac=16.8,
        small={"width": 8, "blocks": (1, 1), "refinement": 1},
        license="Apache-2.0",
        paper="Zamir et al., Restormer, CVPR 2022, arXiv 2111.09881 (a small version)",
    ),
)
BACKBONES.register_lazy(
    "rst_isp",
    "revisp.backbones.rst_isp:RSTISP",
    BackboneSpec(
        multiple_of=8,
        min_size=16,
        global_context=True,
        native="packed",
        parameters=86_310_148,
        gmac=47.9,
        small={"width": 4, "style": 8},
        license="Apache-2.0",
        paper="Conde et al., Reversed Image Signal Processing and RAW Reconstruction: AIM 2022 Challenge Report, "
        "arXiv 2210.11153 (team OzU VGL); Kinli et al., Instagram Filter Removal, CVPRW 2021, arXiv 2104.05072",
        reported={"s7/psnr": 27.89, "s7/ssim": 0.79, "p20/psnr": 32.72, "p20/ssim": 0.87},
    ),
)
BACKBONES.register_lazy(
    "smp",
    "revisp.backbones.smp:SMP",
    BackboneSpec(
        multiple_of=32,
        min_size=32,
        global_context=True,
        parameters=14_328_499,
        gmac=21.7,
        small={"encoder_name": "test_resnet", "encoder_depth": 3, "decoder_channels": [32, 16, 8]},
        license="MIT (segmentation-models-pytorch); encoders as timm states",
        paper="Iakubovskii, Segmentation Models PyTorch, 2019",
    ),
)
BACKBONES.register_lazy(
    "ssdnet",
    "revisp.backbones.ssdnet:SSDNet",
    BackboneSpec(
        multiple_of=8,
        min_size=8,
        global_context=True,
        native="packed",
        parameters=36_241_628,
        gmac=737.7,
        small={"width": 8, "blocks": (1, 1), "refinement": 1, "error_blocks": 1},
        auxiliary=("error",),
        license="Apache-2.0",
        paper="Zou, Zhang, Learned Reverse ISP with Soft Supervision, ECCV workshops 2022 (AIM team CS^2U)",
        reported={"s7/psnr": 29.13, "s7/ssim": 0.79},
    ),
)
BACKBONES.register_lazy(
    "unet",
    "revisp.backbones.unet:UNet",
    BackboneSpec(
        multiple_of=16,
        min_size=16,
        receptive_field=245,
        in_channels=4,
        parameters=34_527_747,
        gmac=261.6,
        small={"width": 8, "depth": 3},
        license="Apache-2.0",
        paper="Kim, Jiang, Gu, Overexposure Mask Fusion, AIM 2022, arXiv 2210.11511",
        reported={"s7/psnr": 28.36, "s7/ssim": 0.80, "p20/psnr": 35.47, "p20/ssim": 0.92},
    ),
)
BACKBONES.register_lazy(
    "unet_aim",
    "revisp.backbones.unet_aim:UNetAIM",
    BackboneSpec(
        multiple_of=4,
        min_size=4,
        receptive_field=47,
        native="packed",
        parameters=1_861_764,
        gmac=98.3,
        small={"width": 8},
        license="Apache-2.0",
        paper="Baseline of Conde et al., Reversed ISP challenge report, AIM 2022, arXiv 2210.11153",
        reported={"s7/psnr": 26.30, "s7/ssim": 0.77, "p20/psnr": 30.01, "p20/ssim": 0.80},
    ),
)
BACKBONES.register_lazy(
    "upi",
    "revisp.backbones.upi:UPI",
    BackboneSpec(
        receptive_field=1,
        parameters=15,
        gmac=0.0,
        license="Apache-2.0",
        paper="Brooks et al., Unprocessing Images for Learned Raw Denoising, CVPR 2019, arXiv 1811.11127",
        reported={"s7/psnr": 26.90, "s7/ssim": 0.78},
    ),
)
BACKBONES.register_lazy(
    "zeronoise",
    "revisp.backbones.zeronoise:ZeroNoise",
    BackboneSpec(
        multiple_of=2,
        min_size=2,
        receptive_field=11,
        native="packed",
        parameters=171_112,
        gmac=43.2,
        small={"channels": 8},
        license="Apache-2.0",
        paper="Team 0noise in Conde et al., Reversed ISP challenge report, AIM 2022, arXiv 2210.11153",
        reported={"s7/psnr": 27.67, "s7/ssim": 0.79, "p20/psnr": 33.68, "p20/ssim": 0.90},
    ),
)
