"""Tiles that run side by side give what they give one after the other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from revisp.hardware import limit_cores
from revisp.inference import optimise, predict
from revisp.inference.plan import Limits, plan_stages
from revisp.inference.predict import predict_bayer
from revisp.inference.tile_threads import run_tiles, tiles_at_once
from revisp.inference.tiles import fit_tile, plan_tiles, tile_choices
from revisp.pipeline import ReverseISP

TILES = plan_tiles((64, 96), (16, 16), overlap=0, reach=0)


@pytest.fixture(autouse=True)
def two_cores() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def model() -> ReverseISP:
    torch.manual_seed(0)
    return ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}).eval()


def test_a_photo_of_several_tiles_is_that_of_one(model: ReverseISP) -> None:
    photo = torch.rand(3, 150, 130, generator=torch.Generator().manual_seed(1))
    photo[:, 20:60, 30:90] = 1  # overexposed, in some of the tiles
    assert plan_stages(model, photo[None], Limits(tile=64))[0].at_once == 2
    whole = predict(model, photo, tile=256)
    seen: list[tuple[int, int]] = []
    tiled = predict(model, photo, tile=64, progress=lambda *done: seen.append(done))
    assert torch.allclose(tiled.raw_rgb, whole.raw_rgb, atol=1e-6)
    assert torch.equal(predict_bayer(model, photo, tile=64), tiled.bayer)
    assert seen == [(done, len(seen)) for done in range(1, len(seen) + 1)]


def test_results_come_in_order_and_two_tiles_are_at_work_at_a_time() -> None:
    together = threading.Barrier(2)
    workers = set()

    def place(tile: object) -> tuple[object, bool]:
        together.wait(timeout=60)  # would end in an error if one tile waited for the other
        workers.add(threading.current_thread())
        assert torch.get_num_threads() == 1
        return tile, torch.is_inference_mode_enabled()

    found = list(run_tiles(place, TILES, 2))
    assert [tile for tile, _ in found] == list(TILES)
    assert [result for _, result in found] == [(tile, True) for tile in TILES]
    assert len(workers) == 2
    assert torch.get_num_threads() == 2


def test_the_error_of_a_tile_is_raised_and_later_tiles_are_left_out() -> None:
    begun = []

    def fail(tile: object) -> None:
        begun.append(tile)
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        list(run_tiles(fail, TILES, 2))
    assert len(begun) < len(TILES)


def test_a_single_tile_stays_in_its_thread() -> None:
    [(_, thread)] = run_tiles(lambda _: threading.current_thread(), TILES[:1], 4)
    assert thread is threading.current_thread()


class _Foreign(nn.Module):
    """A network of another package, for all that we know."""


def test_only_networks_that_keep_nothing_run_side_by_side(model: ReverseISP) -> None:
    assert tiles_at_once(model) == 2
    assert tiles_at_once(optimise(model, "fp32")) == 2
    assert tiles_at_once(ReverseISP("nafnet", backbone_kwargs={"width": 4})) == 1  # statistics of the whole photo
    assert plan_stages(model, torch.zeros(1, 3, 80, 80), Limits(tile=64), branches=True)[0].at_once == 1
    torch.set_num_threads(1)
    assert tiles_at_once(model) == 1
    torch.set_num_threads(2)
    model.branches["oe"].append_module = _Foreign()
    assert tiles_at_once(model) == 1


def test_tiles_that_run_at_once_share_the_memory(model: ReverseISP) -> None:
    photo = torch.zeros(1, 3, 2000, 1600)
    bound = 400 * 2**20
    shared = plan_stages(model, photo, Limits(memory=bound))[0]
    torch.set_num_threads(1)
    alone = plan_stages(model, photo, Limits(memory=bound))[0]
    assert (shared.at_once, alone.at_once) == (2, 1)
    assert 2 * shared.tile[0] * shared.tile[1] < 1.05 * alone.tile[0] * alone.tile[1]


def test_an_odd_tile_at_the_end_counts_as_two() -> None:
    choices = {choice.number: choice for choice in tile_choices((300, 40), overlap=0, align=2, least=40)}
    assert choices[3].work(2) == pytest.approx(4 / 3 * choices[3].work())
    assert choices[4].work(2) == choices[4].work()
    assert choices[1].work(2) == choices[1].work()  # all cores share a single one
    fitted = fit_tile([choices[3], choices[4]], 10**6, at_once=2)
    assert fitted == choices[4]


def test_the_cores_of_other_threads_stay() -> None:
    with ThreadPoolExecutor(1, initializer=limit_cores, initargs=(1,)) as limited:
        assert limited.submit(torch.get_num_threads).result() == 1
        with ThreadPoolExecutor(1) as later:
            assert later.submit(torch.get_num_threads).result() == 2
    assert torch.get_num_threads() == 2
