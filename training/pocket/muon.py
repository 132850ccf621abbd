"""Muon: momentum whose update is orthogonalised, for weight matrices and convolution kernels; Adam for the rest.

After Jordan et al. 2024 (Newton-Schulz iteration, quintic coefficients); at these sizes it needs about half of
Adam's steps. Knows: optimisers. Must not know: models.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def orthogonalised(updates: Tensor, rounds: int = 5) -> Tensor:
    """The nearest semi-orthogonal matrices [n, rows, columns], roughly: singular values end between 0.7 and 1.2."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = updates.bfloat16()
    x = x.mT if (tall := x.shape[1] > x.shape[2]) else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(rounds):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).float()


class Muon(torch.optim.Optimizer):
    """Muon for tensors of two and more dimensions, Adam at a tenth of its rate for the others and the outermost layers.

    A step looks into no tensor, and takes its rates from two that stay where they are: it can be captured (see replay.py).
    """

    # Of the whole model: blocks have a proj_out too. Embeddings are not among them: orthogonalised, the rows of rare words
    # move as far as those of frequent ones, and the refiner learns synonyms several times as fast as by Adam.
    OUTER = ("encoder.conv_in.", "decoder.conv_out.", "proj_out.")

    def __init__(self, parameters: dict[str, nn.Parameter], lr: float):
        plain = [p for name, p in parameters.items() if p.ndim < 2 or name.startswith(self.OUTER)]
        taken = {id(p) for p in plain}
        device = plain[0].device
        self.rate, self.plain_rate = torch.tensor(lr, device=device), torch.tensor(lr / 10, device=device)
        super().__init__([p for p in parameters.values() if id(p) not in taken], {})
        self.adam = torch.optim.AdamW(plain, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
        self._settle(device)

    def set_rate(self, lr: float) -> None:
        self.rate.fill_(lr)
        self.plain_rate.fill_(lr / 10)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """One update of every parameter that has a gradient; a closure is not supported."""
        alike: dict[tuple[int, int], list[tuple[nn.Parameter, Tensor]]] = {}
        for p in self.param_groups[0]["params"]:
            if p.grad is not None:
                update = self._update(p, p.grad).flatten(1)
                alike.setdefault((update.shape[0], update.shape[1]), []).append((p, update))
        for (rows, columns), pairs in alike.items():
            turned = orthogonalised(torch.stack([update for _, update in pairs]))
            turned *= self.rate * max(1.0, rows / columns) ** 0.5
            for (p, _), change in zip(pairs, turned, strict=True):
                p.sub_(change.view_as(p))
        self.adam.step()

    def _update(self, p: nn.Parameter, gradient: Tensor) -> Tensor:
        state = self.state[p]
        if not state:
            state["momentum"] = torch.zeros_like(p)
        momentum: Tensor = state["momentum"]
        momentum.lerp_(gradient, 0.05)
        return torch.lerp(gradient, momentum, 0.95)

    def zero_grad(self, set_to_none: bool = True) -> None:
        super().zero_grad(set_to_none)
        self.adam.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        return {"muon": super().state_dict(), "adam": self.adam.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict["muon"])
        self.adam.load_state_dict(state_dict["adam"])
        self._settle(self.rate.device)

    def _settle(self, device: torch.device) -> None:
        """Bind Adam to our rate and to the device, whatever was loaded: a training may go on elsewhere than it began."""
        self.adam.param_groups[0] |= {"lr": self.plain_rate, "capturable": device.type == "cuda"}
