"""Every command sees the same photos of a folder."""

import pytest
from PIL import Image

from revisp.convert.jobs import named_photos
from revisp.data.simulated import SimulatedSource
from revisp.errors import ImageError
from revisp.io.photo_folder import read_photo_folder


@pytest.fixture
def album(tmp_path):
    """Photos beside what a computer and a prediction leave in a folder."""
    for name in ("img10.png", "img9.png", "._img9.png", "img9.preview.png"):
        Image.new("RGB", (40, 40), (90, 120, 60)).save(tmp_path / name)
    (tmp_path / "img9.dng").touch()
    (tmp_path / ".thumbnails").mkdir()
    Image.new("RGB", (40, 40)).save(tmp_path / ".thumbnails" / "a.png")
    return tmp_path


def test_all_commands_find_the_same_photos(album):
    names = ["img9.png", "img10.png"]
    assert [photo.name for photo in named_photos(album)] == names  # predict and export
    assert [photo.name for photo in read_photo_folder(album).photos] == names  # evaluate --cycle
    source = SimulatedSource(str(album))
    assert [*source._train, *source._val] == [album / name for name in names]


def test_files_that_are_left_out_are_counted(album):
    line = "left out 1 preview, 2 hidden, 1 with other endings (.dng)"
    assert read_photo_folder(album).left_out == f"{album}: {line}"


def test_links_to_nothing_and_folders_below_are_counted_as_such(album):
    """A photo whose link is broken is missing; it has no "other ending"."""
    for name in ("gone.jpg", "lost.png"):
        (album / name).symlink_to("nowhere")
    for day in ("day1", "day2.jpg"):
        (album / day).mkdir()
    line = "1 with other endings (.dng), 2 broken links or pipes, 2 folders below"
    assert line in read_photo_folder(album).left_out
    assert read_photo_folder(album, below=True).left_out.endswith("2 broken links or pipes")


def test_a_folder_of_folders_says_that_they_were_not_searched(tmp_path):
    (tmp_path / "day1").mkdir()
    with pytest.raises(ImageError, match="left out 1 folder below: give them by name"):
        read_photo_folder(tmp_path)


def test_folders_below_are_searched_on_request(album):
    (album / "day2").mkdir()
    Image.new("RGB", (20, 20)).save(album / "day2" / "img1.jpg")
    assert len(read_photo_folder(album).photos) == 2
    found = read_photo_folder(album, below=True).photos
    assert [photo.relative_to(album).as_posix() for photo in found] == ["day2/img1.jpg", "img9.png", "img10.png"]


def test_a_folder_of_hidden_files_has_no_photos(tmp_path):
    (tmp_path / ".a.jpg").touch()
    (tmp_path / "b.jpg").mkdir()
    with pytest.raises(ImageError, match="no photos in this folder"):
        read_photo_folder(tmp_path)
    with pytest.raises(ImageError, match="gone: no such folder"):
        read_photo_folder(tmp_path / "gone")


@pytest.mark.parametrize("ending", ["jfif", "jpe", "JPE", "mpo", "heic", "HIF", "heif", "avif", "jxl"])
def test_photos_of_other_endings_are_found(tmp_path, ending):
    (tmp_path / f"a.{ending}").touch()
    (tmp_path / "b.bmp").touch()
    found = read_photo_folder(tmp_path)
    assert [photo.name for photo in found.photos] == [f"a.{ending}"]
    assert found.left_out.endswith("left out 1 with other endings (.bmp)")
