"""A file of shots: every format, every fault with its line, and what a batch leaves behind."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animatic import api, batch
from animatic.core import Shot
from animatic.errors import BatchError, InputError, OptionError
from animatic.events import Clip, Failed, Notice, PhaseEnded
from animatic.events import Sheet as SheetWritten
from animatic.models.flux import Flux
from animatic.prepare import Wish

pytestmark = pytest.mark.usefixtures("little")

DEFAULTS = Wish("", preset="pocket", seed=5)
QUICK = {"image.num_inference_steps": 1, "video.num_inference_steps": 1}


def read(folder: Path, text: str | bytes, name: str = "shots.jsonl") -> list[Wish]:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return batch.read(file, DEFAULTS)


def test_json_lines(tmp_path: Path) -> None:
    text = (
        '{"prompt": "a red boat", "id": "boat", "seed": 3, "video.guidance_scale": 4, "caption": null}\n\n'
        '{"prompt": "一只猫", "takes": 2, "stills": ["a.png", "b.png"], "pick": 2}\n'
    )
    boat, cat = read(tmp_path, text)
    assert (boat.prompt, boat.name, boat.seed, boat.options) == ("a red boat", "boat", 3, {"video.guidance_scale": 4})
    assert (boat.preset, boat.caption) == ("pocket", None) and boat.where.endswith("shots.jsonl, line 1")
    assert (cat.prompt, cat.seed, cat.takes, cat.stills, cat.pick) == ("一只猫", 5, 2, 2, 2)
    assert cat.where.endswith("line 3")


@pytest.mark.parametrize(("said", "pick"), [('"best"', "best"), ("2", 2), ('" 2 "', 2)])
def test_which_still_is_taken_is_a_number_or_best(tmp_path: Path, said: str, pick: int | str) -> None:
    assert read(tmp_path, f'{{"prompt": "a boat", "pick": {said}}}')[0].pick == pick


@pytest.mark.parametrize("said", ["[2]", "2.7", "true", '"worst"', "{}"])
def test_another_choice_of_a_still_is_refused_with_its_line(tmp_path: Path, said: str) -> None:
    with pytest.raises(InputError, match=r"line 1: pick = .*: give a candidate's number, or best"):
        read(tmp_path, f'{{"prompt": "a boat", "pick": {said}}}')


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("shots.json", '[\n{"prompt": "a boat"},\n{"prompt": "a cat"}\n]'),
        ("-shots", '[{"prompt": "a boat"}]'),
        ("shots.jsonl", '# boats\n{"prompt": "a boat"}'),
    ],
)
def test_json_that_is_no_json_lines_is_not_filmed_as_prose(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(InputError, match="line 1: not JSON Lines"):
        read(tmp_path, text, name)


def test_takes_share_no_name_with_another_shot(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="line 2: the id 'A-s1' is that of line 1 already"):
        read(tmp_path, '{"prompt": "a", "id": "a", "takes": 2, "seed": 0}\n{"prompt": "b", "id": "A-s1"}')
    both = '{"prompt": "a", "id": "a", "takes": 2, "seed": 0}\n{"prompt": "b", "id": "a"}'
    assert len(read(tmp_path, both)) == 2, "the takes are a-s0 and a-s1"


def test_csv_as_a_spreadsheet_writes_it(tmp_path: Path) -> None:
    text = '\ufeffid, prompt,seed,video.num_frames\r\nb,"a boat, red\r\nand slow",7,\r\n,,,\r\nc,a cat,,17\r\n'
    boat, cat = read(tmp_path, text, "shots.csv")
    assert (boat.name, boat.prompt, boat.seed, boat.options) == ("b", "a boat, red\r\nand slow", 7, {})
    assert (cat.seed, cat.options) == (5, {"video.num_frames": "17"}) and cat.where.endswith("line 5")
    assert [wish.prompt for wish in read(tmp_path, "prompt,seed\na boat,1\n", "shots")] == ["a boat"]


def test_plain_text(tmp_path: Path) -> None:
    wishes = read(tmp_path, "# boats\n\n  a red boat, sailing\r\na blue boat\n", "shots.txt")
    assert [(wish.prompt, wish.where[-6:]) for wish in wishes] == [
        ("a red boat, sailing", "line 3"),
        ("a blue boat", "line 4"),
    ]


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"prompt": "a boat"}\n')))
    (wish,) = batch.read(Path("-"), DEFAULTS)
    assert wish.where == "standard input, line 1" and batch.title(Path("-")) == "batch"


FAULTS = [
    ('{"prompt": "a boat"}\n{"prompt": \n', "line 2: not JSON Lines"),
    ('{"prompt": "a boat"}\n["a"]\n', "line 2: not JSON Lines: write one JSON object a line"),
    ('{"prompt": "a boat", "sed": 3}\n', "line 1: unknown column 'sed': did you mean 'seed'"),
    ('{"prompt": "a boat", "video.num_frame": 3}\n', "did you mean 'video.num_frames'"),
    ('{"seed": 3}\n', "line 1: no prompt"),
    ('{"prompt": 3}\n', "prompt = 3: give a text"),
    ('{"prompt": "a boat", "seed": 1.5}\n', "seed = 1.5: give a whole number"),
    ('{"prompt": "a boat", "seed": true}\n', "seed = True"),
    ('{"prompt": "a boat", "id": "../x"}\n', "it names files"),
    ('{"prompt": "a", "id": "x"}\n{"prompt": "b", "id": "X"}\n', "line 2: the id 'X' is that of line 1 already"),
    ("prompt,seed\na boat, red,3\n", "line 2: 3 cells under 2 columns"),
    ('prompt,seed\n"a boat,3\n', "not CSV"),
    (b"a boat\n\xff\n", "line 2: not UTF-8"),
    ("# nothing\n", "has no shot in it"),
]


@pytest.mark.parametrize(("text", "says"), FAULTS)
def test_a_fault_is_told_with_its_line(text: str | bytes, says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text, "shots")
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_all_faults_are_told_at_once_and_nothing_runs(tmp_path: Path) -> None:
    file = tmp_path / "shots.jsonl"
    lines = [
        {"prompt": "a boat"},
        {"prompt": ""},
        {"prompt": "a cat", "video.num_frames": 3},
        {"prompt": "x", "pick": 0},
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(InputError) as caught:
        api.batch(file, out=tmp_path / "out", preset="pocket")
    first, *rest = str(caught.value).split("\n")
    assert first == "3 faults, and nothing was run:"
    assert all(f"line {n}" in line for n, line in zip((2, 3, 4), rest, strict=True))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["0/2", "3/2", "a/b", "1", "-1/2", "1/0"])
def test_a_shard_that_is_none(text: str) -> None:
    with pytest.raises(OptionError, match="write I/N"):
        batch.shard(text)


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=40).map(
    str.strip).filter(bool)  # fmt: skip


@given(st.lists(st.fixed_dictionaries({"prompt": TEXTS, "seed": st.integers(0, 2**63 - 1)}), min_size=1, max_size=5))
def test_json_and_csv_say_the_same(rows: list[dict[str, Any]]) -> None:
    sheet = io.StringIO()
    writer = csv.DictWriter(sheet, ["prompt", "seed"])
    writer.writeheader()
    writer.writerows(rows)
    faults: list[Exception] = []
    as_json = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    one = [batch._wish(row, DEFAULTS) for _, row in batch._rows("x", as_json, faults)]
    other = [batch._wish(row, DEFAULTS) for _, row in batch._rows("x.csv", sheet.getvalue(), faults)]
    assert one == other and not faults and len(one) == len(rows)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 1), st.integers(10, 11)), max_size=8))
def test_names_are_unique_and_stay_when_lines_are_added(asked: list[tuple[str, int, int]]) -> None:
    shots = [Shot(prompt, seed, "p", {"refine.words": words}) for prompt, seed, words in asked]
    named = batch.named(shots)
    names = [shot.name for shot in named if shot]
    assert len(set(names)) == len(names) == len(set(asked))
    assert batch.named([*shots, Shot("z", 0, "p", {})])[:-1] == named


# --------------------------------------------------------------------------------------------------- with real models


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def run(file: Path, folder: Path, **more: Any) -> list[Any]:
    return list(api.batch(file, out=folder / "out", store=folder / "store", options=QUICK, preset="little", **more))


@pytest.fixture
def boats(tmp_path: Path) -> Path:
    file = tmp_path / "boats.txt"
    file.write_text("a red boat\na blue boat\na green boat\n")
    return file


@pytest.mark.slow
def test_a_batch_leaves_clips_results_and_a_sheet_and_does_nothing_twice(boats: Path, tmp_path: Path) -> None:
    seen = run(boats, tmp_path)
    out = tmp_path / "out/boats"
    assert [line["id"] for line in lines(out)] == ["a-red-boat-s0", "a-blue-boat-s0", "a-green-boat-s0"]
    assert all(line["status"] == "completed" and (out / line["clip"]).exists() for line in lines(out))
    assert len([e for e in seen if isinstance(e, Clip)]) == 3
    page = (out / "index.html").read_text()
    assert all(name in page for name in ("a-red-boat-s0.mp4", "a-green-boat-s0.png")) and "://" not in page
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.mp4")}
    again = run(boats, tmp_path)
    assert not [e for e in again if isinstance(e, (Clip, PhaseEnded))] and isinstance(again[-1], SheetWritten)
    assert any("3 of 3 shots are made already" in e.text for e in again if isinstance(e, Notice))
    boats.write_text(boats.read_text() + "a white boat\n")
    (out / "a-blue-boat-s0.mp4").unlink()
    third = run(boats, tmp_path)
    assert sorted(Path(e.path).name for e in third if isinstance(e, Clip)) == [
        "a-blue-boat-s0-2.mp4",
        "a-white-boat-s0.mp4",
    ]
    assert {e.shot for e in third if isinstance(e, PhaseEnded) and not e.hit and e.phase != "file.write"} == {
        next(e.shot for e in third if isinstance(e, Clip) and "white" in e.path.name)}  # fmt: skip
    assert all(path.stat().st_mtime_ns == time for path, time in before.items() if path.exists())
    assert [line["id"] for line in lines(out)][-1] == "a-white-boat-s0" and len(lines(out)) == 4


@pytest.mark.slow
def test_a_clip_whose_note_is_lost_is_noted_and_not_written_twice(boats: Path, tmp_path: Path) -> None:
    run(boats, tmp_path)
    out = tmp_path / "out/boats"
    (out / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines(out)[1:]))
    run(boats, tmp_path)
    assert len(list(out.glob("*.mp4"))) == 3 and len(lines(out)) == 3


@pytest.mark.slow
def test_shards_are_disjoint_and_together_everything(boats: Path, tmp_path: Path) -> None:
    clips = [
        {Path(e.path).name for e in run(boats, tmp_path, shard=(part, 2)) if isinstance(e, Clip)} for part in (1, 2)
    ]
    assert [len(some) for some in clips] == [2, 1] and not clips[0] & clips[1]
    assert len(lines(tmp_path / "out/boats")) == 3


@pytest.mark.slow
def test_a_failed_shot_is_on_the_sheet_in_the_results_and_in_the_end(
    boats: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Flux.decode

    def dishonest(self: Flux, parts: Any, works: Any) -> Any:
        if "blue" in works[0].phase.shot.prompt:
            raise RuntimeError("a <bad> day")
        yield from honest(self, parts, works)

    monkeypatch.setattr(Flux, "decode", dishonest)
    seen: list[Any] = []
    with pytest.raises(BatchError, match=r"1 of 3 shots failed, the others are made; the first: image.decode"):
        for event in api.batch(boats, out=tmp_path / "out", store=tmp_path / "store", options=QUICK, preset="little"):
            seen.append(event)
    assert len([e for e in seen if isinstance(e, Clip)]) == 2 and len([e for e in seen if isinstance(e, Failed)]) == 1
    failed = lines(tmp_path / "out/boats")[1]
    assert (failed["status"], failed["error"]) == ("failed", "image.decode: RuntimeError: a <bad> day")
    assert "a &lt;bad&gt; day" in (tmp_path / "out/boats/index.html").read_text()
    assert len(list((tmp_path / "store/unfinished").iterdir())) == 1, "what it needs is kept for the next try"
    monkeypatch.undo()
    assert len([e for e in run(boats, tmp_path) if isinstance(e, Clip)]) == 1
    assert [line["status"] for line in lines(tmp_path / "out/boats")] == ["completed"] * 3
    assert not list((tmp_path / "store/unfinished").iterdir())


@pytest.mark.slow
def test_a_sketch_is_edited_and_gone_on_from_and_only_the_edit_is_made_anew(boats: Path, tmp_path: Path) -> None:
    def ran(seen: list[Any]) -> list[str]:
        return sorted(e.phase for e in seen if isinstance(e, PhaseEnded) and not e.hit and e.phase != "file.write")

    first = run(boats, tmp_path, until="image", stills=2)
    sketch = first[-1].path
    assert sketch == tmp_path / "out/boats.jsonl" and len(first[-1].stills) == 6
    assert all(still.exists() for still in first[-1].stills)
    rows = [json.loads(line) for line in sketch.read_text().splitlines()]
    assert [row["id"] for row in rows] == ["a-red-boat-s0", "a-blue-boat-s0", "a-green-boat-s0"]
    assert all(row["pick"] == 1 and len(row["stills"]) == 2 and row["caption"] for row in rows)
    rows[1]["pick"] = 2
    rows[2]["caption"] = "A green boat sails over the sea."
    sketch.write_text("".join(json.dumps(row) + "\n" for row in rows))
    seen = run(sketch, tmp_path)
    clips = [e for e in seen if isinstance(e, Clip)]
    assert [clip.record["options"]["image.candidate"] for clip in clips] == [1, 2, 1]
    assert [clip.record["caption_source"] for clip in clips] == ["model", "model", "user"]
    images = [phase for phase in ran(seen) if phase.startswith(("refine", "image"))]
    assert images == ["image.decode", "image.denoise", "image.encode", "refine.given"], "the edited caption's alone"
    assert {path.parent for path in (clip.path for clip in clips)} == {tmp_path / "out/boats"}
    assert run(sketch, tmp_path, until="image")[-1].path.name == "boats-2.jsonl", "an edited file is not written over"


@pytest.mark.slow
def test_a_sketch_of_paragraphs_keeps_what_was_said_of_stills(tmp_path: Path) -> None:
    file = tmp_path / "boats.jsonl"
    lines = ({"pick": 3}, {"stills": 4, "pick": "best"}, {"stills": 2}, {})
    file.write_text("".join(json.dumps({"prompt": f"a boat {n}", **line}) + "\n" for n, line in enumerate(lines)))
    sketch = run(file, tmp_path, until="refine")[-1].path
    rows = [json.loads(line) for line in sketch.read_text().splitlines()]
    assert [{name: row[name] for name in ("pick", "stills", "scorer") if name in row} for row in rows] == list(lines)
    assert not any("image.candidate" in row for row in rows)


@pytest.mark.slow
def test_a_batch_whose_stills_are_chosen_is_known_again_without_choosing(tmp_path: Path) -> None:
    file = tmp_path / "boats.jsonl"
    file.write_text('{"prompt": "a red boat", "stills": 2, "pick": "best"}\n{"prompt": "a cat"}\n')
    first = run(file, tmp_path)
    assert len([e for e in first if isinstance(e, Clip)]) == 2
    again = run(file, tmp_path)
    assert not [e for e in again if isinstance(e, (Clip, PhaseEnded))]
    assert any("2 of 2 shots are made already" in e.text for e in again if isinstance(e, Notice))


@pytest.mark.slow
def test_a_candidate_that_fails_is_no_failure_as_long_as_another_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, spoilt = Flux.decode, {1}

    def dishonest(self: Flux, parts: Any, works: Any) -> Any:
        if works[0].option("image.candidate") in spoilt:
            raise RuntimeError("a bad day")
        yield from honest(self, parts, works)

    monkeypatch.setattr(Flux, "decode", dishonest)
    file = tmp_path / "boats.jsonl"
    file.write_text(
        '{"prompt": "a red boat", "stills": 2, "pick": "best"}\n{"prompt": "a cat", "image.candidate": 3}\n'
    )
    seen = run(file, tmp_path)
    assert [e.record["options"]["image.candidate"] for e in seen if isinstance(e, Clip)] == [2, 3]
    spoilt |= {2}
    with pytest.raises(BatchError, match="1 of 2 shots failed"):
        run(file, tmp_path / "both")
    assert [line["status"] for line in lines(tmp_path / "both/out/boats")] == ["failed", "completed"]
