"""A page in this process, and photos to give to it."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from starlette.testclient import TestClient


@pytest.fixture(scope="session")
def photo_bytes() -> bytes:
    """A JPEG of 96x64 pixels with a clipped corner, and EXIF."""
    rows, columns = np.mgrid[0:64, 0:96]
    pixels = np.stack([rows * 3, columns * 2, (rows + columns) * 2], axis=2).clip(0, 255).astype(np.uint8)
    pixels[:20, :30] = 255
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Google", "Pixel 6"
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=95, exif=exif)
    return file.getvalue()


@pytest.fixture(scope="session")
def uploads_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the page of `client` keeps its temporary files."""
    return tmp_path_factory.mktemp("uploads")


@pytest.fixture(scope="session")
def client(uploads_folder: Path) -> Iterator[TestClient]:
    """The page, as a user of this machine has it. One for all tests, as each loads the model anew."""
    with open_client(uploads_folder) as found:
        yield found


@contextlib.contextmanager
def open_client(folder: Path) -> Iterator[TestClient]:
    """Serve a page in this process, whose temporary files are in a folder; skip without the extra ``app``."""
    pytest.importorskip("starlette", reason="the extra app is not installed")
    testclient = pytest.importorskip("starlette.testclient", reason="no client for tests is installed")
    from revisp.app.server import Offer, create_app

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(folder))
        app = create_app(Offer(device="cpu", upload_limit=50_000))
    with testclient.TestClient(app, base_url="http://127.0.0.1") as found:
        yield found


@pytest.fixture
def own_client(tmp_path: Path) -> contextlib.AbstractContextManager[TestClient]:
    """A page of the test's own, whose temporary files are in ``tmp_path``."""
    return open_client(tmp_path)


@pytest.fixture
def finish() -> Callable[[TestClient, str], dict[str, Any]]:
    """Ask until the task at an address is done or has failed."""

    def wait(client: TestClient, address: str) -> dict[str, Any]:
        while (found := client.get(address).json())["task"]["state"] not in ("done", "failed"):
            time.sleep(0.02)
        return found

    return wait
