"""Refuse what a function's role does not allow, before the request is sent."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from typing import Any, Protocol

from botocore.exceptions import ClientError

from infra.local.assembly import ACCOUNT, REGION_DEFAULT
from infra.local.permissions_requests import Request, requests_of

Context = Mapping[str, str | Sequence[str]]


class Decision(Enum):
    ALLOWED = "allowed"
    UNMENTIONED = "no identity-based policy allows it"
    DENIED = "an identity-based policy denies it explicitly"


class DeployedResource(Protocol):
    """What `policies_by_role` reads of a deployed resource."""

    @property
    def type(self) -> str: ...
    @property
    def properties(self) -> Mapping[str, Any]: ...
    @property
    def ref(self) -> str: ...
    @property
    def attributes(self) -> Mapping[str, Any]: ...


def policies_by_role(resources: Iterable[DeployedResource]) -> dict[str, list[Mapping[str, Any]]]:
    """The policy documents of each role, by the role's ARN: its own, attached ones, and AWS's managed ones."""
    known = list(resources)
    roles = {role.ref: role for role in known if role.type == "AWS::IAM::Role"}
    managed = {policy.ref: policy for policy in known if policy.type == "AWS::IAM::ManagedPolicy"}
    documents: dict[str, list[Mapping[str, Any]]] = {}
    for name, role in roles.items():
        inline = [policy["PolicyDocument"] for policy in role.properties.get("Policies", [])]
        by_arn = role.properties.get("ManagedPolicyArns", [])
        own = [managed[arn].properties["PolicyDocument"] for arn in by_arn if arn in managed]
        foreign = [_aws_managed_policy(arn) for arn in by_arn if arn not in managed]
        attached = [
            policy.properties["PolicyDocument"]
            for policy in known
            if policy.type in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy")
            and name in policy.properties.get("Roles", [])
        ]
        documents[role.attributes["Arn"]] = [*inline, *own, *foreign, *attached]
    return documents


def _aws_managed_policy(arn: str) -> Mapping[str, Any]:
    import json

    from moto.iam.aws_managed_policies import aws_managed_policies_data

    name = arn.rsplit("/", 1)[-1]
    known = json.loads(aws_managed_policies_data)
    if name in known:
        document: Mapping[str, Any] = known[name]["Document"]
        return document
    raise KeyError(f"managed policy {arn} is not known here; write its statements into the role")


class Permissions:
    """What each role may do, asked once per boto3 call.

    Identity policies only: resource policies, boundaries and the implicit use of keys are not looked at.
    """

    def __init__(
        self,
        policies_by_role_arn: Mapping[str, Sequence[Mapping[str, Any]]],
        *,
        region: str = REGION_DEFAULT,
        account: str = ACCOUNT,
    ) -> None:
        self._policies = policies_by_role_arn
        self._region, self._account = region, account
        self._decide = lru_cache(maxsize=4096)(self._decide_once)
        self.denied: list[tuple[str, str, str]] = []  # role ARN, action, resource

    def check(self, role_arn: str, service: str, operation: str, params: Mapping[str, Any]) -> None:
        """Raise ClientError AccessDeniedException (S3: AccessDenied) unless the role may do all that the call does."""
        for request in requests_of(service, operation, params, region=self._region, account=self._account):
            decision = self._decide(role_arn, request)
            if decision is not Decision.ALLOWED:
                self.denied.append((role_arn, request.action, request.resource))
                raise _access_denied(role_arn, service, operation, request, decision)

    def _decide_once(self, role_arn: str, request: Request) -> Decision:
        context = {
            "aws:PrincipalAccount": self._account,
            "aws:PrincipalArn": role_arn,
            "aws:RequestedRegion": self._region,
            "aws:ResourceAccount": self._account,
            "aws:SecureTransport": "true",
            **dict(request.context),
        }
        documents = self._policies.get(role_arn, ())
        return decide(documents, request.action, request.resource, context, is_pattern=request.is_pattern)


def _access_denied(role_arn: str, service: str, operation: str, request: Request, decision: Decision) -> ClientError:
    code = "AccessDenied" if service == "s3" else "AccessDeniedException"
    text = (
        f"{role_arn} is not authorized to perform: {request.action} on resource: {request.resource} "
        f"because {decision.value}"
    )
    status = 403 if service == "s3" else 400
    response = {"Error": {"Code": code, "Message": text}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, operation)  # type: ignore[arg-type]


def decide(
    documents: Iterable[Mapping[str, Any]], action: str, resource: str, context: Context, *, is_pattern: bool = False
) -> Decision:
    """What IAM's policy documents say of one action on one resource; an explicit deny wins.

    Args:
        documents: Each with its `Statement`; principals are not looked at.
        action: As in a policy, e.g. `s3:GetObject`.
        resource: An ARN, or a pattern of ARNs when the request does not name its resource fully (`is_pattern`).
        context: Condition keys of the request.
        is_pattern: See `resource`.

    Raises:
        NotImplementedError: A statement uses a condition operator that is not known here.
    """
    decision = Decision.UNMENTIONED
    for document in documents:
        for statement in _as_list(document["Statement"]):
            if not _applies(statement, action, resource, context, is_pattern=is_pattern):
                continue
            if statement["Effect"] == "Deny":
                return Decision.DENIED
            decision = Decision.ALLOWED
    return decision


def _applies(statement: Mapping[str, Any], action: str, resource: str, context: Context, *, is_pattern: bool) -> bool:
    def names_action(key: str) -> bool:
        return any(_like(pattern.lower(), action.lower()) for pattern in _as_list(statement[key]))

    def names_resource(key: str) -> bool:
        patterns = _as_list(statement[key])
        either_way = is_pattern and statement["Effect"] == "Allow"
        return any(_like(each, resource) or (either_way and _like(resource, each)) for each in patterns)

    action_fits = names_action("Action") if "Action" in statement else not names_action("NotAction")
    resource_fits = not names_resource("NotResource") if "NotResource" in statement else names_resource("Resource")
    return action_fits and resource_fits and _conditions_hold(statement.get("Condition", {}), context)


def _conditions_hold(conditions: Mapping[str, Mapping[str, Any]], context: Context) -> bool:
    given = {key.lower(): [str(value) for value in _as_list(values)] for key, values in context.items()}
    return all(
        _condition_holds(operator, given.get(key.lower()), [_text(value) for value in _as_list(expected)])
        for operator, keys in conditions.items()
        for key, expected in keys.items()
    )


_COMPARISONS: Mapping[str, Callable[[str, str], bool]] = {  # (given, expected)
    "ArnEquals": lambda given, expected: _like(expected, given),
    "ArnLike": lambda given, expected: _like(expected, given),
    "Bool": lambda given, expected: given.lower() == expected.lower(),
    "NumericEquals": lambda given, expected: float(given) == float(expected),
    "NumericGreaterThan": lambda given, expected: float(given) > float(expected),
    "NumericGreaterThanEquals": lambda given, expected: float(given) >= float(expected),
    "NumericLessThan": lambda given, expected: float(given) < float(expected),
    "NumericLessThanEquals": lambda given, expected: float(given) <= float(expected),
    "StringEquals": lambda given, expected: given == expected,
    "StringEqualsIgnoreCase": lambda given, expected: given.lower() == expected.lower(),
    "StringLike": lambda given, expected: _like(expected, given),
}


def _condition_holds(operator: str, given: list[str] | None, expected: list[str]) -> bool:
    quantifier, _, name = operator.rpartition(":")
    optional, name = name.endswith("IfExists"), name.removesuffix("IfExists")
    if name == "Null":
        return (given is None) == (expected[0].lower() == "true")
    negated, name = "Not" in name, name.replace("Not", "")
    if name not in _COMPARISONS:
        raise NotImplementedError(f"the local runtime does not know the IAM condition operator {operator}")
    if given is None:
        return optional or negated or quantifier == "ForAllValues"
    holds = [any(_COMPARISONS[name](value, each) for each in expected) != negated for value in given]
    return all(holds) if quantifier == "ForAllValues" or (negated and not quantifier) else any(holds)


@lru_cache(maxsize=4096)
def _pattern(pattern: str) -> re.Pattern[str]:
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(character, re.escape(character)) for character in pattern), re.DOTALL)


def _like(pattern: str, value: str) -> bool:
    return _pattern(pattern).fullmatch(value) is not None


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
