"""The lake's raw zone as files on this machine, for what reads all of it."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.parquet as pq

from onefold.adapters.aws_requests import passing_failures, side_by_side
from onefold.adapters.s3_lake import EVENT_SCHEMA

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

RAW_PREFIX: Final = "raw/"
FILES_AT_ONCE: Final = 64
SCHEMA_FILE: Final = "schema.parquet"  # without rows: an old lake has not all columns


class S3LakeFiles:
    """The lake bucket's `raw/`, fetched into a folder."""

    def __init__(self, client: "S3Client", bucket_name: str) -> None:
        self._client, self._bucket_name = client, bucket_name

    def fetch(self, folder: Path, fetched: Callable[[int], None]) -> None:
        """Fetch all files of raw events.

        Args:
            folder: Is made; a file that is there already in the same size is not fetched again.
            fetched: Told how many more files are there.

        Raises:
            Unavailable: S3 is throttling or cannot be reached.
        """
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist([], schema=EVENT_SCHEMA), folder / SCHEMA_FILE)
        listed = self._list()
        while files := list(islice(listed, FILES_AT_ONCE)):
            side_by_side(lambda file: self._fetch(folder, *file), files)
            fetched(len(files))

    def _list(self) -> Iterator[tuple[str, int]]:
        pages = iter(
            self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket_name, Prefix=RAW_PREFIX)
        )
        while True:
            with passing_failures("S3"):
                page = next(pages, None)
            if page is None:
                return
            for each in page.get("Contents", []):
                if each["Key"].endswith(".parquet"):
                    yield each["Key"], each["Size"]

    def _fetch(self, folder: Path, key: str, size: int) -> None:
        path = folder.joinpath(*_parts(key))
        if path.is_file() and path.stat().st_size == size:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with passing_failures("S3"):
            body = self._client.get_object(Bucket=self._bucket_name, Key=key)["Body"].read()
        path.write_bytes(body)


def _parts(key: str) -> Sequence[str]:
    """The key's folders and name; archive writes none that would leave the folder."""
    parts = key.split("/")
    if ".." in parts:
        raise ValueError(f"{key} is no name of a file of the lake")
    return parts
