"""The sentence at the end of a training: use the model, or the formula that was fitted to the same pictures."""

from __future__ import annotations

import math

import pytest

from revisp.config import compose
from revisp.training.summary import advice, model_card


@pytest.mark.parametrize(
    ("model", "formula", "begins"),
    [
        (44.2, 43.5, "Use the model: on the validation pictures it has 44.20 dB"),
        (
            39.2,
            43.5,
            "Use the fitted classical inverse alone (backbone=classical pipeline=plain), not this ",
        ),
        (43.52, 43.5, "Use either, the difference is not clear: "),
    ],
)
def test_the_better_one_is_named_with_both_figures(model: float, formula: float, begins: str) -> None:
    metrics = {"val/psnr": model, "classical/psnr": formula}
    sentence = advice(metrics)
    assert sentence is not None
    assert sentence.startswith(begins)
    assert f"{model:.2f} dB" in sentence
    assert f"{formula:.2f} dB" in sentence
    assert "\n" not in sentence
    assert model_card(compose(), metrics).startswith(sentence)


def test_without_both_figures_nothing_is_advised() -> None:
    assert advice({"val/psnr": 40.0}) is None
    assert advice({"val/psnr": 40.0, "classical/psnr": math.nan}) is None
    assert model_card(compose(), {}).startswith("Trained with")
