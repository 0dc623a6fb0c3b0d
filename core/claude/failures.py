"""What went wrong between us and a model's service: whether it passes by itself, and why, as part of a sentence.

Knows the exceptions of the official client and of its transport. What is done about them is decided elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any, Literal

Fault = Literal["passing", "lasting", "too long"]

# What passes by itself; "lasting" is everything else that a service says.
PASSING = frozenset({408, 409, 425, 429})
PASSING_TYPES = frozenset({"overloaded_error", "api_error", "rate_limit_error", "timeout_error"})


class Incomplete(Exception):  # noqa: N818  told as it is
    """The stream ended as if all were well, and the answer had not."""


def classify(error: Exception) -> tuple[Fault, float | None, str]:
    """What kind of failure it is, how long the service wants to be left alone, and why, as part of a sentence."""
    import anthropic
    import httpx2

    match error:
        case anthropic.APIStatusError():
            return _of_status(error)
        case TimeoutError() | anthropic.APITimeoutError() | httpx2.TimeoutException():
            return "passing", None, "no sign of life within the time that the settings give it"
        case anthropic.APIConnectionError() | httpx2.HTTPError():
            return "passing", None, f"the connection failed: {_cause(error)}"
        case Incomplete():
            return "passing", None, str(error)
        case json.JSONDecodeError():
            return "passing", None, "the answer could not be read"
        case TypeError() if "authentication" in str(error):
            return "lasting", None, "there is no key: set ANTHROPIC_API_KEY and start again"
        case _:
            return "lasting", None, f"{type(error).__name__}: {error}"


def _of_status(error: Any) -> tuple[Fault, float | None, str]:
    kind, said, status = str(error.type or ""), str(error.api_message or error.message), int(error.status_code)
    if status in PASSING or status >= 500 or kind in PASSING_TYPES:
        return "passing", _retry_after(error.response.headers), _passing(status, kind)
    if status == 413 or "too long" in said or "context window" in said:
        return "too long", None, "the question is too long for the model"
    return "lasting", None, _lasting(status, kind, said)


def _passing(status: int, kind: str) -> str:
    if status == 429 or kind == "rate_limit_error":
        return "the rate limit is reached"
    if status == 529 or kind == "overloaded_error":
        return "the service is overloaded"
    return f"the service failed ({kind or status})"


def _lasting(status: int, kind: str, said: str) -> str:
    if status == 402 or kind == "billing_error" or "credit" in said.lower():
        return "the account has no credit: add some in its billing settings"
    if status == 401:
        return "the key is not valid: set ANTHROPIC_API_KEY to one that is and start again"
    if status == 403:
        return f"the key may not do this: {said}"
    if status == 404:
        return f"there is no such model here, or no such address: set claude.model or claude.base_url ({said})"
    return f"the request was refused: {said}"


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, as either header form says them; None if neither does."""
    with suppress(ValueError, OverflowError):
        if "retry-after-ms" in headers:
            return _sensible(float(headers["retry-after-ms"]) / 1000)
        if "retry-after" in headers:
            return _sensible(float(headers["retry-after"]))
    with suppress(ValueError, TypeError, KeyError):
        then = parsedate_to_datetime(headers["retry-after"])
        sent = parsedate_to_datetime(headers["date"])  # by the same clock
        return _sensible((then - sent).total_seconds())
    return None


def _sensible(seconds: float) -> float | None:
    return max(0.0, seconds) if seconds < float("inf") else None


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}{f' ({error})' if str(error) else ''}"


def was_turned_away(error: Exception) -> bool:
    """Whether it is certain that nothing was read, so that nothing is billed."""
    import anthropic
    import httpx2

    if isinstance(error, anthropic.APIStatusError):
        return int(error.status_code) >= 400
    return isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout)
