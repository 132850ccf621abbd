"""3D convolutions of small clips on the CPU, by oneDNN, which is faster than what torch takes there.

In float32 torch takes oneDNN only where an input's first four axes have more than 20,480 values (2.13:
aten/src/ATen/native/Convolution.cpp, use_mkldnn). That is meant for pictures, [batch, channels, height, width]; of
clips, [batch, channels, frames, height, width], it leaves out the width, and small ones go through `slow_conv3d`. What
is larger stays with torch, bit for bit; what is not is rounded otherwise, as it would be on another CPU.
"""

from __future__ import annotations

import torch
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import CogVideoXSafeConv3d

SMALL = 20_480


def install(module: torch.nn.Module) -> None:
    """Let the module's 3D convolutions take oneDNN for small inputs. Where torch has no oneDNN, does nothing."""
    if torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        for part in module.modules():
            if type(part) is CogVideoXSafeConv3d:
                part.__class__ = Convolution


class Convolution(CogVideoXSafeConv3d):  # type: ignore[misc]
    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        """[batch, channels, frames, height, width], padded by whoever calls."""
        if clip.dtype != torch.float32 or clip.shape[:4].numel() > SMALL:
            return super().forward(clip)  # type: ignore[no-any-return]
        shape = self.padding, self.stride, self.dilation, self.groups
        made: torch.Tensor = torch.ops.aten.mkldnn_convolution(clip.contiguous(), self.weight, self.bias, *shape)
        return made
