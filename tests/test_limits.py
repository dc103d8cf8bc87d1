"""The limits of what is read are raised by an option of every command, from Python, and for worker processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from revisp.cli._limits import take_limits
from revisp.errors import ConfigError
from revisp.limits import (
    MEGAPIXELS_VARIABLE,
    PARAMETERS_VARIABLE,
    allowing,
    max_parameters,
    max_pixels,
    set_limits,
)

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (MEGAPIXELS_VARIABLE, PARAMETERS_VARIABLE):
        monkeypatch.setenv(variable, "1")  # so that it is restored
        monkeypatch.delenv(variable)


@pytest.mark.parametrize("words", [["--max-megapixels", "7"], ["--max-megapixels=7"]])
def test_an_option_raises_a_limit_wherever_it_stands(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    rest = ["photo.jpg", "-o", "photo.dng"]
    for place in range(len(rest) + 1):
        monkeypatch.setattr(sys, "argv", ["revisp-predict", *rest[:place], *words, *rest[place:]])
        monkeypatch.delenv(MEGAPIXELS_VARIABLE, raising=False)
        take_limits()
        assert sys.argv[1:] == rest
        assert (max_pixels(), max_parameters()) == (7_000_000, 1_000_000_000)


def test_words_behind_two_dashes_are_files(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["revisp-predict", "--max-million-parameters", "5", "--", "--max-megapixels", "7"]
    monkeypatch.setattr(sys, "argv", list(words))
    take_limits()
    assert sys.argv[1:] == words[3:]
    assert (max_pixels(), max_parameters()) == (300_000_000, 5_000_000)


@pytest.mark.parametrize("words", [["0"], ["-3"], ["many"], ["1.5"], [""], [], ["9" * 30], ["\u0663"]])
def test_a_wrong_value_is_one_line(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["revisp-prepare", "photos", "--max-megapixels", *words])
    with pytest.raises(SystemExit) as ended:
        take_limits()
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "max" in line
    assert MEGAPIXELS_VARIABLE not in os.environ


def test_every_command_takes_the_options() -> None:
    for file in (ROOT / "revisp" / "cli").glob("[a-z]*.py"):
        assert "    take_limits()\n" in file.read_text(encoding="utf-8"), file.name


def test_limits_hold_while_the_block_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PARAMETERS_VARIABLE, "9")
    with allowing(max_megapixels=2, max_million_parameters=3):
        assert (max_pixels(), max_parameters()) == (2_000_000, 3_000_000)
    assert (max_pixels(), max_parameters()) == (300_000_000, 9_000_000)
    assert MEGAPIXELS_VARIABLE not in os.environ


def test_no_limit_changes_if_one_is_wrong() -> None:
    with pytest.raises(ConfigError, match="max_million_parameters must be a whole number of millions"):
        set_limits(max_megapixels=5, max_million_parameters=0)
    assert max_pixels() == 300_000_000
