"""Whole cascades on tiny random checkpoints: how tests make a shot without the command line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from animatic import pipeline
from animatic.core import Event, Shot
from animatic.engine import Installed, LocalEngine
from animatic.options import resolve
from animatic.outputs import Outputs
from animatic.spec import PHASES, ModelSpec, Preview
from animatic.store import Store
from tests import tiny

OPTIONS = {
    "refine.words": 12,
    "refine.max_new_tokens": 16,
    "image.num_inference_steps": 3,
    "image.max_sequence_length": 24,
    "video.width": tiny.WIDTH,
    "video.height": tiny.HEIGHT,
    "video.num_frames": tiny.FRAMES,
    "video.num_inference_steps": 3,
    "video.max_sequence_length": 24,
    "video.vae_tiling": "off",
    "image.width": tiny.WIDTH,
    "image.height": tiny.HEIGHT,
}
PREVIEW = Preview(tuple((0.01 * c, 0.02, 0.03) for c in range(16)), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class Rig:
    """Three tiny models."""

    chat: Path
    flux: Path
    cogvideox: Path

    @property
    def models(self) -> pipeline.Models:
        named = {"refine": ("chat", self.chat), "image": ("flux", self.flux), "video": ("cogvideox", self.cogvideox)}
        return {stage: _model(stage, family, folder) for stage, (family, folder) in named.items()}  # type: ignore[misc]

    def engine(self) -> LocalEngine:
        return LocalEngine(Installed(model.spec, model.folder) for model in self.models.values())

    def store(self, folder: Path) -> Store:
        folder.mkdir(parents=True, exist_ok=True)
        return Store(folder)

    def events(self, shots: Sequence[Shot], folder: Path) -> Iterator[Event]:
        """Make the shots: artifacts in folder/store, clips in folder/out."""
        (folder / "out").mkdir(parents=True, exist_ok=True)
        store = self.store(folder / "store")
        yield from pipeline.run(shots, self.models, self.engine(), store, Outputs(folder / "out"))

    def artifacts(self, shot: Shot, folder: Path) -> tuple[pipeline.Cascade, Store]:
        for _ in self.events([shot], folder):
            pass
        return pipeline.cascade(shot, self.models), self.store(folder / "store")


def shot(prompt: str = "a red boat", seed: int = 0, caption: str | None = None, **options: Any) -> Shot:
    dotted = {name.replace("__", "."): value for name, value in options.items()}
    return Shot(prompt, seed, "tiny", resolve(OPTIONS, dotted), caption)


def _model(stage: Any, family: str, folder: Path) -> pipeline.Model:
    parts = dict.fromkeys(part for needed in PHASES[family].values() for part in needed)
    spec = ModelSpec(stage, family, str(folder), components=dict.fromkeys(parts, 0), preview=PREVIEW)
    return pipeline.Model(spec, folder, pipeline.digests(spec, folder))
