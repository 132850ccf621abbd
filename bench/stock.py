"""The same cascade made with stock transformers and diffusers, as others do it, for `bench.cascade` to compare with.

    python -m bench.stock --models FOLDER --procedure script --jobs jobs.json --result result.json

script    the procedure of zai-org/CogVideo's tools/llm_flux_cogvideox/llm_flux_cogvideox.py, written anew: all
          captions, then all stills, then all clips; each model is loaded whole, and deleted before the next
reload    the script started for one shot after another
resident  every pipeline stays loaded: what computing alone takes, the second time everything is run

On a CPU `from_pretrained` leaves the weights in the mapped files, and computing reads them page by page. `--moved`
copies them out first, as `.to("cuda")` does on a GPU.

Prompts, seeds, steps and the clean-up of captions are Animatic's (the published script draws its own prompts, does not
seed FLUX, and lets every clip's noise depend on the clips before), so that the results can be compared bit for bit.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
import transformers
from diffusers import CogVideoXDDIMScheduler, CogVideoXDPMScheduler, CogVideoXImageToVideoPipeline, FluxPipeline
from PIL import Image
from transformers import AutoModelForCausalLM, AutoTokenizer

from animatic import prompts
from animatic.caption import Caption, Limits, consider
from animatic.core import stage_seed

Options = Mapping[str, Any]
"""Resolved options by dotted name."""

Models = Mapping[str, Path]
"""The folders of the models of "refine", "image" and "video"."""


@dataclass(frozen=True)
class Job:
    prompt: str
    seed: int


@dataclass(frozen=True)
class Made:
    """What came of a job. still, frames: uint8 [height, width, 3] and [frames, height, width, 3]."""

    caption: str
    still: np.ndarray
    frames: np.ndarray

    @property
    def digest(self) -> dict[str, str]:
        still, frames = (np.ascontiguousarray(pixels).tobytes() for pixels in (self.still, self.frames))
        named = {"caption": self.caption.encode(), "still": still, "frames": frames}
        return {name: hashlib.sha256(data).hexdigest()[:16] for name, data in named.items()}


@dataclass
class Clock:
    """Seconds of each phase, summed, and where the device was synchronised to know them."""

    device: str = "cpu"
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        self._wait()
        begun = time.perf_counter()
        yield
        self._wait()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begun

    def watch(self, owner: Any, method: str, name: str) -> None:
        """Count the seconds of a method of a pipeline or a model to a phase."""
        inner = getattr(owner, method)

        def timed(*given: Any, **named: Any) -> Any:
            with self.phase(name):
                return inner(*given, **named)

        setattr(owner, method, timed)

    def split(self, stage: str) -> None:
        """What of a pipeline's call was in none of its watched methods is its denoising."""
        rest = self.seconds.pop(stage) - sum(self.seconds[phase] for phase in _WATCHED[stage])
        self.seconds[f"{stage}.denoise"] = rest

    def _wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()


# --------------------------------------------------------------------------------------------------------- the stages


@dataclass(frozen=True)
class Chat:
    model: Any
    tokenizer: Any
    counter: Any  # the video model's tokenizer: captions are cut to what it can read


COPIED = "cpu, copied"
"""As a device: weights are copied out of the mapped files."""


def load_chat(models: Models, device: str) -> Chat:
    model = AutoModelForCausalLM.from_pretrained(models["refine"], dtype=torch.bfloat16)
    model = _moved(model, [model], device)
    tokenizer = AutoTokenizer.from_pretrained(models["refine"])
    return Chat(model, tokenizer, AutoTokenizer.from_pretrained(models["video"] / "tokenizer"))


def load_flux(models: Models, device: str) -> FluxPipeline:
    pipe = FluxPipeline.from_pretrained(models["image"], dtype=torch.bfloat16)
    pipe = _moved(pipe, [pipe.text_encoder, pipe.text_encoder_2, pipe.transformer, pipe.vae], device)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def load_cogvideox(models: Models, device: str, options: Options) -> CogVideoXImageToVideoPipeline:
    pipe = CogVideoXImageToVideoPipeline.from_pretrained(models["video"], dtype=torch.bfloat16)
    pipe = _moved(pipe, [pipe.text_encoder, pipe.transformer, pipe.vae], device)
    cls = {"dpm": CogVideoXDPMScheduler, "ddim": CogVideoXDDIMScheduler}[options["video.scheduler"]]
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = cls.from_config(pipe.scheduler.config, timestep_spacing=options["video.timestep_spacing"])
    if options["video.vae_tiling"] == "on":
        pipe.vae.enable_tiling()
    return pipe


def _moved(loaded: Any, modules: Sequence[torch.nn.Module], device: str) -> Any:
    """A model or a pipeline of these modules, on the device."""
    if device != COPIED:
        return loaded.to(device)
    for module in modules:
        for tensor in (*module.parameters(), *module.buffers()):
            tensor.data = tensor.data.clone()
    return loaded


def write_caption(chat: Chat, job: Job, options: Options) -> str:
    system = prompts.system_prompt(options["refine.system_prompt"], options["refine.words"])
    messages = [{"role": "system", "content": system}, {"role": "user", "content": job.prompt}]
    tokens = min(options["video.max_sequence_length"], options["image.max_sequence_length"])
    limits = Limits(options["refine.words"], tokens, lambda text: len(chat.counter(text).input_ids))
    attempts: list[str] = []
    torch.manual_seed(stage_seed(job.seed, "refine"))
    while True:
        attempts.append(_answer(chat, messages, options))
        outcome = consider(attempts, job.prompt, limits)
        if isinstance(outcome, Caption):
            return outcome.text
        messages += [{"role": "assistant", "content": attempts[-1]}, {"role": "user", "content": outcome.message}]


def _answer(chat: Chat, messages: list[dict[str, str]], options: Options) -> str:
    inputs = chat.tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_dict=True, return_tensors="pt"
    ).to(chat.model.device)
    with torch.no_grad():
        tokens = chat.model.generate(
            **inputs, max_new_tokens=options["refine.max_new_tokens"], do_sample=True, top_k=0,
            temperature=options["refine.temperature"], top_p=options["refine.top_p"],
            pad_token_id=chat.tokenizer.pad_token_id,
        )  # fmt: skip
    return str(chat.tokenizer.decode(tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))


def draw_still(pipe: FluxPipeline, caption: str, job: Job, options: Options) -> Image.Image:
    return pipe(
        caption,
        width=options["image.width"],
        height=options["image.height"],
        num_inference_steps=options["image.num_inference_steps"],
        guidance_scale=options["image.guidance_scale"],
        max_sequence_length=options["image.max_sequence_length"],
        generator=torch.Generator().manual_seed(stage_seed(job.seed, "image")),
    ).images[0]


def film(
    pipe: CogVideoXImageToVideoPipeline, still: Image.Image, caption: str, job: Job, options: Options
) -> np.ndarray:
    frames = pipe(
        still,
        caption,
        options["video.negative_prompt"],
        width=options["video.width"],
        height=options["video.height"],
        num_frames=options["video.num_frames"],
        num_inference_steps=options["video.num_inference_steps"],
        guidance_scale=options["video.guidance_scale"],
        use_dynamic_cfg=options["video.use_dynamic_cfg"],
        max_sequence_length=options["video.max_sequence_length"],
        generator=torch.Generator().manual_seed(stage_seed(job.seed, "video")),
        output_type="pil",
    ).frames[0]
    return np.stack([np.asarray(frame) for frame in frames])


# ----------------------------------------------------------------------------------------------------- the procedures


def script(models: Models, jobs: Sequence[Job], options: Options, device: str = "cpu") -> list[Made]:
    """All captions, then all stills, then all clips: each model is loaded, used for all jobs, and deleted."""
    chat = load_chat(models, device)
    captions = [write_caption(chat, job, options) for job in jobs]
    del chat
    release()
    flux = load_flux(models, device)
    stills = [draw_still(flux, caption, job, options) for caption, job in zip(captions, jobs, strict=True)]
    del flux
    release()
    cogvideox = load_cogvideox(models, device, options)
    every = zip(stills, captions, jobs, strict=True)
    clips = [film(cogvideox, _sized(still, options), caption, job, options) for still, caption, job in every]
    return [Made(c, np.asarray(s), f) for c, s, f in zip(captions, stills, clips, strict=True)]


def reload(
    models: Models,
    jobs: Sequence[Job],
    options: Options,
    device: str = "cpu",
    between: Callable[[], None] = lambda: None,
) -> tuple[list[Made], list[float]]:
    """The script for one job after another, and the seconds of each. `between`: done before each further job."""
    made: list[Made] = []
    seconds = []
    for number, job in enumerate(jobs):
        begun = time.perf_counter()
        if number:
            release()
            between()
        made += script(models, [job], options, device)
        seconds.append(time.perf_counter() - begun)
    return made, seconds


def resident(
    models: Models, jobs: Sequence[Job], options: Options, device: str = "cpu"
) -> tuple[list[Made], dict[str, float]]:
    """Everything loaded at once, and run twice: what the second time makes, and the mean seconds of each phase."""
    chat, flux = load_chat(models, device), load_flux(models, device)
    cogvideox = load_cogvideox(models, device, options)
    clock = Clock(device)
    watch_image(clock, flux)
    watch_video(clock, cogvideox)
    for _ in range(2):
        clock.seconds.clear()
        made = [_run(clock, chat, flux, cogvideox, job, options) for job in jobs]
    for stage in _WATCHED:
        clock.split(stage)
    return made, {name: clock.seconds[name] / len(jobs) for name in PHASES}


PHASES = (
    "refine.generate", "image.encode", "image.denoise", "image.decode",
    "video.encode", "video.anchor", "video.denoise", "video.decode",
)  # fmt: skip
"""In the order they run."""

_WATCHED = {"image": PHASES[1:2] + PHASES[3:4], "video": (PHASES[4], PHASES[5], PHASES[7])}


def watch_image(clock: Clock, flux: FluxPipeline) -> None:
    clock.watch(flux, "encode_prompt", "image.encode")
    clock.watch(flux.vae, "decode", "image.decode")


def watch_video(clock: Clock, cogvideox: CogVideoXImageToVideoPipeline) -> None:
    clock.watch(cogvideox, "encode_prompt", "video.encode")
    clock.watch(cogvideox.vae, "encode", "video.anchor")
    clock.watch(cogvideox.vae, "decode", "video.decode")


def _run(clock: Clock, chat: Chat, flux: Any, cogvideox: Any, job: Job, options: Options) -> Made:
    with clock.phase("refine.generate"):
        caption = write_caption(chat, job, options)
    with clock.phase("image"):
        still = draw_still(flux, caption, job, options)
    with clock.phase("video"):
        frames = film(cogvideox, _sized(still, options), caption, job, options)
    return Made(caption, np.asarray(still), frames)


def _sized(still: Image.Image, options: Options) -> Image.Image:
    """The still as the clip's first frame: brought to its shape as Animatic does, where that differs."""
    from animatic import bitmap

    size = options["video.width"], options["video.height"]
    return Image.fromarray(bitmap.fit(np.asarray(still), size, options["video.fit"]))


def release() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


# --------------------------------------------------------------------------------------------------- as a subprocess


def forget(folder: Path) -> None:
    """Ask the system to drop a folder's files from the page cache."""
    for path in folder.rglob("*.safetensors"):
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def keep(made: Sequence[Made], jobs: Sequence[Job], options: Options, folder: Path) -> None:
    """Write each job's still and clip, as the published script does."""
    from animatic import media

    encoding = media.Encoding(fps=options["file.fps"], crf=options["file.crf"])
    for number, (one, job) in enumerate(zip(made, jobs, strict=True)):
        Image.fromarray(one.still).save(folder / f"{number}.png")
        (folder / f"{number}.mp4").write_bytes(media.mp4_bytes(one.frames, encoding, job.prompt, {}))


def own_figures() -> dict[str, int]:
    """Of this process: bytes it had read from disks, and the memory it holds and the most it ever held."""
    io = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    held, most = (int(status[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    return {"read_bytes": int(io["read_bytes"]), "resident": held, "peak_resident": most}


def main() -> None:
    ready, before = time.perf_counter(), own_figures()
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--procedure", choices=("script", "reload", "reload-cold", "resident"), required=True)
    parser.add_argument("--moved", action="store_true", help="copy the weights out of the mapped files")
    parser.add_argument("--jobs", type=Path, required=True, help="JSON: {jobs: [{prompt, seed}], options: {...}}")
    parser.add_argument("--result", type=Path, required=True)
    given = parser.parse_args()
    quiet()
    asked = json.loads(given.jobs.read_text())
    jobs, options = [Job(**job) for job in asked["jobs"]], asked["options"]
    models = {stage: given.models / stage for stage in ("refine", "image", "video")}
    device = COPIED if given.moved else "cpu"
    phases: dict[str, float] = {}
    each: list[float] = []
    match given.procedure:
        case "script":
            made = script(models, jobs, options, device)
        case "reload":
            made, each = reload(models, jobs, options, device)
        case "reload-cold":
            made, each = reload(models, jobs, options, device, between=lambda: forget(given.models))
        case _:
            made, phases = resident(models, jobs, options, device)
    with tempfile.TemporaryDirectory() as folder:
        keep(made, jobs, options, Path(folder))
    done, after = time.perf_counter(), own_figures()
    digests = [one.digest for one in made]
    report = {"ready": ready, "done": done, "before": before, "after": after, "digests": digests, "phases": phases,
              "each": each}  # fmt: skip
    given.result.write_text(json.dumps(report))


def quiet() -> None:
    for library in (transformers, diffusers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()


if __name__ == "__main__":
    main()
