"""AdamW for the language models, whose embeddings (most rows idle in a step) Muon serves badly.

Knows: optimisers. Must not know: models. Same interface as muon.py.
"""

from __future__ import annotations

import torch
from torch import nn


class Adam(torch.optim.AdamW):
    """AdamW without weight decay over all parameters."""

    def __init__(self, parameters: dict[str, nn.Parameter], lr: float):
        super().__init__(list(parameters.values()), lr, betas=(0.9, 0.98), weight_decay=0.0, fused=True)

    def set_rate(self, lr: float) -> None:
        for group in self.param_groups:
            group["lr"] = lr
