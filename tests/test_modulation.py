"""Adaptive norms made beforehand: the same latents to the last bit, from transformers that have only their own part."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import CogVideoXTransformer3DModel, FluxTransformer2DModel
from greenlet import getcurrent, greenlet
from safetensors.torch import load, load_file, save_file

from animatic import weights
from animatic.core import Phase, Shot, Value, stage_seed
from animatic.models import tables
from animatic.models.base import Made, Work
from animatic.models.cogvideox import CogVideoX
from animatic.models.flux import Flux
from animatic.skeleton import skeleton
from animatic.spec import MODULATION, ModelSpec
from animatic.store import Artifact
from tests import tiny

STEPS = 4
OPTIONS: dict[str, Value] = {
    "image.width": tiny.WIDTH, "image.height": tiny.HEIGHT, "image.num_inference_steps": STEPS,
    "image.guidance_scale": 3.5, "image.true_cfg_scale": 1.0, "video.width": tiny.WIDTH, "video.height": tiny.HEIGHT,
    "video.num_inference_steps": STEPS, "video.num_frames": tiny.FRAMES, "video.guidance_scale": 6.0,
    "video.use_dynamic_cfg": True, "video.scheduler": "dpm", "video.timestep_spacing": "trailing",
}  # fmt: skip
CHECKPOINTS = ("dev", "schnell", "cog", "cog15")
GUIDED: dict[str, Value] = {}
UNGUIDED: dict[str, Value] = {"video.guidance_scale": 1.0}
TRULY: dict[str, Value] = {"image.true_cfg_scale": 2.5}
DDIM: dict[str, Value] = {"video.scheduler": "ddim"}


@dataclass(frozen=True)
class Model:
    """A checkpoint's transformer, whole and in parts, on the CPU."""

    checkpoint: Path
    family: Flux | CogVideoX

    @property
    def stage(self) -> str:
        return self.family.spec.stage

    @property
    def pattern(self) -> Any:
        return MODULATION[self.family.spec.family]

    def whole(self) -> torch.nn.Module:
        return self._bound()

    def modulation(self) -> torch.nn.Module:
        """All other tensors than the adaptive norms' have no memory."""
        return self._bound(only=lambda name: self.pattern.match(name) is not None)

    def rest(self) -> torch.nn.Module:
        """The tensors of the adaptive norms are not there."""
        return self._bound(change=lambda module: self.family.adapt(module, "rest"))

    def parts(self, name: str, module: torch.nn.Module) -> dict[str, Any]:
        scheduler = self.family.load("scheduler", self.checkpoint)
        return {f"{self.stage}.{name}": module, f"{self.stage}.scheduler": scheduler}

    def _bound(self, **how: Any) -> torch.nn.Module:
        bones = skeleton(self.family.classes["transformer"], self.checkpoint / "transformer", self.family.dtype, **how)
        files = {file: load_file(file) for file in weights.weight_files(bones.folder)}
        bones.bind({w.names[0]: files[w.tensor.file][w.tensor.name].to(w.dtype) for w in bones.weights if w.tensor})
        return bones.module


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tiny")
    tiny.flux(root / "dev", guidance=True)
    tiny.flux(root / "schnell", guidance=False)
    tiny.cogvideox(root / "cog", newer=False)
    tiny.cogvideox(root / "cog15", newer=True)
    return root


def model(checkpoint: Path, dtype: str = "bfloat16") -> Model:
    is_video = checkpoint.name.startswith("cog")
    stage, family = ("video", CogVideoX) if is_video else ("image", Flux)
    spec = ModelSpec(stage, family.__name__.lower(), str(checkpoint), dtype=dtype)  # type: ignore[arg-type]
    return Model(checkpoint, family(spec, torch.device("cpu")))


def work(one: Model, folder: Path, options: Mapping[str, Value] = GUIDED, seed: int = 0) -> Work:
    """A denoising of random embeddings, and for videos of a random anchor."""
    shot = Shot("", seed, "tiny", OPTIONS | options)
    random, dtype = torch.Generator().manual_seed(seed), one.family.dtype
    is_video = one.stage == "video"
    copies = 2 if shot.option("video.guidance_scale" if is_video else "image.true_cfg_scale") > 1 else 1
    given = {"embeddings": {"embeds": torch.randn(copies, 24, 32, generator=random).to(dtype)}}
    if is_video:
        latents = torch.randn(1, 1, 16, tiny.HEIGHT // 8, tiny.WIDTH // 8, generator=random).to(dtype)
        given["anchor"] = {"latents": latents, "generator": random.get_state()}
    else:
        given["embeddings"]["pooled"] = torch.randn(copies, 32, generator=random).to(dtype)
    folder.mkdir(parents=True, exist_ok=True)
    for kind, tensors in given.items():
        save_file(tensors, folder / kind)
    phase = Phase(f"{one.stage}.denoise", "latents", shot, {"seed": stage_seed(seed, one.stage)})
    return Work(phase, {kind: artifact(folder / kind) for kind in given})


def artifact(path: Path) -> Artifact:
    return Artifact("", path, "")


def modulated(one: Model, plain: Work, module: torch.nn.Module | None = None) -> Work:
    """The same work, with its tables made by a transformer that has nothing else than it takes to make them."""
    needed = {} if one.stage == "video" else {"embeddings": plain.inputs["embeddings"]}
    asked = Work(replace(plain.phase, name=f"{one.stage}.modulate", makes="tables"), needed)
    (made,) = one.family.modulate(one.parts("modulation", module or one.modulation()), [asked])
    file = next(iter(plain.inputs.values())).path.with_name("tables")
    file.write_bytes(made.data)
    return Work(plain.phase, {**plain.inputs, "tables": artifact(file)})


def denoised(one: Model, module: torch.nn.Module, asked: Work) -> torch.Tensor:
    *_, made = one.family.denoise(one.parts("transformer", module), [asked])
    assert isinstance(made, Made)
    return load(made.data)["latents"]


@pytest.mark.parametrize(
    ("name", "options"),
    [(name, options) for name in ("dev", "schnell") for options in (GUIDED, TRULY)]
    + [(name, options) for name in ("cog", "cog15") for options in (GUIDED, UNGUIDED, DDIM, DDIM | UNGUIDED)],
)
def test_the_latents_are_the_whole_transformers(
    name: str, options: Mapping[str, Value], folder: Path, tmp_path: Path
) -> None:
    one = model(folder / name)
    plain = work(one, tmp_path, options)
    stock = denoised(one, one.whole(), plain)
    assert stock.isfinite().all() and stock.float().std() > 0.1
    assert torch.equal(denoised(one, one.rest(), modulated(one, plain)), stock)


def wide(folder: Path, source: Path) -> Path:
    """A block or two of a width at which the libraries choose their kernels for large matrices."""
    torch.manual_seed(3)
    if source.name == "dev":
        transformer: Any = FluxTransformer2DModel(
            in_channels=64, num_layers=1, num_single_layers=1, attention_head_dim=128, num_attention_heads=8,
            joint_attention_dim=32, pooled_projection_dim=32, guidance_embeds=True,
        )  # fmt: skip
    else:
        transformer = CogVideoXTransformer3DModel(
            num_attention_heads=16, attention_head_dim=64, in_channels=32, out_channels=16, time_embed_dim=512,
            ofs_embed_dim=512, text_embed_dim=32, num_layers=1, sample_width=tiny.WIDTH // 8, patch_size_t=2,
            sample_height=tiny.HEIGHT // 8, sample_frames=tiny.FRAMES, max_text_seq_length=24, patch_bias=False,
            use_rotary_positional_embeddings=True,
        )  # fmt: skip
    transformer.to(torch.bfloat16).save_pretrained(folder / source.name / "transformer")
    shutil.copytree(source / "scheduler", folder / source.name / "scheduler")
    return folder / source.name


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("name", ["dev", "cog15"])
def test_so_they_are_in_wide_transformers(name: str, dtype: str, folder: Path, tmp_path: Path) -> None:
    one = model(wide(tmp_path, folder / name), dtype)
    plain = work(one, tmp_path / "given", {"image.num_inference_steps": 2, "video.num_inference_steps": 2})
    assert torch.equal(denoised(one, one.rest(), modulated(one, plain)), denoised(one, one.whole(), plain))


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_the_two_parts_make_the_whole(name: str, folder: Path) -> None:
    one = model(folder / name)
    whole, rest = one.whole().state_dict(), one.rest().state_dict()
    modulation = {key: tensor for key, tensor in one.modulation().state_dict().items() if not tensor.is_meta}
    assert not any(tensor.is_meta for tensor in rest.values())
    assert rest.keys() | modulation.keys() == whole.keys() and not rest.keys() & modulation.keys()
    assert all(torch.equal(tensor, whole[key]) for key, tensor in (rest | modulation).items())


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_row_a_step_and_the_two_rows_of_guidance_once(name: str, folder: Path, tmp_path: Path) -> None:
    one = model(folder / name)
    linears = [m for path, m in one.whole().named_modules() if re.fullmatch(r"(.+\.)?norm\w*\.linear", path)]
    table = load(modulated(one, work(one, tmp_path)).inputs["tables"].read())
    assert table.keys() == {str(step) for step in range(STEPS)}
    assert {tuple(row.shape) for row in table.values()} == {(1, sum(m.out_features for m in linears))}
    assert {row.dtype for row in table.values()} == {torch.bfloat16}
    assert not torch.equal(table["0"], table["1"])


def test_rows_that_differ_are_both_kept(folder: Path) -> None:
    one = model(folder / "cog")
    embedding = torch.randn(2, 16, dtype=torch.bfloat16)
    both = tables.row(one.whole(), one.pattern, embedding)
    assert both.shape[0] == 2
    assert torch.equal(tables.row(one.whole(), one.pattern, embedding[1:].expand(2, -1)), both[1:])


@pytest.mark.parametrize(
    ("transformer", "family", "mebibytes"),
    [(FluxTransformer2DModel, "flux", 2.02), (CogVideoXTransformer3DModel, "cogvideox", 2.96)],
)
def test_a_step_takes_two_to_three_mebibytes_at_true_size(transformer: Any, family: str, mebibytes: float) -> None:
    truly = {} if family == "flux" else {"num_attention_heads": 48, "num_layers": 42}
    with torch.device("meta"):
        module = transformer(**truly)
    tables.install(module, MODULATION[family])
    row = 2 * module.norm_out.linear.end
    assert row / 2**20 == pytest.approx(mebibytes, abs=0.01)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_installing_twice_is_installing_once(name: str, folder: Path) -> None:
    one = model(folder / name)
    module = one.rest()
    before = dict(module.named_modules())
    one.family.adapt(module, "rest")
    assert dict(module.named_modules()) == before


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_shots_that_take_turns_at_every_block_get_what_they_get_alone(name: str, folder: Path, tmp_path: Path) -> None:
    one = model(folder / name)
    options = [{"image.guidance_scale": 3.5}, {"image.guidance_scale": 2.0, "video.scheduler": "ddim"}]
    works = [modulated(one, work(one, tmp_path / str(n), options[n], seed=n)) for n in range(2)]
    alone = [denoised(one, one.rest(), each) for each in works]
    assert not torch.equal(*alone)

    shared: Any = one.rest()
    turns = 0
    for block in [*shared.transformer_blocks, *getattr(shared, "single_transformer_blocks", ())]:
        block.register_forward_pre_hook(lambda *_: getcurrent().parent.switch())
    together: list[Any] = [None, None]

    def shot(n: int) -> None:
        together[n] = denoised(one, shared, works[n])

    with torch.no_grad():  # what one greenlet sets of this the other sees
        running = [greenlet(lambda n=n: shot(n)) for n in range(2)]
        while any(not each.dead for each in running):
            for each in running:
                if not each.dead:
                    each.switch()
                    turns += 1
    assert turns > 2 * STEPS
    assert all(map(torch.equal, together, alone))
