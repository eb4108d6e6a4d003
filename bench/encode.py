"""Texts a second through the packaged MiniLM and its cache, and how many a second run encodes (it should be none).

    python bench/encode.py [--texts 2000] [--threads 2] [--encoder minilm]

Texts are phrases of a few words, as language models name interests. Goal: at least 200 a second on two cores, 0 in the second run.
Prints a table and one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import tempfile
import time

import numpy as np
import torch

from loreweave.language.encoders import encoder
from loreweave.language.vectors import Cached

WORDS = re.findall(
    r"\w+",
    """gritty slow quiet dark comic historical lyrical modern northern epic animated classic family crime courtroom war space ocean mountain
    detective romance western thriller documentary gardening cooking chess music jazz opera ballet poetry travel memoir philosophy stories
    films novels dramas with about of strong women unreliable narrators small towns lost love revenge heists time dragons""",
)


def phrases(n: int) -> list[str]:
    """n distinct phrases of three to eight words."""
    rng = np.random.default_rng(0)
    made: dict[str, None] = {}
    while len(made) < n:
        made[" ".join(rng.choice(WORDS, rng.integers(3, 9)))] = None
    return list(made)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--encoder", default="minilm", help="a name that loreweave.language.encoders knows; not lsa, which has no cache")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    texts = phrases(arguments.texts)
    with tempfile.TemporaryDirectory() as folder:
        warm = encoder(arguments.encoder)
        started = time.perf_counter()
        warm.encode(texts[:64])
        load = time.perf_counter() - started
        runs = []
        for name, made in (("first", Cached(warm, folder)), ("second", Cached(encoder(arguments.encoder), folder))):
            started = time.perf_counter()
            vectors = made.encode(texts)
            runs.append((name, made.encoded, made.hits, time.perf_counter() - started))
    print(f"{'run':8}{'encoded':>10}{'found':>10}{'seconds':>10}{'texts/s':>12}")
    for name, encoded, hits, seconds in runs:
        print(f"{name:8}{encoded:>10,}{hits:>10,}{seconds:>10.2f}{len(texts) / seconds:>12,.0f}")
    result = {
        "bench": "encode",
        "encoder": warm.name,
        "dimensions": vectors.shape[1],
        "texts": len(texts),
        "load_seconds": round(load, 2),
        "texts_per_second": round(len(texts) / runs[0][3], 1),
        "second_run_encoded": runs[1][1],
        "second_run_texts_per_second": round(len(texts) / runs[1][3], 1),
        "threads": arguments.threads,
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
