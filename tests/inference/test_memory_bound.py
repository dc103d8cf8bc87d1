"""A prediction keeps within the memory it was given, or says how much it takes."""

from __future__ import annotations

import copy
import importlib
import json
import re
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import revisp
from revisp.errors import ConfigError
from revisp.inference.plan import Limits, plan_stages
from revisp.inference.rewrites import rewrite
from revisp.pipeline import ReverseISP
from revisp.tile_memory import format_size, measure_memory, parse_size

CHILD = """
import json, sys
from pathlib import Path
import torch, revisp
from revisp.hardware import keep_freed_memory

def status(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))

height, width, memory, keep = map(int, sys.argv[1:])
if keep:
    keep_freed_memory()
model, srgb, tiles = revisp.from_pretrained(), torch.full((3, height, width), 0.4), []
srgb[:, :200, :200] = 1
Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
before = status("VmRSS")
out = revisp.predict(model, srgb, memory=memory, progress=lambda done, total: tiles.append(total))
print(json.dumps({"grown": status("VmHWM") - before, "tiles": tiles[0], "shape": list(out.bayer.shape)}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize("keep", [0, 1], ids=["given back", "kept"])
def test_the_process_grows_by_no_more_than_the_bound(keep: int) -> None:
    """Of a photo that takes more than 700 MiB in one piece."""
    bound = parse_size("300MiB")
    command = [sys.executable, "-c", CHILD, "1000", "1400", str(bound), str(keep)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=500)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["shape"] == [1, 1000, 1400]
    assert found["tiles"] > 1
    assert found["grown"] <= bound


def test_what_lies_scattered_is_given_back_before_the_bound_is_reached(
    model: ReverseISP, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process seems to hold nothing at first, then more than the bound after every other tile."""
    predicting = importlib.import_module("revisp.inference.predict")  # its function has the same name
    bound, given_back, tiles = parse_size("150MiB"), [], []
    monkeypatch.setattr(predicting, "resident_memory", lambda: bound if len(tiles) % 2 else 0)
    monkeypatch.setattr(predicting, "release_freed_memory", lambda: given_back.append(len(tiles)))
    srgb = torch.rand(3, 800, 900)
    revisp.predict(model, srgb, memory=bound, progress=lambda done, total: tiles.append((done, total)))
    assert given_back == [at for at, (done, total) in enumerate(tiles) if at % 2 and done < total] != []
    given_back.clear()
    revisp.predict(model, srgb, tile=256, progress=lambda done, total: tiles.append(total))
    assert given_back == []  # who gives the tile gives no bound


@pytest.fixture(scope="module")
def model() -> ReverseISP:
    torch.manual_seed(0)
    return ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 3}, refine={"width": 4, "depth": 2}).eval()


def test_too_little_memory_says_the_least_that_works(model: ReverseISP) -> None:
    srgb = torch.rand(3, 300, 420)
    with pytest.raises(ConfigError, match=r"20MiB of memory is too little.*420x300") as caught:
        revisp.predict(model, srgb, memory=parse_size("20MiB"))
    least = parse_size(re.search(r"at least (\w+)", str(caught.value))[1])
    with pytest.raises(ConfigError, match="too little"):
        revisp.predict(model, srgb, memory=least - 2**20)
    tiles = []
    bounded = revisp.predict(model, srgb, memory=least, progress=lambda done, total: tiles.append(total))
    assert max(tiles) > 1
    whole = revisp.predict(model, srgb, memory=parse_size("4GiB"))
    assert (bounded.bayer - whole.bayer).abs().max() <= 1e-5


def test_what_the_result_takes_counts(model: ReverseISP) -> None:
    """Branches are two more pictures of three channels: a bound that suffices without them does not with them."""
    leasts = []
    for branches in (False, True):
        with pytest.raises(ConfigError) as caught:
            revisp.predict(model, torch.rand(3, 600, 700), memory=1, branches=branches)
        leasts.append(parse_size(re.search(r"at least (\w+)", str(caught.value))[1]))
    assert abs(leasts[1] - leasts[0] - 6 * 4 * 600 * 700) <= 2**20


def test_tiles_and_memory_are_not_both_given(model: ReverseISP) -> None:
    with pytest.raises(ConfigError, match="not both"):
        revisp.predict(model, torch.rand(3, 32, 32), tile=64, memory=2**30)


def test_cost_is_that_of_the_tensors_that_live_together() -> None:
    """Two features of 4 channels alive at once, or one and the copies that a convolution makes of both ends."""
    network = torch.nn.Conv2d(2, 4, 3, padding=1)
    x = torch.rand(1, 2, 50, 50)

    def run() -> None:
        first = network(x)
        second = first.relu()
        del first
        second.relu_()

    cost = measure_memory(network, run, 50 * 50)
    assert cost.pixel / 1.25 == pytest.approx(4 * max(4 + (2 + 4), 4 + 4))
    assert cost.pixels(cost.of(1000)) == pytest.approx(1000)
    assert measure_memory(network, lambda: pytest.fail("measured twice"), 50 * 50) == cost


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1GiB", 2**30),
        ("512MiB", 2**29),
        ("800M", 800 * 10**6),
        ("1.5 GB", 1_500_000_000),
        ("64kib", 2**16),
        ("7", 7),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text) == size


@given(size=st.integers(1, 2**50))
def test_a_size_that_is_printed_is_read_as_no_less(size: int) -> None:
    assert size <= parse_size(format_size(size)) < size + 2**20


@pytest.mark.parametrize("text", ["", "GiB", "1 XB", "-1GiB", "1iB", "0", "1e9", "nan", "9" * 400, "9999999TiB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"size"):
        parse_size(text)


def test_tiles_of_an_estimated_base_are_measured_without_its_look_at_the_photo(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The thumbnail's statistics cost the same for any photo; counted by pixel, they made tiles small and slow."""
    planned = {}
    for base in ("classical", "estimated"):
        model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}, base=base).eval()
        if base == "estimated":
            monkeypatch.setattr(model.base, "estimate", lambda photo: pytest.fail("a tile was judged"))
        planned[base] = plan_stages(model, torch.zeros(1, 3, 600, 800), Limits(memory=2**28))[0].tile
    assert planned["estimated"] == planned["classical"]


def test_a_convolution_joined_with_its_relu_counts_as_one() -> None:
    plain = torch.nn.Sequential(torch.nn.Conv2d(3, 64, 3), torch.nn.ReLU(inplace=True)).eval()
    joined = copy.deepcopy(plain)
    rewrite(joined)
    photo = torch.rand(1, 3, 64, 64)
    costs = [measure_memory(network, lambda network=network: network(photo), 64**2) for network in (plain, joined)]
    assert costs[0].fixed == costs[1].fixed
    assert costs[0].pixel == pytest.approx(costs[1].pixel, rel=0.2)
