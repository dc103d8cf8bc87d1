"""``revisp-app``: what it refuses, in one line. The page itself is tested in ``tests/app``."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where a command goes on to serve, which would never end."""
    uvicorn = pytest.importorskip("uvicorn", reason="the extra app is not installed")
    pytest.importorskip("starlette", reason="the extra app is not installed")
    monkeypatch.setattr(uvicorn.Server, "run", lambda *_, **__: pytest.fail("it serves"))


def test_a_port_that_is_taken_is_refused(run_here: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = run_here("revisp-app", "--no-browser", "--port", str(other.getsockname()[1]))
    assert done.returncode == 2
    assert done.stderr.startswith("error: cannot listen on 127.0.0.1, port ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--host", "192.0.2.1", "--port", "0"), "cannot listen on 192.0.2.1"),
        (("--upload-limit", "many"), "'many' is not a size"),
    ],
)
def test_wrong_settings_are_one_line(run_here: Run, words: tuple[str, ...], message: str) -> None:
    done = run_here("revisp-app", "--no-browser", *words)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert message in done.stderr


def test_without_the_extra_the_command_says_what_to_install(
    run_here: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    done = run_here("revisp-app")
    assert (done.returncode, done.stderr) == (2, "error: revisp-app needs uvicorn: pip install 'revisp[app]'\n")
