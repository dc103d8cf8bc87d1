"""The photo of a RAW is found by name, date, settings and picture; the neighbour's is not taken."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from revisp.camera.simulate import SIMULATED
from revisp.io import PhotoMetadata, write_dng
from revisp.prepare.partners import Partners, shot

NOON = "2024:05:06 12:00:00"


def metadata(date: str | None, iso: int = 100) -> PhotoMetadata:
    return PhotoMetadata("Acme", "One", date=date, iso=iso, exposure_time=Fraction(1, 100))


def scene(seed: int) -> np.ndarray:
    """A picture of 32 x 48 pixels."""
    return np.kron(np.random.default_rng(seed).random((4, 6)), np.ones((8, 8)))


def raw(path: Path, date: str | None = None, seed: int = 0, iso: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = SIMULATED.profile.replace(make="Acme", model="One", as_shot_neutral=(1, 1, 1))
    write_dng(path, scene(seed).astype(np.float32), profile, metadata=metadata(date, iso))
    return path


def jpeg(path: Path, date: str | None = None, seed: int = 0, model: str = "One", iso: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if date is not None:
        exif[271], exif[272], exif[306] = "Acme", model, date
        exif.get_ifd(0x8769).update({36867: date, 34855: iso, 33434: 0.01})
    pixels = np.rint(255 * scene(seed) ** (1 / 2.2)).astype(np.uint8)
    Image.fromarray(pixels).convert("RGB").save(path, exif=exif, quality=95)
    return path


def found(*files: Path) -> dict[str, str | None]:
    partners = Partners(files)
    raws = [file for file in files if file.suffix == ".dng"]
    return {file.name: photo and photo.name for file in raws for photo in [partners.of(file)]}


def test_the_same_number_in_two_folders_stays_with_its_own_raw(tmp_path: Path):
    one, other = raw(tmp_path / "day1" / "IMG_1.dng", NOON), raw(tmp_path / "day2" / "IMG_1.dng")
    photo = jpeg(tmp_path / "day1" / "IMG_1.jpg", NOON)
    partners = Partners([one, other, photo])
    assert (partners.of(one), partners.of(other)) == (photo, None)
    assert partners.taken == {photo}


def test_a_date_chooses_among_photos_of_one_name(tmp_path: Path):
    one, other = (raw(tmp_path / day / "a.dng", f"2024:05:0{n} 12:00:00") for n, day in enumerate(("x", "y"), 1))
    photos = [jpeg(tmp_path / f"jpeg{n}" / "a.jpg", f"2024:05:0{n} 12:00:01") for n in (1, 2, 3)]
    partners = Partners([one, other, *photos])
    assert (partners.of(one), partners.of(other)) == (photos[0], photos[1])
    later = jpeg(tmp_path / "later" / "b.jpg", "2024:06:01 12:00:00")
    assert Partners([raw(tmp_path / "raw" / "b.dng", NOON, seed=1), later]).taken == set()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("PXL_20240506_120000123.RAW-02.ORIGINAL.dng", "PXL_20240506_120000123.RAW-01.MP.COVER.jpg"),
        ("PXL_20240506_120000123.RAW-02.ORIGINAL.dng", "PXL_20240506_120000123.RAW-01.COVER.jpg"),
        ("IMG_0001_RAW.dng", "IMG_0001.JPG"),
        ("20240506_120000.dng", "20240506_120000.jpg"),
    ],
)
def test_names_of_phones_belong_together(tmp_path: Path, first: str, second: str):
    assert shot(Path(first)) == shot(Path(second))
    other = jpeg(tmp_path / "PXL_20240506_120000999.jpg", seed=4)
    assert found(raw(tmp_path / first), jpeg(tmp_path / second), other)[first] == second


def test_names_that_differ_are_joined_by_date_camera_and_settings(tmp_path: Path):
    files = [
        raw(tmp_path / "DSC_1.dng", NOON, seed=1),
        raw(tmp_path / "DSC_2.dng", "2024:05:06 12:05:00", seed=2),
        jpeg(tmp_path / "out" / "00017.jpg", "2024:05:06 12:00:01", seed=1, model="Acme One"),
        jpeg(tmp_path / "out" / "00018.jpg", "2024:05:06 12:05:00", seed=2, model="Two"),
        jpeg(tmp_path / "out" / "00019.jpg", "2024:05:06 12:05:00", seed=2, iso=400),
    ]
    assert found(*files) == {"DSC_1.dng": "00017.jpg", "DSC_2.dng": None}


def test_a_burst_within_a_second_is_joined_by_picture(tmp_path: Path):
    files = [raw(tmp_path / f"r{n}.dng", NOON, seed=n) for n in (1, 2, 3)]
    files += [jpeg(tmp_path / f"j{n}.jpg", NOON, seed=n) for n in (3, 1, 5)]
    assert found(*files) == {"r1.dng": "j1.jpg", "r2.dng": None, "r3.dng": "j3.jpg"}


def test_pictures_that_are_all_alike_join_nothing(tmp_path: Path):
    files = [raw(tmp_path / f"r{n}.dng", NOON) for n in (1, 2)] + [
        jpeg(tmp_path / f"j{n}.jpg", NOON) for n in (1, 2)
    ]
    assert set(found(*files).values()) == {None}


def test_a_picture_does_not_outweigh_the_date(tmp_path: Path):
    files = raw(tmp_path / "r.dng", NOON), jpeg(tmp_path / "j.jpg", "2024:05:06 12:01:00")
    assert found(*files) == {"r.dng": None}
    assert found(files[0], jpeg(tmp_path / "k.jpg")) == {"r.dng": "k.jpg"}


def test_real_jpegs_of_other_names_are_found_and_other_shots_are_not(sample_data: Path):
    """CRW_0117_camera640.jpg is the preview of CRW_0117.CRW; IMG_0102.JPG was taken between two RAW files."""
    files = sorted((sample_data / "raw_samples" / "canon_s40").iterdir())
    partners = Partners(files)
    joined = {raw.stem: photo.name for raw in files if (photo := partners.of(raw)) is not None}
    assert len(joined) == 6
    assert all(name == f"{stem}_camera640.jpg" for stem, name in joined.items())
