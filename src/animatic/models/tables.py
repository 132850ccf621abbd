"""Tables of a transformer's adaptive norms: what their linears give at every denoising step, computed beforehand.

Those linears are a seventh to a quarter of the weights, and see only timestep, guidance and pooled text. Once their
tables are made they need not be in memory: `install` puts into their places what reads the tables. A step's *row*
(every linear's output, one after another) goes through the transformer in the place of the timestep's embedding. So
it comes with each call, no module keeps a state, and many shots may go through one transformer at the same time.

Knows neither families nor schedules: which tensors are meant is a pattern (`spec.MODULATION`), and what the embedding
is at which step the families say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from safetensors import safe_open

from animatic.models.base import Made, Work, tensors_made


def row(transformer: torch.nn.Module, pattern: re.Pattern[str], embedding: torch.Tensor) -> torch.Tensor:
    """Every adaptive norm's linear applied to a step's embedding [batch, d]: [batch, sum of their widths].

    Rows of a batch that are equal to the last bit are one: [1, sum of their widths]. The batch has to be that of the
    denoising, all the same: the number of rows chooses a linear's kernel, and so its last bits.
    """
    outputs = [norm.linear(norm.silu(embedding)) for norm in _norms(transformer, pattern)]
    rows = torch.cat(outputs, dim=1)
    return rows[:1].clone() if torch.equal(rows, rows[:1].expand_as(rows)) else rows


def made(work: Work, rows: Iterable[torch.Tensor]) -> Made:
    """The artifact: a tensor for every step, named by its number from 0."""
    return tensors_made(work, **{str(step): each.to("cpu") for step, each in enumerate(rows)})


class Tables:
    """A work's tables. They stay in their file; a row is read when its step comes."""

    def __init__(self, work: Work, device: torch.device) -> None:
        self._file = safe_open(work.inputs["tables"].path, framework="pt")
        self._device = device

    def row(self, step: int, batch: int = 1) -> torch.Tensor:
        """[batch, sum of the widths], on the device."""
        row: torch.Tensor = self._file.get_tensor(str(step))  # type: ignore[no-untyped-call]
        return row.to(self._device).expand(batch, -1)


def of(work: Work, device: torch.device) -> Tables | None:
    """The work's tables; None: it has a whole transformer."""
    return Tables(work, device) if "tables" in work.inputs else None


def install(transformer: torch.nn.Module, pattern: re.Pattern[str]) -> None:
    """Take out what the pattern means, for good, and let the adaptive norms read the row that is passed instead.

    The first embedding that is taken out (of the timestep) gives back the last of its arguments, which has to be the
    row; further ones, whose results would be added to it, are None. To a transformer that has it done, does nothing.
    """
    begin = 0
    for norm in _norms(transformer, pattern):
        end = begin + norm.linear.out_features
        norm.silu, norm.linear = torch.nn.Identity(), Slice(begin, end)
        begin = end
    for number, path in enumerate(_paths(transformer, pattern)):
        setattr(transformer, path, None if number else Last())


class Slice(torch.nn.Module):
    """Stands where a norm's linear was: that linear's part of a row."""

    def __init__(self, begin: int, end: int) -> None:
        super().__init__()
        self.begin, self.end = begin, end

    def forward(self, row: torch.Tensor) -> torch.Tensor:
        return row[:, self.begin : self.end]


class Last(torch.nn.Module):
    """Stands where the timestep's embedding was: the last argument, as it is."""

    def forward(self, *given: torch.Tensor) -> torch.Tensor:
        return given[-1]


def _norms(transformer: torch.nn.Module, pattern: re.Pattern[str]) -> Iterator[Any]:
    """The adaptive norms whose linears the pattern means, in the transformer's own order."""
    for path in _paths(transformer, pattern):
        owner, _, name = path.rpartition(".")
        if name == "linear":
            yield transformer.get_submodule(owner)


def _paths(transformer: torch.nn.Module, pattern: re.Pattern[str]) -> list[str]:
    """The submodules the pattern means: what it matches of a tensor's name is a submodule's, and a dot."""
    matches = map(pattern.match, transformer.state_dict())
    return list(dict.fromkeys(match.group().removesuffix(".") for match in matches if match))
