"""RecTools' SASRec, for the benchmarks that hold ours against it; runs in bench/.peers/rectools, where Loreweave is not installed.

    python bench/peers/sasrec_rectools.py epochs LOG.npz '{"seed": 1, "threads": 2, "epochs": 4, …}'
    python bench/peers/sasrec_rectools.py select LOG.npz '{…}' SECONDS FOLDER
    python bench/peers/sasrec_rectools.py refit LOG.npz '{…}' LISTS.npz

LOG.npz holds `user`, `item` and `order` of a training part, whole numbers all. The settings are those of `SASRecModel`, and `seed` and
`threads`. `epochs` trains an epoch for each line on stdin and answers each with a line of JSON. `select` trains until the seconds are spent
(the epoch under way then is finished) and writes everybody's lists after each epoch; `refit` trains the `epochs` of the settings and writes
them once. Seconds are those between Lightning's start and end of an epoch: no preparation of data, no recommending.
"""

from __future__ import annotations

import json
import logging
import resource
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as lightning
import torch
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel

LISTED = 20
"""Items a user's list holds."""
ANSWERS = sys.stdout
"""Answers go here, whatever else is printed to stderr."""


def answer(**told: Any) -> None:
    print(json.dumps(told), file=ANSWERS, flush=True)


def read(path: Path) -> tuple[pd.DataFrame, Dataset]:
    with np.load(path) as log:
        frame = pd.DataFrame({Columns.User: log["user"], Columns.Item: log["item"], Columns.Weight: 1.0, Columns.Datetime: log["order"]})
    frame[Columns.Datetime] = pd.to_datetime(frame[Columns.Datetime], unit="s")
    return frame, Dataset.construct(frame)


class Clock(lightning.Callback):
    """Seconds of every epoch, and the targets and steps of the first (which is a warm-up where seconds count)."""

    def __init__(self, paced: bool) -> None:
        self.paced = paced
        self.seconds: list[float] = []
        self.targets = self.steps = 0

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        if self.paced:
            if not self.seconds:
                answer(ready=True)
            if not sys.stdin.readline():
                raise SystemExit("nobody asks for an epoch any more")
        self.started = time.perf_counter()

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        if not self.seconds:
            self.targets += int((batch["y"] != 0).sum())
            self.steps += 1

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        self.seconds.append(time.perf_counter() - self.started)
        if self.paced:
            answer(seconds=self.seconds[-1])


def model_of(settings: dict[str, Any], paced: bool = False) -> SASRecModel:
    """The model, with the trainer that RecTools makes by default but on the CPU and with a clock."""
    model = SASRecModel(**settings)
    model._trainer = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=model.epochs,
        min_epochs=model.epochs,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        logger=False,
        callbacks=[Clock(paced)],
    )
    return model


def clock_of(model: SASRecModel) -> Clock:
    """RecTools trains with a copy of the trainer, and so of its callbacks."""
    return next(each for each in model.fit_trainer.callbacks if isinstance(each, Clock))


def write_lists(model: SASRecModel, frame: pd.DataFrame, dataset: Dataset, path: Path) -> None:
    """The best items of everybody that they have not met, with scores."""
    lists = model.recommend(frame[Columns.User].unique(), dataset, k=LISTED, filter_viewed=True, on_unsupported_targets="warn")
    columns = {"user": Columns.User, "item": Columns.Item, "score": Columns.Score}
    np.savez(path, **{name: lists[column].to_numpy() for name, column in columns.items()})


def main() -> None:
    sys.stdout = sys.stderr
    task, log, given = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(given.pop("threads"))
    lightning.seed_everything(given.pop("seed"), workers=True)
    frame, dataset = read(log)
    model = model_of(given, paced=task == "epochs")
    if task == "epochs":
        model.fit(dataset)
    elif task == "refit":
        model.fit(dataset)
        write_lists(model, frame, dataset, Path(sys.argv[4]))
    elif task == "select":
        budget, folder = float(sys.argv[4]), Path(sys.argv[5])
        while not model.is_fitted or sum(clock_of(model).seconds) < budget:
            model.fit_partial(dataset, min_epochs=1, max_epochs=1)
            epoch = len(clock_of(model).seconds)
            write_lists(model, frame, dataset, folder / f"epoch-{epoch:04}.npz")
            print(f"RecTools, epoch {epoch}: {clock_of(model).seconds[-1]:.1f} s", file=sys.stderr, flush=True)
    else:
        raise SystemExit(f"no task is called {task!r}")
    clock = clock_of(model)
    answer(
        seconds=clock.seconds,
        targets=clock.targets,
        steps=clock.steps,
        items=len(model.data_preparator.get_known_item_ids()),
        peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        torch=torch.__version__,
    )


if __name__ == "__main__":
    main()
