"""SASRec against torch's own Transformer layer."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from cycle_world import batch_of_histories  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from loreweave.models.sequential.sasrec import Block, SASRecConfig, Transformer  # noqa: E402

DIM, HEADS = 12, 3
HISTORIES = [[0] * 9, [0] * 4, [0], [0] * 17]


def peer_of(block: Block, *, pre_norm: bool, activation: Any, expansion: int) -> nn.TransformerEncoderLayer:
    """torch's layer with the weights of ours."""
    peer = nn.TransformerEncoderLayer(
        DIM, HEADS, DIM * expansion, dropout=0.0, activation=activation, batch_first=True, norm_first=pre_norm, dtype=torch.float64
    )
    pairs = [
        (peer.self_attn.in_proj_weight, block.qkv.weight),
        (peer.self_attn.in_proj_bias, block.qkv.bias),
        (peer.self_attn.out_proj.weight, block.out.weight),
        (peer.self_attn.out_proj.bias, block.out.bias),
        (peer.linear1.weight, block.wide.weight),
        (peer.linear1.bias, block.wide.bias),
        (peer.linear2.weight, block.narrow.weight),
        (peer.linear2.bias, block.narrow.bias),
        (peer.norm1.weight, block.before_attention.weight),
        (peer.norm1.bias, block.before_attention.bias),
        (peer.norm2.weight, block.before_feed.weight),
        (peer.norm2.bias, block.before_feed.bias),
    ]
    with torch.no_grad():
        for theirs, ours in pairs:
            theirs.copy_(ours)
    return peer.eval()


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("pre_norm", [True, False])
@pytest.mark.parametrize(("activation", "expansion"), [(F.relu, 1), (F.gelu, 4)])
def test_states_are_those_of_torchs_layers_on_each_history_alone(causal: bool, pre_norm: bool, activation: Any, expansion: int) -> None:
    config = SASRecConfig(dim=DIM, heads=HEADS, blocks=2, dropout=0.5, pre_norm=pre_norm, expansion=expansion, max_length=20)
    g = torch.Generator().manual_seed(1)
    ours = Transformer(config, g, causal=causal, activation=activation).double().eval()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=g, dtype=torch.float64) * 0.4)
        ours.positions.zero_()
    peers = [peer_of(block, pre_norm=pre_norm, activation=activation, expansion=expansion) for block in ours.blocks]
    batch = batch_of_histories(HISTORIES)
    inputs = torch.randn(len(batch.items), DIM, generator=g, dtype=torch.float64)
    with torch.no_grad():
        found = ours.encode(inputs, batch)
        for row, length in enumerate(batch.lengths.tolist()):
            x = inputs[batch.owner == row].unsqueeze(0)
            mask = nn.Transformer.generate_square_subsequent_mask(length, dtype=torch.float64) if causal else None
            for peer in peers:
                x = peer(x, src_mask=mask)
            torch.testing.assert_close(found[batch.owner == row], ours.norm(x[0]))


def test_positions_count_from_the_newest() -> None:
    config = SASRecConfig(dim=4, heads=1, blocks=1, max_length=5, dropout=0.0)
    ours = Transformer(config, torch.Generator().manual_seed(1)).eval()
    seen: list[Tensor] = []
    ours.blocks[0].register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    batch = batch_of_histories([[0, 0, 0], [0]])
    with torch.no_grad():
        ours.encode(torch.zeros(4, 4), batch)
        torch.testing.assert_close(seen[0], ours.positions[torch.tensor([2, 1, 0, 0])])
