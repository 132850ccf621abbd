"""A training step that is launched once and then replayed: a CUDA graph.

Models as small as pocket's take a GPU less time to compute than the host takes to launch their thousands of kernels.
Knows: torch's streams and graphs. Must not know: models, optimisers.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

WARM_UP = 3  # what is allocated or compiled at the first calls must be there before a graph is captured


def replayed(step: Callable[[], tuple[Tensor, ...]]) -> Callable[[], tuple[Tensor, ...]]:
    """`step` itself on a CPU; on a GPU its graph, which gives the same tensors each time, filled anew.

    The step is called WARM_UP times at once. It must take everything it needs from tensors that stay where they are, and
    must not look into one.
    """
    if not torch.cuda.is_available():
        return step
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = step()

    def replay() -> tuple[Tensor, ...]:
        graph.replay()
        return results

    return replay
