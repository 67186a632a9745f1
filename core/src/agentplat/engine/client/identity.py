"""Who a task is for: e-mails become keyed hashes on arrival, private keys are dropped, traces are continued."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from agentplat.contracts.interface import Submission
from agentplat.domain.json import JsonObject, JsonValue

HashUser: TypeAlias = Callable[[str], str]
REDACTED = "[user]"
ANONYMOUS = "anonymous"
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_SPAN_ID = re.compile(r"[0-9a-f]{16}")


def user_hasher(method: Literal["hmac-sha256", "sha256"], key: bytes) -> HashUser:
    """A function from an e-mail to 64 hex digits. The address is trimmed and lower-cased first.

    `sha256` takes no key: it gives what older data has, and whoever guesses an address can confirm it.
    """

    def hash_user(user: str) -> str:
        normal = user.strip().lower().encode()
        if method == "sha256":
            return hashlib.sha256(normal).hexdigest()
        return hmac.new(key, normal, hashlib.sha256).hexdigest()

    return hash_user


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """What is left of a submission's identity: nothing of it names a person."""

    user_hash: str | None
    tenant: str | None
    trace_id: str
    parent_span: str | None
    idempotency_key: str | None
    input: JsonObject


def recognise(submission: Submission, hash_user: HashUser) -> Caller:
    """The caller, and the input without `_` keys, `user_email`, and every mention of the caller's address."""
    given = submission.input
    users = [name.strip() for name in (submission.user, given.get("user_email")) if isinstance(name, str)]
    named = [name for name in users if name and name.lower() != ANONYMOUS]
    # An address is searched for everywhere. A mere name may be any word: to replace it would spoil the input.
    addresses = sorted((name for name in named if "@" in name), key=len, reverse=True)
    trace_id, parent_span = continued_trace(given.get("_trace_context"), submission.traceparent)
    inner_tenant = given.get("tenant_id")
    tenant = submission.tenant or (inner_tenant if isinstance(inner_tenant, str) and inner_tenant else None)
    public = {key: value for key, value in given.items() if not key.startswith("_") and key != "user_email"}
    return Caller(
        user_hash=hash_user(named[0]) if named else None,
        # By these tasks are told apart, so that the hash, which differs from user to user, takes the address's place.
        tenant=_hashed(tenant, addresses, hash_user),
        idempotency_key=_hashed(submission.idempotency_key, addresses, hash_user),
        trace_id=trace_id,
        parent_span=parent_span,
        input=_redacted_members(public, _mention(addresses)) if addresses else public,
    )


def _hashed(text: str | None, addresses: Sequence[str], hash_user: HashUser) -> str | None:
    for address in addresses:
        text = text and _mention([address]).sub(hash_user(address), text)
    return text


def _mention(addresses: Sequence[str]) -> re.Pattern[str]:
    """Any of the addresses, in upper or lower case, also as a URL writes them."""
    return re.compile("|".join(re.escape(address).replace("@", "(?:@|%40)") for address in addresses), re.IGNORECASE)


def _redacted_members(value: Mapping[str, JsonValue], mention: re.Pattern[str]) -> dict[str, JsonValue]:
    return {mention.sub(REDACTED, key): _redacted(item, mention) for key, item in value.items()}


def _redacted(value: JsonValue, mention: re.Pattern[str]) -> JsonValue:
    match value:
        case str():
            return mention.sub(REDACTED, value)
        case Mapping():
            return _redacted_members(value, mention)
        case list() | tuple():
            return [_redacted(item, mention) for item in value]
        case _:
            return value


def continued_trace(context: JsonValue, traceparent: str | None) -> tuple[str, str | None]:
    """The trace id and the parent span to go on with; a new trace when there is none, or a malformed one."""
    members = context if isinstance(context, Mapping) else {}
    for header in (traceparent, members.get("traceparent")):
        found = _TRACEPARENT.fullmatch(header.strip().lower()) if isinstance(header, str) else None
        if found is not None and int(found[1], 16) and int(found[2], 16):
            return found[1], found[2]
    trace_id = members.get("trace_id")
    if isinstance(trace_id, str) and _TRACE_ID.fullmatch(trace_id.lower()) and int(trace_id, 16):
        span = members.get("parent_span_id") or members.get("span_id")
        known = isinstance(span, str) and _SPAN_ID.fullmatch(span.lower())
        return trace_id.lower(), span.lower() if known and isinstance(span, str) else None
    return secrets.token_hex(16), None
