"""Fit, score and save the neural sequential models: the training loop around a network, states of everybody kept for serving."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from loreweave.data.dataset import Dataset, Interactions
from loreweave.data.vocabulary import Codes
from loreweave.errors import DataError
from loreweave.knowledge.records import Knowledge
from loreweave.learn.device import device
from loreweave.learn.neighbours import unit
from loreweave.learn.sequences import Sequences, batch_of
from loreweave.models.base import Scores
from loreweave.models.by_epochs import TrainedByEpochs
from loreweave.models.sequential.base import People, SequentialRecommender
from loreweave.models.sequential.network import SequenceNetwork

Vectors = NDArray[np.float32]
TOKENS = 32_768
"""Tokens read at once when scoring; bounds memory to a few such rows of activations."""
VALIDATION_METRIC = "ndcg@10"


class NeuralSequential(TrainedByEpochs, SequentialRecommender):
    """A sequence network, trained by epochs. Subclasses say which (`_network`).

    Attributes:
        network: what was learnt, in evaluation mode.
        keys: float32 [n_items, d], what states are held against.
        states: float32 [n_users, d], the state after each fitted user's history; zero for an empty one.
    """

    network: SequenceNetwork

    @abstractmethod
    def _network(self, sequences: Sequences, generator: torch.Generator) -> SequenceNetwork:
        """An untrained network for these histories. Called again when a saved model is loaded, with what `_load_parts` read."""

    def _start(self, network: SequenceNetwork) -> None:
        """Where training starts from, beyond what the network drew."""

    def _read(self, train: Dataset, knowledge: Knowledge) -> dict[str, Any]:
        """Read what the model takes of knowledge, before the network is made; what a checkpoint must agree on beyond settings and log."""
        return {}

    def _learn(self, train: Dataset, knowledge: Knowledge, valid: Interactions | None, checkpoint: Path | None, resume: bool) -> None:
        order = hashlib.blake2b(self.sequences.items.tobytes(), digest_size=8)  # of which the fingerprint of the log knows nothing
        order.update(self.sequences.indptr.tobytes())
        read = {**self._read(train, knowledge), "order": order.hexdigest()}
        generator = torch.Generator().manual_seed(self.config.seed)
        network = self._network(self.sequences, generator)
        self._start(network)
        network = network.to(device())
        if not len(network.people):
            raise DataError(f"{train.name}: nobody met two items, so nothing follows anything; a sequential model has nothing to learn")

        def scores() -> Callable[[Codes], Scores]:
            self._adopt(network)
            return self.score_codes

        self._train(network, len(network.people), generator, train, valid, scores, (VALIDATION_METRIC,), read, checkpoint, resume)
        self._adopt(network)

    def _adopt(self, network: SequenceNetwork) -> None:
        """Keep what was learnt, and read everybody's history once for all scores to come."""
        self.network = network.eval()
        with torch.no_grad():
            self.keys: Vectors = network.keys().float().cpu().numpy()
        self.states = self._read_histories(self._fitted(np.arange(self.n_users, dtype=np.int32)))

    def _read_of(self, histories: Sequences) -> Sequences:
        return histories.newest(self.network.longest)

    def _read_histories(self, people: People) -> Vectors:
        """The state after each history, float32 [b, d]; zero for an empty one."""
        sequences = self._read_of(people.sequences)
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
        vectors = unit(self.keys)
        return np.asarray(vectors[items] @ vectors.T)

    def embeddings(self) -> dict[str, Vectors]:
        """`user`: states, float32 [n_users, d]; `item`: keys, float32 [n_items, d]; a score is their inner product."""
        return {"user": self.states, "item": self.keys}

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
