"""The recurrent backbone against torch's GRU on each history alone."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from cycle_world import batch_of_histories  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from loreweave.errors import ConfigError  # noqa: E402
from loreweave.models import create  # noqa: E402
from loreweave.models.sequential.gru4rec import GRU4RecConfig, Recurrent, _by_step  # noqa: E402

LENGTHS = st.lists(st.integers(1, 20), min_size=1, max_size=8)


@settings(max_examples=20)
@given(lengths=LENGTHS, blocks=st.integers(1, 3))
def test_states_are_those_of_torchs_gru_on_each_history_alone(lengths: list[int], blocks: int) -> None:
    g = torch.Generator().manual_seed(1)
    ours = Recurrent(GRU4RecConfig(dim=6, blocks=blocks, dropout=0.5), g).eval()
    peer = torch.nn.GRU(6, 6, num_layers=blocks)
    with torch.no_grad():
        for number, layer in enumerate(ours.layers):
            for name, parameter in layer.named_parameters():
                getattr(peer, name.replace("l0", f"l{number}")).copy_(parameter)
        batch = batch_of_histories([[0] * length for length in lengths])
        inputs = torch.randn(len(batch.items), 6, generator=g)
        found = ours.encode(inputs, batch)
        for row in range(len(lengths)):
            alone, _ = peer(inputs[batch.owner == row].unsqueeze(1))
            torch.testing.assert_close(found[batch.owner == row], ours.out(alone[:, 0]), rtol=1e-4, atol=1e-5)


def test_autocast_leaves_the_recurrence_in_float32() -> None:
    """On CUDA it would take float16, whatever type it was asked for."""
    backbone = Recurrent(GRU4RecConfig(dim=6, blocks=1), torch.Generator().manual_seed(1)).eval()
    types: list[torch.dtype] = []
    backbone.layers[0].register_forward_hook(lambda layer, read, out: types.extend([read[0].data.dtype, out[0].data.dtype]))
    batch = batch_of_histories([[0] * 5, [0] * 2])
    inputs = torch.randn(7, 6, generator=torch.Generator().manual_seed(2))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        states = backbone.encode(inputs.bfloat16(), batch)
    assert types == [torch.float32, torch.float32]
    assert states.dtype == torch.bfloat16  # the linear map after it is cast


@pytest.mark.parametrize(("model", "settings"), [("gru4rec", {}), ("grasp", {"backbone": "gru4rec"})])
def test_heads_that_nothing_reads_are_not_asked_about(model: str, settings: dict[str, str]) -> None:
    assert create(model, {"dim": 7, "heads": 2, **settings}).config.dim == 7
    with pytest.raises(ConfigError, match="heads=2 does not divide dim=7"):
        create("grasp", {"dim": 7, "heads": 2})


@given(LENGTHS)
def test_steps_are_those_of_a_packed_sequence(lengths: list[int]) -> None:
    batch = batch_of_histories([[0] * length for length in lengths])
    steps, back = _by_step(batch)
    places = torch.split(torch.arange(len(batch.items)), batch.lengths.tolist())
    packed = torch.nn.utils.rnn.pack_sequence(list(places))
    assert torch.equal(steps, packed.data)
    assert torch.equal(steps[back], torch.arange(len(steps)))


def test_the_start_is_uniform_and_repeatable() -> None:
    first, again, other = (Recurrent(GRU4RecConfig(dim=64, blocks=1), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    weight = first.layers[0].weight_hh_l0
    assert torch.equal(weight, again.layers[0].weight_hh_l0)
    assert not torch.equal(weight, other.layers[0].weight_hh_l0)
    assert 0.99 / 8 < weight.abs().max().item() <= 1 / 8
    assert weight.std().item() == pytest.approx(1 / 8 / 3**0.5, rel=0.03)
