"""What is found in files and folders: partners, challenges, mosaics, plain photos, and what is of no use."""

from __future__ import annotations

import json
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from revisp.camera.simulate import SIMULATED
from revisp.errors import DataError
from revisp.prepare.items import ChallengeTile, Item, LonelyPhoto, MosaicFile, PairFile, PlainPhoto, RawFile
from revisp.prepare.options import PrepareOptions
from revisp.prepare.recognise import recognise


def photo(path: Path, size: tuple[int, int] = (96, 64)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (90, 120, 60)).save(path)
    return path


def raw(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"II*\0 never opened by the plan")
    return path


def plan(*inputs: Path, **options: object) -> dict[str, Item]:
    found = recognise(inputs, PrepareOptions(**options), Path("none"))
    return {item.name: item for item in found.items}


def test_a_raw_takes_the_jpeg_of_its_name(tmp_path):
    raw(tmp_path / "IMG_2.CR2"), photo(tmp_path / "img_2.JPG"), raw(tmp_path / "IMG_10.CR2")
    items = plan(tmp_path)
    assert list(items) == ["IMG_2", "IMG_10"]
    assert items["IMG_2"] == RawFile("IMG_2", (tmp_path / "IMG_2.CR2", tmp_path / "img_2.JPG"))
    assert items["IMG_10"] == RawFile("IMG_10", (tmp_path / "IMG_10.CR2",))


def test_a_jpeg_elsewhere_in_the_tree_is_taken_where_it_is_the_only_one(tmp_path):
    raw(tmp_path / "raw" / "a.NEF"), photo(tmp_path / "jpeg" / "a.jpg")
    raw(tmp_path / "raw" / "b.NEF"), photo(tmp_path / "x" / "b.jpg"), photo(tmp_path / "y" / "b.jpg")
    items = plan(tmp_path)
    assert items["raw-a"].files == (tmp_path / "raw" / "a.NEF", tmp_path / "jpeg" / "a.jpg")
    assert items["raw-b"].files == (tmp_path / "raw" / "b.NEF",)


def test_a_raw_given_outright_finds_the_jpeg_beside_it_only(tmp_path):
    given = raw(tmp_path / "a.dng")
    photo(tmp_path / "a.jpg"), photo(tmp_path / "b.jpg")
    found = recognise([given], PrepareOptions(), tmp_path / "out")
    assert [item.files for item in found.items] == [(given, tmp_path / "a.jpg")]
    assert found.explicit == {"a"}


def test_other_photos_beside_raws_are_not_used_but_reported(tmp_path):
    raw(tmp_path / "a.dng"), photo(tmp_path / "other.jpg")
    lonely = plan(tmp_path)["other.jpg"]
    assert isinstance(lonely, LonelyPhoto)
    assert lonely.raws == (tmp_path / "a.dng",)


def test_photos_alone_go_to_simulated_cameras(tmp_path):
    photo(tmp_path / "holiday" / "x.jpg"), photo(tmp_path / "y.png")
    items = plan(tmp_path)
    assert {name: type(item) for name, item in items.items()} == {"holiday-x": PlainPhoto, "y": PlainPhoto}


@pytest.mark.parametrize(
    ("side", "ending", "kind"), [(252, ".jpg", "s7"), (248, ".jpg", "p20"), (512, ".png", "ntire2025")]
)
def test_challenge_tiles_are_known_by_shape_and_name(tmp_path, side, ending, kind):
    for tile in (0, 1):
        np.save(tmp_path / f"68_{tile}.npy", np.zeros((side, side, 4), np.uint16))
        photo(tmp_path / f"68_{tile}{ending}", (2 * side, 2 * side))
    (tmp_path / "68_0.pkl").write_bytes(b"never opened")
    items = plan(tmp_path)
    assert list(items) == ["68_0", "68_1"]
    for item in items.values():
        assert isinstance(item, ChallengeTile)
        assert (item.challenge, item.scene, len(item.files)) == (kind, "68", 2)


def test_challenge_halves_without_the_other_are_kept_to_be_reported(tmp_path):
    np.save(tmp_path / "1_0.npy", np.zeros((252, 252, 4), np.uint16))
    photo(tmp_path / "1_1.jpg", (504, 504))
    items = plan(tmp_path)
    assert [len(item.files) for item in items.values()] == [1, 1]
    assert all(isinstance(item, ChallengeTile) for item in items.values())


def test_challenge_inputs_alone_are_no_plain_photos(tmp_path):
    photo(tmp_path / "12_0.jpg", (496, 496)), photo(tmp_path / "12_1.jpg", (496, 496))
    assert all(isinstance(item, ChallengeTile) and item.challenge == "p20" for item in plan(tmp_path).values())


def test_mosaics_need_a_profile(tmp_path):
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(np.zeros((64, 96), np.uint16)))
    lonely = plan(tmp_path)["a.png"]
    assert isinstance(lonely, LonelyPhoto)
    assert lonely.is_mosaic
    profile = tmp_path / "camera.profile"
    profile.write_text(json.dumps(SIMULATED.profile.to_dict()))
    assert plan(tmp_path, profiles=(("*.png", profile),)) == {"a": MosaicFile("a", (tmp_path / "a.png",), profile)}
    sidecar = tmp_path / "a.json"
    profile.rename(sidecar)
    assert plan(tmp_path) == {"a": MosaicFile("a", (tmp_path / "a.png",), sidecar)}


def test_a_pairs_folder_is_known_by_its_layout(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "profile.json").write_text(json.dumps(SIMULATED.profile.to_dict()))
    photo(tmp_path / "srgb" / "s1.png")
    np.save(tmp_path / "raw" / "s1.npy", np.full((64, 96), 100, np.uint16))
    items = plan(tmp_path)
    assert {name: type(item) for name, item in items.items()} == {"s1": PairFile}


def test_the_data_set_and_hidden_folders_are_not_searched(tmp_path):
    photo(tmp_path / "a.jpg"), photo(tmp_path / ".cache" / "b.jpg"), photo(tmp_path / "out" / "c.jpg")
    found = recognise([tmp_path], PrepareOptions(), tmp_path / "out")
    assert [item.name for item in found.items] == ["a"]


def test_two_files_of_one_name_are_refused(tmp_path):
    photo(tmp_path / "one" / "a.jpg"), photo(tmp_path / "two" / "a.jpg")
    with pytest.raises(DataError, match=r"a\.jpg.* would both be called 'a'"):
        plan(tmp_path / "one", tmp_path / "two")


def test_inputs_without_use_are_named(tmp_path):
    with pytest.raises(DataError, match="missing: no such file or folder"):
        plan(tmp_path / "missing")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match="neither photos nor RAW files"):
        plan(tmp_path)


def test_photos_beside_mosaics_without_profile_are_not_simulated(tmp_path):
    (tmp_path / "a_raw.png").write_bytes(imagecodecs.png_encode(np.zeros((64, 96), np.uint16)))
    photo(tmp_path / "a_rgb.png")
    items = plan(tmp_path)
    assert all(isinstance(item, LonelyPhoto) for item in items.values())
    assert [item.is_mosaic for item in items.values()] == [True, False]


def test_a_profile_makes_a_mosaic_of_an_array_of_a_challenge(tmp_path):
    np.save(tmp_path / "x_1.npy", np.zeros((512, 512, 4), np.uint16))
    (tmp_path / "x_1.json").write_text(json.dumps(SIMULATED.profile.to_dict()))
    assert isinstance(plan(tmp_path)["x_1"], MosaicFile)


def test_photos_with_numbers_in_their_names_are_no_tiles(tmp_path):
    photo(tmp_path / "12_0.jpg", (504, 504)), photo(tmp_path / "IMG_0102.jpg", (640, 480))
    items = plan(tmp_path)
    assert {name: type(item) for name, item in items.items()} == {"12_0": ChallengeTile, "IMG_0102": PlainPhoto}
    np.save(tmp_path / "12_0.npy", np.zeros((252, 252, 4), np.uint16))
    items = plan(tmp_path)
    assert len(items["12_0"].files) == 2
    assert isinstance(items["IMG_0102"], PlainPhoto)
