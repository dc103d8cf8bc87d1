"""Take the picture of `revisp-app` for its page, and measure how fast a slider acts.

    python benchmarks/app.py PHOTO [--out docs/pictures/app.jpg]

It needs the extra ``app``, Playwright, and a Chromium (``apt-get install chromium``).
"""

from __future__ import annotations

import argparse
import io
import shutil
import socket
import statistics
import threading
from pathlib import Path

import uvicorn
from PIL import Image
from playwright.sync_api import sync_playwright

from revisp.app.server import Offer, create_app

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "app.jpg"
SIZE = {"width": 1440, "height": 900}
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
MOVES = 20
MOVE = """async (value) => {
  const slider = document.querySelector("input[name=exposure]");
  const begun = performance.now();
  slider.value = value;
  slider.dispatchEvent(new Event("input"));
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  return performance.now() - begun;
}"""
"""Moves a slider, and returns the milliseconds until the frame after the one that shows the change."""


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path, metavar="PHOTO")
    parser.add_argument("--out", type=Path, default=PICTURE)
    arguments = parser.parse_args()
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(Offer()), log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        with sync_playwright() as program:
            browser = program.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            page = browser.new_page(viewport=SIZE)
            page.set_default_timeout(300_000)
            page.goto(f"http://127.0.0.1:{listening.getsockname()[1]}/")
            page.set_input_files("#choose", arguments.photo)
            page.wait_for_selector(".workspace .stage[aria-busy=false]")
            times = sorted(page.evaluate(MOVE, -4 + 6 * move / MOVES) for move in range(MOVES + 1))
            canvas = page.evaluate("[document.querySelector('canvas')].map((it) => `${it.width}x${it.height}`)[0]")
            median = statistics.median(times)
            print(f"A slider acts within {median:.0f} ms (at most {times[-1]:.0f} ms) on {canvas} pixels")
            page.evaluate(MOVE, -1.5)
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            browser.close()
    finally:
        server.should_exit = True
        thread.join()
    picture.resize((1100, 688), Image.Resampling.LANCZOS).save(arguments.out, quality=80, optimize=True)


if __name__ == "__main__":
    main()
