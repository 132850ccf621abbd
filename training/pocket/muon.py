"""Muon: momentum whose update is orthogonalised, for weight matrices and convolution kernels; Adam for the rest.

After Jordan et al. 2024 (Newton-Schulz iteration, quintic coefficients); at these sizes it needs about half of
Adam's steps. Knows: optimisers. Must not know: models.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def orthogonalised(update: Tensor, rounds: int = 5) -> Tensor:
    """The nearest semi-orthogonal matrix, roughly: singular values end between 0.7 and 1.2."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = update.bfloat16()
    x = x.T if (tall := x.shape[0] > x.shape[1]) else x
    x = x / (x.norm() + 1e-7)
    for _ in range(rounds):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.T if tall else x).float()


class Muon(torch.optim.Optimizer):
    """Muon for tensors of two and more dimensions, Adam at a tenth of its rate for the others and the outermost layers."""

    # Of the whole model: blocks have a proj_out too. Embeddings are not among them: orthogonalised, the rows of rare words
    # move as far as those of frequent ones, and the refiner learns synonyms several times as fast as by Adam.
    OUTER = ("encoder.conv_in.", "decoder.conv_out.", "proj_out.")

    def __init__(self, parameters: dict[str, nn.Parameter], lr: float):
        plain = [p for name, p in parameters.items() if p.ndim < 2 or name.startswith(self.OUTER)]
        taken = {id(p) for p in plain}
        super().__init__([p for p in parameters.values() if id(p) not in taken], {"lr": lr})
        self.adam = torch.optim.AdamW(plain, lr / 10, betas=(0.9, 0.98), weight_decay=0.0, fused=True)

    def set_rate(self, lr: float) -> None:
        self.param_groups[0]["lr"] = lr
        self.adam.param_groups[0]["lr"] = lr / 10

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """One update of every parameter that has a gradient; a closure is not supported."""
        group = self.param_groups[0]
        for p in group["params"]:
            if p.grad is None:
                continue
            momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
            momentum.lerp_(p.grad, 0.05)
            flat = torch.lerp(p.grad, momentum, 0.95).flatten(1)
            scale = max(1.0, flat.shape[0] / flat.shape[1]) ** 0.5
            p.add_(orthogonalised(flat).view_as(p), alpha=-group["lr"] * scale)
        self.adam.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        super().zero_grad(set_to_none)
        self.adam.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        return {"muon": super().state_dict(), "adam": self.adam.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict["muon"])
        self.adam.load_state_dict(state_dict["adam"])
