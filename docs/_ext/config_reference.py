"""Explain every key of the YAML files in ``conf/`` by the comments in them.

A comment in the first lines of a file says what the file is for. A comment beside a key, or in the lines right
above it, explains the key. What several files share, or what has no room there, is in ``docs/config_keys.yaml``.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

__all__ = ["ConfigFile", "Key", "read_file", "read_tree", "render"]

REPOSITORY = Path(__file__).resolve().parents[2]
PRIMARY = "train"
GLOBAL = "@package _global_"


@dataclass(frozen=True)
class Key:
    """One setting: its dotted name on the command line, its value as written, and what it means ("" if unsaid)."""

    name: str
    value: str
    meaning: str


@dataclass(frozen=True)
class ConfigFile:
    """One YAML file: the group it is in ("" for a primary config), its name, its purpose and its keys.

    A group in a group (``loss/terms``) has keys that files of the outer one place where they want them.
    """

    group: str
    name: str
    about: str
    choices: tuple[Key, ...]
    keys: tuple[Key, ...]


def read_tree(conf: Path = REPOSITORY / "conf") -> list[ConfigFile]:
    """Read all configuration files: the primary ones first, then group by group."""
    shared = yaml.safe_load((REPOSITORY / "docs" / "config_keys.yaml").read_text())
    inner = [read_file(path, _group(path, conf), shared) for path in sorted(conf.glob("*/*/*.yaml"))]
    shared |= {key.name: key.meaning for file in inner for key in file.keys}
    outer = sorted(conf.glob("*.yaml")) + sorted(conf.glob("*/*.yaml"))
    return [read_file(path, _group(path, conf), shared) for path in outer] + inner


def _group(path: Path, conf: Path) -> str:
    return "/".join(path.relative_to(conf).parts[:-1])


def read_file(path: Path, group: str, shared: dict[str, str]) -> ConfigFile:
    """Read one configuration file; ``shared`` explains keys that have no comment, by name or by pattern."""
    text = path.read_text()
    lines = text.splitlines()
    header = next((at for at, line in enumerate(lines) if not line.startswith("#")), len(lines))
    about = " ".join(line.lstrip("# ") for line in lines[:header] if GLOBAL not in line)
    prefix = "" if not group or any(GLOBAL in line for line in lines[:header]) else f"{group.replace('/', '.*.')}."
    root = yaml.compose(text)
    keys, choices = [], []
    for name, key, value in _nodes(root) if root is not None else ():
        meaning = _comment(lines, key.start_mark.line, header)
        if name == "defaults":
            choices += [_choice(lines, entry, shared) for entry in value.value]
        elif not _is_block(value):
            keys.append(Key(prefix + name, _source(text, value), meaning or _explain(prefix + name, shared)))
        elif meaning:
            keys.append(Key(f"{prefix}{name}.*", "", meaning))
    return ConfigFile(group, path.stem, about, tuple(choice for choice in choices if choice), tuple(keys))


def _explain(name: str, shared: dict[str, str]) -> str:
    patterns = (key for key in shared if "*" in key and fnmatch.fnmatchcase(name, key))
    return shared.get(name) or shared.get(next(patterns, ""), "")


def _nodes(node: yaml.MappingNode, prefix: str = "") -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
    """Yield the dotted name, the key and the value of everything in a mapping, depth first."""
    for key, value in node.value:
        yield f"{prefix}{key.value}", key, value
        if _is_block(value):
            yield from _nodes(value, f"{prefix}{key.value}.")


def _is_block(node: yaml.Node) -> bool:
    """Whether a value is a mapping written in lines; one in braces counts as a single value."""
    return isinstance(node, yaml.MappingNode) and not node.flow_style


def _choice(lines: list[str], entry: yaml.Node, shared: dict[str, str]) -> Key | None:
    """Return an entry of a defaults list (None for ``_self_``)."""
    if not isinstance(entry, yaml.MappingNode):
        return None
    ((group, choice),) = entry.value
    meaning = _comment(lines, group.start_mark.line, len(lines)) or shared.get(f"defaults.{group.value}", "")
    return Key(group.value, choice.value, meaning)


def _comment(lines: list[str], at: int, header: int) -> str:
    """Return the comment beside a line, else the one right above it that is not the file's own."""
    _, mark, beside = lines[at].partition(" #")
    if mark:
        return beside.strip()
    above: list[str] = []
    while at > header and lines[at - 1].lstrip().startswith("#"):
        at -= 1
        above.insert(0, lines[at].lstrip("# "))
    return " ".join(above)


def _source(text: str, node: yaml.Node) -> str:
    source = text[node.start_mark.index : node.end_mark.index]
    return source.strip() or "null"


def render(files: list[ConfigFile]) -> str:
    """Return the reference as Markdown."""
    primary = [file for file in files if not file.group]
    parts = []
    for file in primary:
        parts.append(f"## `{file.name}.yaml`\n\n{file.about}\n")
        if file.choices:
            parts.append(_table(("group", "default", "what it chooses"), file.choices))
        parts.append(_table(("key", "default", "meaning"), file.keys))
    for group in sorted({file.group for file in files if file.group}):
        parts.append(f"## `{group}=`\n")
        for file in (file for file in files if file.group == group):
            parts.append(f"### `{group}={file.name}`\n\n{file.about}\n")
            bases = dict.fromkeys(_base(group, choice) for choice in file.choices if "override" not in choice.name)
            if bases:
                parts.append(f"Has all keys of {', '.join(f'`{base}`' for base in bases)}, and:\n")
            parts.append(_table(("key", "value", "meaning"), file.keys))
    return "\n".join(parts)


def _base(group: str, choice: Key) -> str:
    """Return how a file on which another builds is named: by its group too, where that is an inner one."""
    inner, packed, _ = choice.name.partition("@")
    return f"{group}/{inner}={choice.value}" if packed else choice.value


def _table(titles: tuple[str, str, str], rows: tuple[Key, ...]) -> str:
    lines = [f"| {' | '.join(titles)} |", "| --- | --- | --- |"]
    for row in rows:
        value = f"`{_cell(row.value)}`" if row.value else ""
        meaning = row.meaning[:1].upper() + row.meaning[1:]
        lines.append(f"| `{row.name}` | {value} | {_cell(meaning)} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
