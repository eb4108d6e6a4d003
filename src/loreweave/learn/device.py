"""Where networks are trained: on CUDA where there is one, else on the CPU."""

from __future__ import annotations

import torch


def device() -> torch.device:
    """CUDA's current device where torch finds one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_bfloat16(where: torch.device) -> bool:
    """Whether networks train in bfloat16 there: on CUDA devices that compute in it and do not emulate it."""
    return where.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
