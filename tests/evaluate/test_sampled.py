"""Held-out items among random ones: ranks by hand, what may be drawn and how evenly, and that a comparison keeps what it drew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse
from stubs import Remembering, compared, tribes

from loreweave.data import Split, split
from loreweave.data.dataset import Dataset, Interactions
from loreweave.data.vocabulary import Vocabulary
from loreweave.errors import ConfigError, DataError, SavedError
from loreweave.evaluate.evaluation import evaluate
from loreweave.evaluate.kept_negatives import kept_negatives
from loreweave.evaluate.sampled import Negatives, draw_negatives, sampled_cuts, sampled_metrics, sampled_ranks
from loreweave.learn.ranking import mask_scores, target_ranks
from loreweave.models.linear.popular import Popular


def csr(dense: Any) -> sparse.csr_array:
    return sparse.csr_array(np.asarray(dense, dtype=np.float32))


def held(dense: Any) -> Interactions:
    user, item = np.nonzero(dense)
    return Interactions(user.astype(np.int32), item.astype(np.int32))


def world(seed: int, n_users: int, n_items: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """A log and a held-out part, bool [n_users, n_items]; the last item is met by nobody, and the first user has a held-out item."""
    rng = np.random.default_rng(seed)
    met = rng.random((n_users, n_items)) < rng.random((n_users, 1))
    out = (rng.random((n_users, n_items)) < 0.3) & ~met
    met[0, 0], out[0, 0] = False, True
    met[:, -1] = False
    return met, out


def test_ranks_and_metrics_by_hand() -> None:
    # Items a–f. First user: targets a (0.5) and b (0.9), against c (0.5), d (0.7), e (0.1): a comes after d and, tied, after c.
    # Second user: target f is masked; its two negatives do not matter. Third: target a above its only negative.
    masked = np.array([[0.5, 0.9, 0.5, 0.7, 0.1, 0.8], [0, 1, 2, 3, 4, -np.inf], [3, 0, 0, 0, 2, 0]], dtype=np.float32)
    targets = csr([[1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0]])
    codes = np.array([[2, 3, 4], [0, 1, -1], [4, -1, -1]], dtype=np.int32)
    ranks = sampled_ranks(masked, targets, codes)
    assert ranks.tolist() == [3, 1, np.inf, 1]
    found = sampled_metrics(ranks, targets, (1, 3))
    assert found == pytest.approx(
        {"hit_rate@1": (0.5 + 0 + 1) / 3, "ndcg@1": (0.5 + 0 + 1) / 3, "hit_rate@3": 2 / 3, "ndcg@3": ((1 / np.log2(4) + 1) / 2 + 1) / 3}
    )


def test_a_model_that_scores_all_alike_earns_nothing() -> None:
    masked, targets = np.zeros((1, 5), dtype=np.float32), csr([[1, 1, 0, 0, 0]])
    assert sampled_ranks(masked, targets, np.array([[2, 3, 4]], dtype=np.int32)).tolist() == [4, 4]


@given(seed=st.integers(0, 2**31), n_users=st.integers(1, 8), n_items=st.integers(2, 12), count=st.integers(1, 14), cold=st.booleans())
@settings(max_examples=200, deadline=None)
def test_what_is_drawn(seed: int, n_users: int, n_items: int, count: int, cold: bool) -> None:
    """Candidates, each once, that the user neither met nor has held out: `count` of them, or all there are; the same for the same seed."""
    met, out = world(seed, n_users, n_items)
    drawn = draw_negatives(csr(met), held(out), count, seed=seed, cold=cold)
    assert drawn.users.tolist() == np.flatnonzero(out.any(axis=1)).tolist()
    candidates = met.any(axis=0) | (out.any(axis=0) & cold)
    for user, codes in zip(drawn.users, drawn.codes, strict=True):
        possible = set(np.flatnonzero(candidates & ~met[user] & ~out[user]).tolist())
        size = min(count, len(possible))
        assert set(codes[:size].tolist()) <= possible
        assert len(set(codes[:size].tolist())) == size
        assert (codes[size:] == -1).all()
    assert drawn.codes.shape == (len(drawn.users), count)
    assert drawn.codes.dtype == drawn.users.dtype == np.int32
    drawn.check(csr(met), held(out), cold=cold)
    assert np.array_equal(drawn.codes, draw_negatives(csr(met), held(out), count, seed=seed, cold=cold).codes)


@given(seed=st.integers(0, 2**31), n_users=st.integers(1, 8), n_items=st.integers(2, 12))
@settings(max_examples=100, deadline=None)
def test_among_all_candidates_the_rank_is_that_of_the_full_ranking(seed: int, n_users: int, n_items: int) -> None:
    met, out = world(seed, n_users, n_items)
    out &= np.cumsum(out, axis=1) == 1  # one target each
    drawn = draw_negatives(csr(met), held(out), n_items, seed=seed)
    scores = np.random.default_rng(seed).integers(0, 4, size=met.shape).astype(np.float32)  # with ties
    targets = csr(out)[drawn.users]
    masked = mask_scores(scores[drawn.users], csr(met)[drawn.users], met.any(axis=0))
    assert np.array_equal(sampled_ranks(masked, targets, drawn.codes), target_ranks(masked, targets))


def test_every_set_of_possible_items_is_drawn_equally_often() -> None:
    n_users, n_items, count = 6000, 12, 3
    met = np.zeros((n_users, n_items), dtype=bool)
    met[:, 4] = True
    met[0] = True  # so that all but the last are candidates for the others
    met[0, 11] = False
    out = np.zeros_like(met)
    out[1:, 7] = True
    drawn = draw_negatives(csr(met), held(out), count, seed=3)
    assert not np.isin(drawn.codes, [4, 7, 11]).any()  # met, held out, met by nobody
    sets, often = np.unique(drawn.codes, axis=0, return_counts=True)
    assert len(sets) == 84  # 3 of 9
    expected = (n_users - 1) / 84
    assert ((often - expected) ** 2 / expected).sum() < 128.6  # the 0.999 quantile of χ² at 83 degrees of freedom; the seed is fixed
    assert not np.array_equal(drawn.codes, draw_negatives(csr(met), held(out), count, seed=4).codes)


def test_negatives_of_another_log_are_refused() -> None:
    met, out = world(1, 6, 9)
    drawn = draw_negatives(csr(met), held(out), 3, seed=1)
    more = met | (np.arange(9) == drawn.codes[0, 0]) & ~out
    with pytest.raises(DataError, match="another log"):
        drawn.check(csr(more), held(out))
    with pytest.raises(DataError, match="another log"):
        Negatives(drawn.users[1:], drawn.codes[1:], 1).check(csr(met), held(out))
    with pytest.raises(DataError, match="another log"):
        Negatives(drawn.users, np.full_like(drawn.codes, 99), 1).check(csr(met), held(out))
    for count in (0, 1001):
        with pytest.raises(ConfigError, match="from 1 to 1,000"):
            draw_negatives(csr(met), held(out), count, seed=1)


def test_evaluate_gives_them_apart_and_counts_who_had_fewer() -> None:
    # Popularity: a 4, b 3, c 2, d 1. v met a, b, c and has d held out: nothing is left to draw. w met a, b: against d, c ranks 1.
    train = Interactions(*np.array([(0, 0), (1, 0), (2, 0), (3, 0), (0, 1), (1, 1), (2, 1), (0, 2), (1, 2), (0, 3)], dtype=np.int32).T)
    model = Popular().fit(Dataset(Vocabulary(list("uvwx")), Vocabulary(list("abcd")), train))
    test = Interactions(np.array([1, 2], dtype=np.int32), np.array([3, 2], dtype=np.int32))
    plain = evaluate(model, test, ks=(1,))
    assert (plain.sampled, plain.protocol["sampled"]) == ({}, None)
    report = evaluate(model, test, ks=(1,), negatives=draw_negatives(model.history, test, 2, seed=1))
    assert report.sampled == {"hit_rate@1": 1, "ndcg@1": 1}
    assert report.metrics == plain.metrics
    assert report.counts["evaluated users with fewer than 2 negatives"] == 2
    assert report.protocol["sampled"]["negatives"] == 2
    assert report.per_user.equals(plain.per_user)


def test_cuts_are_those_of_the_papers_and_of_the_run_up_to_the_count() -> None:
    assert sampled_cuts((20, 50, 200), 100) == [1, 3, 5, 10, 20, 50]
    assert sampled_cuts((20,), 4) == [1, 3]


def test_a_comparison_judges_all_arms_among_the_same_items_and_keeps_them(tmp_path: Path) -> None:
    result = compared(tmp_path / "run", negatives=10, permutations=2)
    assert all(set(row["sampled"]) == {f"{m}@{k}" for m in ("hit_rate", "ndcg") for k in (1, 2, 3, 5, 10)} for row in result["results"])
    assert not any(set(row["metrics"]) & {"hit_rate@10", "ndcg@10"} for row in result["results"])
    assert result["protocol"]["sampled"]["negatives"] == 10
    text = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert "Among 10 random items" in text
    assert "NOT a full ranking" in text
    made = split(tribes(), "ratio", seed=2)
    frame = pl.read_parquet(tmp_path / "run/negatives/2.parquet")
    drawn = draw_negatives(made.refit.matrix, made.test, 10, seed=2)
    assert frame["user"].to_list() == made.train.users.decode(drawn.users).to_list()
    assert frame["items"].to_list() == [made.train.items.decode(codes).to_list() for codes in drawn.codes]
    assert frame["seed"].unique().to_list() == [2]


@pytest.mark.usefixtures("no_report")
def test_kept_negatives_are_taken_over_and_damaged_ones_are_an_error(tmp_path: Path) -> None:
    options: dict[str, Any] = {"models": ["popular"], "seeds": (1,), "tune": False}
    first = compared(tmp_path / "run", negatives=10, **options)
    path = tmp_path / "run/negatives/1.parquet"
    frame = pl.read_parquet(path)
    assert compared(tmp_path / "run", negatives=10, **options) == first
    # Other negatives of the same people, as another version might have drawn, are kept; the cell is judged anew among them.
    made = split(tribes(), "ratio", seed=1)
    other = draw_negatives(made.refit.matrix, made.test, 10, seed=99)
    items = [made.train.items.decode(codes).to_list() for codes in other.codes]
    frame.with_columns(items=pl.Series(items)).write_parquet(path)
    again = compared(tmp_path / "run", negatives=10, **options)
    assert again["results"][0]["metrics"] == first["results"][0]["metrics"]
    assert again["results"][0]["sampled"] != first["results"][0]["sampled"]
    assert pl.read_parquet(path)["items"].to_list() == items
    # Another count draws anew, and without negatives nothing is drawn.
    assert compared(tmp_path / "run", negatives=5, **options)["protocol"]["sampled"]["negatives"] == 5
    assert pl.read_parquet(path)["items"].list.len().unique().to_list() == [5]
    assert compared(tmp_path / "run", **options)["results"][0]["sampled"] == {}
    # What the user met is no negative, nor is what nobody knows.
    met = made.refit.interactions.take(made.refit.interactions.user == other.users[0])
    for wrong in (made.train.items.decode(met.item[:5]).to_list(), ["no-such-book"] * 5):
        kept = pl.read_parquet(path)
        kept.with_columns(items=pl.Series([wrong, *kept["items"].to_list()[1:]])).write_parquet(path)
        with pytest.raises(SavedError, match="no negatives of these data"):
            compared(tmp_path / "run", negatives=5, **options)
    # Nor is a row that is gone, or an item that is none, filled up in silence.
    for damaged in (
        kept.head(5),
        kept.head(0),
        kept.with_columns(items=pl.Series([[None, *each[1:]] for each in kept["items"].to_list()])),
    ):
        damaged.write_parquet(path)
        with pytest.raises(SavedError, match="no negatives of these data"):
            compared(tmp_path / "run", negatives=5, **options)


@pytest.mark.usefixtures("no_report")
def test_negatives_that_cannot_be_are_refused_before_anything_is_fitted(tmp_path: Path) -> None:
    for options in ({"negatives": -1}, {"negatives": 1001}, {"models": {"negatives": "stub"}}):
        with pytest.raises(ConfigError, match="negatives"):
            compared(tmp_path / "run", **options)
    assert not Remembering.fits


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize(("how", "count"), [("cold_items", 5), ("ratio", 1000)])
def test_cold_items_and_more_negatives_than_there_are(tmp_path: Path, how: str, count: int) -> None:
    options: dict[str, Any] = {"models": ["popular"], "seeds": (1,), "tune": False, "how": how, "negatives": count}
    first = compared(tmp_path / "run", **options)
    few = first["protocol"]["counts"][f"evaluated users with fewer than {count} negatives"]
    assert few == (36 if count == 1000 else 0)
    stamp = (tmp_path / "run/negatives/1.parquet").stat().st_mtime_ns
    assert compared(tmp_path / "run", **options) == first
    assert (tmp_path / "run/negatives/1.parquet").stat().st_mtime_ns == stamp


def test_a_user_without_any_possible_negative_is_kept(tmp_path: Path) -> None:
    # u met a, b, c and has d held out; v met a and d and has c held out, so that b is left; w has nothing held out.
    train = held([[1, 1, 1, 0], [1, 0, 0, 1], [0, 1, 0, 0]])
    data = Dataset(Vocabulary(list("uvw")), Vocabulary(list("abcd")), train)
    made = Split(data, Interactions.empty(), held([[0, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]]), "given", 1)
    drawn = kept_negatives(made, 3, tmp_path / "1.parquet", "data")
    assert drawn.codes.tolist() == [[-1, -1, -1], [1, -1, -1]]
    assert pl.read_parquet(tmp_path / "1.parquet")["items"].to_list() == [[], ["b"]]
    again = kept_negatives(made, 3, tmp_path / "1.parquet", "data")
    assert np.array_equal(again.codes, drawn.codes)
    assert np.array_equal(again.users, drawn.users)
