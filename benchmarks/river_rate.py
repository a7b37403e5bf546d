"""How fast the local runtime is: HTTP to stitched fragment, in batches, and where its time goes.

Run: python benchmarks/river_rate.py [EVENTS] [PERSONS] [BATCH]
"""

import base64
import random
import subprocess
import sys
import time

from cli.up import Running, apply_if_none, running
from infra.local.functions import FunctionStatistics

TARGET_PER_S = 500
CLIENTS = 2
CLIENT = """
import http.client, json, random, sys, time
host, authorization, events, persons, batch, seed = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
draw = random.Random(seed)
connection = http.client.HTTPConnection(host, timeout=60)
for start in range(0, events, batch):
    messages = []
    for number in range(start, min(events, start + batch)):
        person = draw.randrange(persons)
        message = {"type": "track", "event": "Product Viewed", "anonymousId": f"device-{person}",
                   "messageId": f"{seed}-{number}", "properties": {f"property_{k}": "value" * 3 for k in range(6)}}
        if draw.random() < 0.3:
            message["userId"] = f"person-{person // 2}"
        messages.append(message)
    connection.request("POST", "/v1/batch", json.dumps({"batch": messages}),
                       {"authorization": authorization, "content-type": "application/json"})
    response = connection.getresponse()
    body = response.read()
    assert response.status == 200, (response.status, body[:200])
"""


def main() -> None:
    events, persons, batch = (int(text) for text in (sys.argv[1:] + ["10000", "2000", "100"][len(sys.argv) - 1 :]))
    seed = random.Random().randrange(10**6)
    with running(recorded=False) as run:
        key = apply_if_none(run.deployment)["server"]
        host = run.instance.collector.removeprefix("http://")
        authorization = "Basic " + base64.b64encode(f"{key}:".encode()).decode()
        verbs = {name: verb for verb, name in run.deployment.description.functions.items()}
        began, cpu_began = time.perf_counter(), time.process_time()
        clients = [
            subprocess.Popen([sys.executable, "-c", CLIENT, host, authorization, *map(str, numbers)])
            for numbers in ((events // CLIENTS, persons, batch, seed + each) for each in range(CLIENTS))
        ]
        failed = [client for client in clients if client.wait() != 0]
        assert not failed, "a client failed"
        accepted_s = time.perf_counter() - began
        stitched_s = _wait(run, began, "stitch")
        stitched_cpu_s = time.process_time() - cpu_began
        done_s = _wait(run, began, "stitch", "evaluate", "activate", "archive")
        statistics = {verbs[name]: each for name, each in run.runtime.statistics.items() if name in verbs}
    total = events // CLIENTS * CLIENTS
    print(f"{total} events of {persons} persons in batches of {batch}, seed {seed}")
    print(f"accepted  {total / accepted_s:8.0f} events/s")
    print(f"stitched  {total / stitched_s:8.0f} events/s   (target {TARGET_PER_S})")
    print(f"all done  {total / done_s:8.0f} events/s   evaluated, activated and archived")
    print(f"until stitched: {stitched_cpu_s:.1f} s CPU in {stitched_s:.1f} s")
    _print_where(statistics)


def _wait(run: Running, began: float, *verbs: str) -> float:
    """Seconds from `began` until these functions have nothing left to take."""
    names = [run.deployment.description.functions[verb] for verb in verbs]
    while any(run.runtime.lag()[name] for name in names):
        time.sleep(0.01)
    return time.perf_counter() - began


def _print_where(statistics: dict[str, FunctionStatistics]) -> None:
    print(f"\n{'function':10} {'invocations':>11} {'records':>8} {'CPU s':>7} {'share':>6}")
    whole = sum(each.cpu_s for each in statistics.values()) or 1.0
    for verb, each in sorted(statistics.items(), key=lambda item: -item[1].cpu_s):
        print(f"{verb:10} {each.invocations:11} {each.records:8} {each.cpu_s:7.2f} {each.cpu_s / whole:6.0%}")


if __name__ == "__main__":
    main()
