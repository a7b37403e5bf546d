"""Builds what Lambda runs, without Docker: function assets, our package's layer, and layers of third-party wheels."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
BUILD = REPOSITORY / "build"
LOCK = REPOSITORY / "requirements.lock"

PYTHON_VERSION = "3.14"  # the newest of Lambda's for which every dependency has a wheel
PLATFORM = "aarch64-manylinux_2_28"  # Amazon Linux 2023 on Graviton has glibc 2.34
INSTALL_TIMEOUT_S = 600

NOT_SHIPPED = ["**/__pycache__", "**/*.pyc", "**/.DS_Store"]
# What wheels bring for people, compilers and features that nothing here loads. Patterns begin at the layer's `python`.
TRIMMED = (
    "bin",
    "**/__pycache__",
    "**/*.pyi",
    "*.dist-info/RECORD",
    "*.dist-info/REQUESTED",
    "*.dist-info/INSTALLER",
    "zstandard/_cffi*",  # the backend for interpreters other than CPython
    "pyarrow/tests",
    "pyarrow/include",
    "pyarrow/includes",
    "pyarrow/src",
    "pyarrow/**/*.pxd",
    "pyarrow/**/*.pxi",
    "pyarrow/**/*.pyx",
    "pyarrow/_pyarrow_cpp_tests*",
    "pyarrow/_flight*",
    "pyarrow/flight.py",
    "pyarrow/libarrow_flight*",
    "pyarrow/libarrow_python_flight*",
    "pyarrow/libarrow_python*.so",  # a wheel cannot hold links, so it has three copies;
    "pyarrow/libarrow_python*.so.*.*.*",  # the loader asks for the one that ends in the ABI's number
)


class BundlingError(RuntimeError):
    """A layer could not be built; the text says which one and what to do."""


def function_folder(verb: str) -> Path:
    """Return the folder that becomes the function's asset; an absent one is made, empty."""
    folder = REPOSITORY / "functions" / verb
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def package_folder() -> Path:
    """Return the folder that becomes the layer of our own package: it holds `python/onefold` and nothing else."""
    return REPOSITORY / "layers" / "onefold"


def geography_folder() -> Path | None:
    """Return the layer of places, a folder with `python/onefold_geography/*.mmdb`; None where nobody brought one."""
    folder = REPOSITORY / "layers" / "geography"
    return folder if any(folder.glob("python/onefold_geography/*.mmdb")) else None


def requirements_of(layer: str) -> list[str]:
    """Return the names of the packages that `layers/<layer>/requirements.txt` asks for, normalized and sorted."""
    lines = (REPOSITORY / "layers" / layer / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return sorted(normalized(line) for line in lines if line.strip() and not line.startswith("#"))


def locked_requirements(names: Iterable[str], lock: Path = LOCK) -> str:
    """Return the lock's entries of `names`, version and hashes, as a requirements file.

    Raises:
        BundlingError: A name is not in the lock.
    """
    wanted = set(names)
    entries: dict[str, str] = {}
    for entry in re.split(r"\n(?=[a-z0-9])", lock.read_text(encoding="utf-8")):
        name = normalized(re.split(r"[=\[ ;]", entry, maxsplit=1)[0])
        if name in wanted:
            entries[name] = "\n".join(line for line in entry.splitlines() if not line.lstrip().startswith("#"))
    missing = sorted(wanted - entries.keys())
    if missing:
        raise BundlingError(f"{', '.join(missing)} not in {lock.name}: add to pyproject.toml and lock again")
    return "\n".join(entries[name] for name in sorted(entries)) + "\n"


def locked_version(name: str) -> str:
    """Return the version of a package that the lock names.

    Raises:
        BundlingError: The name is not in the lock.
    """
    return re.split(r"==|[ ;\\]", locked_requirements([name]), maxsplit=2)[1].strip()


def build_layer(layer: str) -> Path:
    """Install a layer's wheels for Lambda's platform, trim them and return the folder.

    The folder's name is a hash of all that goes in, so a second build finds the first one.

    Raises:
        BundlingError: The package index cannot be reached or has no fitting wheel.
    """
    requirements = locked_requirements(requirements_of(layer))
    recipe = [PYTHON_VERSION, PLATFORM, *TRIMMED, requirements]
    digest = hashlib.sha256("\n".join(recipe).encode()).hexdigest()[:16]
    folder = BUILD / "layers" / f"{layer}-{digest}"
    if folder.is_dir():
        return folder
    unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        requirements_file = unfinished / "requirements.txt"
        requirements_file.write_text(requirements, encoding="utf-8")
        _install(layer, requirements_file, unfinished / "python")
        requirements_file.unlink()
        trim(unfinished / "python")
        if not folder.is_dir():
            unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def placeholder_layer(layer: str) -> Path:
    """Return a folder that stands in for a layer where its packages are on the path already."""
    folder = BUILD / "layers" / f"{layer}-placeholder"
    (folder / "python").mkdir(parents=True, exist_ok=True)
    note = folder / "python" / "PLACEHOLDER"
    if not note.is_file():
        note.write_text(f"Stands in for the layer {layer}; synthesized with -c bundle=false.\n", encoding="utf-8")
    return folder


def _install(layer: str, requirements: Path, target: Path) -> None:
    """Download wheels alone, each checked against the lock's hashes; uv refuses a dependency that is not listed."""
    command = [
        _uv(),
        "pip",
        "install",
        "--quiet",
        "--no-config",
        *("--target", str(target)),
        *("--python-platform", PLATFORM),
        *("--python-version", PYTHON_VERSION),
        *("--only-binary", ":all:"),
        *("--link-mode", "copy"),
        "--require-hashes",
        *("--requirements", str(requirements)),
    ]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise BundlingError(f"layer {layer}: no answer from the package index in {INSTALL_TIMEOUT_S} s") from None
    except subprocess.CalledProcessError as error:
        reason = " ".join(str(error.stderr).split())
        raise BundlingError(f"layer {layer}: {reason[:500]}; or leave it out with -c bundle=false") from None


def trim(python: Path) -> None:
    """Remove what TRIMMED names from a folder of installed packages."""
    for pattern in TRIMMED:
        for path in list(python.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    (python / ".lock").unlink(missing_ok=True)


def _uv() -> str:
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.is_file() else shutil.which("uv")
    if found is None:
        raise BundlingError("uv is not installed: pip install uv, or leave the layers out with -c bundle=false")
    return found


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
