"""The options by which each command raises the limits of what it reads."""

from __future__ import annotations

import sys

from revisp.cli._main import report_errors
from revisp.errors import ConfigError
from revisp.limits import set_limits

__all__ = ["LIMIT_SENTENCE", "LIMIT_WORDS", "take_limits"]

LIMIT_WORDS = """\
  --max-megapixels N          read photos and RAW files of up to N million pixels [300]
  --max-million-parameters N  load networks of up to N million parameters [1000]
"""
"""What the help says of them, as a list."""

LIMIT_SENTENCE = (
    "Every command also takes --max-megapixels N and --max-million-parameters N, which raise the limits of what it"
    " reads."
)
"""What the help says of them, as a sentence."""

_NAMES = {"--max-megapixels": "max_megapixels", "--max-million-parameters": "max_million_parameters"}


def take_limits() -> None:
    """Take these options out of the command line, wherever they stand before ``--``, and set the limits.

    They end the command with one line and exit code 2 if a value is wrong.
    """
    given: dict[str, str] = {}
    left: list[str] = []
    words = iter(sys.argv[1:])
    for word in words:
        name, stated, value = word.partition("=")
        if word == "--":
            left += [word, *words]
        elif name in _NAMES:
            given[_NAMES[name]] = value if stated else next(words, "")
        else:
            left.append(word)
    with report_errors():
        if empty := [name for name, value in given.items() if not value]:
            raise ConfigError(f"--{empty[0].replace('_', '-')} needs a number of millions")
        set_limits(**given)
    sys.argv[1:] = left
