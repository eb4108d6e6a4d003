"""What it means that a server did not answer: ask again, give the request up, or stop altogether."""

from __future__ import annotations

import email.utils
import math
import time
from collections.abc import Mapping
from typing import Any

from loreweave.language.base import LanguageModelError
from loreweave.language.server import KEY_NAMES

SHOWN_CHARS = 200
"""Of what a server says, in a reason or an error."""
LONGEST_WAIT = 600.0
"""Seconds. A server that asks to wait longer has a limit by the day or the month, and whoever runs this decides."""

_TOO_LONG = ("context_length_exceeded", "exceed_context_size", "context length", "maximum context", "context window", "prompt is too long")
_REFUSED = ("content_filter", "content_policy_violation", "content management policy")
_NO_QUOTA = ("insufficient_quota", "insufficient balance", "billing_hard_limit_reached", "exceeded your current quota")
_NO_MODEL = ("model_not_found", "model not exist", "model not found")
_NO_KEY = ("invalid_api_key", "api key not valid", "incorrect api key")


class Retry(Exception):
    """Asking again may help.

    Attributes:
        reason: one line.
        after: seconds that the server asks to wait; None: it does not say.
        unreachable: no connection came about.
    """

    def __init__(self, reason: str, *, after: float | None = None, unreachable: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.after, self.unreachable = reason, after, unreachable


class GiveUp(Exception):
    """This request will never be answered; others may be.

    Attributes:
        reason: one line.
        refusal: the provider refuses to have it answered.
    """

    def __init__(self, reason: str, *, refusal: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.refusal = reason, refusal


def of_status(status: int, error: Any, headers: Mapping[str, str], *, server: str, model: str, key: str | None) -> Exception:
    """What a status other than success means: a `Retry`, a `GiveUp`, or the `LanguageModelError` to stop with.

    Args:
        status: of HTTP.
        error: the body, or its member `error`, as far as it could be read.
        headers: of the answer; keys without regard to case, or in small letters.
        server, model: for the message.
        key: never shown, even where the server repeats it.
    """
    message, code = told(error, key)
    said = f" ({message})" if message else ""
    low = f"{code} {message}".lower()
    if status == 401 or (status < 500 and any(mark in low for mark in _NO_KEY)):
        return LanguageModelError(f"{server}: the key was refused ({status}); set the right one in the environment as {KEY_NAMES[0]}")
    if status == 402 or (status in (403, 429) and any(mark in low for mark in _NO_QUOTA)):
        return LanguageModelError(f"{server}: quota exhausted{said}; what was answered is kept: top up and run the same again")
    if status == 403:
        return LanguageModelError(f"{server}: the key may not use model {model!r} (403){said}; use another model or key")
    if status == 404 or (status == 400 and any(mark in low for mark in _NO_MODEL)):
        return LanguageModelError(
            f"{server}: no model {model!r} there, or not the URL of an API ({status}){said}; name another model, or a URL that ends in /v1"
        )
    if status in (408, 409, 425, 429) or status >= 500:
        after = retry_after(headers)
        if after is not None and after > LONGEST_WAIT:
            return LanguageModelError(
                f"{server}: asks to wait {math.ceil(after):,} s ({status}){said}; what was answered is kept: run the same again then"
            )
        return Retry(f"{status} from the server{said}", after=after)
    if any(mark in low for mark in _TOO_LONG) or status == 413:
        return GiveUp(f"context too long{said}")
    if any(mark in low for mark in _REFUSED):
        return GiveUp(f"refused by the provider{said}", refusal=True)
    return GiveUp(f"{status} from the server{said}")


def of_connection(error: Exception, timeout: float, key: str | None) -> Retry:
    """What it means that no whole answer came: `error` is TimeoutError or the SDK's `APIConnectionError` with its cause."""
    cause = type(error.__cause__).__name__  # by name: the SDK's transport is httpx or httpx2, as its version will have it
    unreachable = cause in ("ConnectError", "ConnectTimeout")
    if isinstance(error, TimeoutError) or cause.endswith("Timeout"):
        return Retry("no connection in time" if unreachable else f"no answer within {timeout:g} s", unreachable=unreachable)
    said = shown(error.__cause__ or error, key)
    return Retry(f"{'no connection' if unreachable else 'connection broken'}: {said}", unreachable=unreachable)


def told(error: Any, key: str | None) -> tuple[str, str]:
    """(message, code) of an error's body: one line each, cut, without the key."""
    inner = error.get("error", error) if isinstance(error, Mapping) else error
    if isinstance(inner, Mapping):
        message = next((inner[name] for name in ("message", "detail", "error") if inner.get(name)), "")
        code = " ".join(str(inner[name]) for name in ("code", "type", "param") if inner.get(name))
    else:
        message, code = inner or "", ""
    return shown(message, key), shown(code, key)


def shown(text: object, key: str | None = None) -> str:
    """What somebody else wrote as one printable line of bounded length, without the key."""
    whole = str(text)
    if key:
        whole = whole.replace(key, "***")
    line = " ".join("".join(c if c.isprintable() else " " for c in whole[: 4 * SHOWN_CHARS]).split())
    return line if len(line) <= SHOWN_CHARS else line[: SHOWN_CHARS - 1] + "…"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by `Retry-After` (RFC 9110, section 10.2.3), at least 0; None where it is missing or cannot be read.

    A date is measured against the server's own `Date`, so that neither clock needs to be right; where there is none, against ours.
    """
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
        return max(seconds, 0.0) if math.isfinite(seconds) else None
    except ValueError:
        until = _seconds(text)
        now = _seconds(headers.get("date", "")) or time.time()
        return None if until is None else max(until - now, 0.0)


def _seconds(date: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
