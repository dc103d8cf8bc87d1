"""Photos and results in object storage, with fsspec's storage in memory as the stand-in; and parts of a list."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

import fsspec
import numpy as np
import pytest
import tifffile
from PIL import Image

from revisp import from_pretrained
from revisp.convert.batch import convert_photos
from revisp.convert.remote import plan_addresses
from revisp.io import read_raw


@pytest.fixture
def bucket(photo: Path):
    """A store in memory with a folder of two photos, and other files."""
    files = fsspec.filesystem("memory")
    _empty(files)
    for name in ("img2.jpg", "img10.jpg", ".hidden.jpg", "img2.preview.png", "notes.txt", "folder.jpg/a.jpg"):
        files.pipe_file(f"/bucket/photos/{name}", photo.read_bytes())
    yield files
    _empty(files)


def _empty(files) -> None:
    files.store.clear()
    files.pseudo_dirs[:] = [""]


@pytest.fixture
def call(run_here):
    """Run the command in this process, with all that it does before it reads its words."""

    def call(*words: object) -> tuple[int, str, str]:
        done = run_here("revisp-predict", *map(str, words))
        return done.returncode, done.stdout, done.stderr

    return call


def _names(files, folder: str) -> list[str]:
    return sorted(Path(name).name for name in files.ls(folder, detail=False))


def test_a_folder_in_a_bucket_becomes_raws_in_a_bucket(call, model: Path, bucket, tmp_path: Path):
    code, out, err = call("memory://bucket/photos", "-o", "memory://bucket/raws/", "--model", model, "--preview")
    assert (code, err) == (0, "")
    assert out.count("memory://bucket/photos/img2.jpg -> memory://bucket/raws/img2.dng, ") == 1
    assert _names(bucket, "/bucket/raws") == ["img10.dng", "img10.preview.png", "img2.dng", "img2.preview.png"]
    (tmp_path / "a.dng").write_bytes(bucket.cat_file("/bucket/raws/img2.dng"))
    raw = read_raw(tmp_path / "a.dng")
    assert raw.mosaic.shape == (80, 61)
    assert raw.metadata.lens == "Lens 35mm"


def test_it_is_the_raw_that_the_same_photo_on_the_disk_becomes(call, model: Path, photo: Path, bucket, tmp_path):
    assert call(photo, "-o", tmp_path / "a.dng", "--model", model)[0] == 0
    assert call("memory://bucket/photos/img2.jpg", "-o", tmp_path / "b.dng", "--model", model)[0] == 0
    assert call(f"file://{photo}", "-o", f"file://{tmp_path}/c.dng", "--model", model)[0] == 0
    assert call(photo, "-o", "memory://bucket/d.dng", "--model", model)[0] == 0
    (tmp_path / "d.dng").write_bytes(bucket.cat_file("/bucket/d.dng"))
    expected, *others = (read_raw(tmp_path / f"{name}.dng").mosaic for name in "abcd")
    assert all((other == expected).all() for other in others)


@pytest.mark.parametrize("words", [("--out=memory://bucket/raws",), ("-omemory://bucket/raws",)])
def test_an_address_may_be_one_word_with_its_option(call, model: Path, photo: Path, bucket, words):
    assert call(photo, *words, "--model", model)[::2] == (0, "")
    assert _names(bucket, "/bucket/raws") == [f"{photo.stem}.dng"]


def test_an_address_that_is_given_twice_is_converted_once(call, model: Path, bucket):
    words = ("memory://bucket/photos/img2.jpg", "memory://bucket/photos", "-o", "memory://bucket/raws")
    code, out, err = call(*words, "--model", model)
    assert (code, err) == (0, "")
    assert [line.partition(" -> ")[0] for line in out.splitlines()] == [
        f"memory://bucket/photos/img{n}.jpg" for n in (2, 10)
    ]


def test_names_in_a_bucket_may_have_letters_that_end_the_path_of_a_web_address(
    bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("a#1.jpg", "a?2.jpg"):
        bucket.pipe_file(f"/bucket/odd/{name}", b"x")
    jobs = plan_addresses(["memory://bucket/odd"], "memory://bucket/raws", tmp_path)
    assert sorted(job.destination for job in jobs) == [
        "memory://bucket/raws/a#1.dng",
        "memory://bucket/raws/a?2.dng",
    ]
    monkeypatch.setattr("revisp.convert.remote.photos_at", lambda address: [address])  # no server is asked
    address = "https://server/b%20%C3%A9.jpg?key=1/2.png"
    (job,) = plan_addresses([address], str(tmp_path / "raws"), tmp_path)
    assert (job.output.name, job.source) == ("b é.dng", address)


@pytest.mark.parametrize("ending", ["dng", "npy", "png", "tiff"])
def test_only_predictions_are_replaced_in_a_bucket(call, model: Path, bucket, tmp_path: Path, ending):
    """A camera's RAW of that name is kept, also one whose note would be beyond the bytes that are read of it."""
    words = ("memory://bucket/photos/img2.jpg", "-o", f"memory://bucket/img2.{ending}", "--model", model)
    assert call(*words)[0] == 0
    first = bucket.cat_file(f"/bucket/img2.{ending}")
    code, _, err = call(*words)
    assert (code, tempfile.gettempdir() in err) == (0, False)  # a warning does not name the copy on the disk
    pixels = np.random.default_rng(0).integers(0, 2**16, (400, 500), np.uint16)
    if ending == "npy":
        np.save(tmp_path / "camera.npy", pixels)
    elif ending == "png":
        Image.fromarray(pixels).save(tmp_path / "camera.png")
    else:
        tifffile.imwrite(tmp_path / f"camera.{ending}", pixels)
    mine = (tmp_path / f"camera.{ending}").read_bytes()
    if ending in ("dng", "tiff"):  # its directory comes last
        ifd = int.from_bytes(mine[4:8], "little")
        mine = mine[:4] + len(mine).to_bytes(4, "little") + mine[8:] + mine[ifd : ifd + 4096]
    bucket.pipe_file(f"/bucket/img2.{ending}", mine)
    code, _, err = call(*words)
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith(f"error: cannot write memory://bucket/img2.{ending}: a file is there")
    assert bucket.cat_file(f"/bucket/img2.{ending}") == mine
    bucket.pipe_file(f"/bucket/img2.{ending}", b"broken")
    assert call(*words)[0] == 0
    assert len(bucket.cat_file(f"/bucket/img2.{ending}")) == len(first)


def test_what_is_there_is_not_made_again(call, model: Path, bucket):
    words = ("memory://bucket/photos", "-o", "memory://bucket/raws", "--model", model, "--resume")
    assert call(*words)[1].count(" -> ") == 2
    assert call(*words)[1].splitlines() == [f"memory://bucket/raws/img{n}.dng is finished" for n in (2, 10)]
    bucket.rm_file("/bucket/raws/img2.dng")
    bucket.pipe_file("/bucket/photos/img10.jpg", bucket.cat_file("/bucket/photos/img10.jpg"))  # newer than its RAW
    assert call(*words)[1].count(" -> ") == 2
    bucket.pipe_file("/bucket/raws/img2.dng", b"")
    assert call(*words)[1].count(" -> ") == 1


def test_a_photo_that_fails_is_named_by_its_address(call, model: Path, bucket):
    bucket.pipe_file("/bucket/photos/img2.jpg", b"no photo")
    code, _, err = call("memory://bucket/photos", "-o", "memory://bucket/raws", "--model", model)
    assert code == 1
    assert err.splitlines()[0].startswith("error: memory://bucket/photos/img2.jpg: ")
    assert "1 of 2 photos failed" in err
    assert _names(bucket, "/bucket/raws") == ["img10.dng"]


def test_nothing_stays_on_the_disk(call, model: Path, bucket, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    assert call("memory://bucket/photos", "-o", "memory://bucket/raws", "--model", model)[0] == 0
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_disk_without_room_for_copies_is_told_in_one_line(call, model: Path, bucket, tmp_path, monkeypatch):
    def full(*_: object, **__: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device", "/tmp/copies")

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    words = ("memory://bucket/photos", "-o", tmp_path / "raws", "--model", model)
    assert call(*words) == (2, "", "error: /tmp/copies: No space left on device\n")


def test_a_photo_that_fails_does_not_stay_on_the_disk_meanwhile(model: Path, bucket, tmp_path: Path, monkeypatch):
    photos = [f"memory://bucket/photos/img{n}.jpg" for n in (2, 10)]
    bucket.pipe_file("/bucket/photos/img2.jpg", b"no photo")
    pipeline = from_pretrained(model)
    jobs = plan_addresses(photos, str(tmp_path / "raws"), tmp_path / "scratch")
    done = convert_photos(pipeline, jobs, workers=0)
    assert next(done).error is not None
    assert not jobs[0].photo.exists()
    monkeypatch.setattr("revisp.convert.batch.predict_raw", _fail)
    assert "out of memory" in str(next(done).error)
    assert not jobs[1].photo.exists()


def _fail(*_: object) -> None:
    raise MemoryError("out of memory")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("memory://bucket/none", "memory://bucket/none: no such file, folder or bucket"),
        ("memory://bucket/empty", "memory://bucket/empty: no photos in this folder"),
        ("nosuch://bucket/a.jpg", "nosuch://bucket/a.jpg: unknown protocol 'nosuch'; fsspec knows s3, gs, az"),
        ("s3://bucket/a.jpg", "s3://bucket/a.jpg: a driver is missing: Install s3fs to access S3"),
    ],
)
def test_an_address_that_leads_nowhere_is_told_in_one_line(call, model: Path, bucket, tmp_path, address, message):
    if address.startswith("s3:"):
        try:
            import s3fs  # noqa: F401
        except ImportError:
            pass
        else:
            pytest.skip("the driver for S3 is installed")
    bucket.mkdir("/bucket/empty")
    code, _, err = call(address, "-o", tmp_path / "raws", "--model", model)
    assert code == 2
    assert err.startswith(f"error: {message}")
    assert err.count("\n") == 1
    if "nosuch" in address:  # also as a place for results
        code, _, err = call("memory://bucket/photos/img2.jpg", "-o", "nosuch://bucket/raws", "--model", model)
        assert (code, err.partition("; ")[0]) == (
            2,
            "error: nosuch://bucket/raws/img2.dng: unknown protocol 'nosuch'",
        )


def test_two_photos_of_one_name_are_told_by_their_addresses(call, model: Path, bucket):
    bucket.pipe_file("/bucket/more/img2.jpg", b"x")
    words = ("memory://bucket/photos", "memory://bucket/more", "-o", "memory://bucket/raws", "--model", model)
    code, _, err = call(*words)
    assert code == 2
    assert err.startswith(
        "error: memory://bucket/raws/img2.dng of memory://bucket/more/img2.jpg would replace that of "
        "memory://bucket/photos/img2.jpg"
    )


def test_parts_of_a_list_are_all_of_it_without_overlap(call, model: Path, tmp_path: Path):
    album = tmp_path / "album"
    album.mkdir()
    for number in range(5):
        Image.new("RGB", (24, 24), (number, 90, 60)).save(album / f"{number}.png")
    done = []
    for part in ("1/3", "2/3", "3/3"):
        code, out, err = call(album, "-o", tmp_path / "raws", "--model", model, "--part", part)
        assert (code, err) == (0, "")
        done += [line.partition(" -> ")[0] for line in out.splitlines()]
    assert sorted(done) == [str(album / f"{number}.png") for number in range(5)]
    code, out, _ = call(album, "-o", tmp_path / "r", "--model", model, "--part", "6/6")
    assert (code, out) == (0, "part 6/6 holds no photo (5 photos in all)\n")


@pytest.mark.parametrize("part", ["0/3", "4/3", "3", "a/b", "1/", "-1/3", "1/3/3"])
def test_a_part_that_does_not_exist_is_refused(call, model: Path, photo: Path, tmp_path: Path, part):
    code, _, err = call(photo, "-o", tmp_path / "a.dng", "--model", model, f"--part={part}")
    assert code == 2
    assert err.startswith("error: --part takes a number and a count, from 1/8 to 8/8")


def test_commands_that_need_a_disk_say_so(run_here, tmp_path: Path):
    for words in (
        ("revisp-prepare", "s3://bucket/photos", "-o", "dataset"),
        ("revisp-train", "+backbone=unet", "data=prepared", "data.root=s3://bucket/dataset"),
    ):
        done = run_here(*words)
        assert done.returncode == 2
        assert done.stderr.startswith("error: s3:/bucket/")
        assert "on a disk: copy or mount it there" in done.stderr
        assert done.stderr.count("\n") == 1
    assert not (tmp_path / "dataset").exists()
