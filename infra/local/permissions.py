"""Refuse what a function's role does not allow, before the request is sent."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from typing import Any

from botocore.exceptions import ClientError

from infra.local.assembly import ACCOUNT, REGION_DEFAULT, TemplateError
from infra.local.requests import Request, requests_of
from infra.local.template import Resource

Context = Mapping[str, str | Sequence[str]]


class Decision(Enum):
    ALLOWED = "allowed"
    UNMENTIONED = "no identity-based policy allows it"
    DENIED = "an identity-based policy denies it explicitly"


def policies_by_role(resources: Iterable[Resource]) -> dict[str, list[Mapping[str, Any]]]:
    """The policy documents of each role, by the role's ARN.

    Raises:
        TemplateError: A role has managed policies, whose statements are not known here.
    """
    known = list(resources)
    documents: dict[str, list[Mapping[str, Any]]] = {}
    for role in (resource for resource in known if resource.type == "AWS::IAM::Role"):
        if role.properties.get("ManagedPolicyArns"):
            raise TemplateError(f"{role.stack}.{role.logical_id}: write the managed policies' statements into the role")
        attached = [
            policy.properties["PolicyDocument"]
            for policy in known
            if policy.type == "AWS::IAM::Policy" and role.ref in policy.properties.get("Roles", [])
        ]
        inline = [policy["PolicyDocument"] for policy in role.properties.get("Policies", [])]
        documents[role.attributes["Arn"]] = [*inline, *attached]
    return documents


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
    "StringEquals": lambda given, expected: given == expected,
    "StringLike": lambda given, expected: _like(expected, given),
}


def _condition_holds(operator: str, given: list[str] | None, expected: list[str]) -> bool:
    optional, name = operator.endswith("IfExists"), operator.removesuffix("IfExists")
    negated, name = "Not" in name, name.replace("Not", "")
    if name not in _COMPARISONS:
        raise NotImplementedError(f"the local runtime does not know the IAM condition operator {operator}")
    if given is None:
        return optional or negated
    holds = [any(_COMPARISONS[name](value, each) for each in expected) != negated for value in given]
    return all(holds) if negated else any(holds)


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
