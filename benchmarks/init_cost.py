"""INIT CPU of each function: what importing its handler costs in a fresh process, boto3 apart from the rest.

The rest is our own code with Powertools, msgspec, orjson, zstandard and whatever else it imports. Each number is the
median of several processes, in CPU time, so that other work on the machine disturbs it little.

Run: python -m benchmarks.init_cost [--processes N]
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
TARGET_MS = 150
UNWANTED = {"PYTHONDONTWRITEBYTECODE"}  # a Lambda bundle has its bytecode

# Runs in the fresh process. The interpreter's own start is over when it begins.
PROBE = """
import json, sys, time
begun = time.process_time()
import boto3, botocore.config, botocore.exceptions
boto3_s = time.process_time() - begun
begun = time.process_time()
import importlib
importlib.import_module(sys.argv[1])
rest_s = time.process_time() - begun
names = (
    "pyarrow", "sqlglot", "phonenumbers", "pydantic", "pandas", "numpy", "jsonschema_rs", "ua_parser", "maxminddb"
)
heavy = [name for name in names if name in sys.modules]
print(json.dumps([boto3_s * 1000, rest_s * 1000, heavy]))
"""


def probe(module: str) -> tuple[float, float, list[str]]:
    """CPU milliseconds of boto3, of everything else that a handler's module imports, and the heavy packages in it."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "layers/onefold/python")])
    answer = subprocess.run(
        [sys.executable, "-c", PROBE, module],
        env={name: value for name, value in os.environ.items() if name not in UNWANTED} | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    boto3_ms, rest_ms, heavy = json.loads(answer.stdout)
    return boto3_ms, rest_ms, heavy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=9, help="fresh processes for each function")
    processes = parser.parse_args().processes
    verbs = sorted(handler.parent.name for handler in (ROOT / "functions").glob("*/handler.py"))
    print(f"Python {sys.version.split()[0]}, median of {processes} processes, CPU milliseconds")
    print("| function | boto3, botocore | the rest | heavy packages | rest within 150 ms |")
    print("| --- | ---: | ---: | --- | --- |")
    for verb in verbs:
        module = f"functions.{verb}.handler"
        probe(module)  # writes the bytecode
        runs = [probe(module) for _ in range(processes)]
        boto3_ms, rest_ms = median(run[0] for run in runs), median(run[1] for run in runs)
        heavy = ", ".join(runs[0][2]) or "none"
        verdict = "yes" if rest_ms <= TARGET_MS else "NO"
        print(f"| {verb} | {boto3_ms:.0f} | {rest_ms:.0f} | {heavy} | {verdict} |", flush=True)


if __name__ == "__main__":
    main()
