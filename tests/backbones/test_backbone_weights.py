"""Weights files: what is read, and that nothing in them is run."""

from __future__ import annotations

import pickle
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file

from revisp.backbones.weights import read_state_dict
from revisp.errors import WeightsError
from revisp.losses.frozen import read_weights

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.zeros(2)}


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        OrderedDict(STATE),
        {"state_dict": STATE, "epoch": 220},
        {"model": {f"module.{key}": value for key, value in STATE.items()}},
    ],
    ids=["plain", "ordered", "wrapped", "data-parallel"],
)
def test_the_usual_ways_of_saving_weights_are_read(content, tmp_path):
    torch.save(content, tmp_path / "w.pth")
    found = read_state_dict(tmp_path / "w.pth")
    assert list(found) == list(STATE)
    assert all(torch.equal(found[key], STATE[key]) for key in STATE)


def test_safetensors_are_read(tmp_path):
    save_file(STATE, tmp_path / "w.safetensors")
    assert torch.equal(read_state_dict(tmp_path / "w.safetensors")["a.weight"], STATE["a.weight"])


def test_the_content_tells_the_kind_whatever_the_name(tmp_path):
    save_file(STATE, tmp_path / "w.pth")
    torch.save(STATE, tmp_path / "w.safetensors")
    for name in ("w.pth", "w.safetensors"):
        assert torch.equal(read_state_dict(tmp_path / name)["a.weight"], STATE["a.weight"])
        assert torch.equal(read_weights(tmp_path / name, "the trunk")["a.weight"], STATE["a.weight"])


class Bomb:
    """Would write a file if unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_code_in_a_file_is_not_run(tmp_path):
    torch.save({"state_dict": Bomb(tmp_path / "ran")}, tmp_path / "w.pth")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(Bomb(tmp_path / "ran"), protocol=2))
    for name in ("w.pth", "raw.pth"):
        with pytest.raises(WeightsError, match=f"{name}: cannot be read as weights: it holds more than tensors"):
            read_state_dict(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", b"\x80\x02\x8a"])
def test_a_damaged_file_is_refused_by_name(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=rf"{name}: cannot be read as weights"):
        read_state_dict(tmp_path / name)


def test_a_truncated_file_is_refused(tmp_path):
    for name, save in (("w.pth", torch.save), ("w.safetensors", save_file)):
        save(STATE, tmp_path / name)
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-10])
        with pytest.raises(WeightsError, match="cannot be read as weights"):
            read_state_dict(tmp_path / name)


def test_what_is_not_weights_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="no such weights file"):
        read_state_dict(tmp_path)
    for content, message in ((torch.zeros(3), "not a dictionary"), ({}, "not a dictionary"), ({"lr": 1}, "'lr'")):
        torch.save(content, tmp_path / "w.pth")
        with pytest.raises(WeightsError, match=message):
            read_state_dict(tmp_path / "w.pth")
