"""What the comparisons under bench/ rest on: checkpoints everybody can load, and stock runs that make what ours do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import CogVideoXImageToVideoPipeline, FluxPipeline
from transformers import AutoModelForCausalLM

from animatic import bitmap, catalog, weights
from animatic.core import Shot
from animatic.options import resolve
from bench import cascade, checkpoints, stock, true_size
from tests.cascades import Rig

JOBS = [stock.Job("a red boat", 5), stock.Job("a blue car", 6)]
OPTIONS = resolve(checkpoints.TINY.options)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return checkpoints.make(tmp_path_factory.mktemp("checkpoints"), checkpoints.TINY)


def test_stock_loads_every_tensor(models: dict[str, Path]) -> None:
    _, chat = AutoModelForCausalLM.from_pretrained(models["refine"], output_loading_info=True)
    assert not chat["missing_keys"] and not chat["unexpected_keys"]
    flux = FluxPipeline.from_pretrained(models["image"], dtype=torch.bfloat16)
    cogvideox = CogVideoXImageToVideoPipeline.from_pretrained(models["video"], dtype=torch.bfloat16)
    for pipe in (flux, cogvideox):
        for module in (part for part in pipe.components.values() if isinstance(part, torch.nn.Module)):
            assert all(tensor.isfinite().all() for tensor in module.state_dict().values())
    # FLUX's T5 and CogVideoX's have the same shapes and other values, as the published ones do.
    assert not torch.equal(flux.text_encoder_2.shared.weight, cogvideox.text_encoder.shared.weight)


def test_files_have_the_real_form(models: dict[str, Path]) -> None:
    assert (models["refine"] / "model.safetensors.index.json").exists()
    assert (models["image"] / "transformer/diffusion_pytorch_model.safetensors.index.json").exists()
    dtypes = {tensor.dtype for tensor in weights.inspect(models["video"] / "vae")}
    assert dtypes == {"F32"}
    assert {tensor.dtype for tensor in weights.inspect(models["video"] / "transformer")} == {"BF16"}


def test_values_are_the_same_every_time_and_of_their_size() -> None:
    once, again = (np.concatenate(list(checkpoints.values("seed", "a.weight", (64, 256), 4))) for _ in range(2))
    assert np.array_equal(once, again)
    numbers = once.view(np.float32)
    assert np.isfinite(numbers).all()
    assert 0.2 < numbers.std() * 256**0.5 < 1
    half = np.concatenate(list(checkpoints.values("seed", "a.weight", (64, 256), 2)))
    assert 0.2 < (half.astype(np.uint32) << 16).view(np.float32).std() * 256**0.5 < 1


def test_true_configurations_have_the_published_sizes() -> None:
    from diffusers import FluxTransformer2DModel

    with torch.device("meta"):
        model = FluxTransformer2DModel(joint_attention_dim=4096, pooled_projection_dim=768, guidance_embeds=True,
                                       patch_size=1, in_channels=64, **checkpoints.TRUE.flux)  # fmt: skip
    assert sum(parameter.numel() for parameter in model.parameters()) == 11_901_408_320
    known = catalog.preset("flux-cogvideox").models
    assert {k: checkpoints.TRUE.cogvideox[k] for k in ("num_layers", "num_attention_heads")} == {
        k: known["video"].config["transformer"][k] for k in ("num_layers", "num_attention_heads")
    }


@pytest.mark.slow
def test_the_scripts_procedure_makes_what_ours_makes(models: dict[str, Path], tmp_path: Path) -> None:
    made = stock.script(models, JOBS, OPTIONS)
    for job, one in zip(JOBS, made, strict=True):
        shot = Shot(job.prompt, job.seed, "tiny", OPTIONS)
        rig = Rig(models["refine"], models["image"], models["video"])
        ours, store = rig.artifacts(shot, tmp_path / str(job.seed))
        caption, still, frames = (store.artifact(phase) for phase in (ours.caption, ours.still, ours.frames))
        assert caption and still and frames
        assert json.loads(caption.read())["text"] == one.caption
        assert np.array_equal(bitmap.read_png(still.read()), one.still)
        assert np.array_equal(np.load(frames.path), one.frames)
        assert one.frames.std() > 0


@pytest.mark.slow
def test_the_other_procedures_make_the_same(models: dict[str, Path]) -> None:
    made = [one.digest for one in stock.script(models, JOBS, OPTIONS)]
    reloaded, seconds = stock.reload(models, JOBS, OPTIONS, stock.COPIED)
    assert [one.digest for one in reloaded] == made and len(seconds) == len(JOBS)
    warm, phases = stock.resident(models, JOBS, OPTIONS)
    assert [one.digest for one in warm] == made
    assert set(phases) == set(stock.PHASES) and min(phases.values()) > 0


def test_bound_hides_what_can_be_hidden() -> None:
    loads = {"one": 2.0, "two": 3.0, "three": 0.0}
    compute = {"one": 1.0, "two": 5.0, "three": 1.0}
    assert cascade.bound(loads, compute, 1) == 11  # 5 s of loads, of which 1 s is under the first phase
    assert cascade.bound(loads, compute, 8) == 2 + 8 * 7


@pytest.mark.slow
@pytest.mark.parametrize("stage", checkpoints.STAGES)
def test_true_size_parts_agree_at_tiny_size(stage: str, tmp_path: Path) -> None:
    checkpoints.make(tmp_path, checkpoints.TINY, [stage])
    made = [
        true_size.measure(true_size.Part(stage, kind, gibibytes), tmp_path, checkpoints.TINY)
        for kind, gibibytes in (("script", 0), ("resident", 0), ("budget", 24))
    ]
    assert all(one["fits"] for one in made)
    assert len({one["digest"] for one in made}) == 1


def test_without_a_gpu_the_true_sizes_stay_open(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    true_size.main(["--result", str(tmp_path / "true.json")])
    assert "stays open" in capsys.readouterr().out
    assert not (tmp_path / "true.json").exists()
