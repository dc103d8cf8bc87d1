"""The journal of a preparation: a line for each finished item, until the manifest is written.

A line is the list of the outcomes of an item, or ``{"anew": NAMES}``: pictures whose arrays are about to change.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from revisp.data.entry import Entry, Reject, outcome_of
from revisp.errors import DataError, OutputError
from revisp.schema import Text, parse, validated

__all__ = ["JOURNAL", "Journal", "Outcome"]

JOURNAL = "journal.jsonl"

Outcome = Entry | Reject

_ANEW = TypeAdapter(Annotated[dict[Literal["anew"], list[Text]], Field(min_length=1)])


class Journal:
    """A file of lines; each is on the disk as soon as it is added.

    Args:
        root: folder of the data set.
    """

    def __init__(self, root: Path) -> None:
        self.path = root / JOURNAL

    def read(self) -> list[list[Outcome] | list[str]]:
        """Return line by line the outcomes of an item, or names of pictures that were about to change.

        A last line without its end was cut off by a crash. It is removed from the file.

        Raises:
            DataError: a complete line is damaged.
            OutputError: the file cannot be shortened.
        """
        try:
            data = self.path.read_bytes() if self.path.exists() else b""
            *lines, rest = data.split(b"\n")
            if rest:
                os.truncate(self.path, len(data) - len(rest))
        except OSError as error:
            raise OutputError(f"cannot continue {self.path}: {error.strerror or error}") from error
        return [self._parse(number, line) for number, line in enumerate(lines, start=1)]

    def finished(self, outcomes: Sequence[Outcome]) -> None:
        """Record the outcomes of an item.

        Raises:
            OutputError: the file cannot be written.
        """
        self._append([outcome.to_dict() for outcome in outcomes])

    def begun(self, names: Sequence[str]) -> None:
        """Record that pictures are about to be overwritten: they are not valid until their item is finished.

        Raises:
            OutputError: the file cannot be written.
        """
        self._append({"anew": list(names)})

    def remove(self) -> None:
        """Remove the file, since the manifest now holds its content."""
        self.path.unlink(missing_ok=True)

    def _append(self, values: Any) -> None:
        line = json.dumps(values, allow_nan=False)
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror or error}") from error

    def _parse(self, number: int, line: bytes) -> list[Outcome] | list[str]:
        try:
            values = parse(line)
            if isinstance(values, dict):
                return validated(_ANEW, values, "names of pictures", DataError)["anew"]
            if not isinstance(values, list):
                raise DataError("neither outcomes nor names of pictures")
            return [outcome_of(value) for value in values]
        except (ValueError, DataError) as error:
            raise DataError(f"{self.path}:{number}: damaged ({error}); remove the file to start again") from error
