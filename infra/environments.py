"""Every value in which dev, staging and prod differ, typed; nothing else may depend on the environment."""

from collections.abc import Mapping
from dataclasses import dataclass

MEBIBYTE = 1024**2
GIBIBYTE = 1024**3


class UnknownEnvironmentError(ValueError):
    """The name is none of the environments below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """One deployment's settings.

    Attributes:
        name: Lower case; part of stack names and of the few names that are an interface.
        data_is_disposable: One key of two to removing data with its stack; the other is the construct's `removable`.
        log_level: Of the functions' own logs: DEBUG, INFO, WARNING or ERROR.
        log_keep_days: Retention of every log group; one of the values that CloudWatch Logs offers.
        collector_requests_per_second: Steady rate at which the collector's gateway starts to answer 429.
        collector_burst_requests: Requests above the steady rate that are still let through at once.
        api_requests_per_second: The same for the profile API.
        api_burst_requests: The same for the profile API.
        stitch_parallelization: Batches of one shard that stitch works on at once, 1 to 10.
        drain_records_per_second: How many records of the spool are given back to the stream, by all drains together.
        drain_bytes_per_second: The same in bytes, before compression. A new stream takes 1,000 records and 1 MB a
            second in each of its four shards, and live events need most of that.
        query_scan_bytes_max: One Athena query may read no more; it is cancelled beyond.
        iterator_age_max_s: A stream consumer further behind than this raises the alarm.
        quarantined_events_max: More refused events than this in five minutes raise the alarm.
        alarm_email: Subscribed to the alarms' topic, or None to subscribe elsewhere.
        account: Twelve digits, or None for the account of the credentials at deployment.
        region: Such as eu-central-1, or None for the region of the credentials at deployment.
    """

    name: str
    data_is_disposable: bool
    log_level: str
    log_keep_days: int
    collector_requests_per_second: int
    collector_burst_requests: int
    api_requests_per_second: int
    api_burst_requests: int
    stitch_parallelization: int
    drain_records_per_second: int
    drain_bytes_per_second: int
    query_scan_bytes_max: int
    iterator_age_max_s: int
    quarantined_events_max: int
    alarm_email: str | None = None
    account: str | None = None
    region: str | None = None


DEV = Environment(
    name="dev",
    data_is_disposable=True,
    log_level="DEBUG",
    log_keep_days=7,
    collector_requests_per_second=500,
    collector_burst_requests=1_000,
    api_requests_per_second=50,
    api_burst_requests=100,
    stitch_parallelization=2,
    drain_records_per_second=500,
    drain_bytes_per_second=MEBIBYTE,
    query_scan_bytes_max=10 * GIBIBYTE,
    iterator_age_max_s=3_600,
    quarantined_events_max=1_000,
)

STAGING = Environment(
    name="staging",
    data_is_disposable=True,
    log_level="INFO",
    log_keep_days=30,
    collector_requests_per_second=2_000,
    collector_burst_requests=4_000,
    api_requests_per_second=100,
    api_burst_requests=200,
    stitch_parallelization=2,
    drain_records_per_second=500,
    drain_bytes_per_second=MEBIBYTE,
    query_scan_bytes_max=100 * GIBIBYTE,
    iterator_age_max_s=900,
    quarantined_events_max=100,
)

PROD = Environment(
    name="prod",
    data_is_disposable=False,
    log_level="INFO",
    log_keep_days=90,
    collector_requests_per_second=5_000,
    collector_burst_requests=10_000,
    api_requests_per_second=500,
    api_burst_requests=1_000,
    stitch_parallelization=4,
    drain_records_per_second=1_000,
    drain_bytes_per_second=2 * MEBIBYTE,
    query_scan_bytes_max=1_024 * GIBIBYTE,
    iterator_age_max_s=300,
    quarantined_events_max=100,
)

ENVIRONMENT_BY_NAME: Mapping[str, Environment] = {environment.name: environment for environment in (DEV, STAGING, PROD)}


def environment_named(name: str) -> Environment:
    """Return the environment of that name, or raise UnknownEnvironmentError with the names that exist."""
    try:
        return ENVIRONMENT_BY_NAME[name]
    except KeyError:
        known = "|".join(ENVIRONMENT_BY_NAME)
        raise UnknownEnvironmentError(f'unknown environment "{name}": use -c environment={known}') from None
