"""`onefold up` as a program: its first line, its answers, its end, and what it keeps."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from tests.e2e.conftest import REPOSITORY

READY_S, STOP_S, ARRIVAL_S = 150, 45, 45
COMMAND = [sys.executable, "-m", "cli.main"]


def free_port() -> int:
    """A port of which the next two are free too."""
    while True:
        with ExitStack() as taken:
            sockets = [taken.enter_context(socket.socket()) for _ in range(3)]
            sockets[0].bind(("127.0.0.1", 0))
            port: int = sockets[0].getsockname()[1]
            try:
                for place, one in enumerate(sockets[1:], start=1):
                    one.bind(("127.0.0.1", port + place))
            except (OSError, OverflowError):
                continue
            return port


@contextmanager
def up(*arguments: str, endings: tuple[signal.Signals, ...] = (signal.SIGINT,)) -> Iterator[dict[str, Any]]:
    """Start the program, give its first line, stop it as a user does, and see that it went well."""
    with subprocess.Popen(
        [*COMMAND, "up", "--json", *arguments],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        try:
            assert program.stdout is not None
            assert program.stderr is not None
            line = program.stdout.readline()
            assert line, program.stderr.read()
            yield json.loads(line)
            for each in endings:
                program.send_signal(each)
            rest, complaints = program.communicate(timeout=STOP_S)
            assert (program.returncode, rest, complaints) == (0, "", "")
        finally:
            program.kill()


def described(aws_endpoint: str) -> dict[str, Any]:
    session = boto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name="eu-central-1")
    with closing(session.client("ssm", endpoint_url=aws_endpoint)) as ssm:
        parameter = ssm.get_parameter(Name="/onefold/dev/deployment")
    description: dict[str, Any] = json.loads(parameter["Parameter"]["Value"])
    return description


def onefold(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )


def wait_for_profile(ready: dict[str, Any], identifier: str) -> dict[str, Any]:
    deadline = time.monotonic() + ARRIVAL_S
    while True:
        answer = httpx.get(
            f"{ready['api']}/v1/profiles/{identifier}",
            headers={"Authorization": f"Bearer {ready['token']}"},
            timeout=30,
        )
        if answer.status_code == 200 or time.monotonic() > deadline:
            assert answer.status_code == 200, answer.text
            profile: dict[str, Any] = answer.json()
            return profile
        time.sleep(0.2)


def identify(ready: dict[str, Any], user_id: str, **traits: str) -> None:
    message = {"userId": user_id, "traits": traits, "writeKey": ready["write_keys"]["web"]}
    answer = httpx.post(f"{ready['collector']}/v1/identify", json=message, timeout=30)
    assert (answer.status_code, answer.json()["success"]) == (200, True)


def test_it_says_where_it_is_answers_and_ends(own_home: Path) -> None:
    port = free_port()

    with up("--port", str(port)) as ready:
        assert ready["ready"] is True
        addresses = [ready[name] for name in ("collector", "api", "aws_endpoint")]
        assert addresses == [f"http://127.0.0.1:{port + place}" for place in range(3)]
        identify(ready, "kim-1", email="Kim@Posteo-Demo.net")
        profile = wait_for_profile(ready, "email:kim@posteo-demo.net")
        assert {each["value"] for each in profile["identifiers"]} == {"kim-1", "kim@posteo-demo.net"}
        assert described(ready["aws_endpoint"])["collector_url"] == ready["collector"]
        _commands_find_it(ready)
        taken = onefold("up", "--port", str(port))
        assert (taken.returncode, taken.stdout.strip()) == (1, "")
        assert taken.stderr.count("\n") == 1
        assert f"Port {port}" in taken.stderr

    assert list(own_home.iterdir()) == []
    lost = onefold("status")
    assert (lost.returncode, lost.stderr.count("\n")) == (1, 1)
    assert "onefold up" in lost.stderr


def _commands_find_it(ready: dict[str, Any]) -> None:
    profile = onefold("profile", "user_id:kim-1", "--json")
    assert json.loads(profile.stdout)["traits"]["email"] == "Kim@Posteo-Demo.net"
    again = json.loads(onefold("apply", "definitions", "--json").stdout)
    assert {step["what"] for step in again} == {"same"}
    status = json.loads(onefold("status", "--json").stdout)
    assert (status["outcomes"]["EventsAccepted"], status["undelivered"]) == (1, 0)
    assert set(status["waiting"]) == {"stitch", "archive", "evaluate", "activate"}
    deadline = time.monotonic() + ARRIVAL_S
    while (answer := json.loads(onefold("query", "SELECT user_id FROM events", "--json").stdout)) == []:
        assert time.monotonic() < deadline
    assert answer == [{"user_id": "kim-1"}]
    wrong = onefold("query", "SELECT FROM WHERE")
    assert (wrong.returncode, wrong.stdout, wrong.stderr.count("\n")) == (1, "", 1)


def test_state_is_found_again_after_a_restart(tmp_path: Path) -> None:
    state = str(tmp_path / "state")

    with up(
        "--port", str(free_port()), "--state", state, endings=(signal.SIGHUP, signal.SIGTERM, signal.SIGHUP)
    ) as ready:
        identify(ready, "lee-1", firstName="Lee")
        before = wait_for_profile(ready, "user_id:lee-1")
        keys = ready["write_keys"]
    with up("--port", str(free_port()), "--state", state, endings=(signal.SIGTERM,)) as ready:
        assert ready["write_keys"] == keys
        assert wait_for_profile(ready, "user_id:lee-1") == before
        identify(ready, "lee-1", lastName="Park")
        deadline = time.monotonic() + ARRIVAL_S
        while wait_for_profile(ready, "user_id:lee-1")["traits"] != {"firstName": "Lee", "lastName": "Park"}:
            assert time.monotonic() < deadline


def test_a_state_that_is_no_folder_gives_one_line(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("no folder")

    refused = onefold("up", "--port", str(free_port()), "--state", str(tmp_path / "state"))

    assert (refused.returncode, refused.stdout.strip(), refused.stderr.count("\n")) == (1, "", 1)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["send", "nowhere.csv", "--source", "web"], 2, "nowhere.csv: no such file"),
        (["send", "Makefile", "--source", "web"], 2, "must end in"),
        (["apply", "nowhere"], 2, "no such folder"),
        (["profile", "shoe_size:44"], 1, "No local instance is running"),
        (["status", "--env", "moon"], 2, "local|dev|staging|prod"),
        (["stauts"], 2, "No such command"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(
    own_home: Path, arguments: list[str], code: int, said: str
) -> None:
    refused = onefold(*arguments)

    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (code, "", 1)
    assert said in refused.stderr
    assert os.environ["ONEFOLD_HOME"] == str(own_home)
