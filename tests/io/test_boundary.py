"""Whatever a decoder raises becomes one error of ours, of one line, that names the file."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from revisp.camera.simulate import SIMULATED
from revisp.convert.batch import convert_photos
from revisp.convert.formats import Choice
from revisp.convert.jobs import plan_conversions
from revisp.errors import DataError, ImageError
from revisp.evaluation.score_cycle import score_cycle
from revisp.io import read_challenge_npy, read_mosaic, read_photo, read_scene, write_mosaic
from revisp.io.boundary import decoding
from revisp.io.decoders import by_content
from revisp.pipeline import ReverseISP
from revisp.prepare import PrepareOptions, prepare


class RustPanic(BaseException):
    """As pyo3 raises: not an `Exception`."""


RAISED = [
    NotImplementedError("arithmetic coding"),
    MemoryError(),
    RecursionError("too deep"),
    OverflowError("int too large"),
    KeyError("tag"),
    AssertionError(),
    OSError("broken data stream"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    RustPanic("index out of bounds\nnote: run with a backtrace"),
]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for name, level in (("a", 90), ("b", 91), ("c", 92)):
        Image.new("RGB", (96, 64), (level, 120, 60)).save(folder / f"{name}.jpg")
    return folder


@pytest.fixture(params=RAISED, ids=lambda error: type(error).__name__)
def broken_decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> BaseException:
    """The decoder of JPEG fails on the photo ``b.jpg``."""
    real = by_content.decode_jpeg

    def decode(data: bytes, path: Path, **options: bool) -> object:
        if path.name == "b.jpg":
            raise request.param
        return real(data, path, **options)

    monkeypatch.setattr(by_content, "decode_jpeg", decode)
    return request.param


def test_a_photo_is_refused_in_one_line(photos: Path, broken_decoder: BaseException) -> None:
    with pytest.raises(ImageError, match=r"b\.jpg: damaged or not a photo \(.+\)") as caught:
        read_photo(photos / "b.jpg")
    assert "\n" not in str(caught.value)


def test_a_preparation_goes_on_and_a_second_one_finds_the_rest_done(
    photos: Path, tmp_path: Path, broken_decoder: BaseException
) -> None:
    options = PrepareOptions(demosaic="bilinear", workers=1, val=())
    result = prepare([photos], tmp_path / "set", options)
    assert result.made == ("a", "c")
    assert [reject.name for reject in result.refused] == ["b"]
    assert "b.jpg: damaged or not a photo" in result.refused[0].reason
    assert prepare([photos], tmp_path / "set", options).kept == ("a", "c")


@pytest.mark.parametrize("request_to_end", [KeyboardInterrupt, SystemExit])
def test_a_request_to_end_passes(request_to_end: type[BaseException]) -> None:
    with pytest.raises(request_to_end), decoding("a.jpg"):
        raise request_to_end


def test_our_own_errors_and_those_of_the_file_system_keep_their_words(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^no pairs$"), decoding("a.jpg"):
        raise DataError("no pairs")
    with pytest.raises(ImageError, match=r"no\.jpg: No such file or directory$"), decoding(tmp_path / "no.jpg"):
        (tmp_path / "no.jpg").read_bytes()


def test_prediction_and_cycle_score_go_on(photos: Path, tmp_path: Path) -> None:
    (photos / "b.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}, profile=SIMULATED.profile).eval()
    jobs = plan_conversions([photos], tmp_path / "out")
    outcomes = list(convert_photos(model, jobs, Choice(tile=64), workers=0))
    assert [outcome.error is None for outcome in outcomes] == [True, False, True]
    assert isinstance(outcomes[1].error, ImageError)
    with pytest.warns(UserWarning, match=r"b\.jpg: .*left out"):
        scored = score_cycle(model, sorted(photos.iterdir()))
    assert [image.name for image in scored.images] == ["a.jpg", "c.jpg"]


def test_an_archive_or_a_pickle_named_npy_is_refused(tmp_path: Path) -> None:
    archive = io.BytesIO()
    np.savez(archive, a=np.zeros((8, 8), np.uint16))
    assert zipfile.is_zipfile(archive)
    (tmp_path / "a.npy").write_bytes(archive.getvalue())
    np.save(tmp_path / "p.npy", np.array([{}], object), allow_pickle=True)
    for name in ("a.npy", "p.npy"):
        for read in (read_mosaic, read_challenge_npy):
            with pytest.raises(ImageError, match=rf"{name}: not a readable"):
                read(tmp_path / name)


def test_an_archive_named_npy_does_not_stop_a_preparation(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    np.savez(tmp_path / "a.npz", a=np.zeros((8, 8), np.uint16))
    (tmp_path / "a.npz").rename(folder / "a.npy")
    Image.new("RGB", (96, 64)).save(tmp_path / "good.png")
    (folder / "a.json").write_text(json.dumps(SIMULATED.profile.to_dict()))
    options = PrepareOptions(demosaic="bilinear", workers=1, val=())
    result = prepare([folder, tmp_path / "good.png"], tmp_path / "set", options)
    assert result.made == ("good",)
    assert "a.npy: not a readable" in result.refused[0].reason


def test_a_deep_description_of_a_gain_map_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "env.webp")
    Image.new("RGB", (32, 32)).save(tmp_path / "env-gainmap.webp")
    (tmp_path / "env.json").write_text('{"a":' * 100_000)
    with pytest.raises(ImageError, match=r"env\.\w+: "):
        read_scene(tmp_path / "env.webp")


def test_a_mosaic_survives_the_way(tmp_path: Path) -> None:
    mosaic = np.random.default_rng(0).integers(0, 1023, (32, 48)).astype(np.uint16)
    np.save(tmp_path / "a.npy", mosaic)
    write_mosaic(tmp_path / "a.tiff", mosaic, SIMULATED.profile.replace(white_level=1023, bits=10))
    for name in ("a.npy", "a.tiff"):
        assert np.array_equal(read_mosaic(tmp_path / name), mosaic)
