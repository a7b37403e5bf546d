"""What each function is told by its environment; the only reader of environment variables."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Final, Self

ENVIRONMENTS: Final = ("dev", "staging", "prod")
LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,255}")
_ARN = re.compile(r"arn:aws[a-z\-]*:[a-z0-9\-]+:[a-z0-9\-]*:\d*:\S+")


class ConfigurationBroken(Exception):  # noqa: N818 - the deployment is at fault, and says so
    """Variables are missing or wrong. The stack that deployed the function must set them; a retry cannot help."""

    def __init__(self, function: str, faults: list[str]) -> None:
        super().__init__(f"{function}: {'; '.join(faults)}")
        self.faults = faults


def _fault(name: str, value: str) -> str | None:
    """What is wrong with one variable, by the ending of its name; None where nothing is."""
    if not value:
        return "is missing"
    shape: dict[str, Callable[[str], bool]] = {
        "ENVIRONMENT": lambda text: text in ENVIRONMENTS,
        "LOG_LEVEL": lambda text: text in LOG_LEVELS,
        "_ARN": lambda text: _ARN.fullmatch(text) is not None,
        "_NAME": lambda text: _NAME.fullmatch(text) is not None,
        "_NAMESPACE": lambda text: _NAME.fullmatch(text) is not None,
        "_SECOND_MAX": lambda text: text.isascii() and text.isdecimal() and int(text) > 0,
    }
    check = next((check for ending, check in shape.items() if name.endswith(ending)), None)
    return None if check is None or check(value) else f"is not a valid value ({len(value)} characters)"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Config:
    """What every function has. A field's name in capitals is its variable's name."""

    environment: str
    powertools_service_name: str
    powertools_metrics_namespace: str
    log_level: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read the environment.

        Raises:
            ConfigurationBroken: With every fault, not just the first.
        """
        values = {field.name: environ.get(field.name.upper(), "").strip() for field in fields(cls)}
        named = {name.upper(): _fault(name.upper(), value) for name, value in values.items()}
        faults = [f"{name} {fault}" for name, fault in named.items() if fault]
        if faults:
            raise ConfigurationBroken(cls.__name__, faults)
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservabilityConfig(_Config):
    """What logs and metrics need, which is what every function has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectConfig(_Config):
    stream_name: str
    spool_bucket_name: str
    definitions_table_name: str
    deployment_secret_arn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveConfig(_Config):
    stream_name: str
    spool_bucket_name: str
    definitions_table_name: str
    deployment_secret_arn: str
    webhook_secrets_prefix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainConfig(_Config):
    stream_name: str
    spool_bucket_name: str
    records_per_second_max: str
    bytes_per_second_max: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectConfig(_Config):
    fragments_table_name: str
    identities_table_name: str
    heads_table_name: str
    timeline_table_name: str
    lake_bucket_name: str
    workgroup_name: str
    database_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayConfig(_Config):
    stream_name: str
    spool_bucket_name: str
    lake_bucket_name: str
    workgroup_name: str
    database_name: str
    definitions_table_name: str
    deployment_secret_arn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportFilesConfig(_Config):
    stream_name: str
    spool_bucket_name: str
    definitions_table_name: str
    deployment_secret_arn: str
    imports_queue_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StitchConfig(_Config):
    fragments_table_name: str
    identities_table_name: str
    heads_table_name: str
    timeline_table_name: str
    definitions_table_name: str
    lake_bucket_name: str
    bus_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveConfig(_Config):
    lake_bucket_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateConfig(_Config):
    fragments_table_name: str
    identities_table_name: str
    heads_table_name: str
    definitions_table_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivateConfig(_Config):
    bus_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverConfig(_Config):
    definitions_table_name: str
    deployment_secret_arn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeConfig(_Config):
    fragments_table_name: str
    identities_table_name: str
    heads_table_name: str
    timeline_table_name: str
    definitions_table_name: str
    deployment_secret_arn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveConfig(_Config):
    identities_table_name: str
    heads_table_name: str
    decisions_table_name: str
    definitions_table_name: str
    deployment_secret_arn: str
    workgroup_name: str
    database_name: str
