"""Fit, score and save the neural sequential models: the training loop around a network, states of everybody kept for serving."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from loreweave.data.dataset import Dataset, Interactions, pairs_fingerprint
from loreweave.data.vocabulary import Codes
from loreweave.errors import DataError
from loreweave.files import read_json, write_json
from loreweave.knowledge.records import Knowledge
from loreweave.learn import loop, ranking
from loreweave.learn.device import device
from loreweave.learn.sequences import Sequences, batch_of
from loreweave.models.base import Scores
from loreweave.models.sequential.base import People, SequentialRecommender
from loreweave.models.sequential.network import SequenceNetwork

Vectors = NDArray[np.float32]
TOKENS = 32_768
"""Tokens read at once when scoring; bounds memory to a few such rows of activations."""
VALIDATION_BLOCK = 1024
"""People whose ranks are found at once: this many rows of n_items scores."""
VALIDATION_K = 10


class NeuralSequential(SequentialRecommender):
    """A sequence network, trained by epochs. Subclasses say which (`_network`).

    Attributes:
        network: what was learnt, in evaluation mode.
        keys: float32 [n_items, d], what states are held against.
        states: float32 [n_users, d], the state after each fitted user's history; zero for an empty one.
        training: a row an epoch: losses, seconds, validation.
        best_epoch: the epoch (from 1) that was kept.
    """

    stochastic: ClassVar[bool] = True
    network: SequenceNetwork
    best_epoch: int

    @abstractmethod
    def _network(self, sequences: Sequences, generator: torch.Generator) -> SequenceNetwork:
        """An untrained network for these histories. Called again when a saved model is loaded, with what `_load_parts` read."""

    def _read(self, train: Dataset, knowledge: Knowledge) -> dict[str, Any]:
        """Read what the model takes of knowledge, before the network is made; what a checkpoint must agree on beyond settings and log."""
        return {}

    def chosen_settings(self) -> dict[str, Any]:
        return {"epochs": self.best_epoch}

    def _learn(self, train: Dataset, knowledge: Knowledge, valid: Interactions | None, checkpoint: Path | None, resume: bool) -> None:
        config = self.config
        read = self._read(train, knowledge)
        if valid is not None and len(valid.positives()) == 0:
            valid = None
        generator = torch.Generator().manual_seed(config.seed)
        network = self._network(self.sequences, generator).to(device())
        if not len(network.people):
            raise DataError(f"{train.name}: nobody met two items, so nothing follows anything; a sequential model has nothing to learn")
        trained = loop.train(
            network,
            network.optimizers,
            len(network.people),
            loop.Schedule(config.epochs, config.batch_size, config.patience, config.evaluate_every),
            generator,
            network.losses,
            validate=None if valid is None else self._validation(network, valid),
            checkpoint=checkpoint,
            resume=resume,
            identity={
                "settings": config.model_dump(mode="json", exclude={"epochs", "patience"}),
                "data": self.data_fingerprint,
                **read,
                "validation": None if valid is None else pairs_fingerprint(valid, train.users, train.items),
            },
        )
        self.best_epoch, self.training = trained.epochs, trained.history
        if trained.value is not None:
            self.metrics[f"valid_ndcg@{VALIDATION_K}"] = trained.value
        self._adopt(network)

    def _adopt(self, network: SequenceNetwork) -> None:
        """Keep what was learnt, and read everybody's history once for all scores to come."""
        self.network = network.eval()
        with torch.no_grad():
            self.keys: Vectors = network.keys().float().cpu().numpy()
        self.states = self._read_histories(self._fitted(np.arange(self.n_users, dtype=np.int32)))

    def _read_histories(self, people: People) -> Vectors:
        """The state after each history, float32 [b, d]; zero for an empty one."""
        sequences = people.sequences.newest(self.network.longest)
        found = np.zeros((len(sequences), self.keys.shape[1]), dtype=np.float32)
        rows = np.flatnonzero(sequences.lengths)
        rows = rows[np.argsort(-sequences.lengths[rows], kind="stable")]  # like lengths together
        for block in np.split(rows, np.searchsorted(np.cumsum(sequences.lengths[rows]), np.arange(TOKENS, len(sequences.items), TOKENS))):
            if len(block):
                texts = None if people.texts is None else people.texts[block]
                found[block] = self.network.newest_states(batch_of(sequences, block, texts)).numpy()
        return found

    # Scoring

    def score_codes(self, users: Codes) -> Scores:
        return self._or_popular(self.states[users] @ self.keys.T)

    def _score_people(self, people: People) -> Scores:
        return np.asarray(self._read_histories(people) @ self.keys.T)

    def _similarity(self, items: Codes) -> Scores:
        """Cosine of the keys."""
        vectors = self.keys / np.maximum(np.linalg.norm(self.keys, axis=1, keepdims=True), np.float32(1e-12))
        return np.asarray(vectors[items] @ vectors.T)

    def embeddings(self) -> dict[str, Vectors]:
        """`user`: states, float32 [n_users, d]; `item`: keys, float32 [n_items, d]; a score is their inner product."""
        return {"user": self.states, "item": self.keys}

    def _validation(self, network: SequenceNetwork, valid: Interactions) -> Callable[[], float]:
        """Mean NDCG@10 over the people with held-out items, of the network as it is; full ranking, what was met aside."""
        held_out = valid.matrix(self.n_users, self.n_items)
        codes = np.flatnonzero(np.diff(held_out.indptr)).astype(np.int32)
        mask = self.candidate_mask()

        def value() -> float:
            self._adopt(network)
            found = []
            for start in range(0, len(codes), VALIDATION_BLOCK):
                block = codes[start : start + VALIDATION_BLOCK]
                scores = ranking.mask_scores(self.score_codes(block), self.history[block], mask)
                targets = held_out[block]
                found.append(ranking.ndcg(ranking.target_ranks(scores, targets), targets, VALIDATION_K))
            return float(np.mean(np.concatenate(found)))

        return value

    # Saving

    def _state(self) -> dict[str, NDArray[Any]]:
        learnt = {f"network.{name}": tensor.cpu().numpy() for name, tensor in self.network.state_dict().items()}
        return {**learnt, "states": self.states, **self._saved()}

    def _restore(self, state: dict[str, NDArray[Any]]) -> None:
        self._load_sequences(state)
        states = state.pop("states")
        network = self._network(self.sequences, torch.Generator().manual_seed(self.config.seed))
        network.load_state_dict({name.removeprefix("network."): torch.from_numpy(array) for name, array in state.items()})
        self.network, self.states = network.to(device()).eval(), states
        with torch.no_grad():
            self.keys = network.keys().float().cpu().numpy()

    def _save_parts(self, folder: Path) -> None:
        write_json(folder / "training.json", {"epochs": self.best_epoch, "history": self.training})

    def _load_parts(self, folder: Path) -> None:
        saved = read_json(folder / "training.json")
        self.best_epoch, self.training = saved["epochs"], saved["history"]
