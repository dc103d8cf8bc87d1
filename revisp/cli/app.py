"""``revisp-app``: serve the page to try a model on, and open it in the browser."""

from __future__ import annotations

import contextlib
import socket
import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from revisp.cli._empty import refuse_empty_words
from revisp.cli._limits import take_limits
from revisp.cli._main import report_errors, say
from revisp.errors import ConfigError

if TYPE_CHECKING:
    from uvicorn import Server

__all__ = ["main"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

PORT = 8765
"""Port that is taken if it is free; else the system chooses one."""


@app.command()
def command(
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="Model folder or exported .onnx to offer; can be given several times."),
    ] = None,
    pairs: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="Data set or run folder to offer; can be given several times."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than 127.0.0.1 let other machines in.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on.", show_default="8765, or a free one")
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="Further name by which browsers call this server; * for any."),
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    upload_limit: Annotated[
        str, typer.Option(metavar="SIZE", help="Largest photo that is taken, such as 500MB.")
    ] = "500MB",
) -> None:
    """Serve a page on which photos are turned into RAW, looked at, developed and downloaded.

    It works without a network, and sends nothing to other machines. Uploads are removed when it ends (Ctrl-C). On
    another address than 127.0.0.1, only the models and data sets of this command line are offered.
    """
    with report_errors():
        try:
            import uvicorn

            from revisp.app.server import LOCAL_HOSTS, Offer, create_app
        except ModuleNotFoundError as error:
            raise ConfigError(f"revisp-app needs {error.name}: pip install 'revisp[app]'") from error
        from revisp.hardware import keep_freed_memory
        from revisp.tile_memory import parse_size

        keep_freed_memory()
        local = host in ("127.0.0.1", "localhost", "::1")
        offer = Offer(
            models=tuple(dict.fromkeys((*(model or ()), "default"))),
            sources=tuple(map(str, pairs or ())),
            any_folder=local,
            device=device,
            upload_limit=parse_size(upload_limit),
            hosts=(*LOCAL_HOSTS, *([] if local else [host]), *(name or ())),
        )
        listening = _listen(host, port)
        address = f"http://{_written(host)}:{listening.getsockname()[1]}/"
        config = uvicorn.Config(
            create_app(offer), log_level="warning", server_header=False, timeout_graceful_shutdown=5
        )
        say(f"revisp-app is at {address} (Ctrl-C ends it)")
        server = uvicorn.Server(config)
        if browser:
            threading.Thread(target=_open_when_ready, args=(server, address), daemon=True).start()
        with contextlib.suppress(KeyboardInterrupt):  # the usual end
            server.run(sockets=[listening])


def main() -> None:
    """Run the command."""
    take_limits()
    refuse_empty_words()
    app()


def _listen(host: str, port: int | None) -> socket.socket:
    """Return a socket that listens on an address.

    Raises:
        ConfigError: the address is not one of this machine, or the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for wanted in (PORT, 0) if port is None else (port,):
        found = socket.socket(family, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((host, wanted))
        except OSError as error:
            found.close()
            fault = ConfigError(
                f"cannot listen on {host}, port {wanted}: {error.strerror or error}; choose --port"
            )
        else:
            return found
    raise fault


def _written(host: str) -> str:
    """Return a host as addresses have it."""
    return f"[{host}]" if ":" in host else host


def _open_when_ready(server: Server, address: str) -> None:
    """Open the page in the browser as soon as the server answers."""
    import time

    while not server.started:
        time.sleep(0.05)
    webbrowser.open(address)
