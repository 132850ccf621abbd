"""What a preset and its models are, and how much memory each of their phases needs: data and arithmetic.

Must not know where presets come from, where weights lie, or any device: memory comes in as a number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from animatic.core import Value
from animatic.geometry import Geometry

ModelStage = Literal["refine", "image", "video"]
MODEL_STAGES: tuple[ModelStage, ...] = get_args(ModelStage)

POCKET = "pocket:"
"""How the repository of a model that ships with the package begins."""

PHASES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "chat": {"generate": ("tokenizer", "llm")},
    "flux": {
        "encode": ("tokenizer", "text_encoder", "tokenizer_2", "text_encoder_2"),
        "denoise": ("scheduler", "transformer"),
        "decode": ("vae",),
    },
    "cogvideox": {
        "encode": ("tokenizer", "text_encoder"),
        "anchor": ("vae",),
        "denoise": ("scheduler", "transformer"),
        "decode": ("vae",),
    },
}
"""By family: the components that each phase needs in memory at once (weights and small files alike)."""

BLOCKS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "chat": {"llm": ("model.layers",)},
    "flux": {
        "text_encoder_2": ("encoder.block",),
        "transformer": ("transformer_blocks", "single_transformer_blocks"),
    },
    "cogvideox": {"text_encoder": ("encoder.block",), "transformer": ("transformer_blocks",)},
}
"""By family: the module lists of each part whose items run one after another, and so can be streamed, in order."""

MODULATION: Mapping[str, re.Pattern[str]] = {
    "flux": re.compile(r"time_text_embed\.|(.+\.)?norm\w*\.linear\."),
    "cogvideox": re.compile(r"(time|ofs)_embedding\.|(.+\.)?norm\w*\.linear\."),
}
"""By family: how the names of the transformer's tensors begin that see only timestep, guidance and pooled text."""

MODULATED = "transformer"
"""The part whose adaptive norms can be split off, as the component `modulation`; its files hold both."""

DTYPES = {"float32": 4, "float16": 2, "bfloat16": 2}
"""What models run in, and its bytes an element."""


@dataclass(frozen=True)
class Preview:
    """A linear map from latents, as the transformer has them, to RGB in [0, 1]: latent @ factors + bias.

    factors  [channels][3]; bias  [3]
    """

    factors: tuple[tuple[float, float, float], ...]
    bias: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class ModelSpec:
    """One model of one stage.

    repo         "owner/name" on the Hugging Face Hub, "pocket:NAME" (shipped here), or an absolute folder
    aliases      names the repository had before, under which a cache may still hold it
    revision     a commit, or "main" where none is pinned; means nothing for folders
    commercial   whether its licence allows commercial use: True, False, or a few words
    dtype        what it runs in
    components   bytes each takes in device memory at `dtype`; 0 where unknown, and for what are not weights
    disk         bytes on disk, where they differ from `components`
    share        "equivalent": its text encoder is taken to be as good as the image model's of the same size, and that
                 one is used for both; "proven": only if they hold the same
    activations  peak bytes a phase needs beside its components, by verb, at the preset's own size and length
    config       by part: what `cost` reads of its configuration, for models that are not on this machine
    """

    stage: ModelStage
    family: str
    repo: str
    revision: str = "main"
    aliases: tuple[str, ...] = ()
    licence: str = ""
    licence_url: str = ""
    commercial: bool | str = False
    gated: bool = False
    dtype: str = "bfloat16"
    components: Mapping[str, int] = field(default_factory=dict)
    disk: Mapping[str, int] = field(default_factory=dict)
    activations: Mapping[str, int] = field(default_factory=dict)
    config: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    options: Mapping[str, Value] = field(default_factory=dict)
    geometry: Geometry | None = None
    preview: Preview | None = None
    share: Literal["proven", "equivalent"] = "proven"

    @property
    def name(self) -> str:
        """The repository's or folder's last part."""
        return self.repo.rstrip("/").rpartition("/")[2]

    @property
    def weights(self) -> tuple[str, ...]:
        """Its components that hold weights, as against tokenizers and schedulers."""
        return tuple(part for part in self.components if not part.startswith(("tokenizer", "scheduler")))

    @property
    def identity(self) -> str:
        """Which model it is: repository and revision, or the folder."""
        return self.repo if self.is_local else f"{self.repo}@{self.revision}"

    @property
    def is_local(self) -> bool:
        """Shipped with the package or named by its folder: never to be downloaded."""
        return self.repo.startswith(POCKET) or Path(self.repo).is_absolute()

    @property
    def nbytes(self) -> int:
        """Bytes on disk of all its weights, as far as they are known."""
        return sum(self.disk.get(name, size) for name, size in self.components.items())

    def folder_of(self, component: str) -> str:
        """Where a component's files lie within the model's folder; chat models keep theirs at the root."""
        return "" if self.family == "chat" else component


@dataclass(frozen=True, eq=False)
class Model:
    """A stage's model on this machine, or (`folder` is None) one that is only known from its preset.

    digests      SHA-256 of each weighty component, as far as they were asked for
    settings     SHA-256 of each part's small files: configurations, tokenizers
    environment  where it has to have been run, for its results to be taken; empty: anywhere
    """

    spec: ModelSpec
    folder: Path | None
    digests: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    environment: str = ""


Models = Mapping[ModelStage, Model]


@dataclass(frozen=True)
class Preset:
    """A named choice of models and options. `options`: by dotted name, only those the preset sets."""

    name: str
    title: str
    summary: str
    rank: int
    vocabulary: tuple[str, ...]
    models: Mapping[ModelStage, ModelSpec]
    options: Mapping[str, Value]
    file: Path = field(default=Path(), compare=False)

    @property
    def nbytes(self) -> int:
        """Bytes on disk of all its models."""
        return sum(spec.nbytes for spec in self.models.values())

    @property
    def is_local(self) -> bool:
        """Nothing of it is ever downloaded."""
        return all(spec.is_local for spec in self.models.values())


# --------------------------------------------------------------------------------------- what memory it takes


def needs(preset: Preset, tiled: bool | None = None) -> dict[str, int]:
    """Bytes that each phase needs at once, by its name ("video.decode"): its components and its activations.

    tiled  how the clip is decoded; None: as the preset's `video.vae_tiling` says, where "auto" may tile
    """
    if tiled is None:
        tiled = preset.options.get("video.vae_tiling", "auto") != "off"
    return {
        f"{stage}.{verb}": sum(spec.components[part] for part in parts) + _activations(spec, verb, tiled)
        for stage, spec in preset.models.items()
        for verb, parts in PHASES[spec.family].items()
    }


def largest(preset: Preset, tiled: bool | None = None) -> tuple[str, int]:
    """The phase that needs the most memory, and its bytes."""
    return max(needs(preset, tiled).items(), key=lambda item: item[1])


def _activations(spec: ModelSpec, verb: str, tiled: bool) -> int:
    whole = spec.activations.get(verb, 0)
    return spec.activations.get(f"{verb}_tiled", whole) if tiled else whole
