"""Dropout whose draws come from a generator of its own, so that training is repeatable and can be resumed to the bit."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LEVELS = 256
"""A byte is drawn an element: the rate is rounded to 1/256, and eight elements share one draw of 64 bits."""


class Dropout(nn.Module):
    """Zeroes a share `rate` of the elements in training and scales the rest (Srivastava et al., JMLR 2014).

    Args:
        rate: 0 ≤ rate < 1, rounded to 1/256.
        generator: of the draws, on the CPU.
    """

    def __init__(self, rate: float, generator: torch.Generator) -> None:
        super().__init__()
        self.dropped = min(round(rate * LEVELS), LEVELS - 1)
        self.generator = generator

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.dropped == 0:
            return x
        return x * self.mask(x.numel(), x.device).view(x.shape).to(x.dtype)

    def mask(self, n: int, device: torch.device) -> Tensor:
        """0 or 1 / (1 − rate), float32 [n]."""
        if device.type == "cpu":
            draws = torch.empty((n + 7) // 8, dtype=torch.int64).random_(-(2**63), None, generator=self.generator)
            kept = draws.view(torch.uint8)[:n] >= self.dropped
        else:  # drawn there, from a seed that is drawn here
            seed = int(torch.randint(2**62, (1,), generator=self.generator))
            there = torch.Generator(device).manual_seed(seed)
            kept = torch.randint(LEVELS, (n,), generator=there, device=device, dtype=torch.uint8) >= self.dropped
        return kept.to(torch.float32).mul_(LEVELS / (LEVELS - self.dropped))
