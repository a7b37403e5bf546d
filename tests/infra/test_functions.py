"""What every function shares, what each is told, and that none is forgotten."""

from pathlib import Path

from tests.infra.assembly import Assembly, construct_of

TABLES = {f"{name.upper()}_TABLE_NAME": f"{name.capitalize()}Table" for name in ("fragments", "identities", "heads")}
TIMELINE = {"TIMELINE_TABLE_NAME": "TimelineTable"}
DEFINITIONS = {"DEFINITIONS_TABLE_NAME": "DefinitionsTable"}
SECRET = {"DEPLOYMENT_SECRET_ARN": "DeploymentSecret"}
LAKE = {"LAKE_BUCKET_NAME": "LakeBucket"}
INGEST = {"STREAM_NAME": "EventsStream", "SPOOL_BUCKET_NAME": "SpoolBucket"}
ATHENA = {"WORKGROUP_NAME": "onefold_prod", "DATABASE_NAME": "onefold_prod"}

EXPECTED_VARIABLES = {
    "collect": {**INGEST, **DEFINITIONS, **SECRET},
    "receive": {**INGEST, **DEFINITIONS, **SECRET, "WEBHOOK_SECRETS_PREFIX": "/onefold/prod/webhooks/"},
    "drain": {**INGEST, "RECORDS_PER_SECOND_MAX": "500", "BYTES_PER_SECOND_MAX": "1048576"},
    "inspect": {**TABLES, **TIMELINE, **LAKE, **ATHENA},
    "replay": {**INGEST, **LAKE, **ATHENA, **DEFINITIONS, **SECRET},
    "import_files": {**INGEST, **DEFINITIONS, **SECRET, "IMPORTS_QUEUE_URL": "ImportsQueue"},
    "stitch": {**TABLES, **TIMELINE, **DEFINITIONS, **LAKE, "BUS_NAME": "Bus"},
    "archive": LAKE,
    "evaluate": {
        "FRAGMENTS_TABLE_NAME": "FragmentsTable",
        "IDENTITIES_TABLE_NAME": "IdentitiesTable",
        "HEADS_TABLE_NAME": "HeadsTable",
        **DEFINITIONS,
    },
    "activate": {"BUS_NAME": "Bus"},
    "deliver": {**DEFINITIONS, **SECRET},
    "resolve": {
        "IDENTITIES_TABLE_NAME": "IdentitiesTable",
        "HEADS_TABLE_NAME": "HeadsTable",
        "DECISIONS_TABLE_NAME": "DecisionsTable",
        "WORKGROUP_NAME": "onefold_prod",
        "DATABASE_NAME": "onefold_prod",
        **DEFINITIONS,
        **SECRET,
    },
    "serve": {**TABLES, **TIMELINE, **DEFINITIONS, **SECRET},
}


def test_each_function_is_told_exactly_what_the_table_says(prod: Assembly) -> None:
    told = {
        verb: {name: prod.readable(value) for name, value in function.properties["Environment"]["Variables"].items()}
        for verb, function in prod.functions().items()
    }

    assert told == {
        verb: {
            "ENVIRONMENT": "prod",
            "LOG_LEVEL": "INFO",
            "POWERTOOLS_METRICS_NAMESPACE": "Onefold",
            "POWERTOOLS_SERVICE_NAME": verb,
            **variables,
        }
        for verb, variables in EXPECTED_VARIABLES.items()
    }


def test_every_function_folder_is_deployed_and_nothing_else(prod: Assembly, repository: Path) -> None:
    folders = {path.name for path in (repository / "functions").iterdir() if path.is_dir() and path.name[0] not in "._"}

    assert set(prod.functions()) == folders


def test_every_function_runs_the_same_way(prod: Assembly) -> None:
    for verb, function in prod.functions().items():
        properties = function.properties
        assert properties["Runtime"] == "python3.14", verb
        assert properties["Architectures"] == ["arm64"], verb
        assert properties["Handler"] == "handler.handle", verb
        assert properties["TracingConfig"] == {"Mode": "Active"}, verb
        assert properties["LoggingConfig"]["LogFormat"] == "JSON", verb
        assert prod.readable(properties["LoggingConfig"]["LogGroup"]) == f"{construct_of(verb)}Log"


def test_only_those_that_meet_parquet_carry_the_columnar_layer(prod: Assembly) -> None:
    layers = {
        verb: {prod.readable(layer) for layer in function.properties["Layers"]}
        for verb, function in prod.functions().items()
    }

    standard = {"LayersOnefold", "LayersDependencies"}
    for verb in ("archive", "import_files"):
        assert layers.pop(verb) == standard | {"LayersColumnar"}
    assert layers.pop("receive") == standard | {"LayersSignatures"}
    assert all(names == standard for names in layers.values())


def test_logs_expire_and_are_encrypted(assemblies: dict[str, Assembly]) -> None:
    for name, days in (("dev", 7), ("staging", 30), ("prod", 90)):
        groups = list(assemblies[name].resources("AWS::Logs::LogGroup"))
        assert len(groups) == len(EXPECTED_VARIABLES) + 2  # and the access logs of two APIs
        for group in groups:
            assert group.properties["RetentionInDays"] == days
            assert assemblies[name].readable(group.properties["KmsKeyId"]) == "Key"
