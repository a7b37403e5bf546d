"""replay: entries of the quarantine, repaired and sent again through the collector; a route of the profile API."""

import os
import time
from functools import cache
from typing import Any

from onefold.adapters.replaying import build_replayer
from onefold.edge.config import ReplayConfig
from onefold.edge.inspect_api import answer_replay
from onefold.edge.observability import Observability
from onefold.edge.profile_api import refuse
from onefold.use_cases.quarantine import Replayer

observe = Observability("replay")


@cache
def replayer() -> Replayer:
    config = ReplayConfig.from_env(os.environ)
    return build_replayer(
        stream_name=config.stream_name,
        spool_bucket_name=config.spool_bucket_name,
        lake_bucket_name=config.lake_bucket_name,
        workgroup_name=config.workgroup_name,
        database_name=config.database_name,
        definitions_table_name=config.definitions_table_name,
        deployment_secret_arn=config.deployment_secret_arn,
    )


@observe.request(refuse)
def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401 - Lambda's
    response, statuses = answer_replay(event, replayer(), now=round(time.time() * 1_000))
    observe.count("EntriesReplayed", statuses.count("replayed"))
    observe.info("entries replayed", records=len(statuses), accepted=statuses.count("replayed"))
    return response
