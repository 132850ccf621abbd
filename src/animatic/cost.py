"""What phases and models take, in closed form from their configurations: FLOPs, bytes of activations, elements.

Pure arithmetic over `config.json`s, as diffusers and transformers compute; no torch, no device, no clock. Attention
is assumed to be fused: no matrix of scores is kept (CUDA's and the CPU's kernels of torch >= 2.2 keep none).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from animatic.core import Value
from animatic.errors import WeightsError

TOKENS_A_WORD = 1.4
"""Of English prose, with the tokenizers of chat models."""

PROMPT_TOKENS = 320
"""A system prompt, the user's sentence, and what the chat template adds: more than the packaged prompts take."""

CLIP_TOKENS = 77

FLOAT = 4
"""Bytes of a float32 element, in which rotary embeddings and some norms are computed."""


@dataclass(frozen=True)
class Cost:
    """What one phase of one shot takes.

    flops      twice the multiply-adds of matrix products, convolutions and attention
    workspace  most bytes of activations alive at once, beside weights and stored inputs
    passes     times the blocks are run through: denoising steps, prompts, or tokens that are written
    held       bytes that one more shot in lockstep holds between two blocks
    traffic    bytes of weights read from memory in all passes
    """

    flops: float
    workspace: int
    passes: int
    held: int
    traffic: float


@dataclass(frozen=True)
class Size:
    """Elements of a model's tensors.

    parameters  all of them
    modulation  of the transformer's adaptive norms (`spec.MODULATION`), the blocks' included
    blocks      of each block that can be streamed, without its modulation, in the order they run
    modulated   the modulation of each block
    buffers     of tensors in the files that are no parameters, such as CogVideoX's learned positional table
    """

    parameters: int
    modulation: int = 0
    blocks: tuple[int, ...] = ()
    modulated: tuple[int, ...] = ()
    buffers: int = 0

    @property
    def whole_blocks(self) -> tuple[int, ...]:
        """Elements of each block with its modulation."""
        return tuple(map(sum, zip(self.blocks, self.modulated, strict=True)))


class _Config(dict[str, Any]):
    """A part's configuration. A key that must be there and is not raises WeightsError."""

    def __init__(self, part: str, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self.part = part

    def __missing__(self, key: str) -> Any:
        raise WeightsError(f"the configuration of the {self.part} says nothing of {key}: its memory cannot be told")


def cost(
    family: str, verb: str, configs: Mapping[str, Mapping[str, Any]], options: Mapping[str, Value], itemsize: int
) -> Cost:
    """Of one phase of one shot. Raises WeightsError when a configuration lacks what it takes to know.

    configs   by part: "llm", "text_encoder", "text_encoder_2", "transformer", "vae"
    options   the shot's, resolved, by dotted name
    itemsize  bytes of an element of weights and activations
    """
    parts = {part: _Config(part, configs.get(part, {})) for part in _PARTS}
    return _COSTS[family, verb](parts, options, itemsize)


def size(family: str, part: str, config: Mapping[str, Any]) -> Size:
    """Of one part of a model. Raises WeightsError when its configuration lacks what it takes to know."""
    return _SIZES[family, part](_Config(part, config))


def _linear(given: int, made: int, bias: Any = True) -> int:
    """Elements of a linear layer, or of a convolution whose `given` is channels times kernel."""
    return given * made + (made if bias else 0)


# ---------------------------------------------------------------------------------------------------- chat models


def _llm_size(c: _Config) -> Size:
    d, layers, vocabulary, kind = c["hidden_size"], c["num_hidden_layers"], c["vocab_size"], c.get("model_type")
    inner, kv, head = _heads(c)
    bias = c.get("attention_bias", kind in ("glm", "glm4")) or kind == "qwen2"
    attention = _linear(d, inner, bias) + 2 * _linear(d, kv, bias)
    attention += _linear(inner, d, bias and kind not in ("glm", "glm4", "qwen2"))
    attention += 2 * head if kind == "qwen3" else 0  # norms of queries and keys
    feed = 3 * d * c["intermediate_size"]
    feed += 2 * c["intermediate_size"] + d if c.get("mlp_bias") else 0
    block = attention + feed + (4 if kind == "glm4" else 2) * d  # GLM-4-0414 also norms what it adds
    embeddings = vocabulary * d * (1 if c.get("tie_word_embeddings") else 2)
    return Size(layers * block + embeddings + d, blocks=(block,) * layers, modulated=(0,) * layers)


def _heads(c: _Config) -> tuple[int, int, int]:
    """Widths of queries, of keys, and of one head."""
    heads = c["num_attention_heads"]
    head = c.get("head_dim") or c["hidden_size"] // heads
    return heads * head, (c.get("num_key_value_heads") or heads) * head, head


def _generate(parts: Mapping[str, _Config], options: Mapping[str, Value], item: int) -> Cost:
    most = _int(options, "refine.max_new_tokens")
    tokens = max(1, min(most, round(_int(options, "refine.words") * TOKENS_A_WORD)))
    return generate(parts["llm"], PROMPT_TOKENS, tokens, most, item)


def generate(config: Mapping[str, Any], prompt: int, tokens: int, most: int, itemsize: int) -> Cost:
    """Of answering a prompt of so many tokens. Time is that of `tokens`, memory that of the `most` there can be."""
    c = _Config("llm", config)
    d, layers, vocabulary = c["hidden_size"], c["num_hidden_layers"], c["vocab_size"]
    inner, kv, _ = _heads(c)
    ff = c["intermediate_size"]
    products = 2 * layers * (2 * d * inner + 2 * d * kv + 3 * d * ff)
    pairs = prompt**2 + sum(range(prompt + 1, prompt + tokens))  # Causal attention is counted in full.
    flops = (prompt + tokens - 1) * products + 4 * layers * inner * pairs + 2 * tokens * d * vocabulary
    cache = 2 * layers * kv * itemsize  # of one token
    # Reading the prompt: its embeddings, a block's input, the sum with attention and its norm; gate, up and product
    # (GLM: gate and up are one, which stays).
    fused = c.get("model_type") in ("glm", "glm4")
    reading = prompt * (cache + itemsize * (4 * d + (4 if fused else 3) * ff))
    # Writing: a layer's keys are copied when one is added; sampling sorts, sums and scatters the vocabulary.
    writing = (prompt + most) * (cache + kv * itemsize) + vocabulary * SAMPLING
    weights = _llm_size(c).parameters - (0 if c.get("tie_word_embeddings") else vocabulary * d)
    held = (prompt + most) * cache + d * itemsize
    return Cost(flops, max(reading, writing), tokens, held, tokens * weights * itemsize)


SAMPLING = 30
"""Bytes for each word of the vocabulary while a token is drawn: float32 scores, sorted ones, their places, sums."""


# ------------------------------------------------------------------------------------------------- text encoders


def _t5_size(c: _Config) -> Size:
    d, inner = c["d_model"], c["num_heads"] * c["d_kv"]
    block = 4 * d * inner + _t5_products(c) * d * c["d_ff"] + 2 * d
    bias = c["relative_attention_num_buckets"] * c["num_heads"]  # The first block's, for all.
    blocks = (block + bias, *(block,) * (c["num_layers"] - 1))
    return Size(sum(blocks) + c["vocab_size"] * d + d, blocks=blocks, modulated=(0,) * c["num_layers"])


def _t5_products(c: _Config) -> int:
    return 3 if c.get("is_gated_act", str(c["feed_forward_proj"]).startswith("gated")) else 2


def _clip_size(c: _Config) -> Size:
    d, ff = c["hidden_size"], c["intermediate_size"]
    block = 4 * _linear(d, d) + _linear(d, ff) + _linear(ff, d) + 4 * d
    return Size(c["num_hidden_layers"] * block + (c["vocab_size"] + c["max_position_embeddings"]) * d + 2 * d)


def _t5(c: _Config, tokens: int, prompts: int, item: int) -> Cost:
    """Prompts are encoded one after another, each padded to `tokens`."""
    d, inner, ff = c["d_model"], c["num_heads"] * c["d_kv"], c["d_ff"]
    products = 2 * tokens * (4 * d * inner + _t5_products(c) * d * ff)
    flops = prompts * c["num_layers"] * (products + 4 * tokens**2 * inner)
    # The position bias and the embeddings live through all blocks. In attention beside them: the block's input, its
    # norm, queries, keys, values, the result, and a copy of the bias, which the kernel gets; in the feed-forward:
    # the block's input, the sum with attention, its norm, the wide product and three temporaries of its GELU.
    bias = c["num_heads"] * tokens**2 * item
    attention = bias + item * tokens * (3 * d + 4 * inner)
    feed = item * tokens * (4 * d + 4 * ff)
    held = bias + item * tokens * d
    traffic = prompts * _t5_size(c).parameters * item
    return Cost(flops, bias + max(attention, feed), prompts, held, traffic)


def _texts(options: Mapping[str, Value]) -> int:
    """Of a still: with guidance, the negative prompt too, one after the other, as FluxPipeline does."""
    return 2 if _over_1(options["image.true_cfg_scale"]) else 1


def _copies(options: Mapping[str, Value]) -> int:
    """Of a clip: with guidance, the negative prompt goes along."""
    return 2 if _over_1(options["video.guidance_scale"]) else 1


def _over_1(scale: Value) -> bool:
    return isinstance(scale, (int, float)) and scale > 1


def _flux_encode(parts: Mapping[str, _Config], options: Mapping[str, Value], item: int) -> Cost:
    prompts = _texts(options)
    t5 = _t5(parts["text_encoder_2"], _int(options, "image.max_sequence_length"), prompts, item)
    c, n = parts["text_encoder"], CLIP_TOKENS
    d, ff = c["hidden_size"], c["intermediate_size"]
    flops = prompts * c["num_hidden_layers"] * (2 * n * (4 * d * d + 2 * d * ff) + 4 * n * n * d)
    workspace = n * item * (3 * d + 3 * ff)  # the feed-forward and its quick GELU
    traffic = prompts * _clip_size(c).parameters * item
    return Cost(t5.flops + flops, max(t5.workspace, workspace), prompts, t5.held, t5.traffic + traffic)


def _cog_encode(parts: Mapping[str, _Config], options: Mapping[str, Value], item: int) -> Cost:
    return _t5(parts["text_encoder"], _int(options, "video.max_sequence_length"), _copies(options), item)


# -------------------------------------------------------------------------------------------------------- FLUX.1


def _flux_size(c: _Config) -> Size:
    d, double, single = _width(c), c["num_layers"], c["num_single_layers"]
    norms = c["attention_head_dim"]
    outside = _linear(c["in_channels"], d) + _linear(c["joint_attention_dim"], d)
    outside += _linear(d, c.get("patch_size", 1) ** 2 * (c.get("out_channels") or c["in_channels"]))
    embeddings = (2 if c["guidance_embeds"] else 1) * _linear(256, d) + _linear(c["pooled_projection_dim"], d)
    embeddings += (3 if c["guidance_embeds"] else 2) * _linear(d, d)
    feed = _linear(d, 4 * d) + _linear(4 * d, d)
    blocks = (8 * _linear(d, d) + 4 * norms + 2 * feed,) * double
    blocks += (3 * _linear(d, d) + 2 * norms + _linear(d, 4 * d) + _linear(5 * d, d),) * single
    modulated = (2 * _linear(d, 6 * d),) * double + (_linear(d, 3 * d),) * single
    modulation = sum(modulated) + _linear(d, 2 * d) + embeddings
    return Size(outside + sum(blocks) + modulation, modulation, blocks, modulated)


def _flux_modulate(parts: Mapping[str, _Config], options: Mapping[str, Value], item: int) -> Cost:
    c = parts["transformer"]
    table = _width(c) * (12 * c["num_layers"] + 3 * c["num_single_layers"] + 2) * item
    return _modulate(_flux_size(c), _int(options, "image.num_inference_steps") * _texts(options), 1, table, item)


def _modulate(whole: Size, steps: int, copies: int, table: int, item: int) -> Cost:
    """A row of `table` bytes for every step; all of them are kept, and the last is there twice for each copy (every
    norm's own, and put together), and once more."""
    traffic = steps * whole.modulation * item
    products = whole.modulation - table // item  # without the norms' biases, one for each element of a row
    return Cost(2 * steps * copies * products, (steps + 2 * copies) * table, steps, 0, traffic)


def _flux_denoise(parts: Mapping[str, _Config], options: Mapping[str, Value], item: int) -> Cost:
    c, texts = parts["transformer"], _texts(options)
    passes = _int(options, "image.num_inference_steps") * texts
    d, text = _width(c), _int(options, "image.max_sequence_length")
    image = (_int(options, "image.height") // 16) * (_int(options, "image.width") // 16)
    n = text + image
    double = 24 * d * d * n + 4 * n * n * d  # attention's 4 d^2 and the feed-forward's 8 d^2, text and image alike
    single = 24 * d * d * n + 4 * n * n * d  # the same, side by side
    ends = 2 * image * 2 * c["in_channels"] * d + 2 * text * c["joint_attention_dim"] * d
    whole = _flux_size(c)
    forward = c["num_layers"] * double + c["num_single_layers"] * single + ends + 2 * whole.modulation
    rotary = 2 * n * c["attention_head_dim"] * FLOAT
    # A single block, while it turns its keys by the rotary embedding: the block's input, the same as one sequence,
    # its norm, the wide half of the feed-forward (4), queries, keys and values; or, at its end, where its two halves
    # are put together (5) beside these and projected.
    turning = 10 * item + _turning(item)
    joining = 15 * item
    # A double block knows no wide half then, but the feed-forward's GELU holds it twice.
    doubled = max(5 * item + _turning(item), 12 * item)
    peak = max(turning, joining, doubled) if c["num_single_layers"] else doubled
    # What goes in, from the last step its estimate and velocity, and with guidance the velocity of the other text.
    latents = (2 + texts) * image * c["in_channels"] * item
    return Cost(
        passes * forward, n * d * peak + rotary + latents, passes, n * d * item + rotary,
        passes * whole.parameters * item,
    )  # fmt: skip


def _turning(item: int) -> int:
    """Bytes an element of `apply_rotary_emb`: the swapped halves, then three in float32 (four, if it is the dtype)."""
    return item + 3 * FLOAT


def _width(c: _Config) -> int:
    return int(c["num_attention_heads"] * c["attention_head_dim"])


# ----------------------------------------------------------------------------------------------------- CogVideoX


def _cog_size(c: _Config) -> Size:
    d, te, affine, layers = _width(c), c["time_embed_dim"], c.get("norm_elementwise_affine", True), c["num_layers"]
    norm = 2 * d if affine else 0
    patch = c["in_channels"] * _patch(c)
    outside = _linear(patch, d, c.get("patch_size_t") or c.get("patch_bias", True)) + _linear(c["text_embed_dim"], d)
    outside += _linear(d, c["out_channels"] * _patch(c)) + 2 * norm
    embeddings = _linear(d, te) + _linear(te, te) + (2 * _linear(o, o) if (o := c.get("ofs_embed_dim")) else 0)
    attention = 3 * _linear(d, d, c.get("attention_bias", True)) + _linear(d, d) + 4 * c["attention_head_dim"]
    blocks = (attention + _linear(d, 4 * d) + _linear(4 * d, d) + 2 * norm,) * layers
    modulated = (2 * _linear(te, 6 * d),) * layers
    modulation = sum(modulated) + _linear(te, 2 * d) + embeddings
    table = 0
    if c.get("use_learned_positional_embeddings"):
        area = (c["sample_height"] // c["patch_size"]) * (c["sample_width"] // c["patch_size"])
        frames = (c["sample_frames"] - 1) // c["temporal_compression_ratio"] + 1
        table = (c["max_text_seq_length"] + frames * area) * d
    return Size(outside + sum(blocks) + modulation, modulation, blocks, modulated, table)


def _patch(c: _Config) -> int:
    """Latent values of one channel that become one token."""
    return int(c["patch_size"] ** 2 * (c.get("patch_size_t") or 1))


def _cog_modulate(parts: Mapping[str, _Config], options: Mapping[str, Value], item: int) -> Cost:
    c = parts["transformer"]
    table = _width(c) * (12 * c["num_layers"] + 2) * item
    steps = _int(options, "video.num_inference_steps")
    return _modulate(_cog_size(c), steps, _copies(options), table, item)


def _cog_denoise(parts: Mapping[str, _Config], options: Mapping[str, Value], item: int) -> Cost:
    c, steps, copies = parts["transformer"], _int(options, "video.num_inference_steps"), _copies(options)
    d, text = _width(c), _int(options, "video.max_sequence_length")
    frames, height, width = _latents(c, options)
    time = c.get("patch_size_t") or 1
    video = -(-frames // time) * (height // c["patch_size"]) * (width // c["patch_size"])
    n = text + video
    block = 24 * d * d * n + 4 * n * n * d
    ends = 2 * video * _patch(c) * (c["in_channels"] + c["out_channels"]) * d + 2 * text * c["text_embed_dim"] * d
    whole = _cog_size(c)
    forward = copies * (c["num_layers"] * block + ends + 2 * whole.modulation)
    rotary = 2 * video * c["attention_head_dim"] * FLOAT
    # A block, while it turns its keys by the rotary embedding: its input, the norm of it, the same as one sequence,
    # queries, keys and values; or, in the feed-forward, the wide half before and after its GELU (8) beside the
    # input, what attention gave, their sum and its norm.
    peak = max(6 * item + _turning(item), 12 * item)
    # The latents and the anchor, both once more for each copy of the noisy latents, which are there twice; and from the
    # last step, in float32, the copies' predictions, the guided one, and the estimate.
    frames += -frames % time
    latents = frames * height * width * c["out_channels"] * (copies * (3 * item + FLOAT) + 2 * item + 2 * FLOAT)
    return Cost(
        steps * forward, copies * n * d * peak + rotary + latents, steps, copies * n * d * item + rotary,
        steps * whole.parameters * item,
    )  # fmt: skip


def _latents(c: _Config, options: Mapping[str, Value]) -> tuple[int, int, int]:
    """Frames, height and width of the clip's latents; `c` is the VAE's or the transformer's."""
    frames = (_int(options, "video.num_frames") - 1) // c["temporal_compression_ratio"] + 1
    return frames, _int(options, "video.height") // 8, _int(options, "video.width") // 8


# ---------------------------------------------------------------------------------------------------------- VAEs


@dataclass(frozen=True)
class _Resnet:
    """A residual block at 2^level times the decoder's smallest size. `first`: of its level; `up`: its last."""

    given: int
    made: int
    level: int
    first: bool = False
    up: bool = False


def _resnets(c: _Config, *, decoder: bool) -> Iterator[_Resnet]:
    """The residual blocks in the order they run; `up`: a convolution changes the size behind it."""
    channels = list(c["block_out_channels"])
    layers = c["layers_per_block"] + (1 if decoder else 0)
    middle = [_Resnet(channels[-1], channels[-1], 0 if decoder else len(channels) - 1, first=not i) for i in range(2)]
    if decoder:
        yield from middle
        channels.reverse()
    for level, made in enumerate(channels):
        given = channels[max(0, level - 1)]
        for layer in range(layers):
            last = layer == layers - 1 and level < len(channels) - 1
            yield _Resnet(made if layer else given, made, level, layer == 0, last)
    if not decoder:
        yield from middle


def _vae_size(c: _Config, kernel: int, spatial: bool) -> Size:
    """`kernel`: 9 of images, 27 of films. `spatial`: the decoder's norms are conditioned on the latents."""
    z, first, last = c["latent_channels"], c["block_out_channels"][0], c["block_out_channels"][-1]

    def stack(decoder: bool) -> int:
        def norm(channels: int) -> int:
            return 2 * channels + (2 * _linear(z, channels) if decoder and spatial else 0)

        total = norm(first if decoder else last)
        for r in _resnets(c, decoder=decoder):
            total += norm(r.given) + _linear(kernel * r.given, r.made) + norm(r.made)
            total += _linear(kernel * r.made, r.made) + (_linear(r.given, r.made) if r.given != r.made else 0)
            total += _linear(9 * r.made, r.made) if r.up else 0
        if kernel == 9 and c.get("mid_block_add_attention", True):
            total += 2 * last + 4 * _linear(last, last)
        return total

    ends = _linear(kernel * c["in_channels"], first) + _linear(kernel * last, 2 * z)
    ends += _linear(kernel * z, last) + _linear(kernel * first, c["out_channels"])
    if kernel == 9:
        ends += _linear(2 * z, 2 * z) if c.get("use_quant_conv", True) else 0
        ends += _linear(z, z) if c.get("use_post_quant_conv", True) else 0
    return Size(stack(False) + stack(True) + ends)


def _flux_decode(parts: Mapping[str, _Config], options: Mapping[str, Value], item: int) -> Cost:
    c = parts["vae"]
    height, width = (_int(options, f"image.{side}") // 16 * 2 for side in ("height", "width"))
    first, last, area = c["block_out_channels"][0], c["block_out_channels"][-1], height * width
    flops = 2 * 9 * area * c["latent_channels"] * last
    if c.get("mid_block_add_attention", True):
        flops += 8 * area * last**2 + 4 * area**2 * last
    block, peak = 0, 0
    for r in _resnets(c, decoder=True):
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
    traffic = _vae_size(c, 9, False).parameters * item / 2
    return Cost(flops, peak * item, 1, 0, traffic)


def _cog_anchor(parts: Mapping[str, _Config], options: Mapping[str, Value], item: int) -> Cost:
    """One frame through the encoder."""
    c = parts["vae"]
    _, height, width = _latents(c, options)
    levels, first, last = len(c["block_out_channels"]), c["block_out_channels"][0], c["block_out_channels"][-1]
    pixels = height * width * 4 ** (levels - 1)
    flops = 2 * 27 * pixels * c["in_channels"] * first
    # Every convolution sees the frame three times (cat), and keeps two of them for frames to come, which never come.
    cached, block, peak = 2 * pixels * c["in_channels"], pixels * first, 0
    for r in _resnets(c, decoder=False):
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
    return Cost(flops, peak * item, 1, 0, _vae_size(c, 27, True).parameters * item / 2)


def _cog_decode(parts: Mapping[str, _Config], options: Mapping[str, Value], item: int) -> Cost:
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
    return Cost(flops, peak * item, 1, 0, len(tiles) * _vae_size(c, 27, True).parameters * item / 2)


def _batches(frames: int) -> list[int]:
    """Latent frames that are decoded together: two, the first time three if their number is odd."""
    return [frames] if frames < 4 else [2 + frames % 2] + [2] * (frames // 2 - 1)


def _tiles(c: _Config, height: int, width: int) -> Iterator[tuple[int, int]]:
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


def _decoder(c: _Config, frames: int, height: int, width: int) -> _Decoded:
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
    for r in _resnets(c, decoder=True):
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


def _int(options: Mapping[str, Value], name: str) -> int:
    value = options[name]
    assert isinstance(value, int), f"{name} is resolved"
    return value


_PARTS = ("llm", "text_encoder", "text_encoder_2", "transformer", "vae")

_COSTS: Mapping[tuple[str, str], Callable[[Mapping[str, _Config], Mapping[str, Value], int], Cost]] = {
    ("chat", "generate"): _generate,
    ("flux", "encode"): _flux_encode,
    ("flux", "modulate"): _flux_modulate,
    ("flux", "denoise"): _flux_denoise,
    ("flux", "decode"): _flux_decode,
    ("cogvideox", "encode"): _cog_encode,
    ("cogvideox", "anchor"): _cog_anchor,
    ("cogvideox", "modulate"): _cog_modulate,
    ("cogvideox", "denoise"): _cog_denoise,
    ("cogvideox", "decode"): _cog_decode,
}

_SIZES: Mapping[tuple[str, str], Callable[[_Config], Size]] = {
    ("chat", "llm"): _llm_size,
    ("flux", "text_encoder"): _clip_size,
    ("flux", "text_encoder_2"): _t5_size,
    ("flux", "transformer"): _flux_size,
    ("flux", "vae"): lambda c: _vae_size(c, 9, False),
    ("cogvideox", "text_encoder"): _t5_size,
    ("cogvideox", "transformer"): _cog_size,
    ("cogvideox", "vae"): lambda c: _vae_size(c, 27, True),
}
