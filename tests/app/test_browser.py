"""The page in Chromium: no console error, no other host, sliders at once, keyboard alone, touch, small screens.

They skip where Playwright or a Chromium is not installed (``apt-get install chromium``; ``REVISP_CHROMIUM`` names
another one).
"""

from __future__ import annotations

import base64
import io
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rawpy
import torch
from PIL import Image
from simulated_pairs import write_simulated_pairs

import revisp
from revisp.camera.develop import develop
from revisp.convert import Conversion, convert_photos, load_engine
from revisp.io import read_srgb

pytest.importorskip("starlette", reason="the extra app is not installed")
pytest.importorskip("uvicorn", reason="the extra app is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright")

CHROMIUM = os.environ.get("REVISP_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
READY = ".workspace .stage[aria-busy=false]"
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of a page that is served by a thread."""
    import uvicorn

    from revisp.app.server import Offer, create_app

    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(Offer(device="cpu")), log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as program:
        found = program.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


class Visit:
    """A page in the browser, and all that went wrong on it."""

    def __init__(self, browser: Any, address: str, **context: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **context})
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.page.on("console", lambda message: self.faults.append(message.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda request: self._check(request.url, address))
        self.page.goto(address)

    def _check(self, url: str, address: str) -> None:
        if not url.startswith((address, f"blob:{address}")):
            self.faults.append(f"asks {url}")

    def photo(self, path: Path) -> None:
        """Choose a photo, and wait until its RAW is shown."""
        self.page.set_input_files("#choose", path)
        self.page.wait_for_selector(f"{READY}, #photo-error:visible")
        assert self.page.locator("#photo-error").inner_text() == ""


@pytest.fixture
def visit(browser: Any, address: str, request: pytest.FixtureRequest) -> Iterator[Visit]:
    found = Visit(browser, address, **getattr(request, "param", {}))
    yield found
    found.context.close()
    assert found.faults == []


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A smooth photo of 600x400 pixels with a white sun."""
    rows, columns = np.mgrid[0:400, 0:600]
    sky = np.stack([rows / 3 + 40, columns / 4 + 20, 220 - rows / 4], axis=2)
    sky[(rows - 100) ** 2 + (columns - 430) ** 2 < 60**2] = 255
    path = tmp_path_factory.mktemp("photos") / "sun.png"
    Image.fromarray(sky.clip(0, 255).astype(np.uint8)).save(path)
    return path


def _canvas(page: Any) -> np.ndarray[Any, Any]:
    """Return the pixels of the canvas, ``[H, W, 3]``, two frames after the last change."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    address = page.evaluate('document.querySelector(".workspace canvas").toDataURL()')
    return np.array(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).convert("RGB"))


def _set(page: Any, name: str, value: float) -> None:
    page.locator(f"input[name={name}]").fill(str(value))


def test_the_browser_develops_as_the_library_does(visit: Visit, photo: Path) -> None:
    visit.photo(photo)
    page = visit.page
    page.locator("[data-part=left]").select_option("raw")
    page.wait_for_selector(READY)
    model = revisp.from_pretrained()
    out = revisp.predict(model, read_srgb(photo))
    from revisp.camera.brightness import match_brightness
    from revisp.demosaic import demosaic

    bright = match_brightness(out.bayer, read_srgb(photo), model.profile)
    raw = demosaic(out.bayer, model.profile.cfa, "malvar", gains=model.profile.gains).clamp(0, 1)
    for exposure, highlights in ((0, "shoulder"), (-2, "shoulder"), (-1, "clip")):
        _set(page, "exposure", exposure)
        page.locator("[data-part=highlights]").select_option(highlights)
        shown = _canvas(page)
        mode: Any = highlights
        stops = bright.gain + bright.rest + exposure
        expected = develop(raw, model.profile, exposure=stops, highlights=mode)
        scale = shown.shape[1] / 600
        for row, column in ((50, 50), (100, 430), (300, 300)):
            found = shown[round(row * scale), round(column * scale), :3]
            wanted = (expected[:, row, column] * 255).numpy()
            assert np.abs(found - wanted).max() <= 3, (exposure, highlights, row, column)


def test_sliders_change_the_picture_at_once(visit: Visit, photo: Path) -> None:
    visit.photo(photo)
    page = visit.page
    page.locator("[data-part=wipe]").fill("0")
    before = _canvas(page).mean()
    for name, value in (("exposure", -2), ("light", -300), ("tint", 0.5), ("contrast", 0.6)):
        _set(page, name, value)
        after = _canvas(page).mean()
        assert after != before, name
        before = after
    page.get_by_role("button", name="Reset").click()
    assert page.locator("input[name=exposure]").input_value() == "0"


def test_the_keyboard_alone_suffices(visit: Visit, photo: Path) -> None:
    page = visit.page
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")  # the second tab and back
    assert page.locator("#pairs").is_visible()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "choose"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files(photo)
    page.wait_for_selector(READY)

    names = []
    for _ in range(40):
        page.keyboard.press("Tab")
        name = page.evaluate(
            "[document.activeElement].map((it) => it.name || it.dataset.part || it.dataset.zoom)[0]"
        )
        names.append(name)
        if name == "stage":
            page.keyboard.press("1")
            page.keyboard.press("ArrowRight")
        elif name == "wipe":
            old = page.locator("[data-part=wipe]").input_value()
            page.keyboard.press("ArrowRight")
            assert page.locator("[data-part=wipe]").input_value() > old
        elif name == "exposure":
            page.keyboard.press("ArrowLeft")
            assert page.locator("input[name=exposure]").input_value() == "-0.05"
        if page.evaluate("document.activeElement.textContent") == "Download DNG":
            break
    assert {"left", "in", "stage", "wipe", "right", "mask", "exposure", "contrast", "highlights"} <= set(names)
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "sun.dng"


def test_every_control_has_a_name(visit: Visit, photo: Path) -> None:
    visit.photo(photo)
    nameless = visit.page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, [role=tab]")].filter(
          (it) => !(it.labels?.length || it.textContent.trim() || it.ariaLabel)
        ).map((it) => it.outerHTML)"""
    )
    assert nameless == []


def test_a_broken_file_gives_one_sentence(visit: Visit, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(photo.read_bytes()[:300])
    page = visit.page
    page.set_input_files("#choose", tmp_path / "broken.jpg")
    page.wait_for_selector("#photo-error:visible")
    assert page.locator("#photo-error").inner_text().startswith("broken.jpg: ")
    visit.photo(photo)  # and the page goes on
    assert page.locator("#photo-error").is_hidden()


PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.mark.parametrize(
    "visit",
    [{**PHONE, "color_scheme": scheme} for scheme in ("light", "dark")],
    indirect=True,
    ids=["light", "dark"],
)
def test_a_phone_shows_all_without_scrolling_sideways(visit: Visit, photo: Path) -> None:
    page = visit.page
    for _ in range(2):  # without a photo, and with it
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        visit.photo(photo)
    stage = page.locator(".stage").bounding_box()
    before = page.locator("[data-part=wipe]").input_value()
    page.touchscreen.tap(stage["x"] + 40, stage["y"] + 40)
    assert stage["width"] > 340
    page.evaluate(
        """() => { const stage = document.querySelector(".stage"); const box = stage.getBoundingClientRect();
          stage.setPointerCapture = () => {};
          for (const [kind, x] of [["pointerdown", 180], ["pointermove", 60], ["pointerup", 60]]) {
            const place = { pointerId: 5, clientX: box.x + x, clientY: box.y + 30, bubbles: true };
            stage.dispatchEvent(new PointerEvent(kind, place));
          } }"""
    )
    assert page.locator("[data-part=wipe]").input_value() < before  # a finger moves the divider
    dark, ground = page.evaluate(
        "[matchMedia('(prefers-color-scheme: dark)').matches, getComputedStyle(document.body).backgroundColor]"
    )
    assert (sum(map(int, ground[4:-1].split(","))) < 150) == dark


def test_pairs_are_paged_by_error_with_the_truth_beside(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    page.get_by_role("tab", name="Your pairs").click()
    page.get_by_label("Data set or run folder").fill(str(tmp_path))
    page.get_by_role("button", name="Open").click()
    page.wait_for_selector("#pair-error:visible")
    visit.faults.clear()  # the browser logs the refusal

    page.get_by_label("Data set or run folder").fill(str(write_simulated_pairs(tmp_path, val=(1, 2))))
    page.get_by_role("button", name="Open").click()
    page.wait_for_selector("#pairs .stage[aria-busy=false]")
    page.wait_for_selector("#pair-progress", state="hidden")
    chosen = page.locator("#pair-select option:checked")
    page.locator("#pair-select").select_option(index=0)
    first = chosen.inner_text()
    page.get_by_role("button", name="Better").click()
    assert chosen.inner_text() != first
    figures = [
        float(text.rpartition(", ")[2].split()[0])
        for text in page.locator("#pair-select").inner_text().split("\n")
    ]
    assert figures == sorted(figures)
    page.locator("#pairs [data-part=right]").select_option("error")
    page.wait_for_selector("#pairs .stage[aria-busy=false]")


@pytest.mark.slow
def test_a_photo_of_12_megapixels_becomes_the_dng_of_the_command(visit: Visit, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 12, 16, generator=generator) * 1.3
    large = torch.nn.functional.interpolate(coarse, size=(3000, 4000), mode="bicubic").clamp(0, 1)[0]
    pixels = (large * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(tmp_path / "large.jpg", quality=90)
    page = visit.page
    page.set_default_timeout(120_000)
    page.set_input_files("#choose", tmp_path / "large.jpg")
    page.wait_for_selector("#photo-progress:visible")
    page.wait_for_selector(READY)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download DNG").click()
    job = Conversion(tmp_path / "large.jpg", tmp_path / "expected.dng")
    (done,) = convert_photos(load_engine(device="cpu"), [job], workers=0)
    assert done.error is None
    with rawpy.imread(str(download.value.path())) as found, rawpy.imread(str(job.output)) as expected:
        assert found.raw_image_visible.shape == (3000, 4000)
        assert np.array_equal(found.raw_image_visible, expected.raw_image_visible)
