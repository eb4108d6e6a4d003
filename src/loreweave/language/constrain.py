"""Holding a local model to a JSON schema: at each step only tokens that the schema allows can be chosen.

The automaton is llguidance's (Rust; the one in vLLM and llama.cpp): it walks the tokenizer's trie, so any byte-level tokenizer will do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from loreweave.errors import require
from loreweave.language.base import LanguageModelError

if TYPE_CHECKING:
    from llguidance import LLMatcher
    from transformers import PreTrainedTokenizerFast

_LAYOUT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""JSON as `json.dumps` writes it. Free white space would let a weak model go on with it for ever."""
_NAMED = ("properties", "$defs", "definitions")
"""Keywords whose value is schemas by name, and no schema itself."""


class Grammars:
    """Compiled schemas for one tokenizer, each compiled once.

    Args:
        tokenizer: a fast one.
        n_vocab: columns of the logits; models often have more than their tokenizer has tokens.
        ends: tokens that end an answer.

    Raises:
        LanguageModelError: the tokenizer is of a kind whose tokens cannot be told apart by their bytes.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, n_vocab: int, ends: Sequence[int]) -> None:
        library = require("llguidance", "lm")
        hugging_face = require("llguidance.hf", "lm")
        try:
            self._tokenizer = hugging_face.from_tokenizer(tokenizer, n_vocab=n_vocab, eos_token=list(ends))
        except ValueError as error:
            raise LanguageModelError(f"this model's tokenizer cannot be held to a schema ({str(error).splitlines()[0]})") from error
        self._library = library
        self._compiled: dict[str, LLMatcher] = {}

    def matcher(self, schema: Mapping[str, Any]) -> LLMatcher:
        """A fresh automaton for one answer.

        Raises:
            LanguageModelError: the schema uses something that cannot be enforced.
        """
        key = json.dumps(closed(schema))
        if key not in self._compiled:
            made = self._library.LLMatcher(
                self._tokenizer, self._library.LLMatcher.grammar_from_json_schema(key, overrides=_LAYOUT), log_level=0
            )
            if made.is_error():
                raise LanguageModelError(f"the answer's JSON schema cannot be enforced: {made.get_error().splitlines()[0]}")
            self._compiled[key] = made
        return self._compiled[key].deep_copy()


class Constraint:
    """A logits processor of `transformers`: row i follows `matchers[i]`, or nothing where that is None.

    Args:
        prompt_length: tokens of the padded prompts, which the automata do not see.
        ends: tokens that end an answer; after one a row is left alone.
    """

    def __init__(self, matchers: Sequence[LLMatcher | None], prompt_length: int, ends: Sequence[int]) -> None:
        self._open = {row: matcher for row, matcher in enumerate(matchers) if matcher is not None}
        self._prompt_length = prompt_length
        self._ends = frozenset(ends)
        self._executor = require("llguidance", "lm").LLExecutor()
        self._fill = require("llguidance.numpy", "lm").fill_next_token_bitmask_par

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores [b, n_vocab] with -inf wherever a token would break the schema."""
        if input_ids.shape[1] > self._prompt_length:
            last = input_ids[:, -1].tolist()
            self._open = {row: matcher for row, matcher in self._open.items() if last[row] not in self._ends}
            if self._open:
                self._executor.consume_token_par([(matcher, last[row]) for row, matcher in self._open.items()])
        # An automaton in error has said so and cannot go on; `Local` reports it when the batch is over.
        walking = [(matcher, row) for row, matcher in self._open.items() if not matcher.is_error()]
        if not walking:
            return scores
        mask = np.full((scores.shape[0], -(-scores.shape[1] // 32)), -1, dtype="<i4")
        self._fill(self._executor, walking, mask)
        allowed = np.unpackbits(mask.view(np.uint8), axis=1, count=scores.shape[1], bitorder="little").view(np.bool_)
        return scores.masked_fill(~torch.from_numpy(allowed).to(scores.device), float("-inf"))


def closed(schema: Any) -> Any:
    """The schema with `additionalProperties: false` wherever an object lists its properties and does not say: a model would invent more."""
    if isinstance(schema, list):
        return [closed(value) for value in schema]
    if not isinstance(schema, Mapping):
        return schema
    inner = {
        key: {name: closed(part) for name, part in value.items()} if key in _NAMED and isinstance(value, Mapping) else closed(value)
        for key, value in schema.items()
    }
    return {"additionalProperties": False} | inner if "properties" in inner else inner
