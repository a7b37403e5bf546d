"""Synthesis from a program: once for each state of the sources, and errors in one line."""

import time
from pathlib import Path

import pytest

from infra import synthesis
from infra.synthesis import SynthesisError, synthesize

SECOND_CALL_MAX_S = 0.3


@pytest.fixture(scope="module")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesize("dev", output=tmp_path_factory.mktemp("assembly") / "cdk.out", bundle=False)


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in for the repository, so that nobody edits it between two calls."""
    monkeypatch.setattr(synthesis, "REPOSITORY", tmp_path)
    monkeypatch.setattr(synthesis, "NOT_SOURCES", frozenset({tmp_path / "infra" / "local"}))
    for path in ("app.py", "infra/local/runtime.py", "infra/environments.py", "functions/collect/handler.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    return tmp_path


def test_the_assembly_is_whole(assembly: Path) -> None:
    assert len(list(assembly.glob("Onefold-Dev-*.template.json"))) == 7
    assert (assembly / "manifest.json").is_file()


def test_a_second_call_answers_at_once(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthesis, "_run_app", lambda _environment, output, **_: output.mkdir())
    output = synthesize("dev", output=sources / "cdk.out", bundle=False)
    monkeypatch.setattr(synthesis, "_run_app", _must_not_run)

    assert synthesize("dev", output=output, bundle=False) == output


def test_it_takes_no_time_to_see_that_nothing_changed() -> None:
    started = time.perf_counter()
    synthesis._digest("dev", bundle=False)

    assert time.perf_counter() - started < SECOND_CALL_MAX_S


@pytest.mark.parametrize("change", [{"environment": "prod"}, {"bundle": True}])
def test_another_environment_or_bundling_is_made_anew(
    assembly: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, object]
) -> None:
    monkeypatch.setattr(synthesis, "_run_app", _must_not_run)
    asked = {"environment": "dev", "bundle": False, **change}

    with pytest.raises(AssertionError, match="made anew"):
        synthesize(str(asked["environment"]), output=assembly, bundle=bool(asked["bundle"]))

    assert (assembly / "manifest.json").is_file()  # what was there stays until the new one is whole


def test_a_changed_source_is_made_anew_and_the_local_runtime_is_none(sources: Path) -> None:
    digest = synthesis._digest("dev", bundle=False)

    (sources / "infra/local/runtime.py").write_text("changed")
    assert synthesis._digest("dev", bundle=False) == digest
    (sources / "functions/collect/handler.py").write_text("changed")
    assert synthesis._digest("dev", bundle=False) != digest


def test_a_failing_app_gives_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(SynthesisError) as raised:
        synthesize("moon", output=tmp_path / "cdk.out", bundle=False)

    assert "\n" not in str(raised.value)
    assert 'unknown environment "moon"' in str(raised.value)
    assert {path.name for path in tmp_path.iterdir()} == {"cdk.out.lock"}


def _must_not_run(*_: object, **__: object) -> None:
    raise AssertionError("made anew")
