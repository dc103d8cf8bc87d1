"""RAW to finished photo by external programs: complete ISPs, whose inverse a network can learn.

*Convention*: each program reads a DNG that `write_dng` makes of the upright mosaic. It returns a picture of
exactly the mosaic's size, aligned pixel by pixel. The DNG names no real camera: a program that knew the camera
could replace the profile's crop, levels or matrix by its own.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import rawpy
import torch
from torch import Tensor

from revisp.camera.profile import SRGB_TO_XYZ
from revisp.errors import ConfigError, ImageError
from revisp.io.dng import write_dng
from revisp.io.photo import read_srgb
from revisp.io.raw.rawimage import RawImage

__all__ = ["CONVERTERS", "STYLES", "Style", "available_converters", "develop_raw"]

_PROGRAMS = {"darktable": "darktable-cli", "rawtherapee": "rawtherapee-cli"}
_RAWTHERAPEE_LEAST = 256  # pixels; it treats a smaller mosaic as a thumbnail, or crashes
_RAWTHERAPEE_GAIN = 4.0  # RawTherapee turns white balance into a temperature and a tint, and ends at their limits


@dataclass(frozen=True)
class Style:
    """How to develop.

    Attributes:
        exposure: stops by which the picture is brightened, 0 to 6. The mosaic saturates that much earlier, as if
            it had been exposed longer, so all converters clip the same highlights.
        contrast: 0 (the converter's default) to 1.

    Raises:
        ConfigError: a value is outside its range.

    Example:
        >>> STYLES["bright"]
        Style(exposure=1.0, contrast=0.0)
        >>> Style(exposure=1.5, contrast=0.2).exposure
        1.5
    """

    exposure: float = 0.0
    contrast: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.exposure <= 6 or not 0 <= self.contrast <= 1:
            raise ConfigError(f"a style has 0 to 6 stops of exposure and 0 to 1 of contrast, got {self}")


STYLES: Mapping[str, Style] = MappingProxyType(
    {"neutral": Style(), "bright": Style(exposure=1.0), "punchy": Style(exposure=2.0, contrast=0.3)}
)
"""Named styles. With ``bright`` and ``punchy``, highlights clip in the photo that do not clip in the RAW."""


def available_converters() -> tuple[str, ...]:
    """Return the names of the installed converters; ``libraw`` is always installed.

    Example:
        >>> "libraw" in available_converters()
        True
    """
    return tuple(name for name in CONVERTERS if name not in _PROGRAMS or shutil.which(_PROGRAMS[name]))


def develop_raw(
    raw: RawImage, converter: str = "libraw", style: str | Style = "neutral", *, timeout: float = 600.0
) -> Tensor:
    """Develop a RAW to sRGB ``[3, H, W]``, float32 in [0, 1], with the size of ``raw.upright().mosaic``.

    * ``libraw``: AHD demosaicing, white balance, colour matrix, sRGB curve; no tone mapping, no noise reduction.
    * ``darktable``: its default scene-referred workflow (filmic tone mapping), noise reduction on the mosaic,
      sharpening, local contrast.
    * ``rawtherapee``: AMaZE demosaicing, noise reduction, deconvolution, dynamic range compression (Fattal et al.
      2002), local contrast, an S-shaped tone curve. A mosaic whose white balance needs a gain above 4 is balanced
      before: RawTherapee would leave a cast.

    The programs add in parallel, in no fixed order: a large picture repeats to about 10 / 65535, not to the bit.

    Args:
        raw: the RAW, as `read_raw` returns it.
        converter: one of `CONVERTERS`.
        style: one of `STYLES`, or a `Style`.
        timeout: seconds after which the program is stopped.

    Raises:
        ConfigError: the converter or style is unknown, or the program is not installed.
        ImageError: the program fails or exceeds ``timeout``.

    Example:
        >>> from revisp.camera.simulate import SIMULATED
        >>> from revisp.io.exif import PhotoMetadata
        >>> grey = np.full((32, 48), SIMULATED.profile.white_level // 4, np.uint16)
        >>> develop_raw(RawImage(grey, SIMULATED.profile, PhotoMetadata(), orientation=1)).shape
        torch.Size([3, 32, 48])
    """
    if converter not in CONVERTERS:
        raise ConfigError(f"unknown converter {converter!r}: use {', '.join(CONVERTERS)}")
    if isinstance(style, str):
        if style not in STYLES:
            raise ConfigError(f"unknown style {style!r}: use {', '.join(STYLES)}")
        style = STYLES[style]
    program = _PROGRAMS.get(converter)
    if program is not None and shutil.which(program) is None:
        raise ConfigError(f"{converter} needs the program {program}: install the package {converter}")
    upright = raw.upright()
    if converter == "rawtherapee" and min(upright.mosaic.shape) < _RAWTHERAPEE_LEAST:
        size = "x".join(map(str, upright.mosaic.shape[::-1]))
        raise ImageError(f"rawtherapee needs at least {_RAWTHERAPEE_LEAST} pixels a side, the mosaic has {size}")
    if converter == "rawtherapee" and max(upright.profile.gains) > _RAWTHERAPEE_GAIN * min(upright.profile.gains):
        upright = _balanced(upright)
    with tempfile.TemporaryDirectory(prefix="revisp-") as folder:
        dng = Path(folder) / "raw.dng"
        _write(dng, upright, style)
        picture = CONVERTERS[converter](dng, style, timeout)
    height, width = upright.mosaic.shape
    if picture.shape[-2:] != (height + height % 2, width + width % 2):
        found = "x".join(map(str, picture.shape[:0:-1]))
        raise ImageError(f"{converter} returns a picture of {found} pixels from a mosaic of {width}x{height}")
    return picture[:, :height, :width].contiguous()


def _balanced(raw: RawImage) -> RawImage:
    """Return a RAW of the same colours whose samples are white-balanced for D65; the least gain is 1."""
    gains = np.array(raw.profile.gains) / min(raw.profile.gains)
    tile = gains[list(raw.profile.cfa.indices)].reshape(2, 2)
    height, width = raw.mosaic.shape
    gain = np.tile(tile, (height // 2 + 1, width // 2 + 1))[:height, :width]
    matrix = raw.profile.srgb_to_camera @ np.linalg.inv(SRGB_TO_XYZ)
    return replace(
        raw,
        mosaic=raw.profile.quantise(raw.normalised() * gain),
        profile=raw.profile.replace(color_matrix=matrix.tolist(), as_shot_neutral=(1.0, 1.0, 1.0)),
    )


def _write(path: Path, raw: RawImage, style: Style) -> None:
    """Write a mosaic that saturates ``style.exposure`` stops earlier; an odd size is made even by mirroring."""
    profile = raw.profile
    black = float(np.mean(profile.black_level))
    white = round(black + (profile.white_level - black) / 2**style.exposure)
    if white <= max(profile.black_level):
        raise ConfigError(f"{profile.name}: too few levels for {style.exposure:g} more stops")
    mosaic = np.minimum(raw.mosaic, np.uint16(min(white, 65535)))
    mosaic = np.pad(mosaic, [(0, n % 2) for n in mosaic.shape], mode="reflect")
    write_dng(path, mosaic, profile.replace(make="revisp", model="mosaic", white_level=white), plain=True)


def _libraw(dng: Path, style: Style, timeout: float) -> Tensor:
    with rawpy.imread(str(dng)) as raw:
        pixels = raw.postprocess(
            demosaic_algorithm=rawpy.DemosaicAlgorithm.AHD,
            use_camera_wb=True,
            no_auto_bright=True,
            adjust_maximum_thr=0.0,
            highlight_mode=rawpy.HighlightMode.Clip,
            output_color=rawpy.ColorSpace.sRGB,
            gamma=(2.4 / (1 + style.contrast), 12.92),  # LibRaw has no contrast: a lower power deepens shadows
            output_bps=16,
        )
    return torch.from_numpy(pixels.astype(np.float32) / 65535).permute(2, 0, 1).contiguous()


def _darktable(dng: Path, style: Style, timeout: float) -> Tensor:
    sidecar, output = dng.with_name("style.xmp"), dng.with_name("photo.tif")
    sidecar.write_text(_darktable_sidecar(style))
    private = [f"--{kind}dir={dng.with_name(kind)}" for kind in ("config", "cache", "tmp")]
    command = [
        "darktable-cli",
        dng,
        sidecar,
        output,
        "--icc-type",
        "SRGB",
        "--apply-custom-presets",
        "0",
        "--core",
    ]
    for option in private:
        command += option.split("=", 1)
    command += ["--library", ":memory:", "--disable-opencl", "--conf", "plugins/imageio/format/tiff/bpp=16"]
    return _run([str(part) for part in command], output, timeout, {})


def _darktable_sidecar(style: Style) -> str:
    """Return an XMP sidecar that adds modules to darktable's default ones.

    A module's parameters are the bytes of its C structure, in hexadecimal (darktable 4.2, ``src/iop/NAME.c``);
    later versions convert them.
    """
    modules = [
        ("rawdenoise", 1, struct.pack("<f", 0.01)),  # threshold
        ("sharpen", 1, struct.pack("<fff", 2, 0.5, 0.5)),  # radius, amount, threshold
        ("bilat", 3, struct.pack("<Iffff", 1, 0.5, 0.5, 1.25, 0.5)),  # local Laplacian, 125 % detail
    ]
    if style.contrast:
        modules.append(
            ("colisa", 1, struct.pack("<fff", style.contrast, 0, 0))
        )  # contrast, brightness, saturation
    history = "".join(
        f'<rdf:li darktable:num="{number}" darktable:operation="{name}" darktable:enabled="1" '
        f'darktable:modversion="{version}" darktable:params="{values.hex()}" '
        'darktable:multi_name="" darktable:multi_priority="0"/>'
        for number, (name, version, values) in enumerate(modules)
    )
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:darktable="http://darktable.sf.net/" darktable:xmp_version="5" '
        f'darktable:auto_presets_applied="0" darktable:history_end="{len(modules)}"><darktable:history><rdf:Seq>'
        f"{history}</rdf:Seq></darktable:history></rdf:Description></rdf:RDF></x:xmpmeta>"
    )


_RAWTHERAPEE_PROFILE = """\
[Exposure]
Auto=false
Contrast={contrast}
HistogramMatching=false
Curve=1;0;0;0.25;0.21;0.75;0.82;1;1;
[HLRecovery]
Enabled=false
[Local Contrast]
Enabled=true
Radius=80
Amount=0.2
[FattalToneMapping]
Enabled=true
Threshold=30
Amount=20
[Sharpening]
Enabled=true
Method=rld
[Directional Pyramid Denoising]
Enabled=true
Luma=10
Chroma=15
[RAW]
CA=false
[RAW Bayer]
Method=amaze
Border=0
[Color Management]
InputProfile=(embedded)
OutputProfile=RTv4_sRGB
"""
"""Without its border of four pixels, RawTherapee's picture has the size of the mosaic."""


def _rawtherapee(dng: Path, style: Style, timeout: float) -> Tensor:
    recipe, output = dng.with_name("style.pp3"), dng.with_name("photo.tif")
    recipe.write_text(_RAWTHERAPEE_PROFILE.format(contrast=round(100 * style.contrast)))
    private = {"RT_SETTINGS": str(dng.with_name("config")), "RT_CACHE": str(dng.with_name("cache"))}
    command = ["rawtherapee-cli", "-o", str(output), "-p", str(recipe), "-b16", "-t", "-Y", "-c", str(dng)]
    return _run(command, output, timeout, private)


def _run(command: list[str], output: Path, timeout: float, environment: dict[str, str]) -> Tensor:
    """Run a program and read the photo that it writes; all its other files go to the photo's folder."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout,
            env={**os.environ, **environment},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ImageError(f"{command[0]} took more than {timeout:g} s and was stopped") from None
    except OSError as error:
        raise ImageError(f"{command[0]} cannot be started: {error.strerror or error}") from error
    if done.returncode or not output.is_file():
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines() or ["it says nothing"]
        raise ImageError(f"{command[0]} failed (exit status {done.returncode}): {said[-1].strip()}")
    return read_srgb(output)


CONVERTERS: Mapping[str, Callable[[Path, Style, float], Tensor]] = MappingProxyType(
    {"libraw": _libraw, "darktable": _darktable, "rawtherapee": _rawtherapee}
)
"""Converters by name. Each maps a DNG, a style and a timeout in seconds to sRGB ``[3, H, W]``."""
