"""The one training loop: epochs over shuffled rows, early stopping on validation, a checkpoint an epoch, signs of failure said aloud."""

from __future__ import annotations

import itertools
import math
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from loreweave.errors import LoreweaveError, SavedError
from loreweave.files import recover
from loreweave.learn import checkpoint as checkpoints
from loreweave.progress import track

Losses = Mapping[str, Tensor]
WATCHED = 5
"""Epochs that a sign of failure must last before it is warned of."""
WHAT_TO_DO = "lower the learning rate or the loss's weight (the checkpoint of the epoch before, where one was asked for, stands)"
FLAT = 1e-3
"""A contrastive loss that moves by less than this share of itself stands still. Sampled negatives alone move it by a third of that."""


@dataclass(frozen=True)
class Schedule:
    """How long to train, and when to stop."""

    epochs: int
    batch_size: int
    patience: int = 10
    """Evaluations without a gain on validation before stopping."""
    evaluate_every: int = 1
    """Epochs between evaluations."""


@dataclass
class Trained:
    """What a training run left behind: the module holds the best parameters.

    Attributes:
        epochs: the epoch (from 1) whose parameters were kept.
        value: its value on validation, None without one.
        history: a row an epoch: `epoch`, `seconds`, `valid` where it was evaluated, and the mean of every loss.
        seconds_before: what the runs took that this one went on from.
    """

    epochs: int
    value: float | None
    history: list[dict[str, float]] = field(default_factory=list)
    seconds_before: float = field(default=0.0, compare=False)


def train(
    module: nn.Module,
    optimizers: checkpoints.Optimizers,
    n_rows: int,
    schedule: Schedule,
    generator: torch.Generator,
    losses: Callable[[Tensor, int], Losses],
    *,
    after_epoch: Callable[[int], Mapping[str, float]] | None = None,
    validate: Callable[[], float] | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    identity: Mapping[str, Any] | None = None,
) -> Trained:
    """Minimise the sum of `losses(rows, epoch)` over shuffled batches of the rows 0..n_rows−1.

    Args:
        optimizers: by name; the one called `main` takes the steps of this loop.
        generator: draws the order of rows; whatever else is random must draw from it too, for `resume` to be exact.
        losses: of a batch (int64 [b] row numbers) in an epoch (from 0), each a scalar, already weighted.
        after_epoch: further training once an epoch; returns further losses for the record.
        validate: value on validation of the parameters as they are, larger is better. None: all epochs run, the last parameters are kept.
        checkpoint: a folder, written after every epoch.
        resume: continue from it to the result that an uninterrupted run would have had. No checkpoint there yet: start.
        identity: what a checkpoint must agree on to be continued (settings, fingerprint of the data).

    Raises:
        LoreweaveError: a loss is NaN or infinite, and it says in which epoch and batch; or an epoch's last step left such a parameter.
        SavedError: the checkpoint is damaged, of other settings or data, or has more epochs than the schedule.
    """
    run, best, first, begun = Trained(0, None), None, 0, time.perf_counter()
    named = dict(identity or {})
    found = None
    if checkpoint is not None and resume:
        recover(checkpoint)
        found = checkpoints.load(checkpoint, module, optimizers, generator)
    if found is not None:
        best, progress = found
        if progress["identity"] != named:
            changed = [key for key in {**named, **progress["identity"]} if named.get(key) != progress["identity"].get(key)]
            raise SavedError(f"{checkpoint}: the checkpoint has another {', '.join(sorted(changed))}; fit without --resume to start again")
        run = Trained(progress["epochs"], progress["value"], progress["history"], progress.get("seconds", 0.0))
        first = len(run.history)
        if first > schedule.epochs:
            raise SavedError(
                f"{checkpoint}: the checkpoint already has {first} epochs, more than epochs={schedule.epochs}; fit without --resume"
            )
    for epoch in track(range(first, schedule.epochs), "training"):
        if _out_of_patience(run, schedule):
            break
        started = time.perf_counter()
        row = _one_epoch(module, optimizers["main"], n_rows, schedule.batch_size, generator, losses, epoch)
        if after_epoch is not None:
            row |= after_epoch(epoch)
            _refuse_infinite(row, f"epoch {epoch + 1}")
        if not all(parameter.isfinite().all() for parameter in module.parameters()):  # its loss would be seen in the next epoch
            raise LoreweaveError(f"parameters became infinite or NaN in the last step of epoch {epoch + 1}; {WHAT_TO_DO}")
        row = {"epoch": epoch + 1, "seconds": round(time.perf_counter() - started, 4), **row}
        if validate is None:
            run.epochs = epoch + 1
        elif (epoch + 1) % schedule.evaluate_every == 0:
            best = _evaluate(run, row, validate, module, best)
        run.history.append(row)
        _warn_of_failure(run.history)
        if checkpoint is not None:
            seconds = run.seconds_before + time.perf_counter() - begun
            progress = {"epochs": run.epochs, "value": run.value, "history": run.history, "seconds": seconds, "identity": named}
            checkpoints.save(checkpoint, module, optimizers, generator, best, progress)
    if validate is not None and len(run.history) == schedule.epochs and "valid" not in run.history[-1]:
        # The last epoch is evaluated off the schedule too, after the checkpoint: a longer run that resumes from it has no such evaluation.
        module.eval()
        best = _evaluate(run, run.history[-1], validate, module, best)
    if best is not None:
        module.load_state_dict(best)
    return run


def _evaluate(
    run: Trained, row: dict[str, float], validate: Callable[[], float], module: nn.Module, best: checkpoints.State | None
) -> checkpoints.State | None:
    """Validate the epoch of `row`; the best parameters so far, these or the given ones."""
    row["valid"] = validate()
    if run.value is None or row["valid"] > run.value:
        run.epochs, run.value, best = int(row["epoch"]), row["valid"], checkpoints.copy_of(module)
    return best


def _one_epoch(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    n_rows: int,
    batch_size: int,
    generator: torch.Generator,
    losses: Callable[[Tensor, int], Losses],
    epoch: int,
) -> dict[str, float]:
    """One pass; the mean of each loss over its batches."""
    module.train()
    sums: dict[str, float] = {}
    batches = torch.split(torch.randperm(n_rows, generator=generator), batch_size)
    for number, rows in enumerate(batches, 1):
        parts = losses(rows, epoch)
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(parts.values())).sum().backward()  # type: ignore[no-untyped-call]
        values = {name: part.item() for name, part in parts.items()}
        _refuse_infinite(values, f"epoch {epoch + 1}, batch {number} of {len(batches)}")
        sums = {name: sums.get(name, 0.0) + value for name, value in values.items()}
        optimizer.step()
    module.eval()
    return {name: total / len(batches) for name, total in sums.items()}


def _refuse_infinite(values: Mapping[str, float], when: str) -> None:
    for name, value in values.items():
        if not math.isfinite(value):
            raise LoreweaveError(f"the loss {name!r} became {value} in {when}; {WHAT_TO_DO}")


def _out_of_patience(run: Trained, schedule: Schedule) -> bool:
    evaluated = [row["epoch"] for row in run.history if "valid" in row]
    return sum(epoch > run.epochs for epoch in evaluated) >= schedule.patience


def _warn_of_failure(history: list[dict[str, float]]) -> None:
    """The signs of failure of the method page: each is said once, in the epoch it has lasted `WATCHED` epochs."""
    if len(history) <= WATCHED:
        return
    recent = history[-WATCHED - 1 :]
    epoch = int(history[-1]["epoch"])

    def rose(name: str, rows: list[dict[str, float]]) -> bool:
        return all(later.get(name, 0.0) > earlier.get(name, 0.0) for earlier, later in itertools.pairwise(rows))

    def began(sign: Callable[[list[dict[str, float]]], bool]) -> bool:
        return sign(recent) and not (len(history) > WATCHED + 1 and sign(history[-WATCHED - 2 : -1]))

    if began(lambda rows: rose("reconstruction", rows) and rows[-1]["reconstruction"] > 1.2 * rows[0]["reconstruction"]):
        warnings.warn(
            f"epoch {epoch}: the reconstruction loss has risen for {WATCHED} epochs; the mask rate may rise too fast "
            "(lower mask_max, or more schedule_epochs)",
            stacklevel=3,
        )
    if began(lambda rows: _flat("contrast", rows)):
        warnings.warn(
            f"epoch {epoch}: the contrastive loss has been flat for {WATCHED} epochs; the views may have collapsed or the "
            "temperature be off (raise contrast_noise, change contrast_temperature)",
            stacklevel=3,
        )
    if began(lambda rows: _falls_while_losses_fall(rows)):
        warnings.warn(
            f"epoch {epoch}: validation has fallen for {WATCHED} epochs while the losses fall; this is overfitting "
            "(more of the model's regularisation, `l2` or `dropout`, or fewer epochs)",
            stacklevel=3,
        )


def _flat(name: str, rows: list[dict[str, float]]) -> bool:
    values = [row[name] for row in rows if name in row]
    return len(values) == len(rows) and max(values) - min(values) <= FLAT * abs(values[0])


def _falls_while_losses_fall(rows: list[dict[str, float]]) -> bool:
    valid = [row["valid"] for row in rows if "valid" in row]
    ranking = [row["ranking"] for row in rows if "ranking" in row]
    if len(valid) < 3 or len(ranking) < 2:
        return False
    return all(b < a for a, b in itertools.pairwise(valid)) and ranking[-1] < ranking[0]
