"""Blend: the sum of several recommenders' scores, each standardised per person, with weights chosen on validation.

score(u, i) = Σ_p w_p · (s_p(u, i) − μ_p(u)) / σ_p(u)

μ_p(u) and σ_p(u) are the mean and the standard deviation of part p's scores over what can be recommended to u: the items met in training
that u has not met. What u has met is left out because graph models score it far above everything else and linear ones far below, and
neither is ranked.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy import sparse

from loreweave.config import Config
from loreweave.data.dataset import Dataset, Interactions
from loreweave.data.vocabulary import Codes
from loreweave.errors import ConfigError, LoreweaveError
from loreweave.knowledge.records import Knowledge
from loreweave.learn.ranking import mask_scores, ndcg, target_ranks
from loreweave.models import create, load, model_class
from loreweave.models.base import SCORE_BLOCK, Cause, Explanation, Recommender, Scores

ROUNDING = 1e-6
"""A deviation below this share of the mean is what rounding leaves of equal float32 scores."""
VALIDATION_K = 20
"""The k of the NDCG that weights are chosen by."""


class PartConfig(Config):
    """One part of a blend."""

    model: str
    """Registered name of a model."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Its settings; its `seed`, where it has one and none is given, is the blend's."""


class BlendConfig(Config):
    """Settings of a blend."""

    parts: list[PartConfig] = Field(default=[PartConfig(model="cikg-linear"), PartConfig(model="cikgrec")], min_length=1)
    """What is blended."""
    weights: list[float] | None = None
    """A weight for each part; None: chosen on validation where there is one at the fit, else all 1."""
    choices: list[float] = Field(default=[0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0], min_length=1)
    """Weights tried on validation for every part but the first, whose weight is 1; all combinations are."""
    seed: int = Field(1, ge=0, lt=2**63)
    """Handed to the parts."""

    @model_validator(mode="after")
    def _a_weight_a_part(self) -> Self:
        if self.weights is not None and len(self.weights) != len(self.parts):
            raise ValueError(f"{len(self.weights)} weights for {len(self.parts)} parts; give one for each")
        return self


class Blend(Recommender):
    """A weighted sum of standardised scores. Learns from every kind of record, and depends on a seed, where any of its parts does."""

    name = "blend"
    config_class = BlendConfig
    knowledge_kinds: ClassVar[tuple[str, ...]] = ("interest",)
    stochastic = True

    def __init__(self, config: Config | None = None, **settings: Any) -> None:
        super().__init__(config, **settings)
        self._adopt([create(part.model, self._settings_of(part)) for part in self.config.parts])
        self.weights: list[float] = self.config.weights or [1.0] * len(self.parts)

    @classmethod
    def of(cls, parts: Sequence[Recommender], weights: Sequence[float] | None = None) -> Self:
        """A fitted blend of fitted recommenders, which stay as they are.

        Args:
            parts: fitted on the same data, those that use knowledge on the same knowledge.
            weights: one a part; None is all 1.

        Raises:
            ConfigError: no parts, or not a weight for each.
            LoreweaveError: the parts were fitted on different data or interests.
        """
        if not parts or (weights is not None and len(weights) != len(parts)):
            raise ConfigError(
                f"blend: {len(parts)} parts and {0 if weights is None else len(weights)} weights; give one weight for each part"
            )
        described = [PartConfig(model=part.name, settings=part.config.model_dump(mode="json")) for part in parts]
        blend = cls(BlendConfig(parts=described, weights=None if weights is None else [float(weight) for weight in weights]))
        first = next((part for part in parts if "interest" in part.knowledge_kinds), parts[0])
        for part in parts:
            same = part.users == first.users and part.items == first.items and part.data_fingerprint == first.data_fingerprint
            if not same or ("interest" in part.knowledge_kinds and not part.interest_ids.equals(first.interest_ids)):
                raise LoreweaveError(f"{part.name} and {first.name} were fitted on different data or interests; fit both on the same")
        for attribute in ("users", "items", "titles", "history", "interests", "interest_ids", "interest_labels", "data_fingerprint"):
            setattr(blend, attribute, getattr(first, attribute))
        blend._adopt(list(parts))
        blend.seconds_to_fit = sum(part.seconds_to_fit or 0.0 for part in parts)
        return blend

    def _adopt(self, parts: list[Recommender]) -> None:
        self.parts = parts
        kinds = dict.fromkeys(kind for part in parts for kind in part.knowledge_kinds)
        self.knowledge_kinds = tuple(kinds)  # type: ignore[misc]  # of this blend, not of all blends
        self.stochastic = any(part.stochastic for part in parts)  # type: ignore[misc]

    def _settings_of(self, part: PartConfig) -> dict[str, Any]:
        seeded = "seed" in model_class(part.model).config_class.model_fields
        return {"seed": self.config.seed, **part.settings} if seeded else part.settings

    def _fit(self, train: Dataset, knowledge: Knowledge, valid: Interactions | None, checkpoint: Path | None, resume: bool) -> None:
        for number, part in enumerate(self.parts):
            place = None if checkpoint is None else checkpoint / _folder(number, part)
            part.fit(train, knowledge, valid, checkpoint=place, resume=resume)
        self.seconds_before = sum(part.seconds_before for part in self.parts)
        if self.config.weights is None and valid is not None and len(valid.positives()):
            self.weights, self.metrics[f"valid_ndcg@{VALIDATION_K}"] = self._choose(valid)

    def _choose(self, valid: Interactions) -> tuple[list[float], float]:
        """The weights of the best mean NDCG on validation, and that mean; the first of those that tie."""
        held_out = valid.matrix(self.n_users, self.n_items)
        codes = np.flatnonzero(np.diff(held_out.indptr)).astype(np.int32)
        trials = [[1.0, *rest] for rest in itertools.product(self.config.choices, repeat=len(self.parts) - 1)]
        total, counted = np.zeros(len(trials)), 0
        for start in range(0, len(codes), SCORE_BLOCK):
            block = codes[start : start + SCORE_BLOCK]
            targets, seen = held_out[block], self.history[block]
            standard = [_standardised(part.score_codes(block), seen, self._met) for part in self.parts]
            for trial, weights in enumerate(trials):
                masked = mask_scores(_weighted(standard, weights), seen, self._met)
                total[trial] += ndcg(target_ranks(masked, targets), targets, VALIDATION_K).sum()
            counted += len(block)
        best = int(total.argmax())
        return trials[best], float(total[best] / counted)

    @property
    def _met(self) -> NDArray[np.bool_]:
        return self.candidate_mask()

    def chosen_settings(self) -> dict[str, Any]:
        """The weights, and every part with what its own fit chose, for the refit on train + validation."""
        parts = [
            {"model": given.model, "settings": {**given.settings, **part.chosen_settings()}}
            for given, part in zip(self.config.parts, self.parts, strict=True)
        ]
        return {"weights": self.weights, "parts": parts}

    # Scoring

    def _score_rows(self, history: sparse.csr_array, interests: sparse.csr_array) -> Scores:
        raise NotImplementedError("every part scores for itself: rows have lost the order, and texts about people")

    def score_histories(self, histories: Mapping[Any, Sequence[Any]], knowledge: Knowledge | None = None) -> Scores:
        """Every part scores them itself: what a part makes of their order, or of texts about them, is its own."""
        rows = self._as_rows(*self._encoded(histories, aloud=False))
        parts = [_standardised(part.score_histories(histories, knowledge), rows, self._met) for part in self.parts]
        return self._or_popular(_weighted(parts, self.weights))

    def score_codes(self, users: Codes) -> Scores:
        parts = [_standardised(part.score_codes(users), self.history[users], self._met) for part in self.parts]
        return _weighted(parts, self.weights)

    def _similarity(self, items: Codes) -> Scores:
        alone = self._alone(items)
        return _weighted([_standardised(part._similarity(items), alone, self._met) for part in self.parts], self.weights)

    # Explaining

    def score_without(self, user: Any, item: Any, causes: Sequence[Cause]) -> float:
        """As in the base class, every part by its own way; means and deviations stay those of the whole person.

        A part that was told of no interests is asked without the items alone.
        """
        code, score = self._user_codes([user]), 0.0
        for part, weight in zip(self.parts, self.weights, strict=True):
            mean, deviation = _moments(part.score_codes(code), self.history[code], self._met)
            its_own = [cause for cause in causes if cause.kind != "interest" or len(part.interest_ids)]
            score += weight * (part.score_without(user, item, its_own) - float(mean[0, 0])) / float(deviation[0, 0])
        return score

    def explain(self, user: Any, item: Any, k: int | None = None) -> Explanation:
        code = self._user_codes([user])
        told = [(part.score_codes(code), partial(part.explain, user, item)) for part in self.parts]
        return self._explained(user, item, self._merged(self.history[code], self._item_code(item), told), k)

    def explain_history(
        self, history: Sequence[Any], item: Any, k: int | None = None, *, knowledge: Knowledge | None = None
    ) -> Explanation:
        person = {"person": history}
        told = [
            (part.score_histories(person, knowledge), partial(part.explain_history, history, item, knowledge=knowledge))
            for part in self.parts
        ]
        row = self._as_rows(*self._encoded(person, aloud=False))
        return self._explained(None, item, self._merged(row, self._item_code(item), told), k)

    def _merged(
        self, history: sparse.csr_array, item: int, told: Sequence[tuple[Scores, Callable[[], Explanation]]]
    ) -> tuple[float, list[Cause], bool]:
        """Every part's causes times w/σ, those of the same item or interest added up, and one `bias`: −Σ w·μ/σ.

        A part that cannot explain is one cause (its share of the score), and the explanation is not exact.

        Args:
            history: of one person, CSR with one row.
            told: by part, its scores of the person, [1, n_items], and what explains the item's.
        """
        score, merged, offset, exact = 0.0, dict[tuple[str, Any], Cause](), 0.0, True
        for part, weight, (row, explain) in zip(self.parts, self.weights, told, strict=True):
            mean, deviation = _moments(row, history, self._met)
            scale = weight / float(deviation[0, 0])
            offset -= scale * float(mean[0, 0])
            score += scale * (float(row[0, item]) - float(mean[0, 0]))
            try:
                found = explain()
                causes, exact = found.causes, exact and found.exact
            except LoreweaveError:
                causes, exact = (Cause("bias", part.name, f"the score by {part.name}", float(row[0, item])),), False
            for cause in causes:
                key = (cause.kind, cause.key)
                before = merged[key].contribution if key in merged else 0.0
                merged[key] = Cause(cause.kind, cause.key, cause.text, before + scale * cause.contribution)
        mean_cause = Cause("bias", "mean", "the mean over all candidates, taken off", offset)
        return score, [*merged.values(), mean_cause], exact

    # Saving

    def _state(self) -> dict[str, NDArray[Any]]:
        return {"weights": np.array(self.weights, dtype=np.float64)}

    def _restore(self, state: dict[str, NDArray[Any]]) -> None:
        self.weights = state["weights"].tolist()

    def _save_parts(self, folder: Path) -> None:
        for number, part in enumerate(self.parts):
            part.save(folder / "parts" / _folder(number, part))

    def _load_parts(self, folder: Path) -> None:
        self._adopt([load(folder / "parts" / _folder(number, part)) for number, part in enumerate(self.parts)])


def _folder(number: int, part: Recommender) -> str:
    return f"{number}-{part.name}"


def _moments(scores: Scores, seen: sparse.csr_array, met: NDArray[np.bool_]) -> tuple[Scores, Scores]:
    """Mean and standard deviation of each row of float32 [b, n_items] over the items met in training, less the seen ones: [b, 1] each.

    Scores of −∞ (not to be recommended) are left out. Where nothing is left the mean is 0; where all are equal the deviation is 1.
    """
    counted = met & np.isfinite(scores)
    counted[np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr)), seen.indices] = False
    number = np.maximum(counted.sum(axis=1, keepdims=True), 1)
    mean = (np.sum(scores, axis=1, keepdims=True, where=counted, dtype=np.float64) / number).astype(np.float32)
    centred = np.where(counted, scores - mean, np.float32(0.0))
    deviation = np.sqrt(np.sum(centred * centred, axis=1, keepdims=True, dtype=np.float64) / number).astype(np.float32)
    return mean, np.where(deviation > ROUNDING * np.abs(mean), deviation, np.float32(1.0))


def _standardised(scores: Scores, seen: sparse.csr_array, met: NDArray[np.bool_]) -> Scores:
    mean, deviation = _moments(scores, seen, met)
    return (scores - mean) / deviation


def _weighted(standardised: Sequence[Scores], weights: Sequence[float]) -> Scores:
    total = np.zeros_like(standardised[0])
    for scores, weight in zip(standardised, weights, strict=True):
        if weight != 0:  # 0 · −∞ would be NaN
            total += np.float32(weight) * scores
    return total
