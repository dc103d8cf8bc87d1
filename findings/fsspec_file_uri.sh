#!/usr/bin/env bash
# fsspec takes the path of a file:// address as it stands, and does not decode its %20. Python's own Path.as_uri, file
# managers and RFC 8089 write a space so. An address from one then names no file for the other, and a file that fsspec
# writes to such an address has %20 in its name. Bites who passes addresses of local photos between programs.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check fsspec==2026.9.0
venv/bin/python - <<'EOF'
from importlib.metadata import version
from pathlib import Path
from urllib.request import urlopen

import fsspec

photo = Path("two words.txt").absolute()
photo.write_text("light")
address = photo.as_uri()
by_urllib = urlopen(address).read().decode()
try:
    by_fsspec = fsspec.open(address, "r").open().read()
except FileNotFoundError as error:
    by_fsspec = type(error).__name__
with fsspec.open(Path("other words.txt").absolute().as_uri(), "w") as file:
    file.write("dark")
written = sorted(path.name for path in Path().glob("other*"))

print("versions:", f"fsspec {version('fsspec')}")
print("behaviour: fsspec does not decode the path of a file:// address, in reading and in writing.")
print("expected: what Path.as_uri returns opens the file, as urllib opens it.")
print("seen:", {"address": address.rpartition("/")[2], "urllib": by_urllib, "fsspec": by_fsspec, "written": written})
assert (by_urllib, by_fsspec, written) == ("light", "FileNotFoundError", ["other%20words.txt"])
EOF
