"""The autoencoders' residual blocks, of images and of films alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from animatic.cost.base import Config, Size, linear


@dataclass(frozen=True)
class Resnet:
    """A residual block at 2^level times the decoder's smallest size. `first`: of its level; `up`: its last."""

    given: int
    made: int
    level: int
    first: bool = False
    up: bool = False


def resnets(c: Config, *, decoder: bool) -> Iterator[Resnet]:
    """The residual blocks in the order they run; `up`: a convolution changes the size behind it."""
    channels = list(c["block_out_channels"])
    layers = c["layers_per_block"] + (1 if decoder else 0)
    middle = [Resnet(channels[-1], channels[-1], 0 if decoder else len(channels) - 1, first=not i) for i in range(2)]
    if decoder:
        yield from middle
        channels.reverse()
    for level, made in enumerate(channels):
        given = channels[max(0, level - 1)]
        for layer in range(layers):
            last = layer == layers - 1 and level < len(channels) - 1
            yield Resnet(made if layer else given, made, level, layer == 0, last)
    if not decoder:
        yield from middle


def vae_size(c: Config, kernel: int, spatial: bool) -> Size:
    """`kernel`: 9 of images, 27 of films. `spatial`: the decoder's norms are conditioned on the latents."""
    z, first, last = c["latent_channels"], c["block_out_channels"][0], c["block_out_channels"][-1]

    def stack(decoder: bool) -> int:
        def norm(channels: int) -> int:
            return 2 * channels + (2 * linear(z, channels) if decoder and spatial else 0)

        total = norm(first if decoder else last)
        for r in resnets(c, decoder=decoder):
            total += norm(r.given) + linear(kernel * r.given, r.made) + norm(r.made)
            total += linear(kernel * r.made, r.made) + (linear(r.given, r.made) if r.given != r.made else 0)
            total += linear(9 * r.made, r.made) if r.up else 0
        if kernel == 9 and c.get("mid_block_add_attention", True):
            total += 2 * last + 4 * linear(last, last)
        return total

    ends = linear(kernel * c["in_channels"], first) + linear(kernel * last, 2 * z)
    ends += linear(kernel * z, last) + linear(kernel * first, c["out_channels"])
    if kernel == 9:
        ends += linear(2 * z, 2 * z) if c.get("use_quant_conv", True) else 0
        ends += linear(z, z) if c.get("use_post_quant_conv", True) else 0
    return Size(stack(False) + stack(True) + ends)
