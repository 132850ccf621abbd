"""What CogVideoX takes, as CogVideoXImageToVideoPipeline computes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from animatic.cost.base import FLOAT, Config, Configs, Cost, Options, Phase, Size, integer, linear, over_1
from animatic.cost.texts import t5, t5_size
from animatic.cost.transformer import modulate, token_width, turned
from animatic.cost.vae import resnets, vae_size


def _copies(options: Options) -> int:
    """Of a clip: with guidance, the negative prompt goes along."""
    return 2 if over_1(options["video.guidance_scale"]) else 1


def _encode(parts: Configs, options: Options, item: int) -> Cost:
    return t5(parts["text_encoder"], integer(options, "video.max_sequence_length"), _copies(options), item)


def _size(c: Config) -> Size:
    d, te, affine, layers = token_width(c), c["time_embed_dim"], c.get("norm_elementwise_affine", True), c["num_layers"]
    norm = 2 * d if affine else 0
    patch = c["in_channels"] * _patch(c)
    outside = linear(patch, d, c.get("patch_size_t") or c.get("patch_bias", True)) + linear(c["text_embed_dim"], d)
    outside += linear(d, c["out_channels"] * _patch(c)) + 2 * norm
    embeddings = linear(d, te) + linear(te, te) + (2 * linear(o, o) if (o := c.get("ofs_embed_dim")) else 0)
    attention = 3 * linear(d, d, c.get("attention_bias", True)) + linear(d, d) + 4 * c["attention_head_dim"]
    blocks = (attention + linear(d, 4 * d) + linear(4 * d, d) + 2 * norm,) * layers
    modulated = (2 * linear(te, 6 * d),) * layers
    modulation = sum(modulated) + linear(te, 2 * d) + embeddings
    table = 0
    if c.get("use_learned_positional_embeddings"):
        area = (c["sample_height"] // c["patch_size"]) * (c["sample_width"] // c["patch_size"])
        frames = (c["sample_frames"] - 1) // c["temporal_compression_ratio"] + 1
        table = (c["max_text_seq_length"] + frames * area) * d
    return Size(outside + sum(blocks) + modulation, modulation, blocks, modulated, table)


def _patch(c: Config) -> int:
    """Latent values of one channel that become one token."""
    return int(c["patch_size"] ** 2 * (c.get("patch_size_t") or 1))


def _modulate(parts: Configs, options: Options, item: int) -> Cost:
    c = parts["transformer"]
    table = token_width(c) * (12 * c["num_layers"] + 2) * item
    steps = integer(options, "video.num_inference_steps")
    return modulate(_size(c), steps, _copies(options), table, item)


def _denoise(parts: Configs, options: Options, item: int) -> Cost:
    c, steps, copies = parts["transformer"], integer(options, "video.num_inference_steps"), _copies(options)
    d, text = token_width(c), integer(options, "video.max_sequence_length")
    frames, height, width = _latents(c, options)
    time = c.get("patch_size_t") or 1
    video = -(-frames // time) * (height // c["patch_size"]) * (width // c["patch_size"])
    n = text + video
    block = 24 * d * d * n + 4 * n * n * d
    ends = 2 * video * _patch(c) * (c["in_channels"] + c["out_channels"]) * d + 2 * text * c["text_embed_dim"] * d
    whole = _size(c)
    forward = copies * (c["num_layers"] * block + ends + 2 * whole.modulation)
    rotary = 2 * video * c["attention_head_dim"] * FLOAT
    # A block, while it turns its keys by the rotary embedding: its input, the norm of it, the same as one sequence,
    # queries, keys and values; or, in the feed-forward, the wide half before and after its GELU (8) beside the
    # input, what attention gave, their sum and its norm.
    peak = max(6 * item + turned(item), 12 * item)
    # The latents and the anchor, both once more for each copy of the noisy latents, which are there twice; and from the
    # last step, in float32, the copies' predictions, the guided one, and the estimate.
    frames += -frames % time
    latents = frames * height * width * c["out_channels"] * (copies * (3 * item + FLOAT) + 2 * item + 2 * FLOAT)
    return Cost(
        steps * forward, copies * n * d * peak + rotary + latents, steps, copies * n * d * item + rotary,
        steps * whole.parameters * item,
    )  # fmt: skip


def _latents(c: Config, options: Options) -> tuple[int, int, int]:
    """Frames, height and width of the clip's latents; `c` is the VAE's or the transformer's."""
    frames = (integer(options, "video.num_frames") - 1) // c["temporal_compression_ratio"] + 1
    return frames, integer(options, "video.height") // 8, integer(options, "video.width") // 8


def _anchor(parts: Configs, options: Options, item: int) -> Cost:
    """One frame through the encoder."""
    c = parts["vae"]
    _, height, width = _latents(c, options)
    levels, first, last = len(c["block_out_channels"]), c["block_out_channels"][0], c["block_out_channels"][-1]
    pixels = height * width * 4 ** (levels - 1)
    flops = 2 * 27 * pixels * c["in_channels"] * first
    # Every convolution sees the frame three times (cat), and keeps two of them for frames to come, which never come.
    cached, block, peak = 2 * pixels * c["in_channels"], pixels * first, 0
    for r in resnets(c, decoder=False):
        at = pixels // 4**r.level
        flops += 2 * at * (27 * (r.given + r.made) * r.made + (r.given * r.made if r.given != r.made else 0))
        block = at * r.given if r.first else block
        outer = 0 if r.first else block
        for given, made in ((r.given, r.made), (r.made, r.made)):
            cached += 2 * at * given
            peak = max(peak, outer + cached + at * (r.given + 4 * given + made))
        if r.up:
            flops += 2 * at // 4 * 9 * r.made**2
    flops += 2 * 27 * height * width * last * 2 * c["latent_channels"]
    return Cost(flops, peak * item, 1, 0, vae_size(c, 27, True).parameters * item / 2)


def _decode(parts: Configs, options: Options, item: int) -> Cost:
    c = parts["vae"]
    frames, height, width = _latents(c, options)
    batches = _batches(frames)
    tiles = [(height, width)]
    if options["video.vae_tiling"] == "on":
        tiles = list(_tiles(c, height, width))
    flops, peak, done = 0, 0, 0
    for h, w in tiles:
        old = 0
        for batch in batches:
            made = _decoder(c, batch, h, w)
            flops += made.flops
            peak = max(peak, made.peak + old + done)
            old = made.cached
            done += made.pixels
    return Cost(flops, peak * item, 1, 0, len(tiles) * vae_size(c, 27, True).parameters * item / 2)


def _batches(frames: int) -> list[int]:
    """Latent frames that are decoded together: two, the first time three if their number is odd."""
    return [frames] if frames < 4 else [2 + frames % 2] + [2] * (frames // 2 - 1)


def _tiles(c: Config, height: int, width: int) -> Iterator[tuple[int, int]]:
    """Sizes of the tiles of latents: half of what the VAE was made for, overlapping by a sixth and a fifth."""
    scale = 2 ** (len(c["block_out_channels"]) - 1)
    tall, wide = (c[f"sample_{side}"] // 2 // scale for side in ("height", "width"))
    if height <= tall and width <= wide:
        yield height, width
        return
    for top in range(0, height, int(tall * (1 - 1 / 6))):
        for left in range(0, width, int(wide * (1 - 1 / 5))):
            yield min(tall, height - top), min(wide, width - left)


@dataclass(frozen=True)
class _Decoded:
    """Some frames through the decoder: in elements, `cached` what it keeps for the next frames, `pixels` the result."""

    flops: int
    peak: int
    cached: int
    pixels: int


def _decoder(c: Config, frames: int, height: int, width: int) -> _Decoded:
    z, first, last = c["latent_channels"], c["block_out_channels"][0], c["block_out_channels"][-1]
    flops, block, peak, level, points = 0, 0, 0, 0, frames * height * width
    flops += 2 * 27 * points * z * last
    cached = 2 * height * width * z

    def norm(channels: int, outer: int) -> None:
        """What it norms, two convolutions of the latents, the norm, the product and the sum; and the latents, which
        are enlarged, and kept by both convolutions."""
        nonlocal flops, cached, peak
        flops += 2 * 2 * points * z * channels
        cached += 2 * points * z
        enlarged = (2 if frames > 1 and frames % 2 else 1) * points * z
        peak = max(peak, cached + outer + 6 * points * channels + enlarged)

    time = c["temporal_compression_ratio"]
    for r in resnets(c, decoder=True):
        block = points * r.given if r.first else block
        outer = 0 if r.first else block
        norm(r.given, outer)
        cached += 2 * points // frames * r.given
        norm(r.made, outer + points * r.given)
        cached += 2 * points // frames * r.made
        flops += 2 * points * (27 * (r.given + r.made) * r.made + (r.given * r.made if r.given != r.made else 0))
        if r.up:
            points = points // frames * 4
            if 2**level < time and frames > 1:
                frames = 2 * frames - frames % 2
            points *= frames
            level += 1
            flops += 2 * points * 9 * r.made**2
    norm(first, 0)
    flops += 2 * 27 * points * first * c["out_channels"]
    cached += 2 * points // frames * first
    return _Decoded(flops, peak, cached, points * c["out_channels"])


SIZES = {"text_encoder": t5_size, "transformer": _size, "vae": lambda c: vae_size(c, 27, True)}
PHASES: Mapping[str, Phase] = {
    "encode": _encode,
    "anchor": _anchor,
    "modulate": _modulate,
    "denoise": _denoise,
    "decode": _decode,
}
