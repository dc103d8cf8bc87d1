"""Radiance and OpenEXR: light in linear sRGB, whatever the coding, colours and orientation; clear refusals."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import Any

import colour
import numpy as np
import pytest
import scene_files
import torch

from revisp.errors import ImageError
from revisp.io.scene import read_scene

Array = np.ndarray[Any, Any]

ACES = (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767)


def _chromaticities(*numbers: float) -> tuple[str, str, bytes]:
    return "chromaticities", "chromaticities", struct.pack("<8f", *numbers)


class TestRadiance:
    @pytest.mark.parametrize("coding", ["coded", "coded_long_ago", "uncoded"])
    def test_every_coding_gives_the_light(self, tmp_path: Path, coding: str) -> None:
        light = scene_files.random_light()
        quads = scene_files.rgbe(light)
        scene = read_scene(
            scene_files.write_hdr(tmp_path / "a.hdr", getattr(scene_files, coding)(quads), "-Y 20 +X 48")
        )
        expected = (quads[..., :3] + 0.5) * np.exp2(quads[..., 3:] - 136.0)  # Radiance's colr_color
        np.testing.assert_allclose(scene_files.pixels_of(scene), expected, rtol=1e-6)
        # The mantissas of a dim channel are small numbers; on average nothing is lost.
        np.testing.assert_allclose((scene_files.pixels_of(scene) / light).mean(axis=(0, 1)), 1, atol=0.02)

    def test_a_run_of_more_than_255_pixels_in_the_old_coding(self, tmp_path: Path) -> None:
        light = scene_files.random_light(height=16, width=700)
        light[3, 20:620] = light[3, 20]
        quads = scene_files.rgbe(light)
        old, flat = scene_files.coded_long_ago(quads), quads.tobytes()
        assert len(old) < len(flat)
        first = read_scene(scene_files.write_hdr(tmp_path / "old.hdr", old, "-Y 16 +X 700"))
        assert torch.equal(
            first.light, read_scene(scene_files.write_hdr(tmp_path / "flat.hdr", flat, "-Y 16 +X 700")).light
        )

    @pytest.mark.parametrize(
        ("size", "stored"),
        [
            ("-Y 20 +X 48", lambda q: q),
            ("+Y 20 +X 48", lambda q: q[::-1]),
            ("-Y 20 -X 48", lambda q: q[:, ::-1]),
            ("+Y 20 -X 48", lambda q: q[::-1, ::-1]),
            ("+X 48 -Y 20", lambda q: q.transpose(1, 0, 2)),
            ("-X 48 +Y 20", lambda q: q[::-1, ::-1].transpose(1, 0, 2)),
        ],
    )
    def test_every_orientation_is_turned_upright(self, tmp_path: Path, size: str, stored: Any) -> None:
        quads = scene_files.rgbe(scene_files.random_light())
        upright = read_scene(scene_files.write_hdr(tmp_path / "a.hdr", quads.tobytes(), "-Y 20 +X 48"))
        turned = read_scene(scene_files.write_hdr(tmp_path / "b.hdr", scene_files.coded(stored(quads)), size))
        assert torch.equal(turned.light, upright.light)

    def test_exposures_and_colour_corrections_are_divided_out(self, tmp_path: Path) -> None:
        body = scene_files.coded(scene_files.rgbe(scene_files.random_light()))
        plain = scene_files.pixels_of(read_scene(scene_files.write_hdr(tmp_path / "a.hdr", body, "-Y 20 +X 48")))
        lines = ("EXPOSURE=2", "EXPOSURE= 4.0", "COLORCORR=0.5 1 2")
        exposed = scene_files.pixels_of(
            read_scene(scene_files.write_hdr(tmp_path / "b.hdr", body, "-Y 20 +X 48", *lines))
        )
        np.testing.assert_allclose(exposed * [4, 8, 16], plain, rtol=1e-6)

    def test_xyz_is_converted_with_white_kept(self, tmp_path: Path) -> None:
        grey = np.exp2(np.random.default_rng(0).uniform(-4, 8, (20, 48, 1))) * np.ones(3)
        path = scene_files.write_hdr(
            tmp_path / "a.hdr", scene_files.coded(scene_files.rgbe(grey)), "-Y 20 +X 48", kind="32-bit_rle_xyze"
        )
        pixels = scene_files.pixels_of(read_scene(path))
        np.testing.assert_allclose(pixels / pixels[..., :1], 1, rtol=1e-5)
        np.testing.assert_allclose(pixels[..., 0], grey[..., 0], rtol=0.01)

    def test_primaries_are_converted_and_eight_zeros_are_none(self, tmp_path: Path) -> None:
        body, size = scene_files.coded(scene_files.rgbe(scene_files.random_light())), "-Y 20 +X 48"
        plain = scene_files.pixels_of(read_scene(scene_files.write_hdr(tmp_path / "a.hdr", body, size)))
        wide = "PRIMARIES=0.708 0.292 0.170 0.797 0.131 0.046 0.3127 0.3290"
        converted = scene_files.pixels_of(read_scene(scene_files.write_hdr(tmp_path / "b.hdr", body, size, wide)))
        matrix = colour.matrix_RGB_to_RGB("ITU-R BT.2020", "sRGB")
        np.testing.assert_allclose(converted, np.maximum(plain @ matrix.T, 0), rtol=2e-3, atol=1e-3)
        zeros = scene_files.pixels_of(
            read_scene(scene_files.write_hdr(tmp_path / "c.hdr", body, size, "PRIMARIES=0 0 0 0 0 0 0 0"))
        )
        np.testing.assert_array_equal(zeros, plain)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda data: data[:-200], "cut off or damaged"),
            (lambda data: data[:30], "its header has no size"),
            (lambda data: data.replace(b"+X 48", b"+X 49999999999"), "more than the 300 megapixels"),
            (lambda data: data.replace(b"rgbe", b"abcd"), "of another kind than RGB"),
            (lambda data: data.replace(b"#?RADIANCE", b"#?RADIANCE\nEXPOSURE=much"), "'EXPOSURE=much'"),
            (lambda data: data.replace(b"#?RADIANCE", b"#?RADIANCE\nEXPOSURE=0"), "'EXPOSURE=0'"),
        ],
    )
    @pytest.mark.parametrize("coding", ["coded", "coded_long_ago"])
    def test_damage_is_refused_in_one_line(self, tmp_path: Path, change: Any, said: str, coding: str) -> None:
        path = scene_files.write_hdr(
            tmp_path / "a.hdr",
            getattr(scene_files, coding)(scene_files.rgbe(scene_files.random_light())),
            "-Y 20 +X 48",
        )
        path.write_bytes(change(path.read_bytes()))
        with pytest.raises(ImageError, match=said) as caught:
            read_scene(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


class TestOpenEXR:
    @pytest.fixture(autouse=True)
    def _library(self) -> None:
        pytest.importorskip("OpenEXR")

    @pytest.mark.parametrize("kind", ["float16", "float32", "uint32"])
    @pytest.mark.parametrize("layer", ["", "scene.", "View Layer.Combined."])
    def test_rgb_of_every_depth_and_layer(self, tmp_path: Path, kind: str, layer: str) -> None:
        light = (scene_files.random_light() * 100).astype(kind)
        channels = {layer + name: light[..., index] for index, name in enumerate("RGB")}
        scene = read_scene(scene_files.write_exr(tmp_path / "a.exr", {**channels, "depth.Z": light[..., 0]}))
        np.testing.assert_allclose(scene_files.pixels_of(scene), light, rtol=1e-6)
        assert ("layer" in " ".join(scene.notes)) == bool(layer)

    def test_the_whole_light_is_preferred_to_its_parts(self, tmp_path: Path) -> None:
        light = scene_files.random_light()
        channels = {f"V.Combined.{name}": plane for name, plane in scene_files.halves(light).items()}
        channels |= {
            f"V.Albedo.{name}": plane * np.float16(0.5) for name, plane in scene_files.halves(light).items()
        }
        scene = read_scene(scene_files.write_exr(tmp_path / "a.exr", channels))
        np.testing.assert_allclose(scene_files.pixels_of(scene), light, rtol=1e-3, atol=1e-5)

    def test_luminance_alone_is_grey(self, tmp_path: Path) -> None:
        y = scene_files.random_light()[..., 1].astype(np.float32)
        scene = read_scene(scene_files.write_exr(tmp_path / "a.exr", {"Y": y}))
        np.testing.assert_array_equal(scene_files.pixels_of(scene), np.dstack([y] * 3))

    def test_chroma_at_half_the_resolution(self, tmp_path: Path) -> None:
        rows, columns = np.mgrid[:20, :48]
        light = np.stack([1 + 0.02 * rows, 1 + 0.01 * columns, 2 - 0.02 * rows], axis=-1)
        y = light @ [0.2126, 0.7152, 0.0722]
        chroma = {name: (light[..., i] / y - 1)[::2, ::2].astype(np.float32) for name, i in (("RY", 0), ("BY", 2))}
        path = scene_files.write_exr(
            tmp_path / "a.exr", {"Y": y.astype(np.float32), **chroma}, steps={"RY": 2, "BY": 2}
        )
        np.testing.assert_allclose(scene_files.pixels_of(read_scene(path))[:-1, :-1], light[:-1, :-1], rtol=2e-3)

    def test_aces_is_converted_with_its_white_adapted(self, tmp_path: Path) -> None:
        light = scene_files.random_light() + 0.3
        path = scene_files.write_exr(tmp_path / "a.exr", scene_files.halves(light), _chromaticities(*ACES))
        matrix = colour.matrix_RGB_to_RGB("ACES2065-1", "sRGB", chromatic_adaptation_transform="Bradford")
        expected = np.maximum(light.astype(np.float16).astype(float) @ matrix.T, 0)
        np.testing.assert_allclose(scene_files.pixels_of(read_scene(path)), expected, rtol=3e-3, atol=0.01)
        grey = scene_files.write_exr(
            tmp_path / "b.exr", scene_files.halves(light[..., :1] * np.ones(3)), _chromaticities(*ACES)
        )
        pixels = scene_files.pixels_of(read_scene(grey))
        np.testing.assert_allclose(pixels, pixels[..., :1] * np.ones(3), rtol=1e-4)

    def test_what_lies_outside_the_display_window_is_left_out(self, tmp_path: Path) -> None:
        light = scene_files.random_light(height=30)
        path = scene_files.write_exr(
            tmp_path / "a.exr", scene_files.halves(light), corner=(-5, 7), display=(0, 10, 39, 99)
        )
        np.testing.assert_allclose(scene_files.pixels_of(read_scene(path)), light[3:, 5:45], rtol=1e-3, atol=1e-5)

    def test_a_lat_long_map_loses_the_column_that_it_has_twice(self, tmp_path: Path) -> None:
        light = scene_files.random_light(height=20, width=40)
        scene = read_scene(
            scene_files.write_exr(tmp_path / "a.exr", scene_files.halves(light), ("envmap", "envmap", b"\0"))
        )
        assert scene.projection == "equirectangular"
        assert scene.light.shape == (3, 20, 39)

    def test_the_first_part_with_colours_is_read(self, tmp_path: Path) -> None:
        import OpenEXR

        light = scene_files.random_light()
        header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
        depth = OpenEXR.Part({**header, "name": "depth"}, {"Z": light[..., 0].astype(np.float32)})
        colours = OpenEXR.Part({**header, "name": "colours"}, scene_files.halves(light))
        OpenEXR.File([depth, colours]).write(str(tmp_path / "a.exr"))
        np.testing.assert_allclose(
            scene_files.pixels_of(read_scene(tmp_path / "a.exr")), light, rtol=1e-3, atol=1e-5
        )

    def test_tiles_are_read(self, tmp_path: Path) -> None:
        import OpenEXR

        light = scene_files.random_light(height=70, width=90)
        header = {"type": OpenEXR.tiledimage, "tiles": OpenEXR.TileDescription()}
        OpenEXR.File(header, scene_files.halves(light)).write(str(tmp_path / "a.exr"))
        np.testing.assert_allclose(
            scene_files.pixels_of(read_scene(tmp_path / "a.exr")), light, rtol=1e-3, atol=1e-5
        )

    @pytest.mark.parametrize(
        ("names", "attributes", "said"),
        [
            ("ZUV", (), "its channels are U, V, Z"),
            ("RGB", (("envmap", "envmap", b"\1"),), "exrenvmap -latlong"),
            ("RGB", (("colorInteropID", "string", b"srgb_rec709_display"),), "srgb_rec709_display, not linear"),
        ],
    )
    def test_what_is_no_light_is_refused(
        self,
        tmp_path: Path,
        names: str,
        attributes: tuple[tuple[str, str, bytes], ...],
        said: str,
    ) -> None:
        planes = dict(
            zip(names, scene_files.halves(scene_files.random_light(height=48, width=48)).values(), strict=True)
        )
        with pytest.raises(ImageError, match=said):
            read_scene(scene_files.write_exr(tmp_path / "a.exr", planes, *attributes))

    @pytest.mark.parametrize("share", [0.02, 0.2, 0.9])
    def test_a_file_that_is_cut_off_is_refused_silently(
        self, tmp_path: Path, share: float, capfd: pytest.CaptureFixture[str]
    ) -> None:
        path = scene_files.write_exr(tmp_path / "a.exr", scene_files.halves(scene_files.random_light()))
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
        with pytest.raises(ImageError, match="cut off or damaged") as caught:
            read_scene(path)
        assert "\n" not in str(caught.value)
        assert capfd.readouterr() == ("", "")

    def test_without_the_library_it_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "OpenEXR", None)
        with pytest.raises(ImageError, match=r"pip install \"revisp\[scenes\]\""):
            read_scene(scene_files.write_exr(tmp_path / "a.exr", scene_files.halves(scene_files.random_light())))
