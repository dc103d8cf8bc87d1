"""The report: a complete page that all can read and that shows pictures as they are; tried in a browser."""

from __future__ import annotations

import base64
import html
import io
import json
import math
import os
import re
import shutil
import subprocess
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from revisp.camera.develop import develop, viewing_exposure
from revisp.camera.simulate import SIMULATED
from revisp.demosaic import demosaic
from revisp.errors import OutputError, ShapeError
from revisp.evaluation.report.axis import Axis
from revisp.evaluation.report.page import ReportImage, ReportRow, write_report
from revisp.evaluation.report.plots import Point, pareto_front
from revisp.metrics import bin_errors

NAN = math.nan
PROFILE = SIMULATED.profile
NASTY = '<script>alert("x")</script> & $title'
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
VOID = {"meta", "link", "img", "input", "br", "hr"}


class Page(HTMLParser):
    """Elements with their attributes, headings with their text, and whether all that is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.texts[tag][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]


def image(name: str = "a", psnr: float = 30.0, size: tuple[int, int] = (32, 48), seed: int = 0) -> ReportImage:
    generator = torch.Generator().manual_seed(seed)
    height, width = size
    srgb = torch.rand(3, height, width, generator=generator)
    truth = torch.rand(1, height, width, generator=generator) * 0.6
    mask = torch.zeros(1, height, width)
    scores = {"psnr": psnr, "psnr_oe": NAN, "ssim": 0.9}
    return ReportImage(name, srgb, mask, (truth * 1.1).clamp(0, 1), truth, scores)


def write(folder: Path, **changes: Any) -> str:
    first = image()
    planes = (x[None].expand(1, 4, -1, -1) for x in (first.prediction, first.truth))
    settings: dict[str, Any] = {
        "title": "Test",
        "rows": [
            ReportRow("classical", {"psnr": 25.0, "psnr_oe": NAN}, {"parameters": 0, "seconds": 0.01}),
            ReportRow("network", {"psnr": 31.25, "psnr_oe": 20.5}, {"parameters": 1.25e6, "seconds": 2.0}),
            ReportRow("worse", {"psnr": 30.0}, {"parameters": 3e6}),
        ],
        "images": [first],
        "profile": PROFILE,
        "configuration": "model: default\nseed: 0\n",
        "versions": {"revisp": "1.2.3"},
        "brightness": {"network": bin_errors(*planes)},
    }
    path = write_report(folder / "report.html", **(settings | changes))
    assert path == folder / "report.html"
    assert [file.name for file in folder.iterdir()] == ["report.html"]
    return path.read_text("utf-8")


def decoded(source: str | None) -> np.ndarray[Any, Any]:
    assert source is not None
    kind, data = source.split(",", 1)
    assert kind == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        return np.asarray(picture.convert("RGB"))


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_page_is_complete_and_well_formed(tmp_path: Path, count: int) -> None:
    text = write(tmp_path, images=[image(f"p{k}", 30 + k, seed=k) for k in range(count)])
    page = Page(text)
    assert page.texts["h1"] == ["Test"] == page.texts["title"][:1]
    assert page.all("html") == [{"lang": "en"}]
    ids = Counter(attrs["id"] for _, attrs in page.elements if "id" in attrs)
    assert set(ids.values()) == {1}
    for _, attrs in page.elements:  # what refers to ids finds them
        referred = [*(attrs.get("aria-labelledby") or "").split(), (attrs.get("href") or "#")[1:]]
        assert all(name in ids for name in referred if name and not attrs.get("href", "#").startswith("data:"))
        for key in ("src", "href", "data", "action", "srcset", "poster"):
            assert (attrs.get(key) or "#").startswith(("data:", "#"))
    assert not re.search(r"https?:|@import|url\(|fetch\(|XMLHttpRequest", text)
    images = page.all("img")
    assert len(images) == 5 * count
    assert all(attrs["alt"] and attrs["width"] == "48" and attrs["height"] == "32" for attrs in images)
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for attrs in page.all("svg"):
        assert attrs.get("role") == "img" or attrs.get("aria-hidden") == "true"
    plots = sum(attrs.get("role") == "img" for attrs in page.all("svg"))
    assert plots == 2 + 2 + 4 * count  # a cost each, RMS and bias, and the planes of each picture
    assert len(page.texts.get("table", [])) == 2 + (count > 1)
    assert all(attrs.get("scope") for attrs in page.all("th"))


def test_the_worst_picture_comes_first(tmp_path: Path) -> None:
    pictures = [image("good", 40.0), image("unknown", NAN), image("bad", 20.0), image("middling", 30.0)]
    assert Page(write(tmp_path, images=pictures)).texts["h3"] == ["bad", "middling", "good", "unknown"]


def test_figures_and_costs(tmp_path: Path) -> None:
    page = Page(write(tmp_path))
    rows = [" ".join(row.split()) for row in re.findall(r"<tr>.*?</tr>", write(tmp_path))]
    none = '<td><span aria-label="none">–</span></td>'
    assert "PSNR OE (dB)" in rows[0]
    assert rows[1] == f'<tr><th scope="row">classical</th><td>25.000</td>{none}<td>0</td><td>0.01</td></tr>'
    assert "<strong>31.250</strong></td><td><strong>20.500</strong></td><td>1.25 M</td><td>2</td>" in rows[2]
    assert rows[3].count(none) == 2  # no OE, no seconds
    assert page.texts["pre"] == ["model: default\nseed: 0\n"]
    assert any("1.2.3" in text for text in page.texts["details"])
    assert any("not comparable" in text for text in Page(write(tmp_path, notes=["not comparable"])).texts["p"])


def test_user_text_is_escaped(tmp_path: Path) -> None:
    text = write(
        tmp_path,
        title=NASTY,
        rows=[
            ReportRow(NASTY, {NASTY: 1.0, "psnr": 1.0}, {NASTY: 1.0}),
            ReportRow("b", {"psnr": 2.0}, {NASTY: 2.0}),
        ],
        images=[image(NASTY), image(NASTY + '" onerror="alert(1)')],
        profile=PROFILE.replace(model=NASTY),
        configuration=NASTY,
        versions={NASTY: NASTY},
        notes=[NASTY],
        brightness={NASTY: bin_errors(torch.rand(1, 4, 2, 2), torch.rand(1, 4, 2, 2))},
    )
    page = Page(text)
    assert len(page.all("script")) == 1
    assert not any("onerror" in attrs for _, attrs in page.elements)
    assert page.texts["h1"] == [NASTY]
    assert page.texts["pre"] == [NASTY]


def test_prediction_and_truth_are_developed_alike(tmp_path: Path) -> None:
    one = image()
    sources = [attrs["src"] for attrs in Page(write(tmp_path, images=[one])).all("img")]
    photo, mask, prediction, truth, error = (decoded(source).astype(int) for source in sources)
    raws = [demosaic(x[None], PROFILE.cfa, "malvar", gains=PROFILE.gains)[0] for x in (one.prediction, one.truth)]
    exposure = viewing_exposure(raws[1], PROFILE)
    shown, true = (develop(raw, PROFILE, exposure=exposure) for raw in raws)
    for found, wanted in (
        (photo, one.srgb),
        (prediction, shown),
        (truth, true),
        (error, (5 * (shown - true).abs()).clamp(max=1)),
    ):
        assert abs(found - (wanted * 255).round().permute(1, 2, 0).numpy()).max() <= 1
    assert not mask.any()


def test_large_pictures_are_shown_smaller(tmp_path: Path) -> None:
    text = write(tmp_path, images=[image(size=(700, 2100))])
    assert {decoded(attrs["src"]).shape for attrs in Page(text).all("img")} == {(341, 1024, 3)}
    assert "2100x700 pixels, shown at 1024x341" in text


def test_little_to_show_is_no_trouble(tmp_path: Path) -> None:
    black = torch.zeros(1, 16, 16)
    nothing = ReportImage("black", black.expand(3, -1, -1), black, black, black)
    empty = bin_errors(black[None].expand(1, 4, -1, -1), black[None].expand(1, 4, -1, -1), spacing="log")
    empty = empty._replace(rmse=empty.rmse * NAN, bias=empty.bias * NAN)
    rows = [ReportRow("a", {"psnr": 999.0}, {"seconds": 1.0}), ReportRow("b", {"psnr": 999.0}, {"seconds": 1.0})]
    Page(write(tmp_path, rows=rows, images=[nothing], brightness={"a": empty}))
    page = Page(write(tmp_path, rows=[], images=[], brightness={}, configuration="", versions={}))
    assert page.texts["h2"] == ["Summary"]


def test_bad_pictures_and_paths_are_refused(tmp_path: Path) -> None:
    good = image()
    for changes, message in (
        ({"mask": good.mask[:, :-2]}, "differ in size"),
        ({"truth": good.srgb}, "truth must have shape"),
        ({"prediction": good.prediction * NAN}, "prediction holds values"),
        ({"srgb": good.srgb[None]}, "single picture"),
    ):
        parts = {name: getattr(good, name) for name in ("srgb", "mask", "prediction", "truth")} | changes
        with pytest.raises(ShapeError, match=message):
            ReportImage("a", **parts)
    with pytest.raises(ShapeError, match="even size"):
        image(size=(31, 48))
    with pytest.raises(OutputError):
        write_report(tmp_path / "none" / "report.html", title="", rows=[], images=[], profile=PROFILE)


def test_the_front_is_what_nothing_beats() -> None:
    points = [
        Point(name, x, y) for name, x, y in (("a", 1, 1), ("b", 2, 3), ("c", 2, 2), ("d", 3, 3), ("e", 9, 4))
    ]
    assert [point.name for point in pareto_front(points)] == ["a", "b", "e"]
    same = [Point("a", 1, 1), Point("b", 1, 1), Point("c", 2, 1)]
    assert [point.name for point in pareto_front(same)] == ["a", "b"]


def test_axes_hold_all_values_and_mark_some() -> None:
    for values in (
        [0.0],
        [5.0],
        [-3.0, 4.0],
        [1e-5, 2e-5],
        [1e3, 1e9],
        [0.0, 2e4, 3e7],
        [31.2, 43.9],
        [1.0, 15.0],
    ):
        axis = Axis.around("x", values)
        places = [axis.place(value) for value in values]
        assert all(0 <= place <= 1 for place in places), values
        assert sorted(places) == places
        ticks = axis.ticks()
        assert 2 <= len(ticks) <= 9, values
        assert all(-1e-2 <= axis.place(tick) <= 1.01 for tick in ticks), values
        assert len({axis.write(tick) for tick in ticks}) == len(ticks)
    assert Axis.around("x", [0.0, 2e4, 3e7]).ticks()[0] == 0  # a place of its own on a logarithmic axis


def test_colours_have_contrast(repository: Path) -> None:
    style = (repository / "revisp" / "evaluation" / "report" / "report.html").read_text()
    schemes = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    assert len(schemes) == 2

    def luminance(colour: str) -> float:
        digits = "".join(digit * 2 for digit in colour) if len(colour) == 3 else colour
        parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for scheme in schemes:
        colours = {name: luminance(value) for name, value in re.findall(r"--([\w]+): #(\w+)", scheme)}
        assert len(colours) == 12
        for back in ("page", "card"):
            for name in colours.keys() - {"page", "card", "line"}:
                light, dark = sorted((colours[name], colours[back]), reverse=True)
                assert (light + 0.05) / (dark + 0.05) >= 4.5, (name, back)


# What a person would do, as events that the page's own code cannot tell from real ones. Not so the slider's keys:
# those are the browser's.
SCRIPT = """
addEventListener("load", async function () {
  var found = {};
  var all = function (selector, root) { return Array.from((root || document).querySelectorAll(selector)); };
  try {
    await Promise.all(all("img").map(function (image) { return image.decode(); }));
    found.broken = all("img").filter(function (image) { return !image.naturalWidth; }).length;
    var viewers = all(".viewer");
    found.viewers = viewers.length;
    var root = viewers[0], slider = root.querySelector("input"), stage = root.querySelector(".stage");
    var top = all(".layer", root)[1], inner = top.querySelector("img"), selects = all("select", root);
    var buttons = all("button", root), box = stage.getBoundingClientRect();
    found.size = [box.width, box.height];
    found.names = all(".tag", root).map(function (tag) { return tag.textContent; });
    slider.value = 30;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    found.wiped = [top.style.clipPath, root.querySelector(".divider").style.left,
      slider.getAttribute("aria-valuetext")];
    selects[0].value = "4";
    selects[0].dispatchEvent(new Event("change"));
    found.chosen = [inner.alt, inner.src === all(".pictures img")[4].src];
    var pointer = function (kind, id, x, y, target) {
      (target || stage).dispatchEvent(new PointerEvent(kind, { pointerId: id, pointerType: "touch", bubbles: true,
        clientX: box.left + x * box.width, clientY: box.top + y * box.height }));
    };
    pointer("pointerdown", 1, .3, .5, root.querySelector(".divider"));
    pointer("pointermove", 1, .6, .5);
    pointer("pointerup", 1, .6, .5);
    found.dragged = slider.value;
    var press = function (key) {
      stage.dispatchEvent(new KeyboardEvent("keydown", { key: key, bubbles: true, cancelable: true }));
      return inner.style.transform;
    };
    found.keys = [press("ArrowLeft"), press("+"), press("ArrowRight"), press("-"), press("+"), press("0")];
    buttons[1].click();
    found.button = [inner.style.transform, root.querySelector("output").textContent];
    pointer("pointerdown", 1, .5, .5);
    pointer("pointermove", 1, .4, .5);
    pointer("pointerup", 1, .4, .5);
    found.moved = inner.style.transform;
    buttons[2].click();
    pointer("pointerdown", 1, .4, .5);
    pointer("pointerdown", 2, .6, .5);
    pointer("pointermove", 2, .8, .5);
    pointer("pointermove", 1, .2, .5);
    found.pinched = inner.style.transform;
    pointer("pointerup", 1, .2, .5);
    pointer("pointerup", 2, .8, .5);
    for (var turn = 0; turn < 9; turn++) buttons[1].click();
    found.most = root.querySelector("output").textContent;
    dispatchEvent(new Event("beforeprint"));
    found.printed = all("details").every(function (details) { return details.open; });
    dispatchEvent(new Event("afterprint"));
    found.folded = all("details").every(function (details) { return !details.open; });
    found.wide = document.documentElement.scrollWidth <= innerWidth;
  } catch (error) { window.errors.push(String(error)); }
  found.errors = window.errors;
  document.body.dataset.found = JSON.stringify(found);
});
"""
CATCH = """<script>window.errors = [];
addEventListener("error", function (event) { errors.push(event.message); });
addEventListener("securitypolicyviolation", function (event) { errors.push(event.blockedURI); });</script>"""


def browse(browser: str, page: Path, profile: Path, width: int, budget: int) -> str:
    options = ("--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars")
    settings = (f"--user-data-dir={profile}", f"--window-size={width},900", f"--virtual-time-budget={budget}")
    sandbox = ("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()
    command = [browser, *options, *settings, *sandbox, "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 500])
def test_the_viewer_works_in_a_browser(tmp_path: Path, width: int) -> None:
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        pytest.skip("no Chromium or Chrome on the PATH")
    (tmp_path / "page").mkdir()
    text = write(tmp_path / "page", images=[image("a"), image("b <i>", 20.0)])
    page = tmp_path / "page" / "report.html"
    text = text.replace("<title>", CATCH + "<title>", 1)
    page.write_text(text.replace("</body>", f"<script>{SCRIPT}</script></body>"), "utf-8")
    match = None
    for budget in (10_000, 100_000, 1_000_000):  # a busy machine decodes the pictures slower than its clock runs
        dom = browse(browser, page, tmp_path / "profile", width, budget)
        if match := re.search(r'data-found="([^"]*)"', dom):
            break
    assert match is not None
    found = json.loads(html.unescape(match[1]))
    assert found["errors"] == []
    assert found["broken"] == 0
    assert found["viewers"] == 2
    assert found["size"][0] / found["size"][1] == pytest.approx(1.5, rel=0.01)
    assert found["names"] == ["Prediction", "Truth"]
    assert found["wiped"] == ["inset(0px 70% 0px 0px)", "30%", "30 % Prediction, 70 % Truth"]
    assert found["chosen"] == ["Error of b <i>: 5 times the difference of prediction and truth as developed", True]
    assert found["dragged"] == "60"
    whole, larger = "translate(0%, 0%) scale(1)", "translate(-25%, -25%) scale(1.5)"
    assert found["keys"] == [whole, larger, "translate(-35%, -25%) scale(1.5)", whole, larger, whole]
    assert found["button"] == [larger, "150 %"]
    assert found["moved"] == "translate(-35%, -25%) scale(1.5)"
    x, y, scale = (float(number) for number in re.findall(r"-?[\d.]+", found["pinched"]))
    assert (x, y, scale) == pytest.approx((-100, -100, 3), abs=0.1)  # fingers thrice as far apart about the middle
    assert found["most"] == "1600 %"
    assert found["printed"]
    assert found["folded"]
    assert found["wide"]
