"""3D convolutions on the CPU: oneDNN's where torch would take its slow ones, and nothing else is altered."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLCogVideoX
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import CogVideoXCausalConv3d
from torch.utils._python_dispatch import TorchDispatchMode

from animatic.models import convolution
from animatic.models.cogvideox import CogVideoX
from animatic.spec import ModelSpec
from tests import tiny

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")  # type: ignore[no-untyped-call]


class Left(TorchDispatchMode):
    """The shapes of the clips of which torch itself chooses how they are convolved."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[torch.Size] = []

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if operation is torch.ops.aten.convolution.default and args[0].ndim == 5:
            self.shapes.append(args[0].shape)
        return operation(*args, **(kwargs or {}))


@pytest.fixture(scope="module")
def vae() -> Any:
    return AutoencoderKLCogVideoX.from_pretrained(tiny.POCKET / "video" / "vae", dtype=torch.float32).eval()


@torch.no_grad()
def test_pockets_clips_are_decoded_by_onednn_and_differ_by_rounding_alone(vae: Any) -> None:
    latents = torch.randn(1, 16, 3, 12, 18, generator=torch.Generator().manual_seed(0))
    with Left() as before:
        stock = vae.decode(latents).sample
    family = CogVideoX(ModelSpec("video", "cogvideox", "pocket:video", dtype="float32"), torch.device("cpu"))
    family.adapt(vae, "whole")
    with Left() as after:
        ours = vae.decode(latents).sample
    assert before.shapes and not after.shapes
    torch.testing.assert_close(ours, stock, atol=1e-4, rtol=0)  # Of [-1, 1]; a level of a pixel is 8e-3.


@torch.no_grad()
@pytest.mark.parametrize(("dtype", "height"), [(torch.float32, 600), (torch.bfloat16, 8)])
def test_what_torch_gives_to_onednn_itself_stays_as_it_is(dtype: torch.dtype, height: int) -> None:
    layer = CogVideoXCausalConv3d(8, 8, kernel_size=3).to(dtype)
    clip = torch.randn(1, 8, 5, height, 8, generator=torch.Generator().manual_seed(0)).to(dtype)
    stock = layer(clip)[0]
    convolution.install(layer)
    assert torch.equal(layer(clip)[0], stock)
