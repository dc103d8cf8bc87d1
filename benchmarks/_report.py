"""What every benchmark prints beside its figures: the machine, the versions, the day."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import re
from pathlib import Path

__all__ = ["provenance"]


def provenance(*packages: str) -> str:
    """Return one line on cores, processor, date and versions."""
    names = ("revisp", "torch", "pytorch-lightning", *packages)
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    return (
        f"{os.cpu_count()} cores ({_processor()}); {datetime.date.today()}, Python {platform.python_version()}, "
        f"{versions}"
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", info.read_text()) if info.exists() else []
    return names[0] if names else platform.processor() or platform.machine()
