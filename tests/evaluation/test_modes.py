"""Which mode the settings ask for."""

from __future__ import annotations

import re

import pytest

from revisp.config import as_dict, compose
from revisp.errors import ConfigError
from revisp.evaluation.run import MODES, choose_mode, evaluate


@pytest.mark.parametrize("name", MODES)
def test_every_mode_is_chosen_by_what_it_needs(name: str) -> None:
    mode = MODES[name]
    needed = dict.fromkeys(mode.needs, "x")
    assert choose_mode(needed) == name
    assert choose_mode(needed | dict.fromkeys(mode.takes, "x")) == name
    for missing in mode.needs:
        rest = {key: value for key, value in needed.items() if key != missing}
        if any(other.needs == set(rest) for other in MODES.values()):  # model data: --blind is a kind
            continue
        with pytest.raises(ConfigError):
            choose_mode(rest)


@pytest.mark.parametrize(
    "settings",
    [{}, {"model": "m", "data": {"name": "d"}, "truth": "t"}, {"cycle": True, "model": "m", "inputs": "i"}],
)
def test_no_mode_or_two_are_refused_with_all_of_them(settings: dict) -> None:
    with pytest.raises(ConfigError) as caught:
        choose_mode(settings)
    assert all(mode.words in str(caught.value) for mode in MODES.values())
    assert re.search(r"given: (nothing|data, model, truth|cycle, inputs, model)$", str(caught.value))


def test_a_split_that_would_not_be_scored_is_refused() -> None:
    settings = as_dict(compose(["model=default", "data=embedded", "split=all"], "evaluate"))
    with pytest.raises(ConfigError, match=r"^split=all goes with --blind only, got model=FOLDER data=NAME$"):
        evaluate(settings)


def test_settings_of_all_modes_are_in_the_configuration() -> None:
    cfg = compose([], "evaluate")
    assert set().union(*(mode.needs | mode.takes for mode in MODES.values())) <= {*cfg, "data"}
    assert compose(["data=prepared", "data.root=x"], "evaluate").data.root == "x"
    assert compose(["data=simulated", "data.photos=x"], "evaluate").demosaic.method == "malvar"
