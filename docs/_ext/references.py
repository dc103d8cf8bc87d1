"""Sphinx extension: put what is generated from the code into the pages that ask for it.

A page holds a marker on a line of its own; the build replaces it:

* ``<!-- configuration -->``: every key of ``conf/``;
* ``<!-- options: revisp-predict -->``: the options of a Typer command;
* ``<!-- modules: revisp.mask revisp.io -->``: the documentation of modules; a package stands for all its modules.
"""

from __future__ import annotations

import pkgutil
import re
from importlib.util import find_spec
from typing import Any

import config_reference
from sphinx.application import Sphinx

COMMANDS = {"revisp-predict": "revisp.cli.predict", "revisp-prepare": "revisp.cli.prepare"}


def fill(app: Sphinx, docname: str, source: list[str]) -> None:
    """Replace the markers of a page."""
    text = source[0]
    if "<!-- configuration -->" in text:
        text = text.replace("<!-- configuration -->", config_reference.render(config_reference.read_tree()))
    text = re.sub(r"^<!-- options: (\S+) -->$", lambda found: options(found[1]), text, flags=re.MULTILINE)
    text = re.sub(r"^<!-- modules: (.+) -->$", lambda found: modules(found[1].split()), text, flags=re.MULTILINE)
    source[0] = text


def options(command: str) -> str:
    """Return a Markdown table of a command's arguments and options, as its own help has them."""
    import importlib

    import typer

    app = importlib.import_module(COMMANDS[command]).app
    rows = [_row(parameter) for parameter in typer.main.get_command(app).params]
    return "\n".join(["| option | default | meaning |", "| --- | --- | --- |", *rows])


def _row(parameter: Any) -> str:
    names = [parameter.metavar or parameter.name] if parameter.param_type_name == "argument" else [*parameter.opts]
    if parameter.param_type_name == "option" and parameter.metavar:
        names[-1] += f" {parameter.metavar}"
    shown = parameter.show_default if isinstance(parameter.show_default, str) else parameter.default
    unset = parameter.required or shown is None or shown is False or shown in ((), [])
    meaning = " ".join((parameter.help or "").split()).replace("|", "\\|")
    return f"| {', '.join(f'`{name}`' for name in names)} | {'' if unset else f'`{shown}`'} | {meaning} |"


def modules(names: list[str]) -> str:
    """Return a section for each module. It holds what the module defines, not what a package passes on."""
    how = ":members:", ":ignore-module-all:", ":show-inheritance:"
    return "\n".join(
        "\n   ".join([f"## `{name}`\n\n```{{eval-rst}}\n.. automodule:: {name}", *how]) + "\n```\n"
        for name in expand(names)
    )


def expand(names: list[str]) -> list[str]:
    """Replace packages by themselves and their public modules, which are not imported."""
    found = []
    for name in names:
        found.append(name)
        spec = find_spec(name)
        places = (spec.submodule_search_locations if spec else None) or []
        found += [f"{name}.{module.name}" for module in pkgutil.iter_modules(places) if module.name[0] != "_"]
    return found


def skip(app: Sphinx, what: str, name: str, member: object, skipped: bool, options: object) -> bool | None:
    """Leave out the fields of named tuples: their class describes them."""
    return True if type(member).__name__ == "_tuplegetter" else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("source-read", fill)
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
