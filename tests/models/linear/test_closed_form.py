"""EASE and CIKG-linear against the textbook formula in dense numpy."""

import numpy as np
import polars as pl
import pytest

from loreweave.data.dataset import Dataset, Interactions, Triples
from loreweave.data.vocabulary import Vocabulary
from loreweave.errors import LoreweaveError
from loreweave.knowledge import Knowledge, Record
from loreweave.models import create, load
from loreweave.models.linear.cikg_linear import entity_rows
from loreweave.models.linear.closed_form import item_weights


def world(n_users: int = 40, n_items: int = 12, n_interests: int = 5, seed: int = 0) -> tuple[Dataset, Knowledge, Triples]:
    rng = np.random.default_rng(seed)
    user, item = np.nonzero(rng.random((n_users, n_items)) < 0.3)
    entities = Vocabulary([f"i{code}" for code in range(n_items)] + ["author", "genre", "alone"])
    head = np.array([0, 1, 2, 3, 4, 0, 5, 6, 7])
    tail = np.array([n_items] * 5 + [n_items + 1] * 2 + [n_items + 2, 8])  # the last is item to item
    triples = Triples(*(codes.astype(np.int32) for codes in (head, np.zeros(9), tail)), entities, Vocabulary(["r"]))
    dataset = Dataset(
        Vocabulary([f"u{code}" for code in range(n_users)]),
        Vocabulary([f"i{code}" for code in range(n_items)]),
        Interactions(user.astype(np.int32), item.astype(np.int32)),
        triples=triples,
    )
    held = np.argwhere(rng.random((n_users, n_interests)) < 0.4)
    knowledge = Knowledge.from_records(Record(kind="interest", user=f"u{u}", interest=f"t{t}", text=f"t{t}") for u, t in held)
    return dataset, knowledge, triples


def textbook(system: np.ndarray, l2: float, n_items: int) -> np.ndarray:
    inverse = np.linalg.inv(system.T @ system + l2 * np.eye(system.shape[1]))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights[:, :n_items]


def dense_rows(triples: Triples, n_items: int) -> np.ndarray:
    rows = np.zeros((len(triples.entities), n_items))
    for head, tail in zip(triples.head, triples.tail, strict=True):
        if head < n_items:
            rows[tail, head] = 1
        if tail < n_items:
            rows[head, tail] = 1
    degree = rows.sum(axis=1, keepdims=True)
    return (rows / np.sqrt(np.maximum(degree, 1)))[degree[:, 0] > 1]


def test_ease_is_the_textbook_formula() -> None:
    dataset, _, _ = world()
    model = create("ease", {"l2": 3.0}).fit(dataset)
    assert model.weights == pytest.approx(textbook(dataset.matrix.toarray(), 3.0, 12), abs=1e-5)
    assert model.score(["u0", "u7"]) == pytest.approx(dataset.matrix.toarray()[[0, 7]] @ model.weights, abs=1e-5)


def test_cikg_linear_is_the_textbook_formula() -> None:
    dataset, knowledge, triples = world()
    model = create("cikg-linear", {"l2": 2.0, "interest_weight": 0.7, "triple_weight": 4.0}).fit(dataset, knowledge)
    people = np.hstack([dataset.matrix.toarray(), 0.7 * model.interests.toarray()])
    entities = np.hstack([2.0 * dense_rows(triples, 12), np.zeros((2, 5))])
    weights = textbook(np.vstack([people, entities]), 2.0, 12)
    assert model.weights == pytest.approx(weights, abs=1e-5)
    assert model.score(dataset.users.ids) == pytest.approx(people @ weights, abs=1e-4)


def test_entity_rows_by_hand() -> None:
    _, _, triples = world()
    rows = entity_rows(triples, 12).toarray()
    # "alone" touches one item and is dropped, and so do items 7 and 8, which touch one another; the author has 5 items, the genre 2.
    assert rows.shape == (2, 12)
    assert rows[0] == pytest.approx([1 / np.sqrt(5)] * 5 + [0] * 7)
    assert rows[1] == pytest.approx([1 / np.sqrt(2), 0, 0, 0, 0, 1 / np.sqrt(2), *[0] * 6])


@pytest.mark.parametrize("settings", [{}, {"exact_below": 0, "rank": 4, "epochs": 2}], ids=["exact", "low rank"])
def test_contributions_add_up_to_the_score(settings: dict[str, float]) -> None:
    if settings:
        pytest.importorskip("torch")
    dataset, knowledge, _ = world()
    model = create("cikg-linear", settings).fit(dataset, knowledge)
    scores = model.score(dataset.users.ids)
    for user in range(10):
        for item in range(12):
            told = model.explain(f"u{user}", f"i{item}")
            assert told.exact
            assert sum(cause.contribution for cause in told.causes) == pytest.approx(scores[user, item], abs=1e-4)
            assert len(told.causes) == dataset.matrix[[user]].nnz + model.interests[[user]].nnz


def test_a_newcomer_scores_like_a_fitted_user_with_the_same_history_and_interests() -> None:
    dataset, knowledge, _ = world()
    model = create("cikg-linear").fit(dataset, knowledge)
    history = dataset.items.decode(dataset.matrix[[3]].indices).to_list()
    own = knowledge.records.filter(pl.col("user") == "u3").with_columns(user=pl.lit("new"))
    newcomer = Knowledge(own, knowledge.interests)
    assert model.score_histories({"new": history}, newcomer)[0] == pytest.approx(model.score(["u3"])[0], abs=1e-6)


def test_without_interest_weight_knowledge_changes_nothing() -> None:
    dataset, knowledge, _ = world()
    settings = {"interest_weight": 0.0}
    blind, told = create("cikg-linear", settings).fit(dataset), create("cikg-linear", settings).fit(dataset, knowledge)
    assert np.array_equal(blind.score(dataset.users.ids), told.score(dataset.users.ids))


def test_low_rank_form_saves_and_loads(tmp_path) -> None:
    pytest.importorskip("torch")
    dataset, knowledge, _ = world()
    model = create("cikg-linear", {"exact_below": 0, "rank": 4, "epochs": 2}).fit(dataset, knowledge)
    model.save(tmp_path / "m")
    assert np.array_equal(load(tmp_path / "m").score(dataset.users.ids), model.score(dataset.users.ids))


def test_a_system_that_cannot_be_solved_is_refused() -> None:
    with pytest.raises(LoreweaveError, match="not positive definite at l2="):
        item_weights(np.asfortranarray(-np.eye(3, dtype=np.float32)), 0.5, 3)


def test_somebody_unknown_gets_what_most_people_met() -> None:
    dataset, knowledge, _ = world()
    model = create("cikg-linear").fit(dataset, knowledge)
    share = dataset.matrix.toarray().mean(axis=0)
    assert model.score_histories({"new": []})[0] == pytest.approx(share)
    told = model.explain_history([], "i3")
    assert told.exact
    assert [(cause.kind, cause.contribution) for cause in told.causes] == [("bias", pytest.approx(share[3]))]
