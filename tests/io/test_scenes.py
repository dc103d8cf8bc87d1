"""Scene files: light in linear sRGB, whatever the file's coding, colours and orientation; clear refusals."""

from __future__ import annotations

import io
import json
import struct
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import colour
import numpy as np
import pytest
import torch
from PIL import Image

from revisp.errors import ImageError
from revisp.io.scene import Scene, read_scene
from revisp.io.scene_folder import is_scene

Array = np.ndarray[Any, Any]

ACES = (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767)


def _light(seed: int = 0, height: int = 20, width: int = 48) -> Array:
    """Return random light over twelve stops, with a dim blue and a run of equal pixels."""
    rng = np.random.default_rng(seed)
    light = np.exp2(rng.uniform(-6, 6, (height, width, 1))) * rng.uniform(0.2, 1, (height, width, 3))
    light[..., 2] *= 0.02
    light[4:8, 5:40] = light[4, 5]
    return light


def _pixels(scene: Scene) -> Array:
    return scene.light.permute(1, 2, 0).double().numpy()


def _halves(light: Array) -> dict[str, Array]:
    return {name: light[..., index].astype(np.float16) for index, name in enumerate("RGB")}


def _chromaticities(*numbers: float) -> tuple[str, str, bytes]:
    return "chromaticities", "chromaticities", struct.pack("<8f", *numbers)


class TestRadiance:
    @pytest.mark.parametrize("coding", ["coded", "coded_long_ago", "uncoded"])
    def test_every_coding_gives_the_light(self, scene_files: ModuleType, tmp_path: Path, coding: str) -> None:
        light = _light()
        quads = scene_files.rgbe(light)
        scene = read_scene(
            scene_files.write_hdr(tmp_path / "a.hdr", getattr(scene_files, coding)(quads), "-Y 20 +X 48")
        )
        expected = (quads[..., :3] + 0.5) * np.exp2(quads[..., 3:] - 136.0)  # Radiance's colr_color
        np.testing.assert_allclose(_pixels(scene), expected, rtol=1e-6)
        # The mantissas of a dim channel are small numbers; on average nothing is lost.
        np.testing.assert_allclose((_pixels(scene) / light).mean(axis=(0, 1)), 1, atol=0.02)

    def test_a_run_of_more_than_255_pixels_in_the_old_coding(
        self, scene_files: ModuleType, tmp_path: Path
    ) -> None:
        light = _light(height=16, width=700)
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
    def test_every_orientation_is_turned_upright(
        self, scene_files: ModuleType, tmp_path: Path, size: str, stored: Any
    ) -> None:
        quads = scene_files.rgbe(_light())
        upright = read_scene(scene_files.write_hdr(tmp_path / "a.hdr", quads.tobytes(), "-Y 20 +X 48"))
        turned = read_scene(scene_files.write_hdr(tmp_path / "b.hdr", scene_files.coded(stored(quads)), size))
        assert torch.equal(turned.light, upright.light)

    def test_exposures_and_colour_corrections_are_divided_out(
        self, scene_files: ModuleType, tmp_path: Path
    ) -> None:
        body = scene_files.coded(scene_files.rgbe(_light()))
        plain = _pixels(read_scene(scene_files.write_hdr(tmp_path / "a.hdr", body, "-Y 20 +X 48")))
        lines = ("EXPOSURE=2", "EXPOSURE= 4.0", "COLORCORR=0.5 1 2")
        exposed = _pixels(read_scene(scene_files.write_hdr(tmp_path / "b.hdr", body, "-Y 20 +X 48", *lines)))
        np.testing.assert_allclose(exposed * [4, 8, 16], plain, rtol=1e-6)

    def test_xyz_is_converted_with_white_kept(self, scene_files: ModuleType, tmp_path: Path) -> None:
        grey = np.exp2(np.random.default_rng(0).uniform(-4, 8, (20, 48, 1))) * np.ones(3)
        path = scene_files.write_hdr(
            tmp_path / "a.hdr", scene_files.coded(scene_files.rgbe(grey)), "-Y 20 +X 48", kind="32-bit_rle_xyze"
        )
        pixels = _pixels(read_scene(path))
        np.testing.assert_allclose(pixels / pixels[..., :1], 1, rtol=1e-5)
        np.testing.assert_allclose(pixels[..., 0], grey[..., 0], rtol=0.01)

    def test_primaries_are_converted_and_eight_zeros_are_none(
        self, scene_files: ModuleType, tmp_path: Path
    ) -> None:
        body, size = scene_files.coded(scene_files.rgbe(_light())), "-Y 20 +X 48"
        plain = _pixels(read_scene(scene_files.write_hdr(tmp_path / "a.hdr", body, size)))
        wide = "PRIMARIES=0.708 0.292 0.170 0.797 0.131 0.046 0.3127 0.3290"
        converted = _pixels(read_scene(scene_files.write_hdr(tmp_path / "b.hdr", body, size, wide)))
        matrix = colour.matrix_RGB_to_RGB("ITU-R BT.2020", "sRGB")
        np.testing.assert_allclose(converted, np.maximum(plain @ matrix.T, 0), rtol=2e-3, atol=1e-3)
        zeros = _pixels(
            read_scene(scene_files.write_hdr(tmp_path / "c.hdr", body, size, "PRIMARIES=0 0 0 0 0 0 0 0"))
        )
        np.testing.assert_array_equal(zeros, plain)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda data: data[:-200], "cut off or damaged"),
            (lambda data: data[:30], "its header has no size"),
            (lambda data: data.replace(b"+X 48", b"+X 49999999999"), "more than is read"),
            (lambda data: data.replace(b"rgbe", b"abcd"), "of another kind than RGB"),
            (lambda data: data.replace(b"#?RADIANCE", b"#?RADIANCE\nEXPOSURE=much"), "'EXPOSURE=much'"),
            (lambda data: data.replace(b"#?RADIANCE", b"#?RADIANCE\nEXPOSURE=0"), "'EXPOSURE=0'"),
        ],
    )
    @pytest.mark.parametrize("coding", ["coded", "coded_long_ago"])
    def test_damage_is_refused_in_one_line(
        self, scene_files: ModuleType, tmp_path: Path, change: Any, said: str, coding: str
    ) -> None:
        path = scene_files.write_hdr(
            tmp_path / "a.hdr", getattr(scene_files, coding)(scene_files.rgbe(_light())), "-Y 20 +X 48"
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
    def test_rgb_of_every_depth_and_layer(
        self, scene_files: ModuleType, tmp_path: Path, kind: str, layer: str
    ) -> None:
        light = (_light() * 100).astype(kind)
        channels = {layer + name: light[..., index] for index, name in enumerate("RGB")}
        scene = read_scene(scene_files.write_exr(tmp_path / "a.exr", {**channels, "depth.Z": light[..., 0]}))
        np.testing.assert_allclose(_pixels(scene), light, rtol=1e-6)
        assert ("layer" in " ".join(scene.notes)) == bool(layer)

    def test_the_whole_light_is_preferred_to_its_parts(self, scene_files: ModuleType, tmp_path: Path) -> None:
        light = _light()
        channels = {f"V.Combined.{name}": plane for name, plane in _halves(light).items()}
        channels |= {f"V.Albedo.{name}": plane * np.float16(0.5) for name, plane in _halves(light).items()}
        scene = read_scene(scene_files.write_exr(tmp_path / "a.exr", channels))
        np.testing.assert_allclose(_pixels(scene), light, rtol=1e-3, atol=1e-5)

    def test_luminance_alone_is_grey(self, scene_files: ModuleType, tmp_path: Path) -> None:
        y = _light()[..., 1].astype(np.float32)
        scene = read_scene(scene_files.write_exr(tmp_path / "a.exr", {"Y": y}))
        np.testing.assert_array_equal(_pixels(scene), np.dstack([y] * 3))

    def test_chroma_at_half_the_resolution(self, scene_files: ModuleType, tmp_path: Path) -> None:
        rows, columns = np.mgrid[:20, :48]
        light = np.stack([1 + 0.02 * rows, 1 + 0.01 * columns, 2 - 0.02 * rows], axis=-1)
        y = light @ [0.2126, 0.7152, 0.0722]
        chroma = {name: (light[..., i] / y - 1)[::2, ::2].astype(np.float32) for name, i in (("RY", 0), ("BY", 2))}
        path = scene_files.write_exr(
            tmp_path / "a.exr", {"Y": y.astype(np.float32), **chroma}, steps={"RY": 2, "BY": 2}
        )
        np.testing.assert_allclose(_pixels(read_scene(path))[:-1, :-1], light[:-1, :-1], rtol=2e-3)

    def test_aces_is_converted_with_its_white_adapted(self, scene_files: ModuleType, tmp_path: Path) -> None:
        light = _light() + 0.3
        path = scene_files.write_exr(tmp_path / "a.exr", _halves(light), _chromaticities(*ACES))
        matrix = colour.matrix_RGB_to_RGB("ACES2065-1", "sRGB", chromatic_adaptation_transform="Bradford")
        expected = np.maximum(light.astype(np.float16).astype(float) @ matrix.T, 0)
        np.testing.assert_allclose(_pixels(read_scene(path)), expected, rtol=3e-3, atol=0.01)
        grey = scene_files.write_exr(
            tmp_path / "b.exr", _halves(light[..., :1] * np.ones(3)), _chromaticities(*ACES)
        )
        pixels = _pixels(read_scene(grey))
        np.testing.assert_allclose(pixels, pixels[..., :1] * np.ones(3), rtol=1e-4)

    def test_what_lies_outside_the_display_window_is_left_out(
        self, scene_files: ModuleType, tmp_path: Path
    ) -> None:
        light = _light(height=30)
        path = scene_files.write_exr(tmp_path / "a.exr", _halves(light), corner=(-5, 7), display=(0, 10, 39, 99))
        np.testing.assert_allclose(_pixels(read_scene(path)), light[3:, 5:45], rtol=1e-3, atol=1e-5)

    def test_a_lat_long_map_loses_the_column_that_it_has_twice(
        self, scene_files: ModuleType, tmp_path: Path
    ) -> None:
        light = _light(height=20, width=40)
        scene = read_scene(scene_files.write_exr(tmp_path / "a.exr", _halves(light), ("envmap", "envmap", b"\0")))
        assert scene.projection == "equirectangular"
        assert scene.light.shape == (3, 20, 39)

    def test_the_first_part_with_colours_is_read(self, tmp_path: Path) -> None:
        import OpenEXR

        light = _light()
        header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
        depth = OpenEXR.Part({**header, "name": "depth"}, {"Z": light[..., 0].astype(np.float32)})
        colours = OpenEXR.Part({**header, "name": "colours"}, _halves(light))
        OpenEXR.File([depth, colours]).write(str(tmp_path / "a.exr"))
        np.testing.assert_allclose(_pixels(read_scene(tmp_path / "a.exr")), light, rtol=1e-3, atol=1e-5)

    def test_tiles_are_read(self, tmp_path: Path) -> None:
        import OpenEXR

        light = _light(height=70, width=90)
        header = {"type": OpenEXR.tiledimage, "tiles": OpenEXR.TileDescription()}
        OpenEXR.File(header, _halves(light)).write(str(tmp_path / "a.exr"))
        np.testing.assert_allclose(_pixels(read_scene(tmp_path / "a.exr")), light, rtol=1e-3, atol=1e-5)

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
        scene_files: ModuleType,
        tmp_path: Path,
        names: str,
        attributes: tuple[tuple[str, str, bytes], ...],
        said: str,
    ) -> None:
        planes = dict(zip(names, _halves(_light(height=48, width=48)).values(), strict=True))
        with pytest.raises(ImageError, match=said):
            read_scene(scene_files.write_exr(tmp_path / "a.exr", planes, *attributes))

    @pytest.mark.parametrize("share", [0.02, 0.2, 0.9])
    def test_a_file_that_is_cut_off_is_refused_silently(
        self, scene_files: ModuleType, tmp_path: Path, share: float, capfd: pytest.CaptureFixture[str]
    ) -> None:
        path = scene_files.write_exr(tmp_path / "a.exr", _halves(_light()))
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
        with pytest.raises(ImageError, match="cut off or damaged") as caught:
            read_scene(path)
        assert "\n" not in str(caught.value)
        assert capfd.readouterr() == ("", "")

    def test_without_the_library_it_is_named(
        self, scene_files: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "OpenEXR", None)
        with pytest.raises(ImageError, match=r"pip install \"revisp\[scenes\]\""):
            read_scene(scene_files.write_exr(tmp_path / "a.exr", _halves(_light())))


class TestWrongLight:
    @pytest.fixture(autouse=True)
    def _library(self) -> None:
        pytest.importorskip("OpenEXR")

    def test_few_wrong_pixels_are_mended_and_said(self, scene_files: ModuleType, tmp_path: Path) -> None:
        light = _light().astype(np.float32) + 1
        planes = {name: light[..., index].copy() for index, name in enumerate("RGB")}
        planes["R"][3, 3], planes["G"][10, 10], planes["B"][15, 30] = np.inf, np.nan, -50
        scene = read_scene(scene_files.write_exr(tmp_path / "a.exr", planes))
        pixels = _pixels(scene)
        assert pixels[3, 3, 0] == light.max()
        assert any((pixels[10, 10] == light[10 + y, 10 + x]).all() for y in (-1, 0, 1) for x in (-1, 0, 1))
        assert pixels.min() > 0
        assert "1 pixels of infinite light" in scene.notes[0]
        assert "2 pixels that were negative or no numbers" in scene.notes[1]
        touched = np.zeros(light.shape[:2], bool)
        touched[[3, 10, 15], [3, 10, 30]] = True
        np.testing.assert_array_equal(pixels[~touched], light[~touched])

    def test_noise_around_black_is_no_error(self, scene_files: ModuleType, tmp_path: Path) -> None:
        light = _light() + 1
        light[:10] = np.random.default_rng(0).normal(0, 0.01, light[:10].shape)
        assert (
            _pixels(read_scene(scene_files.write_exr(tmp_path / "a.exr", _halves(light))))[:10] == 0
        ).mean() > 0.4

    @pytest.mark.parametrize("wrong", [np.nan, np.inf, -10])
    def test_many_wrong_pixels_are_refused(self, scene_files: ModuleType, tmp_path: Path, wrong: float) -> None:
        light = _light() + 1
        light[:2] = wrong
        with pytest.raises(ImageError, match=r"10\.0% of its pixels are negative, infinite or no numbers"):
            read_scene(scene_files.write_exr(tmp_path / "a.exr", _halves(light)))

    def test_black_is_refused(self, scene_files: ModuleType, tmp_path: Path) -> None:
        with pytest.raises(ImageError, match="no light in it"):
            read_scene(scene_files.write_exr(tmp_path / "a.exr", _halves(np.zeros((20, 20, 3)))))


class TestOrdinaryPictures:
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WebP"])
    def test_one_named_hdr_is_refused(self, tmp_path: Path, kind: str) -> None:
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)).save(
            tmp_path / "a.hdr", kind
        )
        with pytest.raises(ImageError, match=f"an ordinary {kind} picture"):
            read_scene(tmp_path / "a.hdr")

    @pytest.mark.parametrize("linear", [False, True])
    def test_one_stored_as_light_is_refused(self, scene_files: ModuleType, tmp_path: Path, linear: bool) -> None:
        values = np.random.default_rng(0).integers(0, 256, (80, 120, 3)) / 255
        light = colour.models.eotf_sRGB(values) if linear else values
        path = scene_files.write_hdr(
            tmp_path / "a.hdr", scene_files.coded(scene_files.rgbe(light)), "-Y 80 +X 120"
        )
        with pytest.raises(ImageError, match="than an ordinary picture of 8 bits"):
            read_scene(path)

    def test_missing_empty_and_unknown_files(self, tmp_path: Path) -> None:
        (tmp_path / "empty.hdr").touch()
        (tmp_path / "text.exr").write_text("light " * 99)
        for name, said in (
            ("no.hdr", "no such file"),
            ("empty.hdr", "is empty"),
            ("text.exr", "not a Radiance or"),
        ):
            with pytest.raises(ImageError, match=said):
                read_scene(tmp_path / name)


FIELDS = {
    "gainMapMax": [10.0, 10.0, 10.0],
    "gainMapMin": [0, 0, 0],
    "gamma": [1, 1, 1],
    "offsetSdr": [1 / 64] * 3,
    "offsetHdr": [1 / 64] * 3,
}


class TestGainMaps:
    @pytest.fixture
    def pictures(self) -> tuple[Array, Array]:
        """An ordinary picture and its gain map, smooth enough for JPEG."""
        rows, columns = np.mgrid[:64, :96]
        sdr = np.dstack([80 + rows, 100 + columns, 200 - rows]).astype(np.uint8)
        gain = np.dstack([2 * columns] * 3).astype(np.uint8)
        return sdr, gain

    def _expected(self, sdr: Array, gain: Array, maximum: float) -> Array:
        linear = colour.models.eotf_sRGB(sdr / 255)
        return (linear + 1 / 64) * 2 ** (maximum * (gain / 255)) - 1 / 64

    @pytest.mark.parametrize(("sdr_name", "json_name"), [("road_4k", "road_4k"), ("road_8k", "road_4k")])
    def test_beside_the_picture(
        self, tmp_path: Path, pictures: tuple[Array, Array], sdr_name: str, json_name: str
    ) -> None:
        sdr, gain = pictures
        Image.fromarray(sdr).save(tmp_path / f"{sdr_name}.png")
        Image.fromarray(gain).save(tmp_path / f"{sdr_name}-gainmap.webp", lossless=True)
        (tmp_path / f"{json_name}.json").write_text(json.dumps(FIELDS))
        assert [path.name for path in sorted(tmp_path.iterdir()) if is_scene(path)] == [f"{sdr_name}.png"]
        scene = read_scene(tmp_path / f"{sdr_name}.png")
        np.testing.assert_allclose(_pixels(scene), self._expected(sdr, gain, 10), rtol=1e-4)

    @pytest.mark.parametrize("as_elements", [False, True])
    def test_inside_the_jpeg(self, tmp_path: Path, pictures: tuple[Array, Array], as_elements: bool) -> None:
        sdr, gain = pictures
        space = 'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"'
        rdf = '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        one = f'{space} hdrgm:Version="1.0" hdrgm:GainMapMax="10"/></rdf:RDF>'
        numbers = "".join(f"<rdf:li>{v}</rdf:li>" for v in (10, 10, 10))
        listed = f"<hdrgm:GainMapMax><rdf:Seq>{numbers}</rdf:Seq></hdrgm:GainMapMax>"
        three = f"{space}>{listed}</rdf:Description></rdf:RDF>"
        first, second = io.BytesIO(), io.BytesIO()
        Image.fromarray(sdr).save(
            first, "JPEG", quality=100, subsampling=0, xmp=(rdf + space + "/></rdf:RDF>").encode()
        )
        Image.fromarray(gain).save(
            second, "JPEG", quality=100, subsampling=0, xmp=(rdf + (three if as_elements else one)).encode()
        )
        path = tmp_path / "a.jpg"
        path.write_bytes(first.getvalue() + second.getvalue())
        assert is_scene(path)
        expected = self._expected(sdr, gain, 10)
        assert (
            np.abs(np.log2(_pixels(read_scene(path)) / expected)).max() < 0.15
        )  # JPEG's rounding, times 10 EV / 255

    def test_a_jpeg_that_lost_its_map_is_refused(self, tmp_path: Path, pictures: tuple[Array, Array]) -> None:
        xmp = b'<x xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"/>'
        Image.fromarray(pictures[0]).save(tmp_path / "a.jpg", xmp=xmp)
        with pytest.raises(ImageError, match="says that it has a gain map, but holds none"):
            read_scene(tmp_path / "a.jpg")

    def test_damaged_fields_are_refused(self, tmp_path: Path, pictures: tuple[Array, Array]) -> None:
        Image.fromarray(pictures[0]).save(tmp_path / "a.png")
        Image.fromarray(pictures[1]).save(tmp_path / "a-gainmap.png")
        for text, said in (
            ("{", "cannot be read as JSON"),
            ("{}", "incomplete or damaged"),
            ("[]", "not the descr"),
        ):
            (tmp_path / "a.json").write_text(text)
            with pytest.raises(ImageError, match=said):
                read_scene(tmp_path / "a.png")


class TestProjection:
    def test_a_panorama_is_twice_as_wide_and_closes(self, scene_files: ModuleType, tmp_path: Path) -> None:
        angle = np.linspace(0, 2 * np.pi, 96, endpoint=False)
        texture = np.random.default_rng(0).uniform(1, 1.2, (48, 96, 1))
        closed = texture * np.exp(np.cos(angle))[None, :, None] * np.ones(3)
        cut = np.roll(closed, 30, axis=1)[:, :, :] * np.linspace(1, 6, 96)[None, :, None]
        kinds = [
            read_scene(
                scene_files.write_hdr(
                    tmp_path / f"{name}.hdr", scene_files.coded(scene_files.rgbe(light)), "-Y 48 +X 96"
                )
            ).projection
            for name, light in (("closed", closed), ("cut", cut))
        ]
        assert kinds == ["equirectangular", "planar"]
        assert read_scene(tmp_path / "cut.hdr", projection="equirectangular").projection == "equirectangular"


EXPECTED = {
    "lebombo_1k.hdr": ("equirectangular", 6.5, 41.2),
    "crystal_falls_1k.hdr": ("equirectangular", 23.8, 3.71e5),
    "satara_night_1k.exr": ("equirectangular", 20.4, 5.76e4),
    "ilm_StageEnvLatLong.exr": ("equirectangular", 13.5, 4.1e3),
    "ilm_GoldenGate.exr": ("planar", 12.8, 686),
    "ilm_Bonita.exr": ("planar", 10.0, 178),
}
"""Projection, EV of the maximum over the median, and maximum, as the collection's table states them."""


class TestRealScenes:
    @pytest.mark.parametrize("name", EXPECTED)
    def test_ranges_are_those_of_another_reader(self, sample_data: Path, name: str) -> None:
        if not (sample_data / "hdr_scenes").is_dir():
            pytest.skip("no folder of HDR scenes beside the camera files")
        if name.endswith(".exr"):
            pytest.importorskip("OpenEXR")
        scene = read_scene(sample_data / "hdr_scenes" / name)
        projection, range_ev, maximum = EXPECTED[name]
        assert scene.projection == projection
        assert scene.range_ev == pytest.approx(range_ev, abs=0.1)
        assert scene.light.max().item() == pytest.approx(maximum, rel=0.01)

    def test_a_gain_map_gives_the_light_of_the_same_scene(self, sample_data: Path) -> None:
        folder = sample_data / "hdr_scenes"
        if not folder.is_dir():
            pytest.skip("no folder of HDR scenes beside the camera files")
        mapped = read_scene(folder / "gainmap_env" / "spruit_sunrise_4k.jpg").light
        true = read_scene(folder / "pmndrs_sunrise.hdr").light
        pooled = torch.nn.functional.avg_pool2d(mapped, 4)
        stops = (pooled / true)[:, true.amax(dim=0) > 0.01].log2()
        assert stops.abs().median() < 0.05
