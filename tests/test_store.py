"""Artifacts are found again by what they were made from, and by nothing else."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animatic import pipeline
from animatic.core import Phase, Shot
from animatic.errors import OutputError
from animatic.options import resolve
from animatic.spec import Model, ModelSpec
from animatic.store import Store

SHOT = Shot("a red boat", 0, "pocket", {})


def phases(words: int = 100, steps: int = 20) -> tuple[Phase, Phase, Phase]:
    caption = Phase("refine.generate", "caption", SHOT, {"words": words})
    encode = Phase("image.encode", "embeddings", SHOT, {}, inputs=(caption,))
    return caption, encode, Phase("image.denoise", "latents", SHOT, {"steps": steps}, inputs=(encode,))


def test_what_was_put_is_got_by_another_store(tmp_path: Path) -> None:
    caption, *_ = phases()
    store = Store(tmp_path)
    key = store.key(caption)
    assert key
    store.put(key, b"text", ".json", {"seconds": 1.5})
    again = Store(tmp_path).get(key)
    assert again and again.read() == b"text" and again.record == {"seconds": 1.5}


def test_missing_walks_as_far_as_keys_are_known(tmp_path: Path) -> None:
    caption, encode, denoise = phases()
    store = Store(tmp_path)
    assert store.missing([caption, encode, denoise]) == [caption, encode, denoise]
    assert store.key(encode) is None, "it reads a caption that is not there"
    store.put(store.key(caption) or "", b"text", ".json", {})
    assert store.missing([caption, encode, denoise]) == [encode, denoise]
    assert store.key(denoise) is not None, "latents are named by recipe alone"


def test_equal_captions_share_what_follows(tmp_path: Path) -> None:
    short, long = phases(words=50), phases(words=100)
    store = Store(tmp_path)
    for caption in (short[0], long[0]):
        store.put(store.key(caption) or "", b'{"text": "a boat"}', ".json", {}, identity=b"a boat")
    assert store.key(short[0]) != store.key(long[0])
    assert store.key(short[2]) == store.key(long[2])


def test_an_edited_caption_changes_what_follows(tmp_path: Path) -> None:
    caption, _, denoise = phases()
    first, second = Store(tmp_path / "a"), Store(tmp_path / "b")
    for store, text in ((first, b"a boat"), (second, b"a ship")):
        store.put(store.key(caption) or "", text, ".json", {})
    assert first.key(denoise) != second.key(denoise)


def test_other_options_are_another_artifact(tmp_path: Path) -> None:
    store = Store(tmp_path)
    caption, *_ = phases()
    store.put(store.key(caption) or "", b"text", ".json", {})
    assert store.key(phases(steps=20)[2]) != store.key(phases(steps=21)[2])


def test_an_unfinished_put_is_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    key = store.key(phases()[0]) or ""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.put(key, b"text", ".json", {})
    assert not [path for path in tmp_path.rglob("*") if path.is_file()] and Store(tmp_path).get(key) is None


def test_a_hit_is_verified_and_damage_is_absent(tmp_path: Path) -> None:
    key = "a" * 64
    Store(tmp_path).put(key, b"latents", ".latents.safetensors", {})
    file = next(tmp_path.rglob("*.safetensors"))
    for damage in (b"latent", b"latentz", b""):
        Store(tmp_path).put(key, b"latents", ".latents.safetensors", {})
        file.write_bytes(damage)
        store = Store(tmp_path)
        assert store.get(key) is None and "damaged" in store.remarks()[0] and store.remarks() == []
        assert (tmp_path / "damaged" / file.name).read_bytes() == damage and not file.exists()
    for about in (b"", b"[]", b'{"file": "x"}', b"\xff"):
        Store(tmp_path).put(key, b"latents", ".latents.safetensors", {})
        next((tmp_path / "artifacts").rglob("*.about.json")).write_bytes(about)
        assert Store(tmp_path).get(key) is None


def test_an_artifact_without_its_record_does_not_count(tmp_path: Path) -> None:
    key = "a" * 64
    Store(tmp_path).put(key, b"latents", ".latents.safetensors", {})
    next(tmp_path.rglob("*.about.json")).unlink()
    assert Store(tmp_path).get(key) is None


def test_missing_asks_only_for_what_the_goal_needs(tmp_path: Path) -> None:
    caption, encode, denoise = phases()
    decode = Phase("image.decode", "still", SHOT, {}, inputs=(denoise,))
    store = Store(tmp_path)
    store.put(store.key(caption) or "", b"text", ".json", {})
    store.put(store.key(denoise) or "", b"latents", ".safetensors", {})
    assert store.missing([decode]) == [decode], "the embeddings are gone, and nobody needs them"
    store.put(store.key(decode) or "", b"still", ".png", {})
    assert store.missing([decode]) == []
    store.drop(denoise)
    assert store.missing([decode]) == [] and store.missing([denoise]) == [encode, denoise]


def test_what_aids_makes_no_difference_to_the_name(tmp_path: Path) -> None:
    caption, encode, denoise = phases()
    store = Store(tmp_path)
    store.put(store.key(caption) or "", b"text", ".json", {})
    tables = Phase("image.modulate", "tables", SHOT, {"steps": 20}, inputs=(encode,))
    assert store.key(denoise) == store.key(replace(denoise, aids=(tables,)))


def test_a_store_that_cannot_be_written_still_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "a" * 64
    Store(tmp_path).put(key, b"latents", ".safetensors", {})

    def refused(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("os.utime", refused)
    monkeypatch.setattr("tempfile.mkstemp", refused)
    monkeypatch.setattr("time.time", lambda: 9e9)
    store = Store(tmp_path)
    assert store.get(key) is not None
    with pytest.raises(OutputError, match="read-only: choose another folder with --store"):
        store.put("b" * 64, b"latents", ".safetensors", {})
    assert store.get("b" * 64) is None
    with pytest.raises(OutputError, match="--store"):
        store.open()


def test_a_disk_that_fails_to_read_is_said_and_not_taken_for_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "a" * 64
    Store(tmp_path).put(key, b"latents", ".safetensors", {})

    def failing(_: Path) -> bytes:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", failing)
        store = Store(tmp_path)
        assert store.get(key) is None and "Input/output error" in store.remarks()[0]
    assert Store(tmp_path).get(key) is not None


def test_one_process_at_a_time_makes_an_artifact_and_a_killed_one_frees_it(tmp_path: Path) -> None:
    store = Store(tmp_path).open()
    code = (
        "import sys; from pathlib import Path; from animatic.store import Store\n"
        f"claim = Store(Path({str(tmp_path)!r})).claim('k' * 64)\nprint('claimed' if claim else 'taken', flush=True)\n"
        "sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout and other.stdout.readline() == "claimed\n"
        assert store.claim("k" * 64) is None and store.claim("l" * 64) is not None
        other.kill()
        other.wait()
        claim = store.claim("k" * 64)
        assert claim is not None and store.claim("k" * 64) is None
        claim.release()
    again = store.claim("k" * 64)
    assert again is not None
    again.release()


# ------------------------------------------------------------------------------------------------- equal keys

MODELS = {
    stage: Model(ModelSpec(stage, family, f"maker/{family}", revision="1", components=dict.fromkeys(parts, 0)), None)
    for stage, family, parts in (
        ("refine", "chat", ("tokenizer", "llm")),
        (
            "image",
            "flux",
            ("tokenizer", "text_encoder", "tokenizer_2", "text_encoder_2", "transformer", "vae", "scheduler"),
        ),
        ("video", "cogvideox", ("tokenizer", "text_encoder", "transformer", "vae", "scheduler")),
    )
}
CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "refine.words": st.integers(10, 400),
    "refine.temperature": st.floats(0, 2),
    "image.num_inference_steps": st.integers(1, 50),
    "image.guidance_scale": st.floats(0, 10),
    "image.true_cfg_scale": st.floats(1.5, 10),
    "image.candidate": st.integers(1, 9),
    "video.num_frames": st.integers(1, 49),
    "video.negative_prompt": st.text(max_size=9),
    "video.guidance_scale": st.floats(1.5, 10),
    "video.scheduler": st.sampled_from(["dpm", "ddim"]),
    "video.vae_tiling": st.sampled_from(["on", "off"]),
    "file.crf": st.integers(0, 51),
}
FIRST = {
    "refine": "refine.generate", "image": "image.denoise", "video": "video.denoise", "file": "file.write",
    "video.negative_prompt": "video.encode", "video.vae_tiling": "video.decode",
}  # fmt: skip
"""The first phase whose result an option changes, by option or stage."""


def keys(folder: Path, options: Mapping[str, Any], models: Mapping[str, Model] = MODELS, **shot: Any) -> dict[str, str]:
    """All phases' keys, where the caption and the still are what their own keys say."""
    store = Store(folder)
    asked = Shot(**{"prompt": "a red boat", "seed": 0, "preset": "p", "options": resolve(options), **shot})
    one = pipeline.cascade(asked, models)  # type: ignore[arg-type]
    found = {}
    for phase in (*one.phases, one.clip):
        key = found[phase.name] = store.key(phase) or ""
        if phase.by_content and store.get(key) is None:
            store.put(key, key.encode(), ".x", {})
    return found


@given(st.dictionaries(st.sampled_from(sorted(CHANGES)), st.just(None)).flatmap(
    lambda chosen: st.fixed_dictionaries({name: CHANGES[name] for name in chosen})))  # fmt: skip
def test_equal_wishes_have_equal_keys(options: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as a, tempfile.TemporaryDirectory() as b:
        assert keys(Path(a), options) == keys(Path(b), dict(reversed(options.items())))


@given(st.sampled_from(sorted(CHANGES)).flatmap(lambda name: st.tuples(st.just(name), CHANGES[name], CHANGES[name])))
def test_a_change_alters_the_keys_from_the_first_phase_that_it_alters_on(change: tuple[str, Any, Any]) -> None:
    name, one, other = change
    with tempfile.TemporaryDirectory() as folder:
        before, after = keys(Path(folder), {name: one}), keys(Path(folder), {name: other})
    if resolve({name: one}) == resolve({name: other}):
        assert before == after
        return
    first = FIRST.get(name) or FIRST[name.partition(".")[0]]
    assert before[first] != after[first] and before["file.write"] != after["file.write"]
    order = list(before)
    unaffected = order[: order.index(first)]
    assert {phase: before[phase] for phase in unaffected} == {phase: after[phase] for phase in unaffected}


def test_a_negative_prompt_counts_where_there_is_guidance_away_from_it(tmp_path: Path) -> None:
    fog = {"image.negative_prompt": "fog"}
    plain, unguided = keys(tmp_path, {}), keys(tmp_path, fog)
    assert [phase for phase in plain if plain[phase] != unguided[phase]] == ["file.write"], "it is in the record alone"
    guided = {"image.true_cfg_scale": 2.0}
    assert keys(tmp_path, guided)["image.encode"] != keys(tmp_path, guided | fog)["image.encode"]


@pytest.mark.parametrize("change", ["digests", "settings", "environment"])
@pytest.mark.parametrize("stage", ["refine", "image", "video"])
def test_other_weights_settings_or_a_strict_environment_are_other_keys(change: str, stage: str, tmp_path: Path) -> None:
    part = {"refine": "llm", "image": "transformer", "video": "transformer"}[stage]
    changed = replace(MODELS[stage], **{change: "elsewhere" if change == "environment" else {part: "f" * 64}})  # type: ignore[arg-type]
    before, after = keys(tmp_path, {}), keys(tmp_path, {}, {**MODELS, stage: changed})
    first = FIRST[stage]
    assert before[first] != after[first] and before["file.write"] != after["file.write"]


def test_takes_share_what_does_not_draw_and_captions_and_stills_enter_by_content(tmp_path: Path) -> None:
    caption = "A red boat sails."
    one, two = (keys(tmp_path, {}, caption=caption, seed=seed) for seed in (1, 2))
    assert one["image.encode"] == two["image.encode"] and one["video.encode"] == two["video.encode"]
    assert one["image.denoise"] != two["image.denoise"] and one["video.anchor"] != two["video.anchor"]
    still = {"still": Path("a.png"), "caption": caption}
    a, moved = (keys(tmp_path, {}, **still | {"still": Path(name)}, content="1" * 64) for name in ("a.png", "b.png"))
    edited = keys(tmp_path, {}, **still, content="2" * 64)
    assert a == moved and a["image.given"] != edited["image.given"]
