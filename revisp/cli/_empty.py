"""Empty words of a command line: a path of no letters would be the current folder."""

from __future__ import annotations

import itertools
import sys

from revisp.cli._main import report_errors
from revisp.errors import ConfigError

__all__ = ["refuse_empty_words"]


def refuse_empty_words() -> None:
    """End the command with one line and exit code 2 if a word, or the value of an option, is empty.

    Settings (``data.root=``) are refused when they are composed (`revisp.config.normalise_overrides`).
    """
    with report_errors():
        for before, word in itertools.pairwise(sys.argv):
            option, equals, value = word.partition("=")
            if option.startswith("-") and equals and not value:
                raise ConfigError(f"{option} is empty: give it a value")
            if not word:
                name = before if before.startswith("-") and before != "--" else "a word of the command line"
                raise ConfigError(f"{name} is empty: give a file, a folder or another value")
