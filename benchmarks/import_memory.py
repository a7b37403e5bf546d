"""How much memory an import takes, and how fast it goes: files of growing size, each in a process of its own.

`python benchmarks/import_memory.py [--row-bytes N] [megabytes …]`; without arguments 64 and 1,024 of rows of 600 bytes.
"""

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIZES_MB = (64, 1_024)
KINDS = ("one event a row", "receipts of four rows")
ROW_BYTES = 600
ROWS_A_BLOCK, RECEIPTS_A_BLOCK = 1_000, 250
RESIDENT_MAX_MB = 420  # a quarter of what the function has
MAPPINGS = {
    KINDS[0]: """
source: files
message_id: till/{line}
timestamp: {column: at}
identifiers: {user_id: customer, email: mail}
events: [{event: Order Completed}]
properties: {order_id: line, total: {column: price, type: money}, note: note}
""",
    KINDS[1]: """
source: files
message_id: till/{receipt}
group_by: [receipt]
timestamp: {column: at}
identifiers: {user_id: customer}
events: [{event: Order Completed}]
properties: {order_id: receipt, total: {sum: [price]}, products: {rows: {product_id: line, price: price, note: note}}}
""",
}


def write_file(path: Path, size_mb: int, row_bytes: int = ROW_BYTES) -> int:
    """A till's export, the four lines of a receipt 250 rows apart; gives its rows."""
    chance = random.Random(size_mb)
    notes = [f"{chance.randbytes((row_bytes - 80) // 2).hex()}{n}" for n in range(500)]
    rows = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("line;receipt;at;customer;mail;price;note\n")
        while file.tell() < size_mb * 1_000_000:
            block = rows // ROWS_A_BLOCK
            lines = []
            for n in range(ROWS_A_BLOCK):
                receipt, person = block * RECEIPTS_A_BLOCK + n % RECEIPTS_A_BLOCK, chance.randrange(100_000)
                lines.append(
                    f"{rows + n};r{receipt};2024-05-{1 + n % 28:02d}T10:00:00Z;c{person};c{person}@posteo-demo.net;"
                    f'{person % 90}.{n % 100:02d};"{notes[(rows + n) % 500]}"\n'
                )
            file.writelines(lines)
            rows += ROWS_A_BLOCK
    return rows


def import_one(path: Path, kind: str) -> None:
    """In a process of its own: import, and print what it took."""
    from onefold.adapters.table_files import LocalFile
    from onefold.use_cases.collect import KeyedBatch
    from onefold.use_cases.import_files import INBOX, ImportRequest
    from tests.fakes.importing import workshop

    class Stream:
        """Takes everything and keeps only how much."""

        records = 0

        def append(self, batches: list[KeyedBatch]) -> list[KeyedBatch]:
            self.records += len(batches)
            return []

    class OnDisk(dict[tuple[str, int, int], bytes]):
        """Parts lie in S3, and not in the process that is measured."""

        def __setitem__(self, key: tuple[str, int, int], rows: bytes) -> None:
            super().__setitem__(key, b"")
            self.place(key).write_bytes(rows)

        def __getitem__(self, key: tuple[str, int, int]) -> bytes:
            return self.place(key).read_bytes()

        def pop(self, key: tuple[str, int, int], default: bytes | None = None) -> bytes | None:  # type: ignore[override]
            self.place(key).unlink(missing_ok=True)
            return super().pop(key, default)

        @staticmethod
        def place(key: tuple[str, int, int]) -> Path:
            return path.with_name(f"part-{key[1]}-{key[2]}")

    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    shop = workshop(MAPPINGS[kind])
    shop.log = Stream()  # type: ignore[assignment]
    shop.store.parts = OnDisk()
    request = ImportRequest(f"{INBOX}table/{path.name}", "1")
    shop.store.files[request.key] = LocalFile(path)  # type: ignore[assignment]
    began, cpu = time.perf_counter(), time.process_time()
    done = shop.finish(request)
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
    size_mb = path.stat().st_size / 1e6
    print(
        f"{kind:24}{size_mb:8,.0f} MB {done.counts.rows:>10,} rows {done.counts.accepted:>10,} events "
        f"{peak_mb:6.0f} MB peak ({before_kb / 1_024:.0f} before)  {seconds:6.1f} s, CPU {cpu_s:6.1f} s "
        f"{done.counts.rows / cpu_s:8,.0f} rows/CPU s {size_mb / cpu_s:6.1f} MB/CPU s",
        flush=True,
    )
    assert done.counts.refused == 0
    assert peak_mb < RESIDENT_MAX_MB, "the import holds more than it should"


def main() -> None:
    """Print one line for each size and kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, metavar="megabytes")
    parser.add_argument("--row-bytes", type=int, default=ROW_BYTES)
    parser.add_argument("--one", nargs=2, metavar=("FILE", "KIND"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        import_one(Path(arguments.one[0]), arguments.one[1])
        return
    sizes = arguments.sizes or list(SIZES_MB)
    repository = Path(__file__).resolve().parents[1]
    paths = os.pathsep.join([str(repository), str(repository / "layers" / "onefold" / "python")])
    with tempfile.TemporaryDirectory() as folder:
        for size_mb in sizes:
            path = Path(folder) / f"till-{size_mb}.csv"
            write_file(path, size_mb, arguments.row_bytes)
            for kind in KINDS:
                command = [sys.executable, __file__, "--one", str(path), kind]
                subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": paths})
            path.unlink()


if __name__ == "__main__":
    main()
