"""Sphinx extension: put what is generated from the code into the pages that ask for it.

A page holds a marker on a line of its own; the build replaces it:

* ``<!-- configuration -->``: every key of ``conf/``;
* ``<!-- networks -->``: the networks of the catalogue;
* ``<!-- house -->``: the floors, rooms and fences of the package;
* ``<!-- options: revisp-predict -->``: the options of a Typer command;
* ``<!-- modules: revisp.mask revisp.io -->``: the documentation of modules; a package stands for all its modules.
"""

from __future__ import annotations

import pkgutil
import re
from importlib.util import find_spec
from typing import Any

import config_reference
import house
import yaml
from sphinx.application import Sphinx

COMMANDS = {
    "revisp-models": "revisp.cli.models",
    "revisp-predict": "revisp.cli.predict",
    "revisp-app": "revisp.cli.app",
    "revisp-export": "revisp.cli.export",
    "revisp-prepare": "revisp.cli.prepare",
}

TILE = 504 * 504 / 1e6
"""Megapixels of the tile that a network's cost is given for."""


def fill(app: Sphinx, docname: str, source: list[str]) -> None:
    """Replace the markers of a page."""
    text = source[0]
    if "<!-- configuration -->" in text:
        text = text.replace("<!-- configuration -->", config_reference.render(config_reference.read_tree()))
    if "<!-- networks -->" in text:
        text = text.replace("<!-- networks -->", networks())
    if "<!-- house -->" in text:
        text = text.replace("<!-- house -->", house.render())
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


def networks() -> str:
    """Return a Markdown table of the catalogue's networks, without those that plugins bring."""
    from revisp.backbones import describe_backbones

    heads = "network", "parameters", "GMAC", "GMAC/MP", "predicts", "sees", "S7", "P20", "recipe", "from"
    rows = [_network(row) for row in describe_backbones() if row["plugin"] is None]
    return "\n".join(["| " + " | ".join(line) + " |" for line in (heads, ("---",) * len(heads), *rows)])


def _network(known: dict[str, Any]) -> tuple[str, ...]:
    """Return the cells of a network."""
    from revisp.backbones import BACKBONES

    name, gmac = known["name"], known["gmac"]
    network = BACKBONES.get(name)
    reported = known["reported"]
    scores = [(reported.get(f"{track}/psnr"), reported.get(f"{track}/ssim")) for track in ("s7", "p20")]
    return (
        f"{{py:class}}`{name} <{network.__module__}.{network.__qualname__}>`",
        "" if known["parameters"] is None else f"{known['parameters']:,}",
        "" if gmac is None else f"{gmac:.1f}",
        "" if gmac is None else f"{gmac / TILE:.0f}",
        f"`{known['native']}`",
        "photo" if known["global_context"] else f"{known['receptive_field']} px",
        *("" if psnr is None else f"{psnr:.2f} / {ssim:.2f}" for psnr, ssim in scores),
        ", ".join(f"`experiment={recipe}`" for recipe in recipes(name)),
        known["paper"].replace("|", "\\|"),
    )


def recipes(backbone: str) -> list[str]:
    """Return the experiments of ``conf/`` that are made for a network."""
    files = sorted((config_reference.REPOSITORY / "conf" / "experiment").glob("*.yaml"))
    defaults = {file.stem: yaml.safe_load(file.read_text()).get("defaults", []) for file in files}
    return [name for name, choices in defaults.items() if {"override /backbone": backbone} in choices]


def modules(names: list[str]) -> str:
    """Return a section for each module. It holds what the module defines, not what a package passes on."""
    how = ":members:", ":ignore-module-all:", ":show-inheritance:"
    return "\n".join(
        "\n   ".join([f"## `{name}`\n\n```{{eval-rst}}\n.. automodule:: {name}", *how]) + "\n```\n"
        for name in expand(names)
    )


def expand(names: list[str]) -> list[str]:
    """Replace packages by themselves and the public modules in and below them, which are not imported."""
    found = []
    for name in names:
        found.append(name)
        spec = find_spec(name)
        places = (spec.submodule_search_locations if spec else None) or []
        below = [module.name for module in pkgutil.iter_modules(places) if module.name[0] != "_"]
        found += expand([f"{name}.{module}" for module in below])
    return found


def skip(app: Sphinx, what: str, name: str, member: object, skipped: bool, options: object) -> bool | None:
    """Leave out the fields of named tuples: their class describes them."""
    return True if type(member).__name__ == "_tuplegetter" else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("source-read", fill)
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
