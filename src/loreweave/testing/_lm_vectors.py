"""Embeddings of the test server: unit vectors seeded by the hash of the text, the same for the same text everywhere."""

from __future__ import annotations

import base64
import hashlib

import numpy as np


def vectors(texts: list[str], dimensions: int, *, packed: bool) -> list[list[float]] | list[str]:
    """One row a text: floats, or float32 in little-endian order as base64."""
    rows = []
    for text in texts:
        seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
        row = np.random.default_rng(seed).standard_normal(dimensions)
        rows.append((row / np.linalg.norm(row)).astype("<f4"))
    return [base64.b64encode(row.tobytes()).decode() for row in rows] if packed else [row.tolist() for row in rows]
