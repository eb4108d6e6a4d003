"""Every registered model conforms; a model that does not is caught."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loreweave.models import MODELS, create
from loreweave.models.linear.ease import EASE
from loreweave.models.linear.item_knn import ItemKNN
from loreweave.models.linear.popular import Popular
from loreweave.testing import conformance
from texts_model import Texts

NEURAL = {"epochs": 30, "dim": 16}
SEQUENTIAL = {"epochs": 15, "dim": 16, "batch_size": 8, "learning_rate": 0.01, "dropout": 0.1}
SETTINGS: dict[str, dict[str, Any]] = {
    "lightgcn": NEURAL,
    "cikgrec": NEURAL,
    **dict.fromkeys(("sasrec", "grasp", "llm-esr", "llm-init"), SEQUENTIAL),
    "gru4rec": {**SEQUENTIAL, "epochs": 40},
    "bert4rec": {**SEQUENTIAL, "epochs": 25, "mask_share": 0.3},
    "blend": {"parts": [{"model": "cikg-linear"}, {"model": "lightgcn", "settings": NEURAL}], "weights": [1.0, 0.5]},
}
"""Small settings that learn the checkerboard in seconds; a model that is not here runs with its defaults."""
NEEDS_TORCH = {"lightgcn", "cikgrec", "gru4rec", "sasrec", "bert4rec", "grasp", "llm-esr", "llm-init", "blend"}
IMPERSONAL = {"popular", "markov"}
"""`markov` reads one item: of most others of its group it says nothing."""
without_torch = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed: pip install 'loreweave[neural]'")


@functools.cache
def case_of(name: str) -> conformance.Case:
    return conformance.Case(lambda: create(name, SETTINGS.get(name)), personalised=name not in IMPERSONAL)


@pytest.mark.parametrize("check", conformance.CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize("name", [pytest.param(name, marks=without_torch) if name in NEEDS_TORCH else name for name in MODELS])
def test_registered_model_conforms(name: str, check: Callable[[conformance.Case], None]) -> None:
    check(case_of(name))


def test_a_blend_of_classical_models_conforms() -> None:
    parts = [{"model": "cikg-linear"}, {"model": "rp3beta"}, {"model": "popular"}]
    conformance.check(lambda: create("blend", {"parts": parts, "weights": [1.0, 0.7, 0.1]}))


def test_a_blend_of_knowledge_blind_models_says_so() -> None:
    blind = create("blend", {"parts": [{"model": "ease"}, {"model": "item-knn"}]})
    assert blind.knowledge_kinds == ()
    assert not blind.stochastic
    conformance.check_knowledge(conformance.Case(lambda: create("blend", {"parts": [{"model": "ease"}, {"model": "item-knn"}]})))


def test_a_model_of_texts_conforms() -> None:
    conformance.check(Texts)


class Confused(Popular):
    """Learns from a kind of record that there is not."""

    knowledge_kinds = ("interests",)


class Boastful(ItemKNN):
    """Says that it uses knowledge and does not."""

    knowledge_kinds = ("interest",)


class Deaf(EASE):
    """Says that it uses knowledge, and hears none from newcomers."""

    knowledge_kinds = ("interest",)


class Untidy(ItemKNN):
    """Changes the data it is given."""

    def _fit(self, train: Any, *rest: Any) -> None:
        super()._fit(train, *rest)
        train.matrix.data *= 2


class Forgetful(Popular):
    """Loses what it learnt when it is saved."""

    def _restore(self, state: dict[str, Any]) -> None:
        self.popularity = np.zeros(self.n_items, dtype=np.float32)


class Wide(Popular):
    """Scores in float64."""

    def _score_rows(self, history: Any, interests: Any) -> Any:
        return super()._score_rows(history, interests).astype(np.float64)


class Liar(Popular):
    """Its exact explanation does not add up."""

    def _causes(self, *person: Any) -> Any:
        score, causes, exact = super()._causes(*person)
        return score, [*causes, *causes], exact


class Pickler(Popular):
    """Leaves a file of another kind beside the weights."""

    def _save_parts(self, folder: Path) -> None:
        (folder / "model.pkl").write_bytes(b"anything")


@pytest.mark.parametrize(
    ("kind", "check", "message"),
    [
        (Boastful, conformance.check_knowledge, "item-knn: says that it uses knowledge, but scores the same without it"),
        (Deaf, conformance.check_newcomer_knowledge, "ease: says that it learns from interest, but what is said of a newcomer"),
        (Confused, conformance.check_settings, "popular: knowledge_kinds name what is no kind of record: interests"),
        (Untidy, conformance.check_untouched, "item-knn: .*changed the data they were given: data"),
        (Forgetful, conformance.check_saving, "popular: scores differ after save and load"),
        (Wide, conformance.check_scores, "popular: scores are float64, not float32"),
        (Liar, conformance.check_explanations, "popular: an exact explanation adds up to"),
        (Pickler, conformance.check_saved_files, "popular: saves model.pkl"),
        (Popular, conformance.check_checkerboard, "popular: user '0.*' is recommended '.*', which only the other group met"),
    ],
)
def test_a_model_that_does_not_conform_is_caught(kind: Any, check: Callable[[conformance.Case], None], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check(conformance.Case(kind))
