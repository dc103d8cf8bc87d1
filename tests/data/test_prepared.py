"""A prepared data set on disk: windows of any phase come out right, and what is wrong in its files is told."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from revisp.cfa import CFA
from revisp.data import create_data
from revisp.data.crops import CropDataset, CropSampler, CropSpec
from revisp.data.entry import Entry, array_path
from revisp.data.manifest import read_manifest, write_manifest
from revisp.data.picture import Sample
from revisp.data.prepared import PreparedPicture, PreparedSource
from revisp.errors import DataError
from revisp.mosaic import mosaic
from revisp.symmetry import SYMMETRIES

from .conftest import BLACKS, image, levels

CROP = 16


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[CFA, PreparedPicture]:
    """One image on disk for each Bayer phase."""
    root = tmp_path_factory.mktemp("phases")
    return {cfa: PreparedPicture(root, image(root, cfa.value, profile=levels(cfa), has_valid=True)) for cfa in CFA}


def _check_crop(crop: Sample, picture: PreparedPicture, cfa: CFA) -> None:
    """Compare every pixel with the files, by the place that the photo tells, without the library's algebra."""
    raw = np.load(array_path(picture.root, picture.name, "raw"))
    target = np.load(array_path(picture.root, picture.name, "target"))
    blocks = np.load(array_path(picture.root, picture.name, "valid"))
    places = (crop.srgb * 65535).round().long().permute(1, 2, 0).tolist()
    letters = picture.cfa.value
    for y, row in enumerate(places):
        for x, (r, c, colour) in enumerate(row):
            assert "RGB"[colour] == cfa.value[2 * (y % 2) + x % 2]  # the data set's phase, at every pixel
            on_red_row = "R" in letters[2 * (r % 2) : 2 * (r % 2) + 2]
            black = BLACKS[{0: 0, 1: 1 if on_red_row else 2, 2: 3}[colour]]
            assert crop.bayer[0, y, x].item() == pytest.approx((raw[r, c] - black) / (1023 - black), abs=1e-6)
            expected = [float(target[channel, r, c]) for channel in range(3)]
            expected[colour] = crop.bayer[0, y, x].item()
            assert crop.target[:, y, x].tolist() == expected
            assert crop.valid[0, y, x].item() == blocks[r // 32, c // 32]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(list(CFA)), st.sampled_from(list(CFA)), st.sampled_from(SYMMETRIES), st.integers(0, 22),
    st.integers(0, 26),
)  # fmt: skip
def test_a_crop_of_any_phase_place_and_symmetry_is_the_files(pictures, stored, cfa, symmetry, top, left):
    picture = pictures[stored]
    down, right = symmetry.window_offset(stored.crop(top, left), CROP, cfa)
    crop = CropDataset([picture], CROP)[CropSpec(0, top + down, left + right, symmetry)]
    _check_crop(crop, picture, cfa)
    assert torch.equal(mosaic(crop.target, cfa), crop.bayer)


@pytest.mark.parametrize("cfa", list(CFA))
def test_sampled_crops_of_mixed_phases_all_have_the_data_sets(pictures, cfa):
    mixed = list(pictures.values())
    dataset = CropDataset(mixed, CROP)
    specs = list(CropSampler(mixed, cfa, crop=CROP, length=48))
    assert len({(spec.image, spec.symmetry) for spec in specs}) > 20
    for spec in specs:
        _check_crop(dataset[spec], mixed[spec.image], cfa)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_photos_of_eight_and_sixteen_bits_are_scaled(root, dtype):
    maximum = np.iinfo(dtype).max
    pixels = np.zeros((40, 44, 3), dtype)
    pixels[1, 2] = maximum, maximum // 5, 0
    np.save(array_path(root, "img1", "srgb"), pixels)
    sample = PreparedSource(root).train_pictures()[0].read(0, 0, 40, 44)
    assert sample.srgb[:, 1, 2].tolist() == pytest.approx([1.0, 0.2, 0.0])
    assert sample.srgb.dtype == torch.float32
    assert sample.valid.all()


def test_the_split_can_be_overridden_by_scenes_and_images(tmp_path, make_image):
    scenes = {"a1": "a", "a2": "a", "b1": "b", "c1": "c"}
    entries = [make_image(tmp_path, name, scene=scene) for name, scene in scenes.items()]
    write_manifest(tmp_path, [*entries[:3], make_image(tmp_path, "c1", scene="c", split="val")])

    def split(**options) -> tuple[str, str]:
        source = PreparedSource(tmp_path, **options)
        return tuple(" ".join(p.name for p in side()) for side in (source.train_pictures, source.val_pictures))

    assert split() == ("a1 a2 b1", "c1")
    assert split(val=["b"]) == ("a1 a2 c1", "b1")
    assert split(val="a") == ("b1 c1", "a1 a2")
    assert split(val=["a2", "b"]) == ("c1", "a2 b1")  # a1 shows what a2 shows: it is not learnt
    with pytest.raises(DataError, match=r"unknown scene or image 'c2': did you mean .*'c1'"):
        split(val=["c2"])
    with pytest.raises(DataError, match="4 images leave 0 to train and 4 to validate"):
        split(val=["a", "b", "c"])
    with pytest.raises(DataError, match="4 images leave 4 to train and 0 to validate"):
        split(val=[])


def test_one_camera_can_be_taken_and_a_mixture_is_told(tmp_path, make_image, caplog):
    small, large = levels("RGGB", white_level=4095, bits=12), levels("GBRG", as_shot_neutral=(0.5, 1, 0.5))
    other = levels("GBRG", as_shot_neutral=(0.6, 1, 0.8))
    turned = levels("BGGR", as_shot_neutral=(0.4, 1, 0.6))
    write_manifest(
        tmp_path,
        [
            make_image(tmp_path, "s", camera="Small", profile=small),
            make_image(tmp_path, "t", camera="Small", profile=small, split="val"),
            make_image(tmp_path, "l", camera="Large", profile=large),
            make_image(tmp_path, "m", camera="Large", profile=other),
            make_image(tmp_path, "n", camera="Large", profile=turned, split="val"),
            make_image(tmp_path, "o", camera="Large", profile=turned),
        ],
    )
    source = PreparedSource(tmp_path)
    balances = [small.as_shot_neutral, (0.5, 1, 0.5), (0.6, 1, 0.8), (0.4, 1, 0.6)]
    middle = tuple(np.median(balances, axis=0).tolist())
    assert source.profile == large.replace(as_shot_neutral=middle)  # most pixels, median white balance of all
    assert "2 cameras are mixed: Large, Small" in caplog.text
    caplog.clear()
    alone = PreparedSource(tmp_path, camera="Small")
    assert alone.profile == small
    assert [picture.name for picture in (*alone.train_pictures(), *alone.val_pictures())] == ["s", "t"]
    assert not caplog.text
    with pytest.raises(DataError, match=r"unknown camera 'Larg': did you mean 'Large'"):
        PreparedSource(tmp_path, camera="Larg")


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _save(array: np.ndarray):
    return lambda path: np.save(path, array)


@pytest.mark.parametrize(
    ("what", "damage", "message"),
    [
        ("raw", Path.unlink, "is missing"),
        ("valid", Path.unlink, "is missing"),
        ("oe", Path.unlink, "is missing"),
        ("raw", _truncate, "not a readable .npy file"),
        ("target", _truncate, "not a readable .npy file"),
        ("srgb", lambda path: path.write_bytes(b""), "the file is empty"),
        ("srgb", lambda path: path.write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'descr': <<<   \n"), "not a readable"),
        ("raw", lambda path: path.write_text("a photo"), "not a readable .npy file"),
        ("raw", lambda path: np.save(path, np.array([{}], object), allow_pickle=True), "not a readable .npy file"),
        ("raw", _save(np.zeros((40, 44), np.float32)), r"holds float32 \[40, 44\], .* requires uint16 \[40, 44\]"),
        ("raw", _save(np.zeros((40, 44), ">u2")), "holds >u2"),
        ("raw", _save(np.zeros((44, 40), np.uint16)), r"holds uint16 \[44, 40\]"),
        ("raw", _save(np.zeros((), np.uint16)), r"holds uint16 \[\]"),
        ("srgb", _save(np.zeros((40, 44, 4), np.uint8)), r"requires uint8 or uint16 \[40, 44, 3\]"),
        ("srgb", _save(np.zeros((3, 40, 44), np.uint8)), "holds uint8"),
        ("target", _save(np.zeros((3, 40, 44), np.float32)), "requires float16"),
        ("valid", _save(np.zeros((2, 1), np.uint8)), r"requires uint8 \[2, 2\]"),
        ("valid", _save(np.zeros((2, 2), bool)), "holds bool"),
        ("oe", _save(np.zeros((4, 3), np.int32)), r"requires int32 \[4, 2\]"),
        ("oe", _save(np.zeros((4, 2), np.int64)), "requires int32"),
        ("oe", _save(np.array([[3, 44]], np.int32)), "outside the image of 40x44"),
        ("oe", _save(np.array([[-1, 4]], np.int32)), "outside the image"),
    ],
)
def test_a_wrong_array_is_named_before_training(root, make_image, what, damage, message):
    entries = [*read_manifest(root).entries, make_image(root, "bad", has_valid=True, oe_share=0.1)]
    write_manifest(root, entries)
    path = array_path(root, "bad", what)
    damage(path)
    source = PreparedSource(root)
    with pytest.raises(DataError, match=message) as caught:
        source.train_pictures()
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(source.val_pictures()) == 1


def test_a_share_without_pixels_is_a_contradiction(root, make_image):
    np.save(array_path(root, "img1", "oe"), np.zeros((0, 2), np.int32))
    with pytest.raises(DataError, match=r"is empty, but manifest\.jsonl gives an oe_share of 0\.01"):
        PreparedSource(root).train_pictures()


def test_batches_mix_phases_and_workers_change_nothing(root):
    def epoch(workers: int, context: str | None = None) -> list[Sample]:
        data = create_data(
            "prepared", root=root, crop=16, batch_size=4, crops_per_epoch=24, oe_share=0.2, num_workers=workers
        )
        data.setup("fit")
        loader = data.train_dataloader()
        loader.sampler.set_epoch(5)
        loader.multiprocessing_context = context
        return list(loader)

    alone = epoch(0)
    assert {name for batch in alone for name in batch.name} == {"img1", "img2", "img10"}
    assert all(torch.equal(mosaic(batch.target, CFA.GRBG), batch.bayer) for batch in alone)
    for other in (epoch(2, "fork"), epoch(1, "spawn")):
        for one, two in zip(alone, other, strict=True):
            assert one.name == two.name
            assert all(torch.equal(one[at], two[at]) for at in (0, 1, 2, 4))


def test_pictures_hold_no_pixels(root):
    pictures = PreparedSource(root).train_pictures()
    pictures[0].read(0, 0, 16, 16)
    assert len(pickle.dumps(pictures)) < 6000
    again = pickle.loads(pickle.dumps(pictures))
    assert torch.equal(again[1].read(3, 5, 8, 8).bayer, pictures[1].read(3, 5, 8, 8).bayer)


def test_a_loader_reads_whole_batches_in_order(root):
    data = create_data("prepared", root=root)
    loader = data.test_dataloader()
    assert isinstance(loader, DataLoader)
    assert [list(batch.name) for batch in loader] == [["val"]]


STEADY = """
import resource, sys
from pathlib import Path
from revisp.data.crops import CropDataset
from revisp.data.crops import CropSampler
from revisp.data.prepared import PreparedSource

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
source = PreparedSource(sys.argv[1])
pictures = source.train_pictures()
dataset, sampler = CropDataset(pictures, 64), CropSampler(pictures, source.profile.cfa, crop=64, length=500)

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20

for _ in range(300):
    pictures[0].overexposed(), pictures[0].read(1, 1, 64, 64)
before = resident()
for epoch in range(3):
    sampler.set_epoch(epoch)
    for spec in sampler:
        dataset[spec]
print(len(pictures), resident() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from Linux's /proc")
def test_memory_and_open_files_stay_steady_over_many_crops(tmp_path):
    """39 images of 26 MB together stay on disk: 1500 crops later the process is not 8 MB larger."""
    entries: list[Entry] = [image(tmp_path, f"i{n}", n, height=200, width=240, oe_share=0.1) for n in range(39)]
    write_manifest(tmp_path, [*entries, image(tmp_path, "val", split="val")])
    done = subprocess.run(
        [sys.executable, "-c", STEADY, str(tmp_path)], capture_output=True, text=True, check=True
    )
    count, growth = done.stdout.split()
    assert int(count) == 39
    assert float(growth) < 8
