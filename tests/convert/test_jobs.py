"""What is planned from the names that a user gives: each photo once, and nothing replaced that is needed."""

import errno
import os
from pathlib import Path

import pytest
from PIL import Image

from revisp.convert.jobs import left_out, plan_conversions, read_photo_list
from revisp.errors import ImageError, OutputError


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder of two photos."""
    folder = tmp_path / "album"
    folder.mkdir()
    for name in ("a.png", "b.jpg"):
        Image.new("RGB", (20, 20)).save(folder / name)
    return folder


def test_a_photo_that_is_spelt_in_many_ways_is_one(album, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.txt").write_bytes(b"album/a.png\r\n\r\n# again\r\nalbum/../album/a.png\r\n")
    names = ["album/a.png", tmp_path / "album" / "a.png", "list.txt", "album"]
    jobs = plan_conversions(map(Path, names), tmp_path / "o")
    assert [str(job.photo) for job in jobs] == ["album/a.png", "album/b.jpg"]


def test_two_links_to_one_photo_are_two_photos(album, tmp_path):
    links = [tmp_path / "first.png", tmp_path / "second.png"]
    for link in links:
        link.symlink_to(album / "a.png")
    assert [job.output.name for job in plan_conversions(links, tmp_path / "o")] == ["first.dng", "second.dng"]


def test_previews_are_no_photos_of_the_next_run(album):
    """A run into the photos' own folder leaves RAW files and previews there."""
    first = plan_conversions([album], album, preview=True)
    for name in ("a.dng", "a.preview.png", "c.preview.png"):
        (album / name).touch()
    again = plan_conversions([album], album, preview=True)
    assert [job.photo.name for job in first] == ["a.png", "b.jpg"]
    assert [job.photo.name for job in again] == ["a.png", "b.jpg"]
    assert left_out([album]) == [f"{album}: left out 2 previews, 1 with other endings (.dng)"]


def test_what_would_be_replaced_is_named(album, tmp_path):
    with pytest.raises(OutputError, match=r"a.png of .*a.png would replace the photo .*a.png: .* write elsewhere"):
        plan_conversions([album / "a.png"], album, "png")
    (tmp_path / "a.jpg").touch()
    with pytest.raises(OutputError, match=r"a.dng of .*a.jpg would replace that of .*album/a.png"):
        plan_conversions([album / "a.png", tmp_path / "a.jpg"], tmp_path / "o")


def test_a_file_is_no_folder_to_write_into(album, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file: neither a folder nor a file that ends in"):
        plan_conversions([album], tmp_path / "file")


@pytest.mark.parametrize("content", ["a.png".encode("utf-16"), "a.png".encode("utf-16-le"), b"\xff\xd8\xff\xe0"])
def test_a_list_in_another_encoding_is_refused(tmp_path, content):
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(ImageError, match=r"list.txt: not a text file \(UTF-8\)"):
        read_photo_list(tmp_path / "list.txt")


def test_a_list_that_names_an_address_is_refused(tmp_path):
    (tmp_path / "list.txt").write_text("a.jpg\ns3://bucket/b.jpg\n")
    with pytest.raises(
        ImageError, match=r"list.txt: names the address s3://bucket/b.jpg: give addresses as words"
    ):
        read_photo_list(tmp_path / "list.txt")


def test_a_folder_that_cannot_be_read_is_an_error_of_the_user(album, tmp_path, monkeypatch):
    def refuse(folder):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ImageError, match="album: Permission denied"):
        plan_conversions([album], tmp_path / "o")


def test_names_that_lead_nowhere_are_planned_and_fail_alone(tmp_path):
    """Reading says what is wrong with them, and the others are done."""
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    names = [tmp_path / "loop.png", tmp_path / ("x" * 300 + ".jpg"), tmp_path / "none.jpg"]
    assert [job.photo for job in plan_conversions(names, tmp_path / "o")] == names
    long = tmp_path / ("x" * 300 + ".dng")
    assert plan_conversions(names[:1], long)[0].output == long
