"""`revisp-models`, run for real: what is listed, in which form, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from revisp.backbones import describe_backbones, list_backbones
from revisp.errors import UnknownNameError


def test_the_table_has_a_row_for_each_network(run) -> None:
    header, *rows = run("revisp-models").stdout.splitlines()
    titles = ["name", "parameters", "GMAC/504²", "GMAC/MP", "predicts", "sees", "S7", "P20", "from"]
    assert header.split() == titles
    assert {row.split()[0] for row in rows} >= {"unet", "mialgo", "classical", "zeronoise"}
    assert sorted(row.split()[0] for row in rows) == [row.split()[0] for row in rows]
    lines = {row.split()[0]: row for row in rows}
    assert lines["unet"].split()[1:9] == ["34,527,747", "261.6", "1030", "raw_rgb", "245", "px", "28.36", "35.47"]
    assert lines["mialgo"].split()[1:8] == ["4,533,106", "24.1", "95", "packed", "photo", "31.39", "40.06"]
    assert lines["classical"].split()[1:9] == ["88", "0.0", "0", "raw_rgb", "1", "px", "-", "-"]
    column = header.index("from")
    assert lines["unet"][column:] == "Kim, Jiang, Gu, Overexposure Mask Fusion, AIM 2022, arXiv 2210.11511"
    for title, value in (("parameters", "88"), ("S7", "28.36"), ("P20", "35.47")):  # numbers end below their title
        line = lines["classical" if value == "88" else "unet"]
        assert line[: header.index(title) + len(title)].endswith(value)


def test_a_pattern_chooses_rows(run) -> None:
    rows = run("revisp-models", "hit_*").stdout.splitlines()[1:]
    assert [row.split()[0] for row in rows] == ["hit_liteisp", "hit_nafnet"]


@pytest.mark.parametrize("words", [("unte",), ("--json", "unte")])
def test_a_near_miss_is_named_and_exits_2(run, words: tuple[str, ...]) -> None:
    done = run("revisp-models", *words, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "unknown backbone 'unte': did you mean 'unet'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_pattern_that_fits_nothing_is_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown backbone 'x_\*'"):
        describe_backbones("x_*")


@pytest.mark.parametrize("pattern", ["*", "ssd*"])
def test_json_holds_all_that_is_known(run, pattern: str) -> None:
    printed = json.loads(run("revisp-models", "--json", pattern).stdout)
    names = [row["name"] for row in printed]
    assert set(names) <= set(list_backbones(pattern))  # other tests may register more in this process
    known = [row for row in describe_backbones(pattern) if row["name"] in names]
    assert printed == json.loads(json.dumps(known))
    assert set(names) >= ({"unet", "ssdnet", "upi"} if pattern == "*" else {"ssdnet"})
    ssdnet = next(row for row in known if row["name"] == "ssdnet")
    assert ssdnet["auxiliary"] == ("error",)
    assert ssdnet["reported"] == {"s7/psnr": 29.13, "s7/ssim": 0.79}
    assert ssdnet["plugin"] is None


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_nothing_heavy_is_imported(words: list[str]) -> None:
    probe = (
        f"import sys; sys.argv = ['revisp-models', *{words!r}]\n"
        "import revisp.cli.models as command\n"
        "try:\n    command.main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'torch', 'numpy', 'timm', 'hydra', 'segmentation_models_pytorch'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "unet" in done.stdout
