import dataclasses

import pytest

from onefold.edge.config import CollectConfig, ConfigurationBroken, DrainConfig, ServeConfig, StitchConfig

COMMON = {
    "ENVIRONMENT": "dev",
    "POWERTOOLS_SERVICE_NAME": "collect",
    "POWERTOOLS_METRICS_NAMESPACE": "Onefold",
    "LOG_LEVEL": "INFO",
}
COLLECT = COMMON | {
    "STREAM_NAME": "Onefold-Dev-Ingest-Stream790BDEE4",
    "SPOOL_BUCKET_NAME": "onefold-dev-spool",
    "DEFINITIONS_TABLE_NAME": "Onefold-Dev-Storage-Definitions",
    "DEPLOYMENT_SECRET_ARN": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:Deployment-a1b2c3",
}


def test_a_whole_environment_is_read_and_other_variables_do_not_matter() -> None:
    config = CollectConfig.from_env(COLLECT | {"AWS_REGION": "eu-central-1"})

    assert config.stream_name == "Onefold-Dev-Ingest-Stream790BDEE4"
    assert config.environment == "dev"


def test_every_fault_is_listed_and_none_is_shown_by_its_value() -> None:
    environ = COLLECT | {
        "ENVIRONMENT": "production",
        "LOG_LEVEL": "loud",
        "STREAM_NAME": " ",
        "SPOOL_BUCKET_NAME": "two words",
        "DEPLOYMENT_SECRET_ARN": "p4ssw0rd",
    }
    del environ["DEFINITIONS_TABLE_NAME"]

    with pytest.raises(ConfigurationBroken) as broken:
        CollectConfig.from_env(environ)

    assert sorted(fault.partition(" ")[0] for fault in broken.value.faults) == [
        "DEFINITIONS_TABLE_NAME",
        "DEPLOYMENT_SECRET_ARN",
        "ENVIRONMENT",
        "LOG_LEVEL",
        "SPOOL_BUCKET_NAME",
        "STREAM_NAME",
    ]
    assert "CollectConfig" in str(broken.value)
    assert "p4ssw0rd" not in str(broken.value)


@pytest.mark.parametrize("rate", ["0", "-5", "1.5", "fast", "²", ""])
def test_a_rate_that_would_never_end_or_never_bound_is_refused(rate: str) -> None:
    environ = COLLECT | {"RECORDS_PER_SECOND_MAX": rate, "BYTES_PER_SECOND_MAX": "1048576"}

    with pytest.raises(ConfigurationBroken, match="RECORDS_PER_SECOND_MAX"):
        DrainConfig.from_env(environ)
    assert DrainConfig.from_env(environ | {"RECORDS_PER_SECOND_MAX": "250"}).records_per_second_max == "250"


@pytest.mark.parametrize("config", [StitchConfig, ServeConfig])
def test_an_empty_environment_lacks_every_variable_of_every_function(config: type[StitchConfig | ServeConfig]) -> None:
    with pytest.raises(ConfigurationBroken) as broken:
        config.from_env({})

    assert len(broken.value.faults) == len(dataclasses.fields(config))
