"""Installs the SDKs that are not Python's, and older Python ones, with a browser, into build/clients."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from infra.node_runtime import packaged_node_folder

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "build" / "clients"
MANIFEST = Path(__file__).with_name("node")
# The first sends its write key in the body alone; the second is from before Segment's SDK had its name.
OLD_PYTHON = {
    "segment-python-old": "segment-analytics-python==2.3.5",
    "analytics-python": "analytics-python==1.4.post1",
}
FUZZER = "atheris==3.0.0"  # its wheels are for Linux alone, so it is not among the packages that everybody gets


def node() -> Path:
    folder = packaged_node_folder()
    if folder is None:
        raise SystemExit("error: Node.js is not installed; run make install")
    return folder / "node"


def python_folder(name: str) -> Path:
    return FOLDER / "python" / name


def install_python(name: str, package: str) -> None:
    """Unpack a package and what it needs into a folder of its own, unless that was done."""
    if not python_folder(name).is_dir():
        command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--only-binary", ":all:"]
        subprocess.run([*command, "--target", str(python_folder(name)), package], check=True)


def install() -> None:
    """Bring build/clients to what package-lock.json says; a second time it does nothing."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = (MANIFEST / "package-lock.json").read_bytes()
    done = FOLDER / ".installed"
    if not done.is_file() or done.read_bytes() != wanted:
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(MANIFEST / name, FOLDER / name)
        npm = node().parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        path = {"PATH": f"{node().parent}:{os.environ.get('PATH', '')}"}
        command = [str(node()), str(npm), "install", "--no-progress"]
        subprocess.run(command, cwd=FOLDER, env=os.environ | path, check=True)
    for name, package in OLD_PYTHON.items():
        install_python(name, package)
    done.write_bytes(wanted)


if __name__ == "__main__":
    if "--fuzzer" in sys.argv:
        install_python("fuzzer", FUZZER)
    else:
        install()
