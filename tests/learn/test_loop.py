"""The training loop on a network so small that what it must do can be followed by hand."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from loreweave.errors import LoreweaveError, SavedError  # noqa: E402
from loreweave.learn import checkpoint as checkpoints  # noqa: E402
from loreweave.learn.loop import Schedule, Trained, train  # noqa: E402


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.arange(6.0).view(3, 2))


class Killed(Exception):
    pass


def run(
    epochs: int,
    *,
    checkpoint: Path | None = None,
    resume: bool = False,
    killed_in: int | None = None,
    validate: Callable[[Tiny], float] | None = None,
    identity: dict[str, Any] | None = None,
    **schedule: Any,
) -> tuple[Trained, Tiny]:
    """Ten rows in batches of four; a loss with noise from the generator, so that its state matters."""
    module, generator = Tiny(), torch.Generator().manual_seed(3)
    optimizers = {"main": torch.optim.Adam(module.parameters(), lr=0.1), "other": torch.optim.Adam(module.parameters(), lr=0.01)}

    def losses(rows: Tensor, epoch: int) -> dict[str, Tensor]:
        if epoch == killed_in:
            raise Killed
        target = torch.randn(len(rows), 2, generator=generator)
        return {"ranking": (module.weight[rows % 3] - target).square().mean(), "l2": 0.1 * module.weight.square().sum()}

    def after_epoch(epoch: int) -> dict[str, float]:
        optimizers["other"].zero_grad()
        loss = (module.weight * torch.randn(3, 2, generator=generator)).sum()
        loss.backward()
        optimizers["other"].step()
        return {"other": loss.item()}

    trained = train(
        module,
        optimizers,
        10,
        Schedule(epochs, 4, **schedule),
        generator,
        losses,
        after_epoch=after_epoch,
        validate=None if validate is None else lambda: validate(module),
        checkpoint=checkpoint,
        resume=resume,
        identity=identity,
    )
    return trained, module


def without_seconds(history: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in history]


def test_losses_fall_and_every_epoch_is_recorded() -> None:
    trained, _ = run(20)
    assert [row["epoch"] for row in trained.history] == list(range(1, 21))
    assert trained.history[-1]["ranking"] < trained.history[0]["ranking"]
    assert set(trained.history[0]) == {"epoch", "seconds", "ranking", "l2", "other"}
    assert (trained.epochs, trained.value) == (20, None)


@pytest.mark.parametrize("killed_in", [1, 4])
def test_resuming_gives_what_an_uninterrupted_run_gives(tmp_path: Path, killed_in: int) -> None:
    whole, module = run(7, validate=lambda m: -((m.weight[0, 0].item() - 1.0) ** 2))
    folder = tmp_path / "checkpoint"
    validate = lambda m: -((m.weight[0, 0].item() - 1.0) ** 2)  # noqa: E731
    with pytest.raises(Killed):
        run(7, checkpoint=folder, killed_in=killed_in, validate=validate)
    resumed, again = run(7, checkpoint=folder, resume=True, validate=validate)
    assert torch.equal(module.weight, again.weight)
    assert without_seconds(whole.history) == without_seconds(resumed.history)
    assert (whole.epochs, whole.value) == (resumed.epochs, resumed.value)
    before = sum(row["seconds"] - 1e-4 for row in resumed.history[:killed_in])
    assert resumed.seconds_before > max(before, whole.seconds_before)


def test_seconds_of_all_the_runs_before_count(tmp_path: Path) -> None:
    def validate(_: Tiny) -> float:
        time.sleep(0.1)
        return 0.0

    for killed_in in (2, 4):
        with pytest.raises(Killed):
            run(5, checkpoint=tmp_path / "c", killed_in=killed_in, resume=True, validate=validate)
    resumed, _ = run(5, checkpoint=tmp_path / "c", resume=True, validate=validate)
    assert resumed.seconds_before > 4 * 0.1


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path) -> None:
    first, module = run(3, checkpoint=tmp_path / "c", validate=lambda m: float(m.weight.sum()))
    second, again = run(3, checkpoint=tmp_path / "c", resume=True, validate=lambda m: float(m.weight.sum()))
    assert torch.equal(module.weight, again.weight)
    assert first.history == second.history


def test_resuming_with_fewer_epochs_is_refused(tmp_path: Path) -> None:
    run(3, checkpoint=tmp_path / "c")
    with pytest.raises(SavedError, match="already has 3 epochs, more than epochs=2; fit without --resume"):
        run(2, checkpoint=tmp_path / "c", resume=True)


def test_an_evaluation_off_the_schedule_does_not_outlive_its_run(tmp_path: Path) -> None:
    """Validation is best in epoch 3, which only the run that ends there looks at."""
    values = iter([0.1, 0.9])
    shorter, module = run(3, checkpoint=tmp_path / "c", validate=lambda m: next(values), evaluate_every=2)
    assert (shorter.epochs, shorter.value) == (3, 0.9)
    same, again = run(3, checkpoint=tmp_path / "c", resume=True, validate=lambda m: 0.9, evaluate_every=2)
    assert (same, torch.equal(again.weight, module.weight)) == (shorter, True)
    longer, _ = run(4, checkpoint=tmp_path / "c", resume=True, validate=lambda m: 0.2, evaluate_every=2)
    assert [row.get("valid") for row in longer.history] == [None, 0.1, None, 0.2]
    assert (longer.epochs, longer.value) == (4, 0.2)


def test_a_checkpoint_that_a_kill_left_aside_is_found(tmp_path: Path) -> None:
    run(2, checkpoint=tmp_path / "c")
    (tmp_path / "c").rename(tmp_path / ".c.old")
    trained, module = run(4, checkpoint=tmp_path / "c", resume=True)
    whole, expected = run(4)
    assert torch.equal(module.weight, expected.weight)
    assert without_seconds(trained.history) == without_seconds(whole.history)
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_resume_without_a_checkpoint_starts(tmp_path: Path) -> None:
    assert len(run(2, checkpoint=tmp_path / "none", resume=True)[0].history) == 2


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    run(2, checkpoint=tmp_path / "c", identity={"settings": {"lr": 0.1}, "data": "abc"})
    with pytest.raises(SavedError, match="another settings"):
        run(3, checkpoint=tmp_path / "c", resume=True, identity={"settings": {"lr": 0.2}, "data": "abc"})


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    run(2, checkpoint=tmp_path / "c")
    file = tmp_path / "c" / "checkpoint.safetensors"
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(SavedError, match="damaged"):
        run(3, checkpoint=tmp_path / "c", resume=True)


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    run(1, checkpoint=tmp_path / "c")
    other = nn.Linear(2, 2)
    with pytest.raises(SavedError, match="does not fit this model"):
        checkpoints.load(tmp_path / "c", other, {}, torch.Generator())


def test_the_best_epoch_is_kept_and_patience_ends_training() -> None:
    values = iter([0.1, 0.3, 0.2, 0.25, 0.1, 0.9])
    kept: list[Tensor] = []

    def validate(module: Tiny) -> float:
        kept.append(module.weight.detach().clone())
        return next(values)

    trained, module = run(6, validate=validate, patience=3)
    assert (trained.epochs, trained.value, len(trained.history)) == (2, 0.3, 5)
    assert torch.equal(module.weight, kept[1])


def test_validation_every_few_epochs_and_always_in_the_last() -> None:
    trained, _ = run(5, validate=lambda m: 0.5, evaluate_every=2)
    assert [row["epoch"] for row in trained.history if "valid" in row] == [2, 4, 5]
    assert trained.epochs == 2


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_says_where(bad: float) -> None:
    module, generator = Tiny(), torch.Generator().manual_seed(0)
    calls = iter(range(100))

    def losses(rows: Tensor, epoch: int) -> dict[str, Tensor]:
        return {"ranking": module.weight.sum() * (bad if next(calls) == 4 else 1.0)}

    with pytest.raises(LoreweaveError, match=r"'ranking' became (nan|inf) in epoch 2, batch 2 of 3"):
        train(module, {"main": torch.optim.SGD(module.parameters(), lr=0.1)}, 10, Schedule(3, 4), generator, losses)


def test_parameters_that_the_last_step_spoilt_are_not_kept(tmp_path: Path) -> None:
    """Their loss would be seen in the next epoch alone, when the checkpoint is written over."""
    module, generator = Tiny(), torch.Generator().manual_seed(0)
    calls = iter(range(100))

    def losses(rows: Tensor, epoch: int) -> dict[str, Tensor]:
        steep = 1e38 if next(calls) == 5 else 1.0
        return {"ranking": (module.weight - module.weight.detach()).sum() * steep}  # 0, and steep

    optimizers = {"main": torch.optim.SGD(module.parameters(), lr=1e3)}
    with pytest.raises(LoreweaveError, match="infinite or NaN in the last step of epoch 2; lower the learning rate"):
        train(module, optimizers, 10, Schedule(3, 4), generator, losses, checkpoint=tmp_path / "c")
    found = checkpoints.load(tmp_path / "c", module, optimizers, generator)
    assert found is not None
    assert found[1]["epochs"] == 1
    assert module.weight.isfinite().all()


def warnings_of(name: str, values: list[float], valid: list[float] | None = None) -> list[str]:
    """What is said when a loss takes these values over the epochs."""
    module = Tiny()
    validations = iter(valid or [])

    def losses(rows: Tensor, epoch: int) -> dict[str, Tensor]:
        return {name: values[epoch] + 0 * module.weight.sum()}

    with pytest.warns(UserWarning) as caught:
        torch_optimizer = {"main": torch.optim.SGD(module.parameters(), lr=0.1)}
        validate = None if valid is None else lambda: next(validations)
        train(module, torch_optimizer, 4, Schedule(len(values), 4, 99), torch.Generator(), losses, validate=validate)
    return [str(one.message) for one in caught]


def test_a_rising_reconstruction_loss_is_warned_of_once() -> None:
    said = warnings_of("reconstruction", [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7])
    assert len(said) == 1
    assert said[0].startswith("epoch 6: the reconstruction loss has risen")


def test_a_flat_contrastive_loss_is_warned_of_once() -> None:
    said = warnings_of("contrast", [3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0])
    assert len(said) == 1
    assert said[0].startswith("epoch 7: the contrastive loss has been flat")


def test_validation_falling_while_losses_fall_is_warned_of_once() -> None:
    said = warnings_of("ranking", [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0], [0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.04])
    assert len(said) == 1
    assert said[0].startswith("epoch 6: validation has fallen")
