"""An epoch of LightGCN with our propagation against PyTorch Geometric's LGConv, in one run: same graph, loss, batches and optimiser.

    pip install --no-deps --target bench/.peers/pyg torch_geometric xxhash psutil
    python bench/propagation.py [--epochs 3] [--threads N]

`--no-deps` and a folder of its own: the peer must not touch the environment's torch. LGConv is timed with an edge index, as the published
code of CIKGRec calls it (LGConv then normalises in every call), with an edge index normalised before, and with a sparse matrix of torch,
normalised before (COO and CSR). Prints a table and one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from cikgrec_epoch import load
from torch import Tensor

from loreweave.models.graph.graph import InterestGraph
from loreweave.models.graph.lightgcn import LightGCNConfig, LightGCNNetwork

sys.path.insert(0, str(Path(__file__).parent / ".peers" / "pyg"))


def peers(network: LightGCNNetwork) -> dict[str, Callable[[Tensor], Tensor]]:
    """One layer of LGConv on the network's graph, by how the graph is given."""
    from torch_geometric.nn import LGConv

    crow, col, value, n = network.adjacency.crow, network.adjacency.col, network.adjacency.value, network.graph.n
    row = torch.arange(n).repeat_interleave(crow.diff().long())
    edge_index = torch.stack([col.long(), row])
    csr = torch.sparse_csr_tensor(crow.long(), col.long(), value, size=(n, n))
    coo = torch.sparse_coo_tensor(torch.stack([row, col.long()]), value, size=(n, n)).coalesce()
    normalising, plain = LGConv(normalize=True), LGConv(normalize=False)
    return {
        "edge index": lambda x: normalising(x, edge_index),
        "edge index, normalised before": lambda x: plain(x, edge_index, value),
        "torch.sparse COO": lambda x: plain(x, coo),
        "torch.sparse CSR": lambda x: plain(x, csr),
    }


class PeerNetwork(LightGCNNetwork):
    """The same network, loss and batches; another layer."""

    layer: Callable[[Tensor], Tensor]

    def users_and_items(self) -> tuple[Tensor, Tensor]:
        layers = [self.nodes]
        for _ in range(self.config.layers):
            layers.append(self.layer(layers[-1]))
        final = torch.stack(layers).mean(dim=0)
        return final[self.graph.users], final[self.graph.items]


def one_epoch(network: LightGCNNetwork, generator: torch.Generator, limit: int | None = None) -> float:
    """Seconds of one epoch of training."""
    optimizer = network.optimizers["main"]
    started = time.perf_counter()
    for rows in torch.split(torch.randperm(len(network.user), generator=generator), network.config.batch_size)[:limit]:
        losses = network.losses(rows, 0)
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=3, help="measured of each, after two steps of warm-up")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    warnings.filterwarnings("ignore", message="Sparse")
    try:
        import torch_geometric
    except ImportError as error:
        print(f"skipped: the peer is not installed ({error}); see the head of {Path(__file__).name}")
        return
    data, knowledge = load()
    held, _ = knowledge.interest_matrix(data.users)
    graph, config = InterestGraph.of(data.matrix, held, data.triples), LightGCNConfig(loss="bpr", batch_size=2048, dim=64, layers=3)
    networks: dict[str, LightGCNNetwork] = {"loreweave": LightGCNNetwork(graph, config, torch.Generator().manual_seed(1), None)}
    for name, layer in peers(networks["loreweave"]).items():
        network = PeerNetwork(graph, config, torch.Generator().manual_seed(1), None)
        network.layer = layer
        networks[f"LGConv, {name}"] = network
    expected = networks["loreweave"].users_and_items()[0]
    seconds: dict[str, list[float]] = {}
    for network in networks.values():
        torch.testing.assert_close(network.users_and_items()[0], expected, rtol=1e-3, atol=1e-6)  # the same numbers, or no comparison
        one_epoch(network, torch.Generator().manual_seed(2), limit=2)
    for _ in range(arguments.epochs):  # in turn, so that a busy machine is busy for all
        for name, network in networks.items():
            seconds.setdefault(name, []).append(one_epoch(network, torch.Generator().manual_seed(3)))
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    print(f"{'an epoch of LightGCN':40}{'seconds':>10}{'ratio':>10}")
    for name, median in medians.items():
        print(f"{name:40}{median:10.3f}{median / medians['loreweave']:10.2f}")
    result = {
        "bench": "propagation",
        "data": data.name,
        "nodes": graph.n,
        "edges": len(networks["loreweave"].edges.col),
        "dim": config.dim,
        "layers": config.layers,
        "batch_size": config.batch_size,
        "seconds": {name: round(median, 4) for name, median in medians.items()},
        "ratio": {name: round(median / medians["loreweave"], 2) for name, median in medians.items()},
        "epochs_measured": arguments.epochs,
        "threads": arguments.threads,
        "torch": torch.__version__,
        "torch_geometric": torch_geometric.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
