"""What Lambda is given: small enough, for the right processor, and nothing that is not needed."""

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

from infra import bundling
from infra.bundling import BundlingError, build_layer, locked_requirements, package_folder, requirements_of, trim
from infra.environments import PROD
from tests.infra.assembly import Assembly, Resource
from tests.infra.conftest import Synthesize
from tests.infra.elf import AARCH64, read_shared_library

MEGABYTE = 1024**2
UNZIPPED_BYTES_MAX = 250 * MEGABYTE  # Lambda's limit for a function with all its layers
HOT_PATH_BYTES_MAX = 40 * MEGABYTE
HEAVY = {"pyarrow", "pandas", "numpy", "duckdb", "boto3", "botocore", "cryptography"}
# Functions that nobody waits for, and what they have that is heavy.
BESIDE_THE_HOT_PATH: dict[str, set[str]] = {
    "archive": {"pyarrow"},
    "import_files": {"pyarrow"},
    "receive": {"cryptography"},
}
# What the system itself has: glibc and the compiler's runtime.
SYSTEM_LIBRARIES = ("libc.", "libm.", "libdl.", "librt.", "libpthread.", "libgcc_s.", "libstdc++.", "ld-linux-")


@pytest.fixture(scope="module")
def bundled(synthesize_app: Synthesize) -> Assembly:
    return synthesize_app(PROD, bundle=True)


def test_every_function_fits_into_lambda_with_its_layers(bundled: Assembly) -> None:
    sizes = {verb: sum(map(_bytes, _assets(bundled, function))) for verb, function in bundled.functions().items()}

    assert all(size < UNZIPPED_BYTES_MAX for size in sizes.values()), sizes
    for verb in BESIDE_THE_HOT_PATH:
        assert sizes.pop(verb) > HOT_PATH_BYTES_MAX, verb  # what is heavy is there, so the numbers are of real layers
    assert all(size < HOT_PATH_BYTES_MAX for size in sizes.values()), sizes


def test_hot_path_functions_carry_nothing_heavy(bundled: Assembly) -> None:
    for verb, function in bundled.functions().items():
        packages = {path.name for asset in _assets(bundled, function) for path in asset.glob("python/*")}
        assert {"onefold", "msgspec", "orjson", "zstandard", "sqlglot"} <= packages
        assert packages & HEAVY == BESIDE_THE_HOT_PATH.get(verb, set()), verb


@pytest.mark.parametrize("layer", ["dependencies", "columnar", "signatures"])
def test_every_library_is_for_graviton_and_finds_those_it_asks_for(layer: str) -> None:
    libraries = [path for path in build_layer(layer).rglob("*") if ".so" in path.suffixes]
    present = {path.name for path in libraries}

    assert libraries
    for path in libraries:
        library = read_shared_library(path)
        assert library.machine == AARCH64, path
        assert {name for name in library.needed if not name.startswith(SYSTEM_LIBRARIES)} <= present, path


@pytest.mark.parametrize("layer", ["dependencies", "columnar", "signatures"])
def test_layers_have_the_locked_versions(layer: str) -> None:
    installed = dict(
        path.name.removesuffix(".dist-info").rsplit("-", 1) for path in build_layer(layer).glob("python/*.dist-info")
    )

    assert {bundling.normalized(name): number for name, number in installed.items()} == {
        name: version(name) for name in requirements_of(layer)
    }


def test_trimmed_pyarrow_still_writes_and_reads_parquet(tmp_path: Path) -> None:
    """The same version for this machine's processor, trimmed in the same way, in a process that has no other."""
    spec = find_spec("pyarrow")
    assert spec is not None
    assert spec.origin is not None
    shutil.copytree(Path(spec.origin).parent, tmp_path / "pyarrow", copy_function=_link_or_copy)
    trim(tmp_path)
    program = (
        "import io, os, pyarrow as pa, pyarrow.parquet as pq\n"
        "table = pa.table({'at': pa.array([1], pa.timestamp('ms')), 'consent': pa.array([[('a', True)]],"
        " pa.map_(pa.string(), pa.bool_()))})\n"
        "file = io.BytesIO(); pq.write_table(table, file, compression='zstd'); file.seek(0)\n"
        "assert pq.read_table(file).equals(table); print(pa.__file__, flush=True)\n"
        "os._exit(0)"  # pyarrow, trimmed or not, sometimes aborts a process that ends right after a threaded read
    )

    answer = subprocess.run(
        [sys.executable, "-S", "-c", program],
        env={"PYTHONPATH": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert answer.stdout.strip() == str(tmp_path / "pyarrow" / "__init__.py")
    assert not list((tmp_path / "pyarrow").rglob("libarrow_flight*"))


def test_our_own_layer_holds_the_package_alone() -> None:
    assert [path.name for path in package_folder().iterdir()] == ["python"]
    assert {path.name for path in (package_folder() / "python").iterdir()} <= {"onefold", "__pycache__"}
    assert not list(package_folder().rglob("test_*.py"))


def test_a_second_build_finds_the_first() -> None:
    folder = build_layer("dependencies")
    before = folder.stat().st_mtime_ns

    assert build_layer("dependencies") == folder
    assert folder.stat().st_mtime_ns == before


def test_a_package_that_is_not_locked_is_named() -> None:
    with pytest.raises(BundlingError, match=r"no-such-package not in requirements\.lock"):
        locked_requirements(["msgspec", "no-such-package"])


def test_an_index_that_does_not_answer_gives_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundling, "BUILD", tmp_path / "build")
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))

    with pytest.raises(BundlingError, match=r"^layer columnar: [^\n]*-c bundle=false$"):
        build_layer("columnar")

    assert not list((tmp_path / "build" / "layers").iterdir())


def _assets(assembly: Assembly, function: Resource) -> list[Path]:
    """Return the folders of a function's code and layers."""
    resources = assembly.templates[function.stack]["Resources"]
    contents = [function.properties["Code"]]
    contents += [resources[layer["Ref"]]["Properties"]["Content"] for layer in function.properties["Layers"]]
    return [assembly.folder / f"asset.{content['S3Key'].removesuffix('.zip')}" for content in contents]


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def test_a_database_of_places_becomes_a_layer_where_somebody_brought_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundling, "REPOSITORY", tmp_path)
    assert bundling.geography_folder() is None

    database = tmp_path / "layers/geography/python/onefold_geography/GeoLite2-City.mmdb"
    database.parent.mkdir(parents=True)
    database.touch()

    assert bundling.geography_folder() == tmp_path / "layers" / "geography"
