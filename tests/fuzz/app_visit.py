"""A visit to ``revisp-app``: a photo is uploaded, predicted and downloaded, and the server is asked to end."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from .processes import Process

__all__ = ["PORT", "visit"]


def _free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])


PORT = _free_port()
"""Port of the server."""


def visit(server: Process, folder: Path) -> None:
    """Turn ``photos/p0.png`` into ``out/p0.dng`` by a server, and end it; do nothing once the server is gone."""
    with contextlib.suppress(ConnectionError, urllib.error.URLError):
        while server.poll() is None:
            with contextlib.suppress(ConnectionError, urllib.error.URLError):
                _ask("/api/offer")
                break
            time.sleep(0.05)
        key = json.loads(_ask("/api/photos?name=p0.png", (folder / "photos/p0.png").read_bytes()))["id"]
        while _state(key) in ("waiting", "working"):
            time.sleep(0.05)
        raw = _ask(f"/api/photos/{key}/raw", b"{}")
        (folder / "out/p0.dng.part").write_bytes(raw)
        (folder / "out/p0.dng.part").rename(folder / "out/p0.dng")
        server.send_signal(signal.SIGINT)


def _state(key: str) -> Any:
    return json.loads(_ask(f"/api/photos/{key}"))["task"]["state"]


def _ask(address: str, data: bytes | None = None) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{address}", data, timeout=30) as answer:
        content: bytes = answer.read()
        return content
