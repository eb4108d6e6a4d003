"""Negatives are never positives, and every column that may be drawn is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from loreweave.learn import losses  # noqa: E402
from loreweave.learn.sampling import ItemSampler, PairSampler, TripleSampler, inclusion_log_probability  # noqa: E402


@settings(max_examples=60, deadline=None)
@given(st.sets(st.tuples(st.integers(0, 4), st.integers(0, 8)), min_size=1, max_size=40), st.integers(0, 1000))
def test_negatives_are_never_positives(pairs: set[tuple[int, int]], seed: int) -> None:
    full = {row for row in range(5) if sum(pair[0] == row for pair in pairs) == 9}
    rows, columns = np.array(sorted(pairs)).T
    sampler = PairSampler(rows, columns, 9)
    asked = torch.tensor([row for row in range(5) if row not in full] * 40)
    drawn = sampler.draw(asked, torch.Generator().manual_seed(seed))
    assert not set(zip(asked.tolist(), drawn.tolist(), strict=True)) & pairs
    assert ((drawn >= 0) & (drawn < 9)).all()


def test_every_other_column_is_drawn_about_equally_often() -> None:
    sampler = PairSampler(np.array([0, 0]), np.array([1, 3]), 5)
    drawn = sampler.draw(torch.zeros(6000, dtype=torch.int64), torch.Generator().manual_seed(1))
    counts = torch.bincount(drawn, minlength=5)
    assert counts[[1, 3]].tolist() == [0, 0]
    assert (counts[[0, 2, 4]] - 2000).abs().max() < 150


def test_somebody_who_met_everything_does_not_hang() -> None:
    sampler = PairSampler(np.zeros(3, int), np.arange(3), 3)
    assert sampler.draw(torch.zeros(4, dtype=torch.int64), torch.Generator().manual_seed(1)).shape == (4,)


def test_corrupted_tails_make_no_true_triple() -> None:
    head, relation, tail = np.array([0, 0, 1, 2]), np.array([0, 1, 0, 1]), np.array([1, 2, 2, 0])
    sampler = TripleSampler(head, relation, tail, 4)
    h, r, t, corrupted = (x.tolist() for x in sampler.draw(400, torch.Generator().manual_seed(1)))
    true = set(zip(head.tolist(), relation.tolist(), tail.tolist(), strict=True))
    assert set(zip(h, r, t, strict=True)) == true
    assert not set(zip(h, r, corrupted, strict=True)) & true


def test_heads_are_drawn_equally_often_however_many_triples_they_have() -> None:
    head = np.array([5, 2, 5, 5, 2, 7])
    sampler = TripleSampler(head, np.zeros(6, int), np.arange(6), 8)
    drawn, _, tail, _ = sampler.draw(9000, torch.Generator().manual_seed(1))
    counts = torch.bincount(drawn, minlength=8)
    assert (counts[[2, 5, 7]] - 3000).abs().max() < 200
    assert (torch.bincount(tail[drawn == 5])[[0, 2, 3]] - 1000).abs().max() < 150


def test_inclusion_probability_by_hand() -> None:
    # p = 1/4, 3/4; in two draws 1 − (3/4)² = 7/16 and 1 − (1/4)² = 15/16
    found = inclusion_log_probability(torch.tensor([0.25, 0.75], dtype=torch.float64), 2)
    np.testing.assert_allclose(found.exp().numpy(), [7 / 16, 15 / 16], rtol=1e-5)


class TestItemSampler:
    met = np.array([0, 0, 0, 0, 2, 2, 5])

    def test_the_batch_is_among_the_distinct_keys(self) -> None:
        sampler = ItemSampler(self.met, 8)
        batch = torch.tensor([5, 0, 5, 7])
        sample, place, log_q = sampler.draw(batch, 3, torch.Generator().manual_seed(1))
        assert torch.equal(sample[place], batch)
        assert sample.tolist() == sorted(set(sample.tolist()))
        assert log_q.shape == sample.shape
        torch.testing.assert_close(log_q, inclusion_log_probability(torch.tensor([5, 1, 3, 1, 1, 2, 1, 1]).double()[sample] / 15, 4 + 3))

    def test_items_are_drawn_as_often_as_met_and_once_more(self) -> None:
        """One further draw a time, beside a batch of nothing."""
        sampler, g = ItemSampler(self.met, 8), torch.Generator().manual_seed(1)
        drawn = torch.cat([sampler.draw(torch.empty(0, dtype=torch.int64), 1, g)[0] for _ in range(15_000)])
        assert (torch.bincount(drawn, minlength=8) - 1000 * torch.tensor([5, 1, 3, 1, 1, 2, 1, 1])).abs().max() < 220

    def test_the_sampled_partition_function_is_the_full_one_on_average(self) -> None:
        """Each item counts 1/q where it is in the sample: E[Σ w/q] = Σ w, for a batch that is drawn by frequency too."""
        sampler, g = ItemSampler(self.met, 8), torch.Generator().manual_seed(1)
        weight = torch.rand(8, generator=g, dtype=torch.float64) + 0.5
        totals = []
        for _ in range(4000):
            batch = sampler.draw(torch.empty(0, dtype=torch.int64), 1, g)[0]
            sample, _, log_q = sampler.draw(batch, 4, g)
            totals.append(float((weight[sample] / log_q.double().exp()).sum()))
        assert np.mean(totals) == pytest.approx(float(weight.sum()), rel=0.03)

    def test_a_sample_of_everything_is_the_full_softmax(self) -> None:
        sampler, g = ItemSampler(self.met, 8), torch.Generator().manual_seed(1)
        queries, keys, target = torch.randn(4, 3, generator=g), torch.randn(8, 3, generator=g), torch.tensor([1, 7, 0, 0])
        sample, place, log_q = sampler.draw(target, 5000, g)
        assert sample.tolist() == list(range(8))
        sampled = losses.softmax(queries, keys[sample], place, 1.0, log_q=log_q)
        torch.testing.assert_close(sampled, losses.softmax(queries, keys, target, 1.0), rtol=1e-5, atol=1e-6)
