"""Latent semantic analysis: TF-IDF of words and word pairs, brought to few dimensions by a truncated SVD. Nothing to download, no torch.

Source: Deerwester et al., "Indexing by latent semantic analysis", JASIS 41(6), 1990; the randomised SVD is Halko et al., SIAM Review 53(2),
2011, as scikit-learn has it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from loreweave.errors import DataError, NotFitted, SavedError
from loreweave.files import (
    check_replaceable,
    folder_written_atomically,
    read_arrays,
    read_json,
    read_saved,
    write_arrays,
    write_json,
    write_manifest,
)
from loreweave.language.base import Vectors
from loreweave.language.vectors import distinct, spread, unit

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer

DIMENSIONS = 256
MOST_TERMS = 65_536
"""Words and word pairs kept, the most frequent ones: what bounds memory (64 MB at 256 dimensions) on a large catalogue."""
MOST_TEXTS = 50_000
"""Distinct texts that the space is fitted on; of more a sample is drawn, and the rest are folded in."""
POWER_ITERATIONS = 5
"""Of the randomised SVD, as scikit-learn's TruncatedSVD has it."""
SEED = 0
"""Of the sample and of the randomised SVD: same texts, same vectors."""


class Lsa:
    """Texts to vectors by the words they share with the texts it was fitted on.

    It is fitted on the texts it is given first, here or in the first `encode`: on each distinct text once, in sorted order, so that
    neither repetition nor order matters. Later texts (phrases of new users) are folded into that space: their TF-IDF row times the
    components, which gives a text that was fitted on the vector it had. A text without a known word has a zero row.

    Args:
        texts: to fit on; None: those of the first `encode`.
        dimensions: at most; fewer where there are fewer distinct texts or terms.
    """

    def __init__(self, texts: Iterable[str] | None = None, *, dimensions: int = DIMENSIONS) -> None:
        self.dimensions = dimensions
        self._fingerprint: str | None = None
        if texts is not None:
            self._fit(distinct(texts)[0])

    @property
    def name(self) -> str:
        """`lsa-256`, and once fitted `lsa-256-` with a fingerprint of the texts it was fitted on."""
        return f"lsa-{self.dimensions}" + (f"-{self._fingerprint}" if self._fingerprint else "")

    def encode(self, texts: Sequence[str]) -> Vectors:
        """float32 [n, d], rows of unit length or zero; d is at most `dimensions`.

        Raises:
            DataError: not fitted yet, and no text has a word in it.
        """
        once, where = distinct(texts)
        if self._fingerprint is None:
            self._fit(once)
        if not once:
            return np.zeros((len(where), self._loadings.shape[1]), dtype=np.float32)
        return spread(unit(self._vectorizer.transform(once) @ self._loadings), where)

    def save(self, folder: Path | str) -> None:
        """Write `manifest.json`, `terms.json` and `lsa.safetensors` (idf [terms], components [d, terms]).

        Raises:
            NotFitted: nothing to save yet.
            SavedError: the place cannot be written, or holds something else.
        """
        if self._fingerprint is None:
            raise NotFitted("this Lsa has not been fitted; encode the texts it shall be fitted on first")
        check_replaceable(Path(folder), "lsa")
        with folder_written_atomically(Path(folder)) as temporary:
            write_json(temporary / "terms.json", self._terms)
            write_arrays(temporary / "lsa.safetensors", {"idf": self._idf, "components": np.ascontiguousarray(self._loadings.T)})
            fit = {"dimensions": self.dimensions, "fingerprint": self._fingerprint}
            write_manifest(temporary, {"lsa": fit})

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read what `save` wrote: the same vectors again.

        Raises:
            SavedError: no saved LSA, damaged, or of another format version.
        """
        folder = Path(folder)
        manifest = read_saved(folder, "lsa")
        try:
            arrays = read_arrays(folder / "lsa.safetensors")
            loaded = cls(dimensions=manifest["lsa"]["dimensions"])
            loaded._set(read_json(folder / "terms.json"), arrays["idf"], arrays["components"], manifest["lsa"]["fingerprint"])
        except (KeyError, TypeError, AttributeError, ValueError):
            raise SavedError(f"{folder}: damaged; fit again or restore the folder") from None
        return loaded

    def _fit(self, once: list[str]) -> None:
        """On distinct texts, in any order."""
        self._set(*_fitted(tuple(sorted(once)), self.dimensions))

    def _set(self, terms: list[str], idf: NDArray[Any], components: NDArray[Any], fingerprint: str) -> None:
        """Fitted and loaded come through here alike, so that both give the same vectors."""
        self._terms = terms
        self._idf = idf.astype(np.float32)
        self._loadings = np.ascontiguousarray(components.T, dtype=np.float32)  # [terms, d]: scipy would copy all of it for every text
        if self._loadings.shape[:1] != self._idf.shape:
            raise ValueError("components and terms differ in number")
        self._vectorizer = _vectorizer(vocabulary=terms)
        self._vectorizer.idf_ = self._idf
        self._fingerprint = fingerprint


@lru_cache(maxsize=4)  # arms and seeds of a comparison fit on the same texts again: of items or users, of train or the refit
def _fitted(once: tuple[str, ...], dimensions: int) -> tuple[list[str], NDArray[Any], NDArray[Any], str]:
    """Terms, their idf [terms], components [d, terms] and the fingerprint, of distinct texts in order."""
    from sklearn.utils.extmath import randomized_svd

    fingerprint = hashlib.blake2b(json.dumps([dimensions, MOST_TERMS, MOST_TEXTS, once]).encode(), digest_size=6).hexdigest()
    chosen = list(once)
    if len(once) > MOST_TEXTS:
        chosen = [once[i] for i in np.random.default_rng(SEED).choice(len(once), MOST_TEXTS, replace=False).tolist()]
    vectorizer = _vectorizer(max_features=MOST_TERMS)
    try:
        weights = vectorizer.fit_transform(chosen)
    except ValueError:  # scikit-learn's "empty vocabulary"
        raise DataError(f"lsa: none of {len(chosen)} texts has a word in it, so there is nothing to fit on; give it texts") from None
    # What TruncatedSVD calls, which refuses a single term.
    _, _, components = randomized_svd(weights, min(dimensions, *weights.shape), n_iter=POWER_ITERATIONS, random_state=SEED)
    return vectorizer.get_feature_names_out().tolist(), vectorizer.idf_, components, fingerprint


def _vectorizer(**vocabulary: Any) -> TfidfVectorizer:
    """Words of one character count (a title may be "M"), accents do not, and a word said twice weighs less than twice as much."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(
        ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b", strip_accents="unicode", sublinear_tf=True, dtype=np.float32, **vocabulary
    )
