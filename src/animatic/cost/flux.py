"""What FLUX.1 takes, as FluxPipeline computes."""

from __future__ import annotations

from collections.abc import Mapping

from animatic.cost.base import FLOAT, Config, Configs, Cost, Options, Phase, Size, integer, linear, over_1
from animatic.cost.texts import clip, clip_size, t5, t5_size
from animatic.cost.transformer import modulate, token_width, turned
from animatic.cost.vae import resnets, vae_size


def _texts(options: Options) -> int:
    """Of a still: with guidance, the negative prompt too, one after the other, as FluxPipeline does."""
    return 2 if over_1(options["image.true_cfg_scale"]) else 1


def _encode(parts: Configs, options: Options, item: int) -> Cost:
    prompts = _texts(options)
    long = t5(parts["text_encoder_2"], integer(options, "image.max_sequence_length"), prompts, item)
    short = clip(parts["text_encoder"], prompts, item)
    workspace = max(long.workspace, short.workspace)
    return Cost(long.flops + short.flops, workspace, prompts, long.held, long.traffic + short.traffic)


def _size(c: Config) -> Size:
    d, double, single = token_width(c), c["num_layers"], c["num_single_layers"]
    norms = c["attention_head_dim"]
    outside = linear(c["in_channels"], d) + linear(c["joint_attention_dim"], d)
    outside += linear(d, c.get("patch_size", 1) ** 2 * (c.get("out_channels") or c["in_channels"]))
    embeddings = (2 if c["guidance_embeds"] else 1) * linear(256, d) + linear(c["pooled_projection_dim"], d)
    embeddings += (3 if c["guidance_embeds"] else 2) * linear(d, d)
    feed = linear(d, 4 * d) + linear(4 * d, d)
    blocks = (8 * linear(d, d) + 4 * norms + 2 * feed,) * double
    blocks += (3 * linear(d, d) + 2 * norms + linear(d, 4 * d) + linear(5 * d, d),) * single
    modulated = (2 * linear(d, 6 * d),) * double + (linear(d, 3 * d),) * single
    modulation = sum(modulated) + linear(d, 2 * d) + embeddings
    return Size(outside + sum(blocks) + modulation, modulation, blocks, modulated)


def _modulate(parts: Configs, options: Options, item: int) -> Cost:
    c = parts["transformer"]
    table = token_width(c) * (12 * c["num_layers"] + 3 * c["num_single_layers"] + 2) * item
    return modulate(_size(c), integer(options, "image.num_inference_steps") * _texts(options), 1, table, item)


def _denoise(parts: Configs, options: Options, item: int) -> Cost:
    c, texts = parts["transformer"], _texts(options)
    passes = integer(options, "image.num_inference_steps") * texts
    d, text = token_width(c), integer(options, "image.max_sequence_length")
    image = (integer(options, "image.height") // 16) * (integer(options, "image.width") // 16)
    n = text + image
    double = 24 * d * d * n + 4 * n * n * d  # attention's 4 d^2 and the feed-forward's 8 d^2, text and image alike
    single = 24 * d * d * n + 4 * n * n * d  # the same, side by side
    ends = 2 * image * 2 * c["in_channels"] * d + 2 * text * c["joint_attention_dim"] * d
    whole = _size(c)
    forward = c["num_layers"] * double + c["num_single_layers"] * single + ends + 2 * whole.modulation
    rotary = 2 * n * c["attention_head_dim"] * FLOAT
    # A single block, while it turns its keys by the rotary embedding: the block's input, the same as one sequence,
    # its norm, the wide half of the feed-forward (4), queries, keys and values; or, at its end, where its two halves
    # are put together (5) beside these and projected.
    turning = 10 * item + turned(item)
    joining = 15 * item
    # A double block knows no wide half then, but the feed-forward's GELU holds it twice.
    doubled = max(5 * item + turned(item), 12 * item)
    peak = max(turning, joining, doubled) if c["num_single_layers"] else doubled
    # What goes in, from the last step its estimate and velocity, and with guidance the velocity of the other text.
    latents = (2 + texts) * image * c["in_channels"] * item
    return Cost(
        passes * forward, n * d * peak + rotary + latents, passes, n * d * item + rotary,
        passes * whole.parameters * item,
    )  # fmt: skip


def _decode(parts: Configs, options: Options, item: int) -> Cost:
    c = parts["vae"]
    height, width = (integer(options, f"image.{side}") // 16 * 2 for side in ("height", "width"))
    first, last, area = c["block_out_channels"][0], c["block_out_channels"][-1], height * width
    flops = 2 * 9 * area * c["latent_channels"] * last
    if c.get("mid_block_add_attention", True):
        flops += 8 * area * last**2 + 4 * area**2 * last
    block, peak = 0, 0
    for r in resnets(c, decoder=True):
        pixels = area * 4**r.level
        flops += 2 * pixels * (9 * (r.given + r.made) * r.made + (r.given * r.made if r.given != r.made else 0))
        block = pixels * r.given if r.first else block
        # Beside the input (projected, where the widths differ) and the level's own, which its caller holds: the norm
        # and the activation; or what the convolutions gave, the sum, and the sum divided by one.
        outer = 0 if r.first else block
        ends = r.given + (3 if r.given == r.made else 4) * r.made
        peak = max(peak, outer + 3 * pixels * r.given, outer + pixels * ends)
        if r.up:
            flops += 2 * 4 * pixels * 9 * r.made**2
            peak = max(peak, block + 9 * pixels * r.made)  # the input, enlarged four times, and as much again
    pixels = area * 4 ** (len(c["block_out_channels"]) - 1)
    flops += 2 * pixels * 9 * first * c["out_channels"]
    traffic = vae_size(c, 9, False).parameters * item / 2
    return Cost(flops, peak * item, 1, 0, traffic)


SIZES = {
    "text_encoder": clip_size,
    "text_encoder_2": t5_size,
    "transformer": _size,
    "vae": lambda c: vae_size(c, 9, False),
}
PHASES: Mapping[str, Phase] = {"encode": _encode, "modulate": _modulate, "denoise": _denoise, "decode": _decode}
