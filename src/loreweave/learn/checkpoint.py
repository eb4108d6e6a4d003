"""Everything that training needs to go on as if it had never stopped, in one folder without pickle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from loreweave.errors import SavedError
from loreweave.files import (
    check_replaceable,
    folder_written_atomically,
    read_arrays,
    read_saved,
    write_arrays,
    write_manifest,
)

Optimizers = Mapping[str, torch.optim.Optimizer]
State = dict[str, torch.Tensor]


def copy_of(module: nn.Module) -> State:
    """The module's parameters and buffers, copied to the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in module.state_dict().items()}


def save(
    folder: Path, module: nn.Module, optimizers: Optimizers, generator: torch.Generator, best: State | None, progress: dict[str, Any]
) -> None:
    """Write module, optimizers' moments, random state, the best parameters so far and `progress` (JSON), replacing what was there at once.

    Raises:
        SavedError: the place cannot be written; the previous checkpoint is unchanged.
    """
    arrays: dict[str, NDArray[Any]] = {f"module.{name}": tensor.numpy() for name, tensor in copy_of(module).items()}
    arrays |= {f"best.{name}": tensor.numpy() for name, tensor in (best or {}).items()}
    arrays["generator"] = generator.get_state().numpy()
    for name, optimizer in optimizers.items():
        for index, moments in optimizer.state_dict()["state"].items():
            arrays |= {f"optimizer.{name}.{index}.{key}": np.array(value.cpu().numpy()) for key, value in moments.items()}
    check_replaceable(folder, "checkpoint")
    with folder_written_atomically(folder) as temporary:
        write_arrays(temporary / "checkpoint.safetensors", arrays)
        write_manifest(temporary, {"checkpoint": progress})


def load(folder: Path, module: nn.Module, optimizers: Optimizers, generator: torch.Generator) -> tuple[State | None, dict[str, Any]] | None:
    """Put back what `save` wrote; the best parameters and `progress`, or None where there is no checkpoint yet.

    Raises:
        SavedError: damaged, or of another model.
    """
    if not (Path(folder) / "manifest.json").is_file():
        return None
    manifest = read_saved(folder, "checkpoint")
    tensors = {name: torch.from_numpy(array) for name, array in read_arrays(Path(folder) / "checkpoint.safetensors").items()}
    try:
        module.load_state_dict(_below(tensors, "module."))
        for name, optimizer in optimizers.items():
            state = optimizer.state_dict()
            state["state"] = {}
            for key, tensor in _below(tensors, f"optimizer.{name}.").items():
                index, _, moment = key.partition(".")
                state["state"].setdefault(int(index), {})[moment] = tensor
            optimizer.load_state_dict(state)
        generator.set_state(tensors["generator"])
    except (KeyError, ValueError, RuntimeError) as error:
        raise SavedError(f"{folder}: the checkpoint does not fit this model ({str(error).splitlines()[0]}); fit without --resume") from None
    return _below(tensors, "best.") or None, manifest["checkpoint"]


def _below(tensors: State, prefix: str) -> State:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
