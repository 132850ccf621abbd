"""Downloads, with the Hub replaced: sizes first, only what is used, and each failure with its way out."""

from __future__ import annotations

import fnmatch
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants, errors

from animatic import catalog, machine, pull
from animatic.errors import WeightsError


@pytest.fixture
def preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> catalog.Preset:
    """A preset of one model, that of the clip, and an empty cache."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    whole = catalog.preset("flux-cogvideox")
    return replace(whole, models={"video": whole.models["video"]})


FILES = {
    "model_index.json": 10, "README.md": 10, "assets/demo.mp4": 999, "tokenizer/spiece.model": 20,
    "tokenizer/tokenizer_config.json": 5, "scheduler/scheduler_config.json": 5, "vae/config.json": 5,
    "vae/diffusion_pytorch_model.safetensors": 400, "vae/diffusion_pytorch_model.fp16.safetensors": 200,
    "vae/diffusion_pytorch_model.bin": 400, "transformer/config.json": 5,
    "transformer/diffusion_pytorch_model.safetensors": 1000, "text_encoder/config.json": 5,
    "text_encoder/model.safetensors": 900, "flux1-dev.safetensors": 5000, "ae.safetensors": 300,
}  # fmt: skip


def wanted(allow: list[str], ignore: list[str]) -> list[str]:
    return [
        name
        for name in FILES
        if any(fnmatch.fnmatch(name, p) for p in allow) and not any(fnmatch.fnmatch(name, p) for p in ignore)
    ]


class Hub:
    """Answers as `snapshot_download` does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: BaseException | None = None) -> None:
        self.error = error
        self.calls: list[dict[str, Any]] = []
        monkeypatch.setattr(huggingface_hub, "snapshot_download", self)

    def __call__(self, repo: str, **options: Any) -> Any:
        self.calls.append({"repo": repo, **options})
        if self.error:
            raise self.error
        names = wanted(options["allow_patterns"], options["ignore_patterns"])
        if options.get("dry_run"):
            return [SimpleNamespace(filename=n, file_size=FILES[n], will_download=True) for n in names]
        home = Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}/snapshots" / options["revision"]
        bar = options["tqdm_class"](unit="B", name="huggingface_hub.snapshot_download", total=0)
        other = options["tqdm_class"](unit="B", name="huggingface_hub.snapshot_download.transfer", total=0)
        for name in names:
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text("{}")
            bar.update(FILES[name])
            other.update(FILES[name])
        return str(home)


USED = sum(
    size for name, size in FILES.items()
    if "/" in name and not name.endswith((".bin", ".mp4")) and "fp16" not in name
) + FILES["model_index.json"]  # fmt: skip


def test_the_size_is_known_before_anything_is_fetched(preset: catalog.Preset, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(monkeypatch)
    (download,) = pull.pull_plan(preset)
    assert download.nbytes == USED
    assert "vae/diffusion_pytorch_model.safetensors" in download.files
    assert not any(n.endswith((".bin", ".mp4")) or "fp16" in n or "/" not in n for n in download.files[1:])
    assert hub.calls[0]["dry_run"] and hub.calls[0]["revision"] == preset.models["video"].revision


def test_a_pull_ends_with_an_installed_model(preset: catalog.Preset, monkeypatch: pytest.MonkeyPatch) -> None:
    Hub(monkeypatch)
    seen: list[tuple[str, int, int]] = []
    pull.pull(preset, lambda *progress: seen.append(progress))
    assert catalog.locate(preset.models["video"])
    assert seen[-1] == ("zai-org/CogVideoX-5b-I2V", USED, USED)
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert pull.pull_plan(preset) == ()


def test_a_disk_too_small_is_said_before_with_the_numbers(
    preset: catalog.Preset, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(monkeypatch)
    monkeypatch.setitem(FILES, "transformer/diffusion_pytorch_model.safetensors", 11_250_000_000)
    monkeypatch.setattr(machine, "disk_free", lambda _: 4_000_000_000)
    with pytest.raises(WeightsError, match=r"takes 11\.3 GB and .* has 4\.0 GB free"):
        pull.pull(preset)
    assert all(call["dry_run"] for call in hub.calls)


def http_error(kind: type[errors.HfHubHTTPError]) -> errors.HfHubHTTPError:
    import httpx2

    response = httpx2.Response(401, request=httpx2.Request("GET", "https://huggingface.co/x"))
    return kind("401", response=response)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            errors.GatedRepoError,
            r"is gated: accept the licence at https://huggingface\.co/zai-org/.*hf auth login",
        ),
        (errors.RepositoryNotFoundError, "does not exist, or is private"),
        (errors.RevisionNotFoundError, "has no revision a6f0f48"),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_what_the_hub_refuses_is_explained(
    preset: catalog.Preset, monkeypatch: pytest.MonkeyPatch, error: Any, says: str, wrapped: bool
) -> None:
    raised: BaseException = http_error(error)
    if wrapped:
        outer = errors.DryRunError("Dry run cannot be performed")
        outer.__cause__ = raised
        raised = outer
    Hub(monkeypatch, raised)
    with pytest.raises(WeightsError, match=says):
        pull.pull_plan(preset)


def test_no_network_is_explained(preset: catalog.Preset, monkeypatch: pytest.MonkeyPatch) -> None:
    error = errors.LocalEntryNotFoundError("An error happened\nwith many lines")
    error.__cause__ = ConnectionError("Name or service not known\nmore")
    Hub(monkeypatch, error)
    with pytest.raises(WeightsError, match=r"cannot be downloaded \(Name or service not known\): check the network"):
        pull.pull(preset)


def test_offline_is_explained_by_the_library_itself(preset: catalog.Preset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE forbids") as caught:
        pull.pull_plan(preset)
    assert "\n" not in str(caught.value)


def test_a_local_model_that_is_not_there_is_not_asked_of_the_hub(
    preset: catalog.Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(monkeypatch)
    spec = replace(preset.models["video"], repo=str(tmp_path / "nowhere"))
    with pytest.raises(WeightsError, match="nowhere is missing or not whole"):
        pull.pull_plan(replace(preset, models={"video": spec}))
    assert hub.calls == []


def test_a_repository_without_safetensors_is_said(preset: catalog.Preset, monkeypatch: pytest.MonkeyPatch) -> None:
    Hub(monkeypatch)
    monkeypatch.delitem(FILES, "vae/diffusion_pytorch_model.safetensors")
    with pytest.raises(WeightsError, match="has not all files"):
        pull.pull(preset)


@pytest.mark.parametrize("stage", ["refine", "image", "video"])
def test_the_patterns_take_no_pickles_and_no_duplicates(stage: Any) -> None:
    allow = pull.patterns(catalog.preset("flux-cogvideox").models[stage])
    refused = (
        "original/consolidated.00.pth", "original/params.json", "pytorch_model.bin", "flux1-dev.safetensors",
        "ae.safetensors", "README.md", "vae/diffusion_pytorch_model.fp16.safetensors",
    )  # fmt: skip
    for name in refused:
        taken = any(fnmatch.fnmatch(name, p) for p in allow)
        assert not taken or any(fnmatch.fnmatch(name, p) for p in pull.NEVER), name
