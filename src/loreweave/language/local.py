"""Hugging Face causal models on this machine, in batches, held to the JSON schema of the question."""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from loreweave.config import Config
from loreweave.errors import require
from loreweave.files import read_json
from loreweave.language.base import Answer, LanguageModel, LanguageModelError, Request
from loreweave.language.weights import folder_of, identity, loading

if TYPE_CHECKING:
    from loreweave.language.decoding import Decoder


class LocalConfig(Config):
    """Which model on this machine, and how it is run."""

    model: str | Path
    """A folder, or a name on the hub."""
    revision: str | None = None
    """Commit, tag or branch on the hub."""
    batch_size: int = Field(8, ge=1, le=4096)
    """Requests at once; halved where CUDA's memory does not do."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Of what is sampled."""
    device: str | None = None
    """As torch names it; None: CUDA where there is one."""


class Local(LanguageModel):
    """A causal model from a folder or the hub. Weights are loaded with the first request, from safetensors; no code of a repository is run.

    On CUDA, where there is one, in bfloat16; else in float32. A request's answer does not depend on what else is in its batch, up to the
    rounding of sums: prompts are padded on the left, and what is sampled (temperature above 0) comes from a generator seeded by `seed`
    and the request. So the same request has the same answer when it is asked again.

    An answer with a schema parses under it, unless it met `max_tokens` first: then it ends with `length`. Names of special tokens in a
    prompt's text are broken up by a space, so that no title of a catalogue can close the question and open another.

    Raises:
        LanguageModelError: no such model.
        MissingExtra: `transformers` or torch is not installed.
    """

    def __init__(self, config: LocalConfig) -> None:
        self.config = config
        self._folder = folder_of(config.model, "lm", revision=config.revision, weights=False)
        self.model = identity(config.model, config.revision)
        self.context = read_json(self._folder / "config.json").get("max_position_embeddings")

    def generate(self, requests: Iterable[Request]) -> Iterator[tuple[int, Answer]]:
        """Batch by batch, in order. A prompt that leaves no room for its answer is not asked: its answer says how long it is."""
        numbered = enumerate(requests)
        while batch := list(itertools.islice(numbered, self.config.batch_size)):
            asked: list[tuple[int, Request, list[int]]] = []
            for position, request in batch:
                tokens = self._tokens(request)
                if self.context is not None and len(tokens) + request.max_tokens > self.context:
                    room = f"{len(tokens)} tokens and {request.max_tokens} for the answer, of {self.context} that {self.model} has"
                    yield position, Answer("", "failed", self.model, reason=f"the prompt is too long: {room}")
                else:
                    asked.append((position, request, tokens))
            if asked:
                answers = self._answer([request for _, request, _ in asked], [tokens for _, _, tokens in asked])
                yield from ((position, answer) for (position, _, _), answer in zip(asked, answers, strict=True))

    def count_tokens(self, text: str) -> int:
        """By the model's own tokenizer."""
        return len(self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def _tokens(self, request: Request) -> list[int]:
        system, prompt = self._harmless(request.system), self._harmless(request.prompt)
        if self._tokenizer.chat_template is None:
            text = "\n\n".join(part for part in (system, prompt) if part) + "\n\n"
            plain: list[int] = self._tokenizer(text, verbose=False)["input_ids"]
            return plain
        chat = [{"role": "system", "content": system}] if system else []
        try:
            text = self._chat([*chat, {"role": "user", "content": prompt}])
        except Exception:  # jinja2's, of a template that knows no system role
            text = self._chat([{"role": "user", "content": f"{system}\n\n{prompt}"}])
        tokens: list[int] = self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return tokens

    def _chat(self, messages: list[dict[str, str]]) -> str:
        # A reasoning model is asked to answer at once: a schema leaves no room for thoughts. Other templates overlook the setting.
        text: str = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, enable_thinking=False)
        return text

    def _harmless(self, text: str) -> str:
        for name in self._special:
            text = text.replace(name, f"{name[0]} {name[1:]}")
        return text

    def _answer(self, requests: list[Request], prompts: list[list[int]]) -> list[Answer]:
        started, loaded = time.perf_counter(), self._loaded
        import torch  # not before `_loaded`, which says what to install where it is missing

        matchers = [None if request.schema is None else loaded.grammars.matcher(request.schema) for request in requests]
        try:
            made = loaded.decode(prompts, matchers, requests, [self._seed(request) for request in requests])
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            if len(requests) == 1:
                reason = f"not enough memory for a prompt of {len(prompts[0])} tokens: {str(error).splitlines()[0]}"
                return [Answer("", "failed", self.model, reason=reason, seconds=time.perf_counter() - started)]
            half = len(requests) // 2
            return self._answer(requests[:half], prompts[:half]) + self._answer(requests[half:], prompts[half:])
        seconds = time.perf_counter() - started
        answers = []
        for request, prompt, matcher, tokens in zip(requests, prompts, matchers, made, strict=True):
            ended = next((place for place, token in enumerate(tokens) if token in loaded.ends), None)
            tokens = tokens[:ended][: request.max_tokens]
            counts: dict[str, Any] = {"tokens_in": len(prompt), "tokens_out": len(tokens), "seconds": seconds}
            text = self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
            if matcher is not None and matcher.is_error():
                reason = f"the schema could not be followed: {matcher.get_error().splitlines()[0]}"
                answers.append(Answer("", "failed", self.model, reason=reason, **counts))
            elif ended is None or ended > request.max_tokens:
                answers.append(Answer(text, "length", self.model, reason=f"cut at {request.max_tokens} tokens", **counts))
            else:
                answers.append(Answer(text, "stop", self.model, **counts))
        return answers

    def _seed(self, request: Request) -> int:
        key = f"{self.config.seed} {request.hash(self.model)}"
        return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=7).digest(), "big")

    @cached_property
    def _tokenizer(self) -> Any:
        library = require("transformers", "lm")
        with loading(self.config.model):
            tokenizer = library.AutoTokenizer.from_pretrained(self._folder, trust_remote_code=False, local_files_only=True)
        if not tokenizer.is_fast:
            raise LanguageModelError(f"{self.config.model}: no fast tokenizer (tokenizer.json); choose a model that has one")
        return tokenizer

    @cached_property
    def _special(self) -> list[str]:
        added = {str(token) for token in self._tokenizer.added_tokens_decoder.values()} | set(self._tokenizer.all_special_tokens)
        return sorted(name for name in added if len(name) > 1 and not any(letter.isspace() for letter in name))

    @cached_property
    def _loaded(self) -> Decoder:
        torch, library = require("torch", "neural"), require("transformers", "lm")
        folder = folder_of(self.config.model, "lm", revision=self.config.revision)
        device = self.config.device or ("cuda" if torch.cuda.is_available() else "cpu")
        with loading(self.config.model):
            network = library.AutoModelForCausalLM.from_pretrained(
                folder,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                dtype=torch.bfloat16 if device.startswith("cuda") else torch.float32,
            )
        from loreweave.language.decoding import Decoder  # imports torch

        return Decoder(network.to(device).eval(), self._tokenizer)
