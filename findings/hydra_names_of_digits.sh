#!/usr/bin/env bash
# Hydra's grammar of the command line reads digits with underscores as numbers, as Python's source code does. So a
# folder that is named by year and month, 2024_11, becomes 202411, and root/2024_11 does not. OmegaConf then writes the
# number into a setting of type str without a word. Bites who keeps photos or runs in folders named by date.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check hydra-core==1.3.8 omegaconf==2.3.1
venv/bin/python - <<'EOF'
from dataclasses import dataclass
from importlib.metadata import version

from hydra import compose, initialize
from hydra.core.config_store import ConfigStore


@dataclass
class Settings:
    folder: str = "photos"


ConfigStore.instance().store(name="settings", node=Settings)
names = ("2024_11", "2024-11", "0101", "1e5", "root/2024_11", "'2024_11'")
with initialize(config_path=None, version_base="1.3"):
    seen = {name: compose("settings", [f"folder={name}"]).folder for name in names}

print("versions:", ", ".join(f"{p} {version(p)}" for p in ("hydra-core", "omegaconf")))
print("behaviour: folder=2024_11 sets a setting of type str to '202411', folder=1e5 to '100000.0'.")
print("expected: a setting of type str keeps the letters that were typed, as 2024-11 and 0101 do.")
print("seen:", seen)
assert seen == {
    "2024_11": "202411",
    "2024-11": "2024-11",
    "0101": "0101",
    "1e5": "100000.0",
    "root/2024_11": "root/2024_11",
    "'2024_11'": "2024_11",
}, seen
EOF
