"""A path of no letters is one line, and not the current folder."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["revisp-predict", "", "-o", "raw"], "a word of the command line is empty"),
        (["revisp-predict", ".", "-o", ""], "-o is empty"),
        (["revisp-predict", ".", "--out="], "--out is empty"),
        (["revisp-predict", ".", "-o", "raw", "--camera", ""], "--camera is empty"),
        (["revisp-predict", "-o", "raw", "--", ""], "a word of the command line is empty"),
        (["revisp-prepare", "", "-o", "dataset"], "a word of the command line is empty"),
        (["revisp-export", "", "-o", "model.onnx"], "a word of the command line is empty"),
        (["revisp-app", "--pairs", ""], "--pairs is empty"),
        (["revisp-train", ""], "a word of the command line is empty"),
        (["revisp-train", "data=prepared", "data.root="], "data.root= names nothing"),
        (["revisp-evaluate", "--cycle", "model=default", "photos="], "photos= names nothing"),
        (["revisp-benchmark", ""], "a word of the command line is empty"),
    ],
)
def test_an_empty_word_is_refused_in_one_line(run_here, tmp_path, words, said):
    done = run_here(*words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"error: {said}: give ")
    assert not any(tmp_path.iterdir())
