from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from revisp.cfa import CFA, pack, unpack
from revisp.challenges import CHALLENGES
from revisp.errors import ConfigError, ImageError, ShapeError
from revisp.io import read_challenge_npy, write_challenge_npy
from revisp.io.challenge_npy import is_predicted_npy


def test_the_aim_2022_file_is_floor_of_1024_x_in_the_order_r_g_g_b(tmp_path: Path):
    bayer = torch.tensor([[0.5, 0.25], [0.1, 1.0]])
    write_challenge_npy(tmp_path / "a.npy", bayer, "RGGB")
    stored = np.load(tmp_path / "a.npy")
    assert stored.dtype == np.uint16
    assert stored.tolist() == [[[512, 256, 102, 1024]]]


def test_ntire_2025_stores_4095_steps_and_rounds_down(tmp_path: Path):
    bayer = np.full((2, 2), 0.9999, np.float32)
    write_challenge_npy(tmp_path / "a.npy", bayer, CFA.RGGB, bits=12)
    assert np.load(tmp_path / "a.npy").max() == 4094


@settings(max_examples=20, deadline=None)
@given(bits=st.sampled_from([10, 12]), height=st.integers(1, 6), width=st.integers(1, 6), seed=st.integers(0, 99))
def test_reading_back_loses_less_than_one_step(tmp_path_factory, bits, height, width, seed):
    path = tmp_path_factory.mktemp("c") / "a.npy"
    bayer = np.random.default_rng(seed).random((2 * height, 2 * width), np.float32)
    write_challenge_npy(path, bayer, "RGGB", bits=bits)
    loss = bayer - read_challenge_npy(path, bits=bits)
    assert loss.min() >= -1e-6
    assert loss.max() <= 1 / (1024 if bits == 10 else 4095) + 1e-6


@pytest.mark.parametrize("cfa", [CFA.GRBG, CFA.GBRG, CFA.BGGR])
def test_another_phase_is_cut_to_rggb_and_said(tmp_path: Path, cfa: CFA):
    bayer = np.random.default_rng(0).random((8, 10)).astype(np.float32)
    with pytest.warns(UserWarning, match="to pack as RGGB"):
        write_challenge_npy(tmp_path / "a.npy", bayer, cfa)
    stored = np.load(tmp_path / "a.npy").transpose(2, 0, 1)
    top, left = cfa.offset_to(CFA.RGGB)
    red = np.floor(bayer * 1024)[top:, left:][: 2 * stored.shape[1], : 2 * stored.shape[2]]
    assert np.array_equal(stored, pack(red[None], CFA.RGGB))
    # red sites are red sites of the original phase
    assert np.isin(stored[0], np.floor(pack(bayer[None], cfa)[0] * 1024)).all()


def test_wrong_files_and_arguments_are_refused(tmp_path: Path):
    bayer = np.zeros((4, 4), np.float32)
    with pytest.raises(ConfigError, match="10 bits"):
        write_challenge_npy(tmp_path / "a.npy", bayer, "RGGB", bits=8)
    with pytest.raises(ShapeError, match="floating-point"):
        write_challenge_npy(tmp_path / "a.npy", bayer.astype(np.uint16), "RGGB")
    np.save(tmp_path / "p.npy", np.array([{}], object), allow_pickle=True)
    np.save(tmp_path / "h.npy", np.full((2, 2, 4), 2000, np.uint16))
    np.save(tmp_path / "s.npy", np.zeros((2, 2), np.uint16))
    (tmp_path / "e.npy").write_bytes(b"")
    for name, reason in {
        "p.npy": "not a readable",
        "h.npy": "holds 2000, above the 1024",
        "s.npy": r"uint16 \[h, w, 4\]",
        "e.npy": "the file is empty",
        "none.npy": "no such file",
    }.items():
        with pytest.raises(ImageError, match=reason):
            read_challenge_npy(tmp_path / name)


def test_a_real_challenge_sample_reads(sample_data: Path):
    bayer = read_challenge_npy(sample_data / "raw_samples" / "phone_rggb_npy" / "x90_3_4.npy", bits=12)
    assert bayer.shape == (1024, 1024)
    assert bayer.max() == 1
    assert 0.008 < (bayer == 1).mean() < 0.015  # its notes say 1.1 % clipped


def test_a_pedestal_is_stored_as_the_p20_track_has_it(tmp_path):
    profile = CHALLENGES["p20"].profile
    mosaic = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    write_challenge_npy(tmp_path / "a.npy", mosaic, "RGGB", black=60, white=1020)
    stored = np.load(tmp_path / "a.npy")
    assert (stored.min(), stored.max()) == (60, 1020)
    # The challenge's files round down, a camera to the nearest value.
    down = profile.quantise(mosaic).astype(int) - unpack(stored.transpose(2, 0, 1), CFA.RGGB)[0]
    assert set(np.unique(down)) == {0, 1}


@pytest.mark.parametrize("size", [(8, 8), (22, 16), (1000, 12)])
def test_a_predicted_array_is_a_plain_array_with_a_longer_header(tmp_path, size):
    """As the format says: the header ends in spaces and a line break, and data begin at a multiple of 64."""
    values = np.random.default_rng(0).random(size, np.float32)
    plain, predicted = tmp_path / "plain.npy", tmp_path / "predicted.npy"
    write_challenge_npy(plain, values, "RGGB")
    write_challenge_npy(predicted, values, "RGGB", predicted=True)
    stored = np.load(plain)
    np.save(tmp_path / "numpy.npy", stored)
    assert plain.read_bytes() == (tmp_path / "numpy.npy").read_bytes()
    np.testing.assert_array_equal(np.load(predicted, mmap_mode="r"), stored)
    header, data = (path.read_bytes()[: -stored.nbytes] for path in (predicted, plain))
    assert (len(header) % 64, len(header) > len(data)) == (0, True)
    assert header[10:].rstrip(b" \n") == data[10:].rstrip(b" \n")
    assert [is_predicted_npy(path) for path in (plain, predicted)] == [False, True]
