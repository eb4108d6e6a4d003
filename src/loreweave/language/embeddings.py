"""Embeddings of any server that speaks OpenAI's protocol."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from loreweave.language._faults import of_status
from loreweave.language.base import LanguageModelError, Vectors
from loreweave.language.server import api_key, check_url, connect
from loreweave.language.vectors import distinct, spread, unit
from loreweave.progress import track

OPENAI = "https://api.openai.com/v1"
BATCH = 256
"""Texts a request; OpenAI takes 2,048, smaller servers less."""
RETRIES = 5
"""Of a request that met a 429, a 5xx or a broken connection; the SDK waits longer each time and honours Retry-After."""
TIMEOUT = 120.0
"""Seconds for one request."""


class OpenAIEmbeddings:
    """Texts to vectors by `POST {base_url}/embeddings`. The key is read from the environment, and is nowhere else.

    Args:
        model: as the server calls it.
        base_url: of the server, up to and including `/v1`.

    Raises:
        ConfigError: the URL is none, or has a secret in it.
    """

    def __init__(self, model: str, base_url: str = OPENAI) -> None:
        self.model = model
        self.base_url = check_url(base_url)

    @property
    def name(self) -> str:
        """`openai:MODEL`, with `@URL` for another server than OpenAI's, whose model of the same name may be another."""
        return f"openai:{self.model}" + ("" if self.base_url == OPENAI else f"@{self.base_url}")

    def encode(self, texts: Sequence[str]) -> Vectors:
        """float32 [n, d], rows of unit length; a blank text has a zero row and is not sent. Without any other, d is 0: nobody was asked.

        Raises:
            LanguageModelError: no key, no server, no such model, a text too long for it, or an answer that is none.
            MissingExtra: openai is not installed.
        """
        once, where = distinct(texts)
        blocks = [
            self._request(once[start : start + BATCH])
            for start in track(range(0, len(once), BATCH), f"embed {len(once)} texts with {self.model}")
        ]
        if len({block.shape[1] for block in blocks}) > 1:
            raise LanguageModelError(f"{self.name}: the server gave vectors of several dimensions; ask for one model that has one")
        return spread(np.concatenate(blocks) if blocks else np.zeros((0, 0), dtype=np.float32), where)

    def _request(self, texts: list[str]) -> Vectors:
        client = self._client
        import openai  # not before `_client`, which says what to install where it is missing

        try:
            # Plain numbers: not every server knows base64, which the SDK would ask for.
            response = client.embeddings.create(model=self.model, input=texts, encoding_format="float")
            by_index = {entry.index: entry.embedding for entry in response.data}
            vectors = np.array([by_index[row] for row in range(len(texts))], dtype=np.float32)
        except openai.APIStatusError as error:
            names = {"server": self.base_url, "model": self.model, "key": client.api_key}
            fault = of_status(error.status_code, error.body, error.response.headers, **names)
            raise (fault if isinstance(fault, LanguageModelError) else LanguageModelError(f"{self.name}: {fault}")) from error
        except openai.APIConnectionError as error:  # time-outs are among them
            raise LanguageModelError(f"{self.name}: no answer from the server; check that it runs at this address") from error
        except (KeyError, TypeError, ValueError, AttributeError, openai.OpenAIError) as error:
            raise self._nonsense(len(texts)) from error
        if vectors.ndim != 2 or not vectors.shape[1]:
            raise self._nonsense(len(texts))
        return unit(vectors)

    @cached_property
    def _client(self) -> Any:
        return connect(self.base_url, api_key(self.base_url), TIMEOUT, asynchronous=False).with_options(max_retries=RETRIES)

    def _nonsense(self, n: int) -> LanguageModelError:
        return LanguageModelError(f"{self.name}: the server's answer is not {n} vectors of numbers; is this an embedding model?")
