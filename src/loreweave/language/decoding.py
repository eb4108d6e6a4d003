"""A loaded causal model writing answers for a batch of prompts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from transformers import GenerationConfig, LogitsProcessorList

from loreweave.language.base import Request
from loreweave.language.constrain import Constraint, Grammars

if TYPE_CHECKING:
    from llguidance import LLMatcher


class Decoder:
    """A network in evaluation mode and its tokenizer.

    Attributes:
        ends: tokens that end an answer: the tokenizer's, and those of the model's own generation settings (a chat ends its turns with
            another than a text). Its other settings (a repetition penalty, top-p) are laid aside: a request says all that matters.
    """

    def __init__(self, network: Any, tokenizer: Any) -> None:
        self._network = network
        self._tokenizer = tokenizer
        own = network.generation_config.eos_token_id
        own = own if isinstance(own, list) else [own]
        self.ends: list[int] = sorted({end for end in [*own, tokenizer.eos_token_id] if end is not None})
        network.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]

    @cached_property
    def grammars(self) -> Grammars:
        """The tokenizer prepared for schemas, about a second at the first use."""
        return Grammars(self._tokenizer, self._network.get_output_embeddings().weight.shape[0], self.ends)

    def decode(
        self, prompts: Sequence[list[int]], matchers: Sequence[LLMatcher | None], requests: Sequence[Request], seeds: Sequence[int]
    ) -> list[list[int]]:
        """Tokens written after each prompt, the ending one included; after that, padding.

        Prompts are padded on the left, so that every row writes at the same column.
        """
        device = self._network.device
        longest = max(len(prompt) for prompt in prompts)
        filler = self._tokenizer.pad_token_id
        filler = (self.ends[0] if self.ends else 0) if filler is None else filler
        tokens = torch.tensor([[filler] * (longest - len(prompt)) + prompt for prompt in prompts], device=device)
        seen = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device)
        settings = GenerationConfig(  # type: ignore[no-untyped-call]
            do_sample=False,  # `Sampling` has drawn already: the largest score is the choice
            max_new_tokens=max(request.max_tokens for request in requests) + 1,  # one more, for the token that ends the answer
            eos_token_id=self.ends or None,
            pad_token_id=filler,
        )
        rules = LogitsProcessorList([Constraint(matchers, longest, self.ends), Sampling([r.temperature for r in requests], seeds, device)])
        with torch.inference_mode():
            made = self._network.generate(input_ids=tokens, attention_mask=seen, generation_config=settings, logits_processor=rules)
        written: list[list[int]] = made[:, longest:].tolist()
        return written


class Sampling:
    """A logits processor that turns each row's largest score into a draw at its temperature.

    Gumbel-max: argmax(s / T - log E), E exponential, is distributed as softmax(s / T). Each row has a generator of its own, so that what
    is drawn for it does not depend on its neighbours. Rows of temperature 0 stay as they are.
    """

    def __init__(self, temperatures: Sequence[float], seeds: Sequence[int], device: torch.device) -> None:
        self._rows = {
            row: (temperature, torch.Generator(device).manual_seed(seed))
            for row, (temperature, seed) in enumerate(zip(temperatures, seeds, strict=True))
            if temperature > 0
        }

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores [b, n_vocab]."""
        if not self._rows:
            return scores
        scores = scores.float()
        for row, (temperature, generator) in self._rows.items():
            noise = torch.empty_like(scores[row]).exponential_(generator=generator)
            scores[row] = scores[row] / temperature - noise.clamp_min(1e-30).log()
        return scores
