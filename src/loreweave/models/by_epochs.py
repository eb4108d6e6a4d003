"""What models trained by epochs share: the training run, early stopping by full ranking, and what a run leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from loreweave.data.dataset import Dataset, Interactions, pairs_fingerprint
from loreweave.data.vocabulary import Codes
from loreweave.files import read_json, write_json
from loreweave.learn import loop, ranking
from loreweave.models.base import Recommender, Scores

METRICS = {"ndcg": ranking.ndcg, "recall": ranking.recall}
"""That training may stop by."""
VALIDATION_BLOCK = 1024
"""People whose ranks are found at once: this many rows of n_items scores."""


class TrainedByEpochs(Recommender):
    """A recommender whose network is trained an epoch at a time; `_train` does it, and stops where validation says so.

    Attributes:
        training: a row an epoch: losses, seconds, validation (`loreweave.learn.loop.Trained.history`).
        best_epoch: the epoch (from 1) that was kept.
    """

    stochastic: ClassVar[bool] = True
    best_epoch: int

    def chosen_settings(self) -> dict[str, Any]:
        return {"epochs": self.best_epoch}

    def _train(
        self,
        network: Any,
        n_rows: int,
        generator: torch.Generator,
        train: Dataset,
        valid: Interactions | None,
        scores: Callable[[], Callable[[Codes], Scores]],
        metrics: Sequence[str],
        read: Mapping[str, Any],
        checkpoint: Path | None,
        resume: bool,
    ) -> None:
        """Train `network` over `n_rows` rows; it ends with the parameters that were kept.

        Args:
            network: a torch module with `optimizers` by name, `losses(rows, epoch)`, and `after_epoch(epoch)` where there is more to train.
            scores: for the network as it is, what gives fitted users' scores by code, float32 [b, n_items].
            metrics: their sum over the people with held-out items decides on validation, `["ndcg@10"]`.
            read: what a checkpoint must agree on beyond settings, log and validation part.
        """
        if valid is not None and len(valid.positives()) == 0:
            valid = None
        config = self.config
        trained = loop.train(
            network,
            network.optimizers,
            n_rows,
            loop.Schedule(config.epochs, config.batch_size, config.patience, config.evaluate_every),
            generator,
            network.losses,
            after_epoch=getattr(network, "after_epoch", None),
            validate=None if valid is None else self._validation(valid, scores, metrics),
            checkpoint=checkpoint,
            resume=resume,
            identity={
                "settings": config.model_dump(mode="json", exclude={"epochs", "patience"}),
                "data": self.data_fingerprint,
                **read,
                "validation": None if valid is None else pairs_fingerprint(valid, train.users, train.items),
            },
        )
        self.best_epoch, self.training, self.seconds_before = trained.epochs, trained.history, trained.seconds_before
        if trained.value is not None:
            self.metrics[f"valid_{'+'.join(metrics)}"] = trained.value

    def _validation(
        self, valid: Interactions, scores: Callable[[], Callable[[Codes], Scores]], metrics: Sequence[str]
    ) -> Callable[[], float]:
        """The metrics' sum, a mean over the people with held-out items; full ranking, what was met aside."""
        functions = [(METRICS[kind], int(k)) for kind, _, k in (name.partition("@") for name in metrics)]
        held_out = valid.matrix(self.n_users, self.n_items)
        codes = np.flatnonzero(np.diff(held_out.indptr)).astype(np.int32)
        mask = self.candidate_mask()

        def value() -> float:
            scores_of, found = scores(), []
            for start in range(0, len(codes), VALIDATION_BLOCK):
                block = codes[start : start + VALIDATION_BLOCK]
                targets = held_out[block]
                ranks = ranking.target_ranks(ranking.mask_scores(scores_of(block), self.history[block], mask), targets)
                found.append(np.sum([metric(ranks, targets, k) for metric, k in functions], axis=0))
            return float(np.mean(np.concatenate(found)))

        return value

    # Saving

    def _save_parts(self, folder: Path) -> None:
        super()._save_parts(folder)
        write_json(folder / "training.json", {"epochs": self.best_epoch, "history": self.training})

    def _load_parts(self, folder: Path) -> None:
        super()._load_parts(folder)
        saved = read_json(folder / "training.json")
        self.best_epoch, self.training = saved["epochs"], saved["history"]
