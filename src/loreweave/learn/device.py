"""Where networks are trained: on CUDA where there is one, else on the CPU."""

from __future__ import annotations

import torch


def device() -> torch.device:
    """CUDA's current device where torch finds one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
