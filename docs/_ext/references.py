"""Sphinx extension: put what is generated from the code into the pages that ask for it.

A page holds a marker on a line of its own; the build replaces it:

* ``<!-- configuration -->``: every key of ``conf/``;
* ``<!-- options: revisp-predict -->``: the options of a Typer command.
"""

from __future__ import annotations

import re
from typing import Any

import config_reference
from sphinx.application import Sphinx

COMMANDS = {"revisp-predict": "revisp.cli.predict"}


def fill(app: Sphinx, docname: str, source: list[str]) -> None:
    """Replace the markers of a page."""
    text = source[0]
    if "<!-- configuration -->" in text:
        text = text.replace("<!-- configuration -->", config_reference.render(config_reference.read_tree()))
    source[0] = re.sub(r"^<!-- options: (\S+) -->$", lambda found: options(found[1]), text, flags=re.MULTILINE)


def options(command: str) -> str:
    """Return a Markdown table of a command's arguments and options, as its own help has them."""
    import importlib

    import typer

    app = importlib.import_module(COMMANDS[command]).app
    rows = [_row(parameter) for parameter in typer.main.get_command(app).params]
    return "\n".join(["| option | default | meaning |", "| --- | --- | --- |", *rows])


def _row(parameter: Any) -> str:
    names = [parameter.human_readable_name] if parameter.param_type_name == "argument" else parameter.opts
    default = "" if parameter.required or parameter.default in (None, (), []) else f"`{parameter.default}`"
    meaning = " ".join((parameter.help or "").split()).replace("|", "\\|")
    return f"| {', '.join(f'`{name}`' for name in names)} | {default} | {meaning} |"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("source-read", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
