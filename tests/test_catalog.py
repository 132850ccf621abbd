"""Presets and where their models lie: wrong ones are named, incomplete models are not installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import tomllib
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from animatic import catalog
from animatic.errors import PresetError, WeightsError
from animatic.options import resolve

GIB = 1 << 30
HEX = "0123456789abcdef0123456789abcdef01234567"
PACKAGED = {"flux-cogvideox", "glm-cogvideox", "flux-cogvideox15", "open", "small", "pocket"}


def own(name: str, text: str) -> Path:
    """A preset of the user's own."""
    file = catalog.user_folder() / "presets" / f"{name}.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def save(folder: Path, nbytes: int = 8) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}")
    tensors = {"w": np.zeros(nbytes // 2, np.float16)}
    safetensors.numpy.save_file(tensors, folder / "model.safetensors")


def build(spec: catalog.ModelSpec, folder: Path, nbytes: int = 8) -> Path:
    """A folder with every file that the model must have."""
    for part in spec.components:
        where = folder / spec.folder_of(part)
        where.mkdir(parents=True, exist_ok=True)
        if part in spec.weights:
            save(where, nbytes)
        elif part == "scheduler":
            (where / "scheduler_config.json").write_text("{}")
        else:
            (where / "tokenizer.json").write_text("{}")
    return folder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hugging Face cache."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def snapshot(hub: Path, spec: catalog.ModelSpec, repo: str = "") -> Path:
    return hub / f"models--{(repo or spec.repo).replace('/', '--')}" / "snapshots" / spec.revision


# ------------------------------------------------------------------------------------------- packaged presets


def test_the_packaged_presets_are_there_best_first() -> None:
    known = catalog.presets()
    assert set(known) >= PACKAGED
    assert next(iter(known)) == "flux-cogvideox"
    assert list(known)[-1] == "pocket"


@pytest.mark.parametrize("name", sorted(PACKAGED))
def test_a_packaged_preset_is_whole(name: str) -> None:
    preset = catalog.preset(name)
    options = resolve(preset.options)
    size = (options["video.width"], options["video.height"])
    for stage, spec in preset.models.items():
        assert spec.stage == stage and spec.licence != "unknown" and spec.licence_url.startswith("https://")
        assert set(spec.activations) >= set(catalog.PHASES[spec.family])
        assert all(spec.components[part] for part in spec.weights) or spec.is_local
        if not spec.is_local:
            assert len(spec.revision) == 40, "pinned"
        if spec.geometry:  # what a preset asks for can be made
            spec.geometry.check(spec.name, size, options["video.num_frames"] if stage == "video" else None)
    assert preset.title and preset.summary


@pytest.mark.parametrize("name", sorted(PACKAGED - {"pocket"}))
def test_previews_map_sixteen_channels_into_the_visible_range(name: str) -> None:
    for stage in ("image", "video"):
        preview = catalog.preset(name).models[stage].preview
        assert preview is not None and len(preview.factors) == 16
        assert all(0.3 < grey < 0.7 for grey in preview.bias), "a latent of zeros is grey"


def test_licences_say_what_may_be_sold() -> None:
    models = catalog.preset("open").models
    assert models["refine"].commercial is True and models["image"].commercial is True
    assert models["video"].commercial == "after registration"
    assert catalog.preset("flux-cogvideox").models["image"].commercial is False


def test_the_model_of_another_repo_inherits_no_facts_of_the_old_one() -> None:
    glm = catalog.preset("glm-cogvideox").models["refine"]
    assert not glm.gated and glm.licence == "MIT" and glm.components["llm"] == 18_800_558_080
    assert glm.options == {"words": 100, "system_prompt": "cinematic"}


def test_pocket_is_found_fast_and_in_a_process_that_imports_little() -> None:
    catalog.preset("pocket")
    begin = time.perf_counter()
    for spec in catalog.preset("pocket").models.values():
        catalog.locate(spec)
    assert time.perf_counter() - begin < 0.5  # 0.05 on an idle machine
    code = (
        "import sys, animatic.catalog as c\n[c.locate(m) for m in c.preset('pocket').models.values()]\n"
        "sys.exit(bool({'torch', 'transformers', 'diffusers', 'huggingface_hub'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_pocket_s_sizes_and_previews_come_from_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = {f"pocket/{stage}": spec for stage, spec in catalog.preset("pocket").models.items()}
    monkeypatch.setattr(catalog, "PACKAGE", tmp_path)
    (tmp_path / "presets").symlink_to(Path(catalog.__file__).parent / "presets")
    assert catalog.preset("pocket").models["image"].components["vae"] == 0
    for spec in named.values():
        build(spec, tmp_path / "pocket" / spec.repo.removeprefix("pocket:"), nbytes=80)
    table = {"image": {"factors": [[1, 2, 3]] * 16, "bias": [0.1, 0.2, 0.3]}}
    (tmp_path / "pocket/preview.json").write_text(json.dumps(table))
    preset = catalog.preset("pocket")
    image = preset.models["image"]
    assert image.components["vae"] == 160, "float16 on disk, float32 in memory"
    assert image.disk["vae"] == 80 and image.nbytes == 320 and preset.nbytes == 80 + 320 + 240
    assert image.preview == catalog.Preview(((1, 2, 3),) * 16, (0.1, 0.2, 0.3))
    assert preset.models["video"].preview is None
    assert catalog.locate(image) == tmp_path / "pocket/image"
    assert [p.name for p in catalog.installed()] == ["pocket"]


# ------------------------------------------------------------------------------------------------ own presets


def test_an_own_preset_extends_a_packaged_one() -> None:
    own("mine", 'extends = "flux-cogvideox"\ntitle = "Mine"\n[image.options]\nnum_inference_steps = 12\n')
    mine, base = catalog.preset("mine"), catalog.preset("flux-cogvideox")
    assert mine.title == "Mine" and mine.options["image.num_inference_steps"] == 12
    assert mine.models["refine"] == base.models["refine"]
    assert {**mine.options, "image.num_inference_steps": 28} == base.options


def test_an_own_folder_is_read_beside_the_preset_and_measured() -> None:
    file = own("mine", 'extends = "flux-cogvideox"\n[refine]\nrepo = "./llm"\nlicence = "mine"\n')
    save(file.parent / "llm", 100)
    (file.parent / "llm/tokenizer.json").write_text("{}")
    spec = catalog.preset("mine").models["refine"]
    assert catalog.locate(spec) == file.parent / "llm"
    assert spec.is_local and spec.components["llm"] == 100 and not spec.gated
    (file.parent / "llm/model.safetensors").write_bytes(b"damaged!")
    assert catalog.preset("mine").models["refine"].components["llm"] == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("titel = 'x'", "unknown key 'titel': did you mean 'title'"),
        ("[video]\nrevison = 'x'", r"unknown key 'video\.revison': did you mean 'revision'"),
        ("[video.geometry]\nframe = [1]", r"unknown key 'video\.geometry\.frame': did you mean 'frames'"),
        ("[video.components]\nvea = 1", r"unknown key 'video\.components\.vea': did you mean 'vae'"),
        ("[image.activations]\ndenoising = 1", "did you mean 'denoise'"),
        ("[video.options]\nframes = 9", r"unknown option 'video\.frames'"),
        ("[file.options]\ncrf = 99", r"file\.crf = 99"),
        ("[video]\nfamily = 'sora'", r"video\.family = 'sora'"),
        ("[video]\ndtype = 'int4'", r"video\.dtype = 'int4'"),
        ("rank = 'high'", "rank = 'high'"),
        ("[video", "not readable TOML"),
        ("extends = 'fluxcogvideo'", "is no preset: did you mean 'flux-cogvideox'"),
        ("extends = ['pocket']", "is no preset"),
        ("extends = 'mine'", "goes round in a circle"),
    ],
)
def test_what_is_wrong_in_an_own_preset_is_named(text: str, says: str) -> None:
    file = own("mine", text if "extends" in text else f"extends = 'flux-cogvideox'\n{text}\n")
    with pytest.raises(PresetError, match=says) as caught:
        catalog.preset("mine")
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)[:200].rstrip()
    with pytest.raises(PresetError, match="mine"):
        catalog.presets()
    assert catalog.preset("pocket").name == "pocket", "other presets still work"


def test_a_missing_key_is_named() -> None:
    own("mine", "title = 'x'\n")
    with pytest.raises(PresetError, match="the key 'refine' is missing"):
        catalog.preset("mine")


def test_circles_of_two_are_found() -> None:
    own("a", "extends = 'b'")
    own("b", "extends = 'a'")
    with pytest.raises(PresetError, match="circle"):
        catalog.preset("a")


def test_an_unknown_preset_suggests_the_nearest() -> None:
    with pytest.raises(PresetError, match="unknown preset 'poket': did you mean 'pocket'"):
        catalog.preset("poket")
    with pytest.raises(PresetError, match=r"unknown preset '\.\./pocket'"):
        catalog.preset("../pocket")


def test_a_plug_in_s_presets_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs.toml").write_text("extends = 'open'\ntitle = 'Theirs'\n")
    module = tmp_path / "their_plugin.py"
    module.write_text(f"folder = {str(tmp_path)!r}\n")
    monkeypatch.syspath_prepend(tmp_path)
    points = [EntryPoint("theirs", "their_plugin:folder", catalog.ENTRY_POINTS)]
    monkeypatch.setattr(catalog, "entry_points", lambda **_: points)
    assert catalog.preset("theirs").title == "Theirs"
    points.append(EntryPoint("broken", "no_such_module:folder", catalog.ENTRY_POINTS))
    with pytest.raises(PresetError, match="plug-in 'broken'"):
        catalog.presets()


# ----------------------------------------------------------------------------------------------------- memory


def test_the_default_s_largest_phase_is_flux_s_denoising() -> None:
    phase, nbytes = catalog.largest(catalog.preset("flux-cogvideox"))
    assert phase == "image.denoise"
    assert nbytes / GIB == pytest.approx(22.17 + 0.19, abs=0.01)


def test_what_each_phase_of_the_default_needs() -> None:
    needs = catalog.needs(catalog.preset("flux-cogvideox"))
    untiled = catalog.needs(catalog.preset("flux-cogvideox"), tiled=False)
    assert needs["video.decode"] / GIB == pytest.approx(3.8 + 0.40, abs=0.01)
    assert untiled["video.decode"] / GIB == pytest.approx(14.7 + 0.40, abs=0.01)
    assert needs["video.denoise"] / GIB == pytest.approx(10.38 + 0.10 + 2.65, abs=0.01)
    assert needs["video.encode"] / GIB == pytest.approx(8.87, abs=0.1)
    assert needs["refine.generate"] / GIB == pytest.approx(14.96, abs=0.5)
    assert needs["image.encode"] > needs["video.encode"], "CLIP too"


def test_tiling_switched_off_is_counted_untiled() -> None:
    preset = catalog.preset("flux-cogvideox15")
    off = replace(preset, options={**preset.options, "video.vae_tiling": "off"})
    assert catalog.largest(preset)[0] == "image.denoise"
    assert catalog.largest(off)[0] == "video.decode"


def test_the_best_that_fits_is_chosen() -> None:
    every = catalog.presets().values()
    assert catalog.choose(every, lambda _: True).name == "flux-cogvideox"
    assert catalog.choose(every, lambda one: one.name in ("open", "small", "pocket")).name == "open"
    assert catalog.choose(every, lambda _: False).name == "pocket"


def test_without_candidates_it_is_pocket() -> None:
    assert catalog.choose([], lambda _: True).name == "pocket"
    assert catalog.choose([catalog.preset("small")], lambda _: True).name == "small"


# -------------------------------------------------------------------------------------------- on this machine


def test_a_complete_snapshot_is_found(hub: Path) -> None:
    for spec in catalog.preset("flux-cogvideox").models.values():
        assert catalog.locate(spec) is None
        build(spec, snapshot(hub, spec))
        assert catalog.locate(spec) == snapshot(hub, spec)
    assert "flux-cogvideox" in [p.name for p in catalog.installed()]
    assert "open" not in [p.name for p in catalog.installed()]


def test_a_snapshot_under_the_repository_s_former_name_counts(hub: Path) -> None:
    spec = catalog.preset("flux-cogvideox").models["video"]
    folder = build(spec, snapshot(hub, spec, "THUDM/CogVideoX-5b-I2V"))
    assert catalog.locate(spec) == folder


def test_another_revision_does_not_count(hub: Path) -> None:
    spec = catalog.preset("flux-cogvideox").models["video"]
    build(spec, snapshot(hub, replace(spec, revision=HEX)))
    assert catalog.locate(spec) is None


def test_an_unpinned_revision_is_the_cache_s_own(hub: Path) -> None:
    spec = replace(catalog.preset("flux-cogvideox").models["video"], revision="main")
    folder = build(spec, snapshot(hub, replace(spec, revision=HEX)))
    assert catalog.locate(spec) is None
    (folder.parent.parent / "refs").mkdir()
    (folder.parent.parent / "refs/main").write_text(HEX)
    assert catalog.locate(spec) == folder


@pytest.mark.parametrize(
    "file",
    [
        "vae/model.safetensors",
        "vae/config.json",
        "tokenizer/tokenizer.json",
        "scheduler/scheduler_config.json",
    ],
)
def test_an_incomplete_snapshot_is_not_installed(hub: Path, file: str) -> None:
    spec = catalog.preset("flux-cogvideox").models["video"]
    (build(spec, snapshot(hub, spec)) / file).unlink()
    assert catalog.locate(spec) is None


def test_an_interrupted_download_is_not_installed(hub: Path) -> None:
    spec = catalog.preset("flux-cogvideox").models["video"]
    part = build(spec, snapshot(hub, spec)) / "transformer"
    stem, (one, two) = "diffusion_pytorch_model", (f"-0000{n}-of-00002.safetensors" for n in (1, 2))
    (part / "model.safetensors").rename(part / f"{stem}{one}")
    assert catalog.locate(spec) is None, "no index yet"
    names = {"weight_map": {"a": f"{stem}{one}", "b": f"{stem}{two}"}}
    (part / f"{stem}.safetensors.index.json").write_text(json.dumps(names))
    assert catalog.locate(spec) is None, "one shard of two"
    (part / f"{stem}{two}").symlink_to(hub / "blobs/not-there-yet")
    assert catalog.locate(spec) is None, "a link to a blob still to come"


def test_hf_home_is_honoured(tmp_path: Path) -> None:
    spec = catalog.preset("flux-cogvideox").models["refine"]
    folder = build(spec, snapshot(tmp_path / "hf/hub", spec))
    code = "from animatic import catalog as c; print(c.locate(c.preset('flux-cogvideox').models['refine']))"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "HF_HOME": str(tmp_path / "hf")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == str(folder)


# ----------------------------------------------------------------------------------------- registered folders


@pytest.fixture
def llama() -> catalog.ModelSpec:
    """A preset whose chat model is said to take 100 bytes."""
    own("tiny", 'extends = "flux-cogvideox"\n[refine]\nrepo = "me/tiny"\n[refine.components]\nllm = 100\n')
    return catalog.preset("tiny").models["refine"]


def test_a_registered_folder_is_found(tmp_path: Path, llama: catalog.ModelSpec) -> None:
    one, two = build(llama, tmp_path / 'a "quoted" \\ name é', 100), build(llama, tmp_path / "two", 100)
    catalog.register("me/tiny", one)
    assert catalog.locate(llama) == one
    catalog.register("me/tiny", two)
    assert catalog.locate(llama) == two
    note = tomllib.loads((catalog.user_folder() / "models.toml").read_text())
    assert note == {"folders": {"me/tiny": str(two)}}


@pytest.mark.usefixtures("hub")
def test_a_registered_folder_that_went_away_is_not_installed(tmp_path: Path, llama: catalog.ModelSpec) -> None:
    folder = build(llama, tmp_path / "x", 100)
    catalog.register("me/tiny", folder)
    folder.rename(tmp_path / "y")
    assert catalog.locate(llama) is None


def test_only_whole_folders_of_the_right_model_are_registered(tmp_path: Path, llama: catalog.ModelSpec) -> None:
    with pytest.raises(WeightsError, match="nowhere is missing"):
        catalog.register("me/tiny", tmp_path / "nowhere")
    with pytest.raises(WeightsError, match=r"another model than me/tiny: its llm takes 0\.0 GB"):
        catalog.register("me/tiny", build(llama, tmp_path / "large", 200))
    whole = build(llama, tmp_path / "whole", 100)
    (whole / "tokenizer.json").unlink()
    with pytest.raises(WeightsError, match="lacks the files of the tokenizer"):
        catalog.register("me/tiny", whole)
    damaged = build(llama, tmp_path / "damaged", 100) / "model.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="truncated"):
        catalog.register("me/tiny", damaged.parent)
    with pytest.raises(PresetError, match="no preset uses 'me/tin': did you mean 'me/tiny'"):
        catalog.register("me/tin", whole)
    assert not (catalog.user_folder() / "models.toml").exists()


def test_a_malformed_note_of_folders_is_named(llama: catalog.ModelSpec) -> None:
    (catalog.user_folder() / "models.toml").write_text("[folders]\n'me/tiny' = 3\n")
    with pytest.raises(PresetError, match=r"models\.toml: \[folders\] must map"):
        catalog.locate(llama)


def test_pocket_s_text_length_is_its_transformer_s() -> None:
    """A learned positional table fixes the number of text tokens."""
    file = catalog.PACKAGE / "pocket/video/transformer/config.json"
    length = json.loads(file.read_text("utf-8"))["max_text_seq_length"]
    options = catalog.preset("pocket").options
    assert options["video.max_sequence_length"] == options["image.max_sequence_length"] == length
