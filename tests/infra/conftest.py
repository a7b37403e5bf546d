"""Synthesizes each environment once a session, in this process."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.bundling import REPOSITORY
from infra.environments import ENVIRONMENT_BY_NAME, Environment
from infra.node_runtime import use_packaged_node
from tests.infra.assembly import Assembly

use_packaged_node()

Synthesize = Callable[..., Assembly]


@pytest.fixture(scope="session")
def synthesize_app(tmp_path_factory: pytest.TempPathFactory) -> Synthesize:
    """Return a function that builds the stacks of a (possibly altered) environment and reads their templates."""

    def synthesize_app(environment: Environment, *, removable: bool | None = None, bundle: bool = False) -> Assembly:
        from aws_cdk import App

        from infra.application import build_stacks

        folder = tmp_path_factory.mktemp(environment.name)
        settings = json.loads((REPOSITORY / "cdk.json").read_text(encoding="utf-8"))
        app = App(context=settings["context"], outdir=str(folder))
        build_stacks(app, environment, bundle=bundle, removable=removable)
        app.synth()
        return Assembly.read(folder)

    return synthesize_app


@pytest.fixture(scope="session")
def assemblies(synthesize_app: Synthesize) -> dict[str, Assembly]:
    """Map each environment's name to its templates."""
    return {name: synthesize_app(environment) for name, environment in ENVIRONMENT_BY_NAME.items()}


@pytest.fixture(scope="session")
def prod(assemblies: dict[str, Assembly]) -> Assembly:
    return assemblies["prod"]


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY
