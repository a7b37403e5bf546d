"""Memory does not grow with the file: the benchmark's figures for files of 5 and 50 MB."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "benchmarks" / "import_memory.py"
GROWTH_MAX_MB = {"one event a row": 20, "receipts of four rows": 110}  # the parts in the works may fill their room


@pytest.fixture(scope="module")
def peaks_mb() -> dict[tuple[str, int], int]:
    """(kind, megabytes) → the highest resident memory of a process that imports such a file."""
    command = [sys.executable, str(PROGRAM), "--row-bytes", "4000", "5", "50"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=240).stdout
    found = re.findall(r"^(.+?)\s+(\d+) MB .*?(\d+) MB peak", printed, re.MULTILINE)
    return {(kind, round(int(size) / 10) * 10 or 5): int(peak) for kind, size, peak in found}


@pytest.mark.parametrize("kind", GROWTH_MAX_MB)
def test_ten_times_the_file_takes_hardly_more_memory(peaks_mb: dict[tuple[str, int], int], kind: str) -> None:
    small, large = sorted(peak for (each, _), peak in peaks_mb.items() if each == kind)

    assert large - small <= GROWTH_MAX_MB[kind]
