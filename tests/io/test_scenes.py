"""Scenes: what is mended and what is refused in any file of light, gain maps, projections, and real files."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import colour
import numpy as np
import pytest
import scene_files
import torch
from PIL import Image

from revisp.errors import ImageError
from revisp.io.scene import read_scene
from revisp.io.scene_folder import is_scene

Array = np.ndarray[Any, Any]


class TestWrongLight:
    @pytest.fixture(autouse=True)
    def _library(self) -> None:
        pytest.importorskip("OpenEXR")

    def test_few_wrong_pixels_are_mended_and_said(self, tmp_path: Path) -> None:
        light = scene_files.random_light().astype(np.float32) + 1
        planes = {name: light[..., index].copy() for index, name in enumerate("RGB")}
        planes["R"][3, 3], planes["G"][10, 10], planes["B"][15, 30] = np.inf, np.nan, -50
        scene = read_scene(scene_files.write_exr(tmp_path / "a.exr", planes))
        pixels = scene_files.pixels_of(scene)
        assert pixels[3, 3, 0] == light.max()
        assert any((pixels[10, 10] == light[10 + y, 10 + x]).all() for y in (-1, 0, 1) for x in (-1, 0, 1))
        assert pixels.min() > 0
        assert "1 pixels of infinite light" in scene.notes[0]
        assert "2 pixels that were negative or no numbers" in scene.notes[1]
        touched = np.zeros(light.shape[:2], bool)
        touched[[3, 10, 15], [3, 10, 30]] = True
        np.testing.assert_array_equal(pixels[~touched], light[~touched])

    def test_noise_around_black_is_no_error(self, tmp_path: Path) -> None:
        light = scene_files.random_light() + 1
        light[:10] = np.random.default_rng(0).normal(0, 0.01, light[:10].shape)
        assert (
            scene_files.pixels_of(
                read_scene(scene_files.write_exr(tmp_path / "a.exr", scene_files.halves(light)))
            )[:10]
            == 0
        ).mean() > 0.4

    @pytest.mark.parametrize("wrong", [np.nan, np.inf, -10])
    def test_many_wrong_pixels_are_refused(self, tmp_path: Path, wrong: float) -> None:
        light = scene_files.random_light() + 1
        light[:2] = wrong
        with pytest.raises(ImageError, match=r"10\.0% of its pixels are negative, infinite or no numbers"):
            read_scene(scene_files.write_exr(tmp_path / "a.exr", scene_files.halves(light)))

    def test_black_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ImageError, match="no light in it"):
            read_scene(scene_files.write_exr(tmp_path / "a.exr", scene_files.halves(np.zeros((20, 20, 3)))))


class TestOrdinaryPictures:
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WebP"])
    def test_one_named_hdr_is_refused(self, tmp_path: Path, kind: str) -> None:
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)).save(
            tmp_path / "a.hdr", kind
        )
        with pytest.raises(ImageError, match=f"an ordinary {kind} picture"):
            read_scene(tmp_path / "a.hdr")

    @pytest.mark.parametrize("linear", [False, True])
    def test_one_stored_as_light_is_refused(self, tmp_path: Path, linear: bool) -> None:
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
        np.testing.assert_allclose(scene_files.pixels_of(scene), self._expected(sdr, gain, 10), rtol=1e-4)

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
            np.abs(np.log2(scene_files.pixels_of(read_scene(path)) / expected)).max() < 0.15
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
            ("{", "not the description of a gain map"),
            ("{}", "incomplete or damaged"),
            ("[]", "not the descr"),
        ):
            (tmp_path / "a.json").write_text(text)
            with pytest.raises(ImageError, match=said):
                read_scene(tmp_path / "a.png")


class TestProjection:
    def test_a_panorama_is_twice_as_wide_and_closes(self, tmp_path: Path) -> None:
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
