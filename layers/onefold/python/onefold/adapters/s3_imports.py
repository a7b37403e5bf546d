"""Imports in S3: dropped files, the summaries beside them, whose contents are through, and parts on the way."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn

import msgspec
import zstandard
from botocore.exceptions import BotoCoreError, ClientError

from onefold.adapters.aws_requests import error_code, passing_failures, side_by_side
from onefold.domain.errors import MappingInvalid, Unavailable, VersionConflict
from onefold.domain.import_file import Claim, Import

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SUMMARIES: Final = "imports/summaries/"
CLAIMS: Final = "imports/claims/"
PARTS: Final = "imports/parts/"
FORCE: Final = "force"  # a file's metadata
CHUNK_BYTES: Final = 1_024 * 1_024
KEYS_A_DELETE_MAX: Final = 1_000
READ_ATTEMPTS_MAX: Final = 5
_GONE: Final = frozenset(["NoSuchKey", "404", "NotFound"])
_OTHERS_WERE_FIRST: Final = frozenset(["PreconditionFailed", "ConditionalRequestConflict", "412"])
_PART_BYTES_MAX: Final = 256 * 1_024 * 1_024


class S3File:
    """`StoredFile` in a bucket; every read names the version, so a file that is replaced is never mixed."""

    def __init__(self, client: "S3Client", bucket_name: str, key: str, about: Any) -> None:
        self._client, self._bucket_name, self._key = client, bucket_name, key
        self.name = key.rpartition("/")[2]
        self.size, self.version = int(about["ContentLength"]), str(about["ETag"])

    def chunks(self, at: int = 0) -> Iterator[bytes]:
        """Stream the bytes; a connection that breaks is taken up where it broke.

        Raises:
            MappingInvalid: The file was replaced.
            Unavailable: It cannot be read now.
        """
        failures = 0
        while at < self.size:
            try:
                for chunk in self._get(at, self.size)["Body"].iter_chunks(CHUNK_BYTES):
                    at += len(chunk)
                    yield chunk
                    failures = 0
            except BotoCoreError as error:
                failures += 1
                if failures == READ_ATTEMPTS_MAX:
                    raise Unavailable("S3 breaks off again and again") from error

    def read(self, at: int, end: int) -> bytes:
        with passing_failures("S3"):
            return bytes(self._get(at, end)["Body"].read())

    def _get(self, at: int, end: int) -> Any:
        with passing_failures("S3"):
            try:
                return self._client.get_object(
                    Bucket=self._bucket_name, Key=self._key, Range=f"bytes={at}-{end - 1}", IfMatch=self.version
                )
            except ClientError as error:
                if error_code(error) in _GONE | _OTHERS_WERE_FIRST:
                    text = "The file was replaced or removed while it was imported"
                    raise MappingInvalid("file_changed", text) from error
                raise


class S3ImportStore:
    """`ImportStore` below `imports/` of a bucket."""

    def __init__(self, client: "S3Client", bucket_name: str) -> None:
        self._client, self._bucket_name = client, bucket_name

    def open(self, key: str) -> S3File | None:
        about = self._head(key)
        return None if about is None else S3File(self._client, self._bucket_name, key, about)

    def is_forced(self, key: str) -> bool:
        about = self._head(key)
        return about is not None and about.get("Metadata", {}).get(FORCE) == "true"

    def load(self, mapping: str, file: str) -> tuple[Import | None, str]:
        found = self._read(_summary_key(mapping, file))
        return (None, "") if found is None else (msgspec.json.decode(found[0], type=Import), found[1])

    def save(self, summary: Import, tag: str) -> str:
        key = _summary_key(summary.mapping, summary.file)
        return self._write(key, msgspec.json.encode(summary), **({"IfMatch": tag} if tag else {"IfNoneMatch": "*"}))

    def claim(self, mapping: str, digest: str, file: str) -> Claim | None:
        key = _claim_key(mapping, digest)
        try:
            self._write(key, msgspec.json.encode(Claim(file)), IfNoneMatch="*")
        except VersionConflict:
            found = self._read(key)
            return None if found is None else msgspec.json.decode(found[0], type=Claim)
        return None

    def settle(self, mapping: str, digest: str, claim: Claim) -> None:
        self._write(_claim_key(mapping, digest), msgspec.json.encode(claim))

    def release(self, mapping: str, digest: str) -> None:
        with passing_failures("S3"):
            self._client.delete_object(Bucket=self._bucket_name, Key=_claim_key(mapping, digest))

    def put_parts(self, work: str, span: int, rows: Mapping[int, bytes]) -> None:
        def put(part: int) -> str:
            return self._write(_part_key(work, part, span), zstandard.ZstdCompressor(level=1).compress(rows[part]))

        side_by_side(put, sorted(rows))

    def load_part(self, work: str, part: int, spans: int) -> list[bytes]:
        found = side_by_side(self._read, [_part_key(work, part, span) for span in range(spans)])
        plain = zstandard.ZstdDecompressor()
        return [plain.decompress(each[0], max_output_size=_PART_BYTES_MAX) for each in found if each is not None]

    def drop_parts(self, work: str, parts: int, spans: int) -> None:
        keys = [_part_key(work, part, span) for part in range(parts) for span in range(spans)]
        for begun in range(0, len(keys), KEYS_A_DELETE_MAX):
            batch = keys[begun : begun + KEYS_A_DELETE_MAX]
            with passing_failures("S3"):
                self._client.delete_objects(
                    Bucket=self._bucket_name, Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True}
                )

    def _head(self, key: str) -> Any:
        with passing_failures("S3"):
            try:
                return self._client.head_object(Bucket=self._bucket_name, Key=key)
            except ClientError as error:
                if error_code(error) in _GONE:
                    return None
                raise

    def _read(self, key: str) -> tuple[bytes, str] | None:
        with passing_failures("S3"):
            try:
                found = self._client.get_object(Bucket=self._bucket_name, Key=key)
                return found["Body"].read(), found["ETag"]
            except ClientError as error:
                if error_code(error) in _GONE:
                    return None
                raise

    def _write(self, key: str, body: bytes, **condition: str) -> str:
        with passing_failures("S3"):
            try:
                written = self._client.put_object(Bucket=self._bucket_name, Key=key, Body=body, **condition)  # type: ignore[arg-type]
            except ClientError as error:
                if error_code(error) in _OTHERS_WERE_FIRST | _GONE:
                    _lose(error)
                raise
        return written["ETag"]


def _lose(error: ClientError) -> NoReturn:
    raise VersionConflict("Another run has written first") from error


def _summary_key(mapping: str, file: str) -> str:
    return f"{SUMMARIES}{mapping}/{file}.json"


def _claim_key(mapping: str, digest: str) -> str:
    return f"{CLAIMS}{mapping}/{digest}.json"


def _part_key(work: str, part: int, span: int) -> str:
    return f"{PARTS}{work}/{part:04d}/{span:05d}"
