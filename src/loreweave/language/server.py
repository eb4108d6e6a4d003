"""Where an OpenAI-compatible server is, which of its models is asked, and the key to it, which comes from the environment alone."""

from __future__ import annotations

import ipaddress
import os
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from loreweave.config import Config
from loreweave.errors import ConfigError, require
from loreweave.language.base import LanguageModelError

KEY_NAMES = ("LOREWEAVE_LM_KEY", "OPENAI_API_KEY")
"""Environment variables that may hold the key; the first that is set is used."""
CONNECT_SECONDS = 10.0
"""Until a connection counts as impossible."""


class ServerConfig(Config):
    """What every way of asking a server needs to know. The key is no setting: it is read from the environment."""

    base_url: str
    """Of the API, as a rule ending in `/v1`: `https://api.openai.com/v1`, `http://127.0.0.1:9000/v1`."""
    model: str = Field(min_length=1)
    """As the server names it."""
    context: int | None = Field(None, gt=0)
    """Tokens that a prompt and its answer may have together; None: not known."""
    structured: Literal["auto", "schema", "json", "none"] = "auto"
    """How the form of an answer is enforced: `schema` by the server (`response_format: json_schema`), `json` as some JSON with the schema
    told in the prompt, `none` by the prompt alone. `auto` begins with `schema` and goes on with the next where the server refuses it."""
    timeout: float = Field(120.0, gt=0)
    """Seconds until one attempt is given up, whole answer included. A slow local server needs more of it, or less concurrency."""


def check_url(url: str) -> str:
    """The URL without a slash at its end.

    Raises:
        ConfigError: not http or https, no host, or a secret in it (it would be written to manifests).
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        told = "the server URL" if "@" in url or "#" in url or "?" in url else f"server URL {url!r}: {error}"  # else a secret may be in it
        raise ConfigError(f"{told}: cannot be read; write it in full, for example http://127.0.0.1:9000/v1") from None
    if "@" in url or parts.query or parts.fragment:
        raise ConfigError(
            f"server URL: it must hold no user, password, query or fragment; set the key in the environment as {KEY_NAMES[0]}"
        )
    if port == 0:
        raise ConfigError(f"server URL {url!r}: no server has port 0")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"server URL {url!r}: write it in full, for example http://127.0.0.1:9000/v1")
    return url.strip().rstrip("/")


def is_loopback(url: str) -> bool:
    """Whether a server runs on this machine, so that it needs no key and is reached by no proxy."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def api_key(url: str) -> str | None:
    """The key to a server; None for one on this machine where none is set.

    Raises:
        LanguageModelError: no key is set, or it cannot be one.
    """
    name = next((name for name in KEY_NAMES if os.environ.get(name, "").strip()), None)
    if name is None:
        if is_loopback(url):
            return None
        raise LanguageModelError(f"{url}: no key; set it in the environment as {KEY_NAMES[0]} (any word if the server wants none)")
    key = os.environ[name].strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise LanguageModelError(f"{url}: what is in {name} is not a key (spaces or other signs in it); set it again")
    return key


def connect(url: str, key: str | None, timeout: float, *, asynchronous: bool) -> Any:
    """A client of the SDK, `openai.AsyncOpenAI` or `openai.OpenAI`, that never tries again by itself.

    Raises:
        MissingExtra: the SDK is not installed.
    """
    openai = require("openai", "lm")
    seconds = openai.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS))
    settings: dict[str, Any] = {"base_url": url, "api_key": key or "none", "max_retries": 0, "timeout": seconds}
    if is_loopback(url):  # a proxy of the environment cannot reach this machine
        transport = openai.DefaultAsyncHttpxClient if asynchronous else openai.DefaultHttpxClient
        settings["http_client"] = transport(trust_env=False, timeout=seconds)
    return (openai.AsyncOpenAI if asynchronous else openai.OpenAI)(**settings)
