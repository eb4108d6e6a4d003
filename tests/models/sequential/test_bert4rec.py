"""BERT4Rec: a mask is put after the newest item, and read from both sides."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from cycle_world import batch_of_histories, dataset_of, fitted  # noqa: E402

from loreweave.models.sequential.bert4rec import BERT4RecConfig  # noqa: E402


def test_the_score_is_the_state_of_a_mask_after_the_newest_item() -> None:
    model = fitted("bert4rec", epochs=3)
    network = model.network
    history = [2, 3, 0]
    with torch.no_grad():
        state = network.states(batch_of_histories([[*history, model.n_items]]))[-1]
        expected = (network.keys() @ state).numpy()
    found = model.score_histories({"new": model.items.decode(history).to_list()})[0]
    assert found.shape == (model.n_items,)  # the mask is no item that could be recommended
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_window_has_room_for_the_mask() -> None:
    network = fitted("bert4rec", epochs=1, max_length=2).network
    assert network.longest == 1
    assert network.newest_states(batch_of_histories([[3], [1]])).shape == (2, 16)


def test_a_gap_is_filled_from_both_sides() -> None:
    """After a comes b or c; which of them, what comes next tells."""
    model = fitted("bert4rec", dataset_of(["abd", "ace"] * 20), epochs=60, mask_share=0.4, batch_size=4, dropout=0.0, learning_rate=0.003)
    with torch.no_grad():
        states = model.network.states(batch_of_histories([[0, model.n_items, 3], [0, model.n_items, 4]]))
        scores = states[[1, 4]] @ model.network.keys().T
    assert scores.argmax(dim=1).tolist() == [1, 2]


def test_defaults_of_the_paper() -> None:
    assert (BERT4RecConfig().expansion, BERT4RecConfig().mask_share) == (4, 0.2)
    block = fitted("bert4rec", epochs=1).network.backbone.blocks[0]
    assert block.wide.out_features == 64
    assert not block.causal
