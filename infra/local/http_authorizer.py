"""JWT authorizers of HTTP APIs, and the tokens that they accept."""

import json
import re
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from moto.cognitoidp.models import cognitoidp_backends
from moto.cognitoidp.responses import CognitoIdpJsonWebKeyResponse

from infra.local.assembly import TemplateError

TOKENS_REMEMBERED_MAX = 1024
TOKEN_LIFETIME_S = 3600


class Refused(Exception):  # noqa: N818 -- what API Gateway does with a request
    def __init__(self, status: int, message: str, challenge: str) -> None:
        super().__init__(message)
        self.status, self.message, self.challenge = status, message, challenge


class JwtAuthorizer:
    """Checks the token of a request against issuer, audience, time and, per route, scopes."""

    def __init__(self, properties: Mapping[str, Any]) -> None:
        self.issuer: str = properties["JwtConfiguration"]["Issuer"]
        self.audiences: Sequence[str] = properties["JwtConfiguration"]["Audience"]
        source = re.fullmatch(r"\$request\.header\.(.+)", _only(properties["IdentitySource"]))
        if source is None:
            raise TemplateError(
                "the local runtime reads tokens from $request.header.…, not from another identity source"
            )
        self._header = source[1].lower()
        self._keys = KeySet.import_key_set(json.loads(CognitoIdpJsonWebKeyResponse.json_web_key))
        self._known: dict[str, Mapping[str, Any]] = {}  # token -> claims, of which only the time can change

    def authorize(self, headers: Mapping[str, str], scopes: Sequence[str]) -> dict[str, Any]:
        """What the event tells of the caller.

        Raises:
            Refused: 401 without a valid token, 403 without one of the scopes.
        """
        token = headers.get(self._header, "").removeprefix("Bearer ").removeprefix("bearer ")
        if not token:
            raise Refused(401, "Unauthorized", "Bearer")
        claims = self._claims(token)
        given = str(claims.get("scope", claims.get("scp", ""))).split()
        if scopes and not set(scopes).intersection(given):
            wanted = " ".join(scopes)
            raise Refused(403, "Forbidden", f'Bearer scope="{wanted}" error="insufficient_scope"')
        shown = {name: _claim_text(value) for name, value in claims.items()}
        return {"claims": shown, "scopes": list(scopes) or None}

    def _claims(self, token: str) -> Mapping[str, Any]:
        claims = self._known.get(token)
        if claims is None:
            try:
                claims = jwt.decode(token, self._keys, algorithms=["RS256"]).claims
            except (JoseError, ValueError) as error:
                raise _invalid("the token is malformed or its signature is wrong") from error
            if len(self._known) >= TOKENS_REMEMBERED_MAX:
                self._known.clear()
            self._known[token] = claims
        now = time.time()
        if claims.get("iss") != self.issuer:
            raise _invalid("the token is from another issuer")
        audience = claims.get("aud") or claims.get("client_id")
        if not set(self.audiences).intersection(audience if isinstance(audience, list) else [audience]):
            raise _invalid("the token is for another audience")
        if now >= float(claims.get("exp", 0)) or now < float(claims.get("nbf", 0)):
            raise _invalid("the token is not valid now")
        return claims


def issue_token(authorizer: JwtAuthorizer, scopes: Iterable[str], *, account: str, region: str) -> str:
    """An access token as the user pool gives it for client credentials."""
    pool = cognitoidp_backends[account][region].user_pools[authorizer.issuer.rpartition("/")[2]]
    client, now = authorizer.audiences[0], int(time.time())
    claims = {
        "sub": client,
        "token_use": "access",
        "scope": " ".join(scopes),
        "auth_time": now,
        "iss": authorizer.issuer,
        "exp": now + TOKEN_LIFETIME_S,
        "iat": now,
        "version": 2,
        "jti": str(uuid.uuid4()),
        "client_id": client,
    }
    token: str = jwt.encode({"alg": "RS256", "kid": "dummy"}, claims, pool.json_web_key)
    return token


def _invalid(reason: str) -> Refused:
    return Refused(401, "Unauthorized", f'Bearer error="invalid_token" error_description="{reason}"')


def _claim_text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{' '.join(map(str, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _only(sources: str | Sequence[str]) -> str:
    return sources if isinstance(sources, str) else sources[0]
