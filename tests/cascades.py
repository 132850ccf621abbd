"""Whole cascades on tiny random checkpoints: how tests make a shot without the command line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from animatic import making, pipeline
from animatic.arena import Arenas
from animatic.budget import Budget
from animatic.core import Shot
from animatic.device import Accounted, Cpu, Device
from animatic.engine import LocalEngine
from animatic.estimate import Estimator, Rates
from animatic.events import Event, Failed
from animatic.history import History
from animatic.options import resolve
from animatic.outputs import Outputs
from animatic.place import Capacity
from animatic.spec import PHASES, Model, Models, ModelSpec, Preview
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


ROOMY = Capacity(1 << 40, 0, 1e9, 1e9, unified=True)


@dataclass(frozen=True)
class Rig:
    """Three tiny models. `accounted`: bytes of device memory that are counted and enforced; None: the plain CPU.

    arenas  what its engines share with others
    """

    chat: Path
    flux: Path
    cogvideox: Path
    accounted: int | None = None
    host: int = 1 << 40
    arenas: Arenas | None = None

    @property
    def models(self) -> Models:
        named = {"refine": ("chat", self.chat), "image": ("flux", self.flux), "video": ("cogvideox", self.cogvideox)}
        return {stage: _model(stage, family, folder) for stage, (family, folder) in named.items()}  # type: ignore[misc]

    @property
    def budget(self) -> Budget:
        capacity = ROOMY
        if self.accounted is not None:
            capacity = Capacity(self.accounted, self.host, 1e9, 5e9)
        return Budget("test", "a test's device", capacity, Rates(1e11, 1e10), capacity.device)

    def engine(self, history: History | None = None) -> LocalEngine:
        models, budget = self.models, self.budget
        device: Device = Cpu() if self.accounted is None else Accounted(self.accounted)
        estimator = Estimator(models, budget.rates, history or History(), budget.device)
        return LocalEngine(models, device, budget, estimator, arenas=self.arenas)

    def store(self, folder: Path) -> Store:
        folder.mkdir(parents=True, exist_ok=True)
        return Store(folder).open()

    def events(self, shots: Sequence[Shot], folder: Path) -> Iterator[Event]:
        """Make the shots: artifacts in folder/store, clips in folder/out."""
        (folder / "out").mkdir(parents=True, exist_ok=True)
        store = self.store(folder / "store")
        for event in making.run(shots, self.models, self.engine(), store, Outputs(folder / "out")):
            yield event
            if isinstance(event, Failed):
                raise event.error

    def artifacts(self, shot: Shot, folder: Path) -> tuple[pipeline.Cascade, Store]:
        """A shot's cascade, and the store with what came of it; its frames are there, since no film is written."""
        engine, store = self.engine(), self.store(folder / "store")
        one = pipeline.cascades([shot], self.models, engine.capacity, engine.demand)[0]
        for event in engine.run(engine.plan(store.missing([one.frames])), store):
            if isinstance(event, Failed):
                raise event.error
        return one, store


def tiny_rig(folder: Path, accounted: int | None = None) -> Rig:
    """Llama-, FLUX.1-dev- and CogVideoX-5B-I2V-like, made in `folder`."""
    return Rig(
        tiny.chat(folder / "chat", "llama"),
        tiny.flux(folder / "flux", guidance=True),
        tiny.cogvideox(folder / "cog", newer=False),
        accounted,
    )


def shot(prompt: str = "a red boat", seed: int = 0, caption: str | None = None, **options: Any) -> Shot:
    dotted = {name.replace("__", "."): value for name, value in options.items()}
    return Shot(prompt, seed, "tiny", resolve(OPTIONS, dotted), caption)


def _model(stage: Any, family: str, folder: Path) -> Model:
    parts = dict.fromkeys(part for needed in PHASES[family].values() for part in needed)
    spec = ModelSpec(stage, family, str(folder), components=dict.fromkeys(parts, 0), preview=PREVIEW)
    return pipeline.known(Model(spec, folder))
