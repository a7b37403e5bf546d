"""Builds the seven stacks of one environment, in the order in which they depend on each other."""

import os
from dataclasses import dataclass

from aws_cdk import App, Tags
from aws_cdk import Environment as CdkEnvironment
from constructs import Construct

from infra.environments import Environment
from infra.stacks.access_stack import AccessStack
from infra.stacks.activation_stack import ActivationStack
from infra.stacks.analytics_stack import AnalyticsStack
from infra.stacks.ingest_stack import IngestStack
from infra.stacks.operations_stack import OperationsStack, Watched
from infra.stacks.profiles_stack import ProfilesStack
from infra.stacks.storage_stack import StorageStack

# The second key to removing data, next to Environment.data_is_disposable. Production is in neither.
REMOVABLE_ENVIRONMENTS = frozenset({"dev", "staging"})


@dataclass(frozen=True, slots=True)
class Stacks:
    storage: StorageStack
    ingest: IngestStack
    profiles: ProfilesStack
    activation: ActivationStack
    analytics: AnalyticsStack
    access: AccessStack
    operations: OperationsStack


def bundle_wanted(app: App) -> bool:
    """Tell whether third-party layers are built; `-c bundle=false` leaves them out, for local runs and tests."""
    return str(app.node.try_get_context("bundle")).lower() != "false"


def build_stacks(scope: Construct, environment: Environment, *, bundle: bool, removable: bool | None = None) -> Stacks:
    """Create every stack of `environment` in `scope`.

    Args:
        scope: The app, or a stage.
        environment: Its settings.
        bundle: Build the layers of third-party packages; otherwise placeholders stand in for them.
        removable: The constructs' key to removing data with its stack; None takes REMOVABLE_ENVIRONMENTS' word.
    """
    if removable is None:
        removable = environment.name in REMOVABLE_ENVIRONMENTS
    place = CdkEnvironment(
        account=environment.account or os.environ.get("CDK_DEFAULT_ACCOUNT"),
        region=environment.region or os.environ.get("CDK_DEFAULT_REGION"),
    )
    prefix = f"Onefold-{environment.name.capitalize()}"
    storage = StorageStack(scope, f"{prefix}-Storage", environment, bundle=bundle, removable=removable, env=place)
    foundation = storage.foundation
    ingest = IngestStack(scope, f"{prefix}-Ingest", foundation, storage, removable=removable, env=place)
    activation = ActivationStack(scope, f"{prefix}-Activation", foundation, storage, ingest, env=place)
    profiles = ProfilesStack(scope, f"{prefix}-Profiles", foundation, storage, ingest, activation=activation, env=place)
    analytics = AnalyticsStack(scope, f"{prefix}-Analytics", foundation, storage, ingest, env=place)
    access = AccessStack(scope, f"{prefix}-Access", foundation, storage, ingest=ingest, analytics=analytics, env=place)
    operations = OperationsStack(
        scope,
        f"{prefix}-Operations",
        foundation,
        Watched(storage, ingest, profiles, activation, analytics, access),
        env=place,
    )
    Tags.of(scope).add("application", "onefold")
    Tags.of(scope).add("environment", environment.name)
    return Stacks(storage, ingest, profiles, activation, analytics, access, operations)
