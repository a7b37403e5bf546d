"""What the end-to-end tests share: the stacks running here with every role enforced, and where optional data lies."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("ONEFOLD_DATA", REPOSITORY.parent / "shared" / "data"))
RETAIL = DATA / "commerce" / "online_retail_2010_2011.parquet"


@pytest.fixture(scope="module", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the tests' instances apart from one that a developer runs."""
    home = tmp_path_factory.mktemp("onefold")
    before = os.environ.get("ONEFOLD_HOME")
    os.environ["ONEFOLD_HOME"] = str(home)
    yield home
    if before is None:
        del os.environ["ONEFOLD_HOME"]
    else:
        os.environ["ONEFOLD_HOME"] = before
