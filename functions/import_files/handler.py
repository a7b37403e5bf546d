"""import_files: messages about dropped files in, their rows on the stream; what one run leaves is queued again."""

import os
from functools import cache
from typing import Any

from onefold.adapters.aws_importer import AwsImporter, connect
from onefold.domain.errors import Unavailable
from onefold.edge.batches import BatchResponse, again, attempts_of, batch_response, created_object, queue_messages
from onefold.edge.config import ImportFilesConfig
from onefold.edge.observability import Observability
from onefold.use_cases.import_files import ImportRequest

observe = Observability("import_files")
ATTEMPTS_MAX = 20  # while a dependency does not answer
LATER_S = 60


@cache
def importer() -> AwsImporter:
    config = ImportFilesConfig.from_env(os.environ)
    return connect(
        stream_name=config.stream_name,
        bucket_name=config.spool_bucket_name,
        table_name=config.definitions_table_name,
        secret_arn=config.deployment_secret_arn,
        queue_url=config.imports_queue_url,
    )


@observe.invocation
def handle(event: dict[str, Any], context: Any) -> BatchResponse:  # noqa: ANN401 - Lambda's
    messages = queue_messages(event)
    for message in messages:
        created = created_object(message)
        try:
            known = importer().run(ImportRequest(created.key, created.sequencer), context.get_remaining_time_in_millis)
        except Unavailable as error:
            observe.warning("import interrupted", reason=type(error).__name__, detail=str(error))
            observe.count("RecordsFailed")
            if attempts_of(message) >= ATTEMPTS_MAX:
                raise
            importer().queue.send(again(message, attempts=attempts_of(message) + 1), delay_s=LATER_S)
            continue
        if known is not None:
            if not known.is_final:
                importer().queue.send(again(message, attempts=0))
            observe.info("import run", status=known.state, records=known.counts.rows, refused=known.counts.refused)
    return batch_response([], delivered=messages)
