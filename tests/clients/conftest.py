"""One running instance for all tests of SDKs; those that need Node or a browser run with `make test-clients`."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.world import World, running_world

# Set by `make test-clients`, which installs what these need.
collect_ignore = [] if os.environ.get("ONEFOLD_TEST_CLIENTS") else ["test_node_sdks.py", "test_browser_sdks.py"]


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("onefold")
    before = os.environ.get("ONEFOLD_HOME")
    os.environ["ONEFOLD_HOME"] = str(home)
    folder: Path = home / "definitions"
    with running_world(folder) as ready:
        yield ready
    if before is None:
        del os.environ["ONEFOLD_HOME"]
    else:
        os.environ["ONEFOLD_HOME"] = before
