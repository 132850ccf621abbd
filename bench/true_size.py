"""Random weights at the true sizes on a GPU: seconds, TFLOP/s and peak memory of the default job, within budgets.

    python -m bench.true_size --folder /scratch/true

Llama-3.1-8B, FLUX.1-dev and CogVideoX-5B-I2V, one stage after another, so that the disk need hold but one model at a
time. Each stage is measured by the published script's procedure (bench.stock), by Animatic with everything resident,
and by Animatic within 24, 16, 12, 8 and 5 GiB, with fewer steps and the allocator held to the budget; what comes out
must not differ by a bit. Every part is a process of its own, and a part that is in the record is not measured again: a
call stops before its minutes are over, and the next one goes on. Without a CUDA device nothing is measured and the
record is left open. `--tiny` does all of it with tiny models on an accounted CPU, to see that it works.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from animatic import bitmap, catalog, making, pipeline
from animatic import device as devices
from animatic.budget import DISK_RATE, HOST_LINK_RATE, Budget
from animatic.caption import Caption
from animatic.core import Phase, Shot
from animatic.engine import LocalEngine
from animatic.errors import CapacityError
from animatic.estimate import Estimator, Rates
from animatic.history import History
from animatic.options import resolve
from animatic.place import Capacity
from animatic.spec import PHASES, Model, ModelSpec
from animatic.store import Store
from bench import checkpoints, stock

RESULTS = Path(__file__).parent / "results"
CAPTION = "A red boat sails over a calm sea to the right while the camera stays still and the sun sets behind it."
BUDGETS = (24, 16, 12, 8, 5)
"""GiB."""

FRAGMENTS = 256 << 20
"""Bytes of a budget that are not planned with: the allocator keeps its memory in pieces."""

HOST = 64 << 30
"""Bytes of main memory that copies of streamed components may take."""

SHORT = {"refine.max_new_tokens": 32, "image.num_inference_steps": 4, "video.num_inference_steps": 3}
"""Steps under a budget: enough to extrapolate from, as every further step is like the ones before."""

MINUTES = {"script": 4.0, "resident": 4.0, "short": 2.0, "budget": 4.0}
"""What a part is taken to last at most, until one of its kind has lasted longer."""


@dataclass(frozen=True)
class Part:
    """One measurement. `kind`: script, resident, short (resident with fewer steps), or budget with its GiB."""

    stage: str
    kind: str
    gibibytes: int = 0

    @property
    def name(self) -> str:
        return f"{self.stage} {self.kind}" + (f" {self.gibibytes} GiB" if self.kind == "budget" else "")

    @classmethod
    def named(cls, name: str) -> Part:
        return next(part for part in parts() if part.name == name)


def parts() -> list[Part]:
    return [
        part
        for stage in checkpoints.STAGES
        for part in (*(Part(stage, kind) for kind in ("script", "resident", "short")),
                     *(Part(stage, "budget", gibibytes) for gibibytes in BUDGETS))
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ one part


def measure(part: Part, folder: Path, scale: checkpoints.Scale) -> dict[str, Any]:
    """What a part took, and digests of what came out, by phase for Animatic and for the whole stage."""
    short = SHORT if part.kind in ("short", "budget") else {}
    options = resolve(scale.options, short if scale.name == "true" else {})
    models = {stage: folder / stage for stage in checkpoints.STAGES}
    still = _still(folder, options)
    if part.kind == "script":
        return _by_script(part, models, options, still)
    try:
        return _by_animatic(part, models, options, still, scale)
    except CapacityError as error:
        return {"fits": False, "why": str(error)}


def _by_script(part: Part, models: stock.Models, options: Mapping[str, Any], still: Path) -> dict[str, Any]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    clock = stock.Clock(device)
    job = stock.Job("a red boat", 5)
    stock.quiet()
    match part.stage:
        case "refine":
            with clock.phase("load"):
                chat = stock.load_chat(models, device)
            with clock.phase("refine.generate"):
                made: Any = stock.write_caption(chat, job, options).encode()
        case "image":
            with clock.phase("load"):
                flux = stock.load_flux(models, device)
            stock.watch_image(clock, flux)
            with clock.phase("image"):
                made = np.asarray(stock.draw_still(flux, CAPTION, job, options)).tobytes()
            clock.split("image")
        case _:
            with clock.phase("load"):
                cogvideox = stock.load_cogvideox(models, device, options)
            stock.watch_video(clock, cogvideox)
            with clock.phase("video"):
                made = stock.film(cogvideox, Image.open(still), CAPTION, job, options).tobytes()
            clock.split("video")
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else stock.own_figures()["peak_resident"]
    return {"fits": True, "seconds": clock.seconds, "peak": peak, "digest": _short(made)}


def _by_animatic(
    part: Part, folders: stock.Models, options: Mapping[str, Any], still: Path, scale: checkpoints.Scale
) -> dict[str, Any]:
    models: Any = {stage: _model(stage, folder) for stage, folder in folders.items()}
    if part.stage == "refine":  # Captions are cut to what the video model's tokenizer says; its weights are not here.
        models["video"] = replace(models["video"], folder=folders["video"])
    caption = None if part.stage == "refine" else CAPTION
    shot = Shot("a red boat", 5, scale.name, options, caption, still if part.stage == "video" else None)
    device, budget = _device(part, models, shot)
    estimator = Estimator(models, budget.rates, History(folders["refine"].parent / "history.json"), budget.device)
    engine = LocalEngine(models, device, budget, estimator)
    with tempfile.TemporaryDirectory() as place:
        store = Store(Path(place)).open()
        if part.stage == "refine":
            phases: Sequence[Phase] = [pipeline.refine(shot, models)]
        else:
            one = pipeline.cascades([shot], models, engine.capacity, engine.demand)[0]
            _give(one, store)
            phases = [phase for phase in one.phases if phase.stage == part.stage]
        plan = engine.plan(store.missing(phases))
        begun = time.perf_counter()
        events = [event.as_dict() for event in engine.run(plan, store) if event.kind in ("phase_ended", "loaded")]
        wall = time.perf_counter() - begun
        digest = _digest(part, phases[-1], store)
    ended = [event for event in events if event["event"] == "phase_ended"]
    seconds = {event["phase"]: event["seconds"] for event in ended}
    flops = {phase.name: estimator.cost(phase).flops for phase in phases if phase.name in seconds}
    return {
        "fits": True, "seconds": seconds, "wall": wall, "digest": digest,
        "loads": {event["component"]: event["seconds"] for event in events if event["event"] == "loaded"},
        "tflops": {name: flops[name] / seconds[name] / 1e12 for name in flops if seconds[name]},
        "peak": max(event["peak"] for event in ended),
        "predicted_peak": plan.forecast.peak_device, "predicted_seconds": plan.forecast.seconds,
        "granted": budget.capacity.device,
    }  # fmt: skip


def _give(one: pipeline.Cascade, store: Store) -> None:
    """Put the caption and the still into the store: the models that would make them are not on this disk now."""
    making.give(one, store)
    if one.shot.caption is not None:
        key, text = store.key(one.caption), one.shot.caption
        assert key is not None
        caption = Caption(text, "user", (), (), len(text.split()), 0)
        data = json.dumps(caption.as_dict()).encode()
        store.put(key, data, ".caption.json", {"phase": one.caption.name}, text.encode())


def _model(stage: str, folder: Path) -> Model:
    family = {"refine": "chat", "image": "flux", "video": "cogvideox"}[stage]
    needed = dict.fromkeys(part for parts in PHASES[family].values() for part in parts)
    spec = ModelSpec(stage, family, str(folder), components=dict.fromkeys(needed, 0))  # type: ignore[arg-type]
    return Model(spec, folder if catalog.complete(spec, folder) else None)


def _device(part: Part, models: Any, shot: Shot) -> tuple[devices.Device, Budget]:
    """The device, and the budget; on a GPU its allocator is held to it."""
    whole = 1 << 40
    if torch.cuda.is_available():
        whole = torch.cuda.get_device_properties(0).total_memory
        limit = part.gibibytes << 30 or whole - (1 << 30)
        torch.cuda.set_per_process_memory_fraction(min(1.0, limit / whole))
        device: devices.Device = devices.here("cuda")
    else:
        # Tiny models are mostly work space: budgets a little above what their largest phase needs.
        share = 1.2 + 0.4 * part.gibibytes / max(BUDGETS)
        limit = int(_need(part, models, shot) * share) if part.kind == "budget" else whole
        device = devices.Accounted(limit)
    fragments = FRAGMENTS if torch.cuda.is_available() else 0
    capacity = Capacity(limit - fragments, HOST, DISK_RATE, HOST_LINK_RATE)
    return device, Budget("true_size", "the device at hand", capacity, Rates(800e12, 4e12), whole)


def _need(part: Part, models: Any, shot: Shot) -> int:
    """Bytes that the stage's largest phase needs with nothing streamed: what tiny budgets are shares of."""
    roomy = Budget("", "", Capacity(1 << 40, 0, 1e9, 1e9), Rates(1e12, 1e11), 1 << 40)
    estimator = Estimator(models, roomy.rates, History(Path("/nonexistent/history.json")), "")
    refining = part.stage == "refine"
    phases = (pipeline.refine(shot, models),) if refining else pipeline.cascade(shot, models).phases
    own = [phase for phase in phases if phase.stage == part.stage]
    return max(sum(c.nbytes for c in phase.components) + estimator.demand(phase).workspace for phase in own)


def _digest(part: Part, last: Phase, store: Store) -> str:
    artifact = store.artifact(last)
    assert artifact is not None
    match part.stage:
        case "refine":
            return _short(json.loads(artifact.read())["text"].encode())
        case "image":
            return _short(bitmap.read_png(artifact.read()).tobytes())
        case _:
            return _short(np.load(artifact.path).tobytes())


def _short(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _still(folder: Path, options: Mapping[str, Any]) -> Path:
    """A still of the clip's size, the same every time: coloured gradients."""
    width, height = options["video.width"], options["video.height"]
    across, down = np.linspace(0, 255, width)[None], np.linspace(0, 255, height)[:, None]
    pixels = np.stack(np.broadcast_arrays(across, down, 255 - across), axis=-1).astype(np.uint8)
    path = folder / "still.png"
    path.write_bytes(bitmap.png_bytes(pixels))
    return path


# ----------------------------------------------------------------------------------------------------------- all parts


_FAILED = {"failed": "not tried yet"}


def carry_on(folder: Path, scale: checkpoints.Scale, record: dict[str, Any], result: Path, minutes: float) -> bool:
    """Measure the parts that are missing, as long as there is time. Whether all are done."""
    begun = time.perf_counter()
    measured = record["parts"]
    for stage in checkpoints.STAGES:
        left = [part for part in parts() if part.stage == stage and "failed" in measured.get(part.name, _FAILED)]
        if not left:
            checkpoints.drop(folder, stage)
            continue
        lean = shutil.disk_usage(folder).free < 90e9
        for other in checkpoints.STAGES:
            if lean and other != stage:
                checkpoints.drop(folder, other)
        checkpoints.make(folder, scale, [stage])
        for part in left:
            gone = (time.perf_counter() - begun) / 60
            if gone > 0 and gone + _expected(part, measured) > minutes:
                return False
            measured[part.name] = _in_process(part, folder, scale)
            result.write_text(json.dumps(record, indent=1) + "\n")
    return True


def _expected(part: Part, measured: Mapping[str, Any]) -> float:
    lasted = [one["minutes"] for name, one in measured.items() if name.startswith(f"{part.stage} {part.kind}")]
    return max(lasted, default=MINUTES[part.kind])


def _in_process(part: Part, folder: Path, scale: checkpoints.Scale) -> dict[str, Any]:
    begun = time.perf_counter()
    command = [sys.executable, "-m", "bench.true_size", "--folder", str(folder), "--part", part.name]
    with tempfile.TemporaryDirectory() as place:
        told = Path(place) / "told.json"
        tiny = ["--tiny"] if scale.name == "tiny" else []
        status = subprocess.run([*command, *tiny, "--result", str(told)], check=False).returncode
        failed = {"failed": f"status {status}; the next call tries again"}
        found = json.loads(told.read_text()) if told.exists() else failed
    return found | {"minutes": (time.perf_counter() - begun) / 60}


def show(measured: Mapping[str, Any]) -> None:
    print(f"{'part':24} {'seconds':>9} {'peak GiB':>9}  {'TFLOP/s':>8}  as the others")
    for part in parts():
        one = measured.get(part.name)
        if one is None:
            print(f"{part.name:24}      open")
        elif "failed" in one:
            print(f"{part.name:24}      failed: {one['failed']}")
        elif not one["fits"]:
            print(f"{part.name:24} {one['why'][:90]}")
        else:
            like = [m["digest"] for name, m in measured.items() if m.get("fits") and _alike(part, Part.named(name))]
            rate = max(one.get("tflops", {}).values(), default=0.0)
            same = "equal" if set(like) == {one["digest"]} else "DIFFERS"
            seconds = sum(one["seconds"].values())
            print(f"{part.name:24} {seconds:9.2f} {one['peak'] / 2**30:9.3f}  {rate:8.2f}  {same}")


def _alike(one: Part, other: Part) -> bool:
    """Whether two parts run with the same options, so that the same must come out."""
    whole = ("script", "resident")
    return one.stage == other.stage and (one.kind in whole) == (other.kind in whole)


def _record(result: Path, scale: checkpoints.Scale) -> dict[str, Any]:
    if result.exists():
        known: dict[str, Any] = json.loads(result.read_text())
        if known.get("device") == _device_name() and known.get("scale") == scale.name:
            return known
    return {
        "command": "python -m bench.true_size", "date": datetime.date.today().isoformat(), "scale": scale.name,
        "device": _device_name(), "machine": platform.platform(),
        "versions": {name: version(name) for name in ("torch", "diffusers", "transformers")},
        "short": SHORT, "parts": {},
    }  # fmt: skip


def _device_name() -> str:
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no CUDA device"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--folder", type=Path, help="holds one model at a time: 34 GB; default: a temporary one")
    parser.add_argument("--minutes", type=float, default=8.0, help="start no part that may end later than this")
    parser.add_argument("--tiny", action="store_true", help="tiny models, on the CPU if there is no GPU")
    parser.add_argument("--result", type=Path)
    parser.add_argument("--part", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    scale = checkpoints.TINY if given.tiny else checkpoints.TRUE
    if given.part:
        given.result.write_text(json.dumps(measure(Part.named(given.part), given.folder, scale)))
        return
    if not given.tiny and not torch.cuda.is_available():
        print("There is no CUDA device here: nothing is measured, and the true sizes' record stays open.")
        return
    with tempfile.TemporaryDirectory() as temporary:
        result = given.result or (Path(temporary) / "tiny.json" if given.tiny else RESULTS / "true_size.json")
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        record = _record(result, scale)
        done = carry_on(folder.resolve(), scale, record, result, given.minutes)
    show(record["parts"])
    open_still = not done or any("failed" in one for one in record["parts"].values())
    print("More is to be measured: call again." if open_still else "All parts are measured.")


if __name__ == "__main__":
    main()
