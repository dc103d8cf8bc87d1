"""Many photos: in order, each once, none stopped by another, and finished ones left alone."""

import os
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from revisp.camera.simulate import SIMULATED
from revisp.convert import batch
from revisp.convert.batch import Batch, convert_photos
from revisp.convert.engine import TorchEngine
from revisp.convert.formats import Choice, convert_photo
from revisp.convert.jobs import Conversion, plan_conversions, read_photo_list, share
from revisp.convert.load import load_engine
from revisp.errors import ConfigError, ImageError, OutputError
from revisp.io import read_mosaic, read_photo, read_raw, write_dng, write_mosaic
from revisp.model_folder import save_pretrained
from revisp.pipeline import ReverseISP


class Green:
    """An engine that is no network: the mosaic is the photo's green."""

    def __init__(self) -> None:
        self.profile, self.cfa = SIMULATED.profile, SIMULATED.profile.cfa
        self.seen: list[float] = []

    def bayer(self, srgb, *, tile=None, progress=None):
        self.seen.append(srgb.mean().item())
        if progress is not None:
            progress(1, 1)
        return srgb[1:2]


@pytest.fixture
def jobs(tmp_path: Path) -> list[Conversion]:
    """Five photos of 30x40 pixels, each brighter than the one before, and where they go."""
    album = tmp_path / "album"
    album.mkdir()
    for index in range(5):
        Image.new("RGB", (40, 30), (40 * index + 20,) * 3).save(album / f"{index}.png")
    return plan_conversions([album], tmp_path / "raw")


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


DNGS = [f"{index}.dng" for index in range(5)]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_all_are_written_in_order_whatever_the_threads(jobs, tmp_path, workers):
    engine = Green()
    steps = []
    outcomes = list(convert_photos(engine, jobs, workers=workers, progress=lambda *step: steps.append(step)))
    assert [outcome.job for outcome in outcomes] == jobs
    assert [outcome.files for outcome in outcomes] == [(job.output,) for job in jobs]
    assert engine.seen == sorted(engine.seen)
    assert steps == [(1, 1)] * 5
    assert _names(tmp_path / "raw") == DNGS  # no lock, no partial file
    for job in jobs:
        convert_photo(Green(), job.photo, tmp_path / "one.dng")
        assert (tmp_path / "one.dng").read_bytes() == job.output.read_bytes()


def test_reading_runs_ahead_of_prediction(jobs, monkeypatch):
    """While the first photo is predicted the second is read."""
    second = threading.Event()

    class Waiting(Green):
        def bayer(self, srgb, **rest):
            assert self.seen or second.wait(30)
            return super().bayer(srgb, **rest)

    def read(path, **options):
        if path.stem == "1":
            second.set()
        return read_photo(path, **options)

    monkeypatch.setattr(batch, "read_photo", read)
    assert sum(bool(outcome.files) for outcome in convert_photos(Waiting(), jobs)) == 5


@pytest.mark.parametrize(("most", "cores"), [(10**6, 1), (0, 2)], ids=["small", "large"])
def test_small_photos_of_a_folder_leave_cores_to_readers_and_writers(jobs, monkeypatch, most, cores):
    seen = []

    class Watched(Green):
        def bayer(self, srgb, **rest):
            seen.append(torch.get_num_threads())
            return super().bayer(srgb, **rest)

    monkeypatch.setattr(batch, "SMALL_PHOTO", most)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        outcomes = list(convert_photos(Watched(), jobs, workers=2))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert [outcome.error for outcome in outcomes] == [None] * 5
    assert seen == [cores] * 5


def test_what_is_wrong_with_a_photo_is_its_own_affair(jobs, tmp_path):
    jobs[1].photo.write_bytes(b"no photo")
    (tmp_path / "file").touch()
    jobs[3] = Conversion(jobs[3].photo, tmp_path / "file" / "3.dng")

    class Faulty(Green):
        def bayer(self, srgb, **rest):
            if len(self.seen) == 1:
                self.seen.append(0)
                raise RuntimeError("a bug")
            return super().bayer(srgb, **rest)

    errors = [outcome.error for outcome in convert_photos(Faulty(), jobs)]
    assert [type(error) for error in errors] == [type(None), ImageError, RuntimeError, OutputError, type(None)]
    assert "1.png" in str(errors[1])
    assert _names(tmp_path / "raw") == ["0.dng", "4.dng"]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_photo_that_goes_away_meanwhile_is_reported(jobs, tmp_path, workers):
    errors = []
    for outcome in convert_photos(Green(), jobs, workers=workers):
        jobs[4].photo.unlink(missing_ok=True)
        errors.append(outcome.error)
    assert errors[:4] == [None] * 4
    assert str(errors[4]) == f"{jobs[4].photo}: No such file or directory"


def test_an_output_that_another_process_writes_is_left_to_it(jobs, tmp_path):
    (tmp_path / "raw").mkdir()
    with FileLock(tmp_path / "raw" / ".2.dng.lock"):
        errors = [outcome.error for outcome in convert_photos(Green(), jobs)]
    assert [error is None for error in errors] == [True, True, False, True, True]
    assert str(errors[2]) == f"cannot write {jobs[2].output}: another process is writing it"
    assert not jobs[2].output.exists()
    assert [outcome.error for outcome in convert_photos(Green(), jobs[2:3])] == [None]


def test_who_stops_leaves_whole_files_and_no_locks(jobs, tmp_path):
    class Stopped(Green):
        def bayer(self, srgb, **rest):
            if len(self.seen) == 2:
                raise KeyboardInterrupt
            return super().bayer(srgb, **rest)

    with pytest.raises(KeyboardInterrupt):
        list(convert_photos(Stopped(), jobs, workers=2))
    assert _names(tmp_path / "raw") == ["0.dng", "1.dng"]


def test_a_batch_waits_to_be_run(jobs, tmp_path):
    """It can be sent to another process before, and divided there."""
    parts = [pickle.loads(pickle.dumps(Batch(Green(), jobs))).share(rank, 2) for rank in range(2)]
    assert not (tmp_path / "raw").exists()
    assert [sum(bool(outcome.files) for outcome in part.run()) for part in parts] == [3, 2]
    assert _names(tmp_path / "raw") == DNGS


@pytest.mark.parametrize("ending", ["dng", "npy", "png", "tiff"])
def test_finished_photos_are_left_alone(tmp_path, jobs, ending):
    choice = Choice(preview=ending == "dng")
    jobs = [Conversion(job.photo, job.output.with_suffix(f".{ending}")) for job in jobs]
    assert all(outcome.files for outcome in convert_photos(Green(), jobs, choice))
    outputs = [job.output for job in jobs]
    os.utime(outputs[0], ns=(0, 0))  # older than its photo
    outputs[1].write_bytes(outputs[1].read_bytes()[:-200])
    outputs[2].unlink()
    Image.new("RGB", (48, 30)).save(jobs[3].photo)
    os.utime(jobs[3].photo, ns=(0, 0))  # of another size, although older
    before = outputs[4].stat().st_mtime_ns
    skipped = [outcome.skipped for outcome in convert_photos(Green(), jobs, choice, resume=True)]
    assert skipped == [False, False, False, False, True]
    assert outputs[4].stat().st_mtime_ns == before
    assert all(outcome.skipped for outcome in convert_photos(Green(), jobs, choice, resume=True))
    if ending == "dng":
        assert read_raw(outputs[3]).mosaic.shape == (30, 48)
        outputs[3].with_suffix(".preview.png").unlink()
        assert not next(convert_photos(Green(), jobs[3:], choice, resume=True)).skipped
    elif ending != "npy":
        assert read_mosaic(outputs[3]).shape == (30, 48)


FOREIGN = ("dng", "tiff", "png", "npy", "note.tiff")


@pytest.mark.parametrize("ending", FOREIGN)
def test_what_revisp_predict_has_not_written_is_kept(tmp_path, jobs, ending):
    """A camera's DNG or the truth of a challenge lies beside its photo; one photo fails, and the others do not."""
    mine = jobs[1].photo.with_suffix(f".{ending}") if ending != "png" else tmp_path / "1.png"
    if ending == "dng":
        write_dng(mine, np.full((32, 48), 500, np.uint16), SIMULATED.profile)
    elif ending == "npy":
        np.save(mine, np.zeros((15, 20, 4), np.uint16))
    elif ending == "note.tiff":  # a sensor's mosaic that revisp has stored for somebody
        write_mosaic(mine, np.full((32, 48), 500, np.uint16), SIMULATED.profile)
    else:
        Image.new("RGB", (40, 30), "green").save(mine)
    before = mine.read_bytes()
    jobs = [Conversion(job.photo, mine.with_name(f"new_{index}{mine.suffix}")) for index, job in enumerate(jobs)]
    jobs[1] = Conversion(jobs[1].photo, mine)
    for resume in (False, True) if ending != "npy" else (False,):  # a dark array does not say that it is finished
        outcomes = list(convert_photos(Green(), jobs, resume=resume))
        assert [bool(outcome.error) for outcome in outcomes] == [False, True, False, False, False]
        assert str(outcomes[1].error).startswith(f"cannot write {mine}: a file is there")
        assert "move it away" in str(outcomes[1].error)
        assert mine.read_bytes() == before
    assert all(outcome.files for outcome in convert_photos(Green(), jobs[2:]))  # those that it has written


def test_an_array_is_predicted_again_beside_its_photo(jobs):
    """The same words work twice, and go on with `resume` where the photo has changed since."""
    job = Conversion(jobs[0].photo, jobs[0].photo.with_suffix(".npy"))
    for resume in (False, False, True):
        assert next(convert_photos(Green(), [job], resume=resume)).files
        Image.new("RGB", (40, 30), "white").save(job.photo)
    assert np.load(job.output).shape == (15, 20, 4)
    np.save(job.output, np.load(job.output))  # whoever writes it anew owns it
    assert "may not have written" in str(next(convert_photos(Green(), [job])).error)


@pytest.mark.parametrize("other", [np.zeros(15, "u2"), np.zeros((15, 20, 3), "u2"), np.zeros((15, 20, 4), "f4")])
def test_another_array_is_no_finished_photo(jobs, other):
    job = Conversion(jobs[0].photo, jobs[0].output.with_suffix(".npy"))
    job.output.parent.mkdir()
    np.save(job.output, other)
    assert "move it away" in str(next(convert_photos(Green(), [job], resume=True)).error)
    job.output.unlink()
    assert next(convert_photos(Green(), [job], resume=True)).files == (job.output,)
    assert next(convert_photos(Green(), [job], resume=True)).skipped


def test_a_dng_of_another_model_camera_or_photo_is_not_finished(jobs):
    job, first = jobs[0], Green()
    first.name = "first: a network"
    assert next(convert_photos(first, [job])).files
    assert next(convert_photos(first, [job], resume=True)).skipped
    other = Green()
    other.name = "second: a network"
    assert not next(convert_photos(other, [job], resume=True)).skipped
    assert next(convert_photos(other, [job], resume=True)).skipped
    other.profile = other.profile.replace(model="Another")
    assert not next(convert_photos(other, [job], resume=True)).skipped
    with Image.open(job.photo) as photo:
        size = photo.size
    Image.new("RGB", size, (1, 2, 3)).save(job.photo)
    os.utime(job.photo, ns=(0, 0))  # an older photo was put in its place
    assert not next(convert_photos(other, [job], resume=True)).skipped


class Planes(Green):
    def raw_rgb(self, srgb, *, tile=None, progress=None):
        return srgb


OTHER_OPTIONS = [
    {"compression": "none"},
    {"compression": "jpegxl"},
    {"plain_dng": True},
    {"linear_dng": True},
    {"strip_location": True},
    {"gain_map": False},
    {"preview": True},
]


@pytest.mark.parametrize("other", OTHER_OPTIONS, ids=lambda other: next(iter(other)))
def test_a_dng_of_other_options_is_not_finished(jobs, other):
    """Asked for otherwise, it is written anew; asked for so again, it is finished."""
    given = [Choice(), Choice(**other), Choice()]
    job = jobs[0]
    engine = Planes()
    made = [
        [next(convert_photos(engine, [job], choice, resume=True)).skipped for _ in range(2)] for choice in given
    ]
    last = other == {"preview": True}  # a DNG beside a preview is the same DNG
    assert made == [[False, True], [False, True], [last, True]]


@pytest.mark.parametrize("ending", ["dng", "npy", "png", "tiff"])
def test_a_file_of_a_model_of_the_same_name_with_other_weights_is_not_finished(tmp_path, jobs, ending):
    """A run folder's model is always called ``model``."""
    job = Conversion(jobs[0].photo, jobs[0].output.with_suffix(f".{ending}"))
    made = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}, profile=SIMULATED.profile)
        save_pretrained(model, tmp_path / "model")
        for _ in range(2):
            engine = load_engine(tmp_path / "model", device="cpu")
            made.append(next(convert_photos(engine, [job], resume=True)).skipped)
    assert made == [False, True, False, True]


@pytest.mark.parametrize("ending", ["dng", "png"])
def test_a_file_of_another_camera_or_headroom_is_not_finished(tmp_path, jobs, ending):
    job = Conversion(jobs[0].photo, jobs[0].output.with_suffix(f".{ending}"))
    for told in ({}, {"headroom": 2.0}, {"camera": "Nikon D850"}, {"curve": (0.0, 0.2, 1.0)}):
        engine = load_engine("default", device="cpu", **told)
        assert [next(convert_photos(engine, [job], resume=True)).skipped for _ in range(2)] == [False, True], told


def test_a_preview_of_an_earlier_raw_is_not_finished(jobs):
    job, choice = jobs[0], Choice(preview=True)
    assert next(convert_photos(Green(), [job], choice)).files
    other = Green()
    other.name = "another"
    assert next(convert_photos(other, [job])).files  # without a preview: that of the first model stays
    os.utime(job.output.with_suffix(".preview.png"), ns=(1, 1))
    assert not next(convert_photos(other, [job], choice, resume=True)).skipped
    preview = job.output.with_suffix(".preview.png")
    preview.write_bytes(preview.read_bytes()[:-50])
    assert not next(convert_photos(other, [job], choice, resume=True)).skipped


def test_a_photo_from_the_future_is_converted_once(jobs):
    job = jobs[0]
    os.utime(job.photo, (4e9, 4e9))
    assert [next(convert_photos(Green(), [job], resume=True)).skipped for _ in range(2)] == [False, True]


def test_an_array_of_other_bits_is_not_finished(jobs):
    job = Conversion(jobs[0].photo, jobs[0].output.with_suffix(".npy"))
    Image.new("RGB", (40, 30), "white").save(job.photo)
    for bits in (10, 12, 10):
        choice = Choice(bits)
        skipped = [next(convert_photos(Green(), [job], choice, resume=True)).skipped for _ in range(2)]
        assert skipped == [False, True]
        assert np.load(job.output).max() > {10: 256, 12: 1024}[bits]


def test_a_finished_photo_may_be_gone(jobs):
    list(convert_photos(Green(), jobs))
    jobs[0].photo.unlink()
    assert next(convert_photos(Green(), jobs, resume=True)).skipped


def test_what_cannot_be_written_is_said_before_any_work(jobs):
    engine = Green()
    engine.profile = None
    with pytest.raises(ConfigError, match="no camera profile"):
        next(convert_photos(engine, jobs))
    with pytest.raises(OutputError, match=r"its ending must be one of .dng, .npy"):
        next(convert_photos(engine, [Conversion(jobs[0].photo, Path("x.cr2"))]))
    assert engine.seen == []


def test_a_pipeline_is_an_engine(jobs, tmp_path):
    torch.manual_seed(0)
    model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}, profile=SIMULATED.profile).eval()
    assert all(outcome.files for outcome in convert_photos(model, jobs, Choice(tile=32)))
    convert_photo(TorchEngine(model, memory=2**30), jobs[0].photo, tmp_path / "one.png")
    assert np.abs(read_raw(jobs[0].output).mosaic - read_mosaic(tmp_path / "one.png").astype(int)).max() <= 1


def test_a_manifest_names_photos(tmp_path):
    (tmp_path / "list.txt").write_text("\ufeff# mine\n\na.jpg\n  sub/b.jpg \n/c/d.png\na.jpg\n")
    photos = read_photo_list(tmp_path / "list.txt")
    assert photos == [tmp_path / "a.jpg", tmp_path / "sub" / "b.jpg", Path("/c/d.png"), tmp_path / "a.jpg"]
    jobs = plan_conversions([tmp_path / "list.txt"], tmp_path / "o", "npy")
    assert [job.output.name for job in jobs] == ["a.npy", "b.npy", "d.npy"]
    (tmp_path / "empty.txt").write_text("# nothing\n")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xd8\xff\xe0")
    for name, reason in {"none": "No such file", "empty": "names no photo", "bytes": "not a text file"}.items():
        with pytest.raises(ImageError, match=reason):
            read_photo_list(tmp_path / f"{name}.txt")


@given(st.integers(0, 40), st.integers(1, 9))
def test_shares_have_no_gaps_and_no_duplicates(photos: int, world: int):
    jobs = [Conversion(Path(f"{index}.jpg"), Path(f"{index}.dng")) for index in range(photos)]
    shares = [share(jobs, rank, world) for rank in range(world)]
    assert sorted(job.photo.name for part in shares for job in part) == sorted(job.photo.name for job in jobs)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
