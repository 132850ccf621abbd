"""What is loaded is what the libraries load, wherever it is put; whatever goes wrong, nothing stays behind."""

from __future__ import annotations

import errno
import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import CogVideoXTransformer3DModel, FluxTransformer2DModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, T5EncoderModel

from animatic import reader as readers
from animatic import weights
from animatic.arena import Arenas
from animatic.core import RESIDENT, Component, Placement
from animatic.device import Accounted, Cpu, Device
from animatic.errors import WeightsError
from animatic.reader import Reader
from animatic.residency import Residency
from animatic.segments import HostCopy
from animatic.skeleton import Skeleton
from tests import residents, tiny
from tests.residents import BLOCKS, Checkpoints, Queueing, component, nothing_left, output

STOCK: dict[str, tuple[Any, str]] = {
    "image.transformer": (FluxTransformer2DModel, "image/transformer"),
    "image.text_encoder_2": (T5EncoderModel, "image/text_encoder_2"),
    "video.transformer": (CogVideoXTransformer3DModel, "video/transformer"),
    "refine.llm": (AutoModelForCausalLM, "refine"),
}
PLACEMENTS = {
    "resident": RESIDENT,
    "disk": Placement(streamed=True),
    "host": Placement(streamed=True, source="host"),
    "disk and one": Placement(streamed=True, resident=1),
    "host and one": Placement(streamed=True, resident=1, source="host"),
    "all blocks": Placement(streamed=True, resident=99),
}
LARGE = 1 << 30
DEVICES: dict[str, Callable[[], Device]] = {
    "cpu": Cpu,
    "accounted": lambda: Accounted(LARGE),
    "queueing": lambda: Queueing(LARGE),
}


@pytest.fixture(scope="module")
def tinies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkpoints]:
    yield from residents.make(tmp_path_factory.mktemp("tiny"))


def stock(tinies: Checkpoints, name: str, dtype: torch.dtype = torch.bfloat16) -> torch.nn.Module:
    cls, path = STOCK[name]
    stage, _, part = path.partition("/")
    return cls.from_pretrained(getattr(tinies, stage) / part, dtype=dtype)  # type: ignore[no-any-return]


def loaded(residency: Residency, one: Component, placement: Placement = RESIDENT, source: Any = "disk") -> Any:
    residency.begin(one, placement, source)
    residency.wait([one])
    return residency.parts([one])[one.name]


@pytest.mark.usefixtures(nothing_left.__name__)
@pytest.mark.parametrize("device", DEVICES.values(), ids=DEVICES)
@pytest.mark.parametrize("placement", PLACEMENTS.values(), ids=PLACEMENTS)
@pytest.mark.parametrize("name", STOCK)
def test_results_are_those_of_stock_in_every_placement(
    name: str, placement: Placement, device: Callable[[], Device], tinies: Checkpoints
) -> None:
    residency = tinies.residency(device())
    module = loaded(residency, component(name), placement)
    theirs = stock(tinies, name)
    for seed in range(3):
        assert torch.equal(output(module, name, seed), output(theirs, name, seed))
    residency.close()


@pytest.mark.parametrize("chunk", [1 << 8, 1 << 20], ids=["in pieces", "whole"])
@pytest.mark.parametrize("placement", ["resident", "disk", "host"])
@pytest.mark.parametrize("device", DEVICES.values(), ids=DEVICES)
def test_weights_are_cast_on_the_way(
    device: Callable[[], Device], placement: str, chunk: int, tinies: Checkpoints
) -> None:
    residency = tinies.residency(device(), dtype="float32", reader=Reader(2, chunk))
    one = component("refine.llm")
    module = loaded(residency, one, PLACEMENTS[placement])
    assert torch.equal(output(module, one.name), output(stock(tinies, one.name, torch.float32), one.name))
    residency.close()


@pytest.mark.parametrize("name", STOCK)
def test_every_byte_is_counted_and_given_back(name: str, tinies: Checkpoints) -> None:
    device = Accounted(LARGE)
    residency = tinies.residency(device)
    one = component(name)
    whole = sum(t.nbytes for t in weights.inspect(residency._source(one)[1] / STOCK[name][1].partition("/")[2]))
    loaded(residency, one)
    full = device.weights
    assert whole <= full == residency.device_bytes < whole + 256 * 200 and residency.host_bytes == 0
    residency.evict(one)
    assert device.weights == residency.device_bytes == 0 and not residency.resident
    module = loaded(residency, one, PLACEMENTS["host"])
    output(module, name)
    assert device.weights == residency.device_bytes and 0 < residency.host_bytes < full
    if BLOCKS[name] > 2:
        assert device.weights < full
    residency.evict(one)
    assert device.weights == residency.host_bytes == 0
    residency.close()


def test_waiting_tells_each_load_once_and_parts_bear_the_names_asked_for(tinies: Checkpoints) -> None:
    residency = tinies.residency(Cpu())
    mine, same = Component("image.text_encoder", "tiny", holds="x"), Component("image.other", "tiny", holds="x")
    small = component("image.tokenizer")
    residency.begin(mine)
    residency.begin(small)
    told = residency.wait([mine, small])
    assert [c.name for c, _ in told] == ["image.text_encoder", "image.tokenizer"] and all(s > 0 for _, s in told)
    assert residency.wait([mine, small]) == []
    parts = residency.parts([same, small])
    assert parts["image.other"] is residency.parts([mine])["image.text_encoder"]
    assert parts["image.tokenizer"]("a boat").input_ids
    with pytest.raises(ValueError, match="loaded already"):
        residency.begin(same)
    assert residency.resident == {mine: RESIDENT, small: RESIDENT}
    residency.close()


@pytest.mark.parametrize("again", PLACEMENTS.values(), ids=PLACEMENTS)
@pytest.mark.parametrize("first", PLACEMENTS.values(), ids=PLACEMENTS)
def test_a_kept_copy_comes_back(first: Placement, again: Placement, tinies: Checkpoints, tmp_path: Path) -> None:
    copied = Checkpoints(tinies.refine, tiny.copied(tinies.image, tmp_path / "flux"), tinies.video)
    device = Accounted(LARGE)
    residency = copied.residency(device)
    one = component("image.transformer")
    expected = output(loaded(residency, one, first), one.name)
    residency.evict(one, keep=True)
    assert device.weights == 0 and residency.host_bytes > 0 and not residency.resident
    for file in (copied.image / "transformer").glob("*.safetensors"):
        file.unlink()  # The copy is all that is needed.
    assert torch.equal(output(loaded(residency, one, again, "host"), one.name), expected)
    residency.evict(one)
    assert device.weights == residency.host_bytes == 0
    residency.close()


def test_a_kept_copy_can_be_dropped_by_itself(tinies: Checkpoints) -> None:
    residency = tinies.residency(Accounted(LARGE))
    one = component("image.transformer")
    loaded(residency, one)
    residency.evict(one, keep=True)
    residency.evict(one)
    assert residency.host_bytes == 0
    residency.close()


def test_modulation_and_rest_are_two_modules(tinies: Checkpoints) -> None:
    device = Accounted(LARGE)
    residency = tinies.residency(device)
    norms, rest = component("image.modulation", "modulation"), component("image.transformer", "rest")
    whole = component("image.transformer")
    loaded(residency, whole)
    full = device.weights
    residency.evict(whole)
    modulation = loaded(residency, norms)
    part = device.weights
    other = loaded(residency, rest)
    assert part < full and abs(device.weights - full) < 256 * 10 and modulation is not other
    names = {name for name, tensor in modulation.state_dict().items() if not tensor.is_meta}
    assert names and all("norm" in name or name.startswith("time_text_embed") for name in names)
    assert not names & other.state_dict().keys()
    residency.close()


def test_files_that_only_the_library_can_read_come_through_it(
    tinies: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Skeleton, "by_library", True)
    for placement in ("resident", "disk", "host"):
        residency = tinies.residency(Accounted(LARGE))
        one = component("refine.llm")
        module = loaded(residency, one, PLACEMENTS[placement])
        assert torch.equal(output(module, one.name), output(stock(tinies, one.name), one.name))
        assert (residency.host_bytes > 0) == (placement != "resident")
        residency.close()


# ------------------------------------------------------------------------------------------- shared with others


def taken(arenas: Arenas) -> int:
    """Bytes of memory that all pieces take."""
    gc.collect()
    return sum(512 * f.stat().st_blocks for f in arenas.folder.iterdir()) if arenas.folder.exists() else 0


def whole(arenas: Arenas) -> bool:
    return all(not file.stat().st_mode & 0o200 for file in arenas.folder.iterdir())


@pytest.mark.usefixtures(nothing_left.__name__)
@pytest.mark.parametrize("device", DEVICES.values(), ids=DEVICES)
@pytest.mark.parametrize("placement", ["host", "host and one"])
@pytest.mark.parametrize("name", STOCK)
def test_two_that_share_take_memory_once(
    name: str, placement: str, device: Callable[[], Device], tinies: Checkpoints, arenas: Arenas
) -> None:
    first, second = (tinies.residency(device(), arenas=arenas) for _ in range(2))
    one, theirs = component(name), output(stock(tinies, name), name)
    assert torch.equal(output(loaded(first, one, PLACEMENTS[placement]), name), theirs)
    once = taken(arenas)
    assert 0 < first.host_bytes <= once < first.host_bytes + 4096 * BLOCKS[name] and whole(arenas)
    module = loaded(second, one, PLACEMENTS[placement])
    assert taken(arenas) == once and second.host_bytes == first.host_bytes
    first.close()
    assert taken(arenas) == once and torch.equal(output(module, name), theirs)
    del module
    second.evict(one)
    assert taken(arenas) == 0 and second.host_bytes == 0
    second.close()


def test_those_who_stream_different_blocks_share_what_both_stream(tinies: Checkpoints, arenas: Arenas) -> None:
    one = component("image.transformer")
    alone = tinies.residency(Accounted(LARGE), arenas=arenas)
    loaded(alone, one, PLACEMENTS["host"])
    all_blocks = taken(arenas)
    other = tinies.residency(Accounted(LARGE), arenas=arenas)
    expected = output(loaded(other, one, PLACEMENTS["host and one"]), one.name)
    assert taken(arenas) == all_blocks
    alone.close()
    assert 0 < taken(arenas) < all_blocks  # What lies in memory is in somebody's grant.
    assert torch.equal(expected, output(stock(tinies, one.name), one.name))
    other.close()


@pytest.mark.parametrize("first", PLACEMENTS.values(), ids=PLACEMENTS)
def test_kept_copies_are_shared_too(
    first: Placement, tinies: Checkpoints, arenas: Arenas, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = component("image.transformer")
    mine, theirs = (tinies.residency(Accounted(LARGE), arenas=arenas) for _ in range(2))
    expected = output(loaded(theirs, one), one.name)
    theirs.evict(one, keep=True)
    once = taken(arenas)
    assert once > 0
    loaded(mine, one, first)
    with monkeypatch.context() as patch:
        patch.setattr(Device, "host", lambda *_: pytest.fail("memory of its own"))
        mine.evict(one, keep=True)
    theirs.close()
    assert taken(arenas) == once
    assert torch.equal(output(loaded(mine, one, first, "host"), one.name), expected)
    mine.close()
    assert taken(arenas) == 0


def test_weights_cast_on_the_way_are_others(tinies: Checkpoints, arenas: Arenas) -> None:
    one = component("refine.llm")
    plain, cast = (tinies.residency(Accounted(LARGE), dtype, arenas=arenas) for dtype in ("bfloat16", "float32"))
    loaded(plain, one, PLACEMENTS["host"])
    module = loaded(cast, one, PLACEMENTS["host"])
    assert torch.equal(output(module, one.name), output(stock(tinies, one.name, torch.float32), one.name))
    assert len(list(arenas.folder.iterdir())) == 2 * BLOCKS[one.name]
    plain.close()
    cast.close()


def test_files_that_were_replaced_are_others(tinies: Checkpoints, arenas: Arenas, tmp_path: Path) -> None:
    copied = Checkpoints(tinies.refine, tiny.copied(tinies.image, tmp_path / "flux"), tinies.video)
    one = component("image.transformer")
    old = copied.residency(Accounted(LARGE), arenas=arenas)
    before = output(loaded(old, one, PLACEMENTS["host"]), one.name)
    for file in (copied.image / "transformer").glob("*.safetensors"):
        tensors = {name: tensor * 2 for name, tensor in load_file(file).items()}
        save_file(tensors, file, metadata={"format": "pt"})
    new = copied.residency(Accounted(LARGE), arenas=arenas)
    after = output(loaded(new, one, PLACEMENTS["host"]), one.name)
    assert torch.equal(after, output(stock(copied, one.name), one.name)) and not torch.equal(after, before)
    old.close()
    new.close()


@pytest.mark.usefixtures(nothing_left.__name__)
@pytest.mark.parametrize("placement", ["host", "host and one"])
def test_where_nothing_can_be_shared_each_has_its_own(
    placement: str, tinies: Checkpoints, arenas: Arenas, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = component("image.transformer")
    theirs = output(stock(tinies, one.name), one.name)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        residency = tinies.residency(Accounted(LARGE), arenas=arenas)
        assert torch.equal(output(loaded(residency, one, PLACEMENTS[placement]), one.name), theirs)
    assert taken(arenas) == 0 and residency.host_bytes > 0
    residency.close()
    with monkeypatch.context() as patch:
        patch.setattr(Skeleton, "by_library", True)
        residency = tinies.residency(Accounted(LARGE), arenas=arenas)
        assert torch.equal(output(loaded(residency, one, PLACEMENTS[placement]), one.name), theirs)
        assert taken(arenas) == 0
        residency.close()


@pytest.mark.usefixtures(nothing_left.__name__)
def test_a_load_that_fails_or_is_called_off_shares_nothing(
    tinies: Checkpoints, arenas: Arenas, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = component("image.transformer")
    failing, waiting = (tinies.residency(Accounted(LARGE), arenas=arenas) for _ in range(2))
    reading, go_on = threading.Event(), threading.Event()
    fill = HostCopy._bring

    def broken(self: Any, device: Any, some: Any, _: Any, *rest: Any) -> None:
        class Broken:
            def fill(self, memory: torch.Tensor, *_: Any) -> None:
                memory[:100] = 1
                reading.set()
                go_on.wait(10)
                raise WeightsError("the disk failed")

        fill(self, device, some, Broken(), *rest)

    with monkeypatch.context() as patch:
        patch.setattr(HostCopy, "_bring", broken)
        failing.begin(one, PLACEMENTS["host"])
        assert reading.wait(10)
    waiting.begin(one, PLACEMENTS["host"])  # Waits for the first one.
    waiting.close()
    go_on.set()
    with pytest.raises(WeightsError, match="the disk failed"):
        failing.wait([one])
    failing.close()
    assert taken(arenas) == 0
    assert_works(waiting, tinies)


@pytest.mark.slow
def test_two_processes_share(tinies: Checkpoints, arenas: Arenas) -> None:
    """What each maps is the same memory, and none of it is its own."""
    code = """
import sys
from pathlib import Path
from animatic.arena import Arenas
from animatic.core import Placement
from animatic.device import Accounted
from tests.residents import Checkpoints, component, output
tinies = Checkpoints(*map(Path, sys.argv[2:]))
residency = tinies.residency(Accounted(1 << 30), arenas=Arenas(Path(sys.argv[1])))
one = component("image.transformer")
residency.begin(one, Placement(streamed=True, source="host"))
residency.wait([one])
result = output(residency.parts([one])[one.name], one.name)
print(result.float().numpy().tobytes().hex(), residency.host_bytes, flush=True)
input()
"""
    command = [sys.executable, "-c", code, *map(str, (arenas.folder, tinies.refine, tinies.image, tinies.video))]
    pipe, root = subprocess.PIPE, Path(__file__).parents[1]
    both = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=root) for _ in range(2)]
    try:
        said = [one.stdout.readline().split() for one in both if one.stdout is not None]
        theirs = output(stock(tinies, "image.transformer"), "image.transformer").float().numpy().tobytes().hex()
        assert [result for result, _ in said] == [theirs, theirs]
        nbytes = int(said[0][1])
        once = taken(arenas)
        assert nbytes <= once < nbytes + 4096 * BLOCKS["image.transformer"]
        for one in both:
            mapped = shared_maps(one.pid, arenas.folder)
            assert len(mapped) == BLOCKS["image.transformer"] and all(access == "r--s" for access, _, _ in mapped)
            assert sum(rss for _, rss, _ in mapped) == once and sum(own for _, _, own in mapped) == 0
        both[0].kill()
        both[0].wait(60)
        assert taken(arenas) == once
        both[1].communicate("\n", timeout=60)
        assert both[1].returncode == 0 and taken(arenas) == 0  # Without a word: it just ended.
    finally:
        for one in both:
            one.kill()
            one.communicate(timeout=60)


def shared_maps(process: int, folder: Path) -> list[tuple[str, int, int]]:
    """Of each map of a file in `folder`: its rights, bytes in memory, and bytes that are the process's own."""
    found: list[tuple[str, int, int]] = []
    mine = False
    for line in Path(f"/proc/{process}/smaps").read_text().splitlines():
        name, _, rest = line.partition(" ")
        if not name.endswith(":"):
            mine = str(folder) in line
            found += [(rest.split()[0], 0, 0)] if mine else []
        elif mine and name in ("Rss:", "Private_Dirty:", "Anonymous:"):
            access, rss, own = found[-1]
            nbytes = int(rest.split()[0]) * 1024
            found[-1] = (access, nbytes, own) if name == "Rss:" else (access, rss, own + nbytes)
    return found


# ------------------------------------------------------------------------------------------------- what goes wrong


def assert_works(residency: Residency, tinies: Checkpoints) -> None:
    """The next load goes well, and closing leaves nothing of it."""
    one = component("refine.llm")
    assert torch.equal(output(loaded(residency, one), one.name), output(stock(tinies, one.name), one.name))
    residency.close()
    gc.collect()
    assert residency.device_bytes == residency.host_bytes == 0 and not residency.resident


@pytest.mark.usefixtures(nothing_left.__name__)
@pytest.mark.parametrize("placement", ["resident", "host"])
def test_a_file_that_shrinks_after_it_was_checked(placement: str, tinies: Checkpoints, tmp_path: Path) -> None:
    copied = Checkpoints(tinies.refine, tiny.copied(tinies.image, tmp_path / "flux"), tinies.video)
    device = Accounted(LARGE)
    residency = copied.residency(device)
    one = component("image.transformer")
    residency.check(one)
    shard = max((copied.image / "transformer").glob("*.safetensors"), key=lambda file: file.stat().st_size)
    shard.write_bytes(shard.read_bytes()[:-1000])
    residency.begin(one, PLACEMENTS[placement])
    with pytest.raises(WeightsError, match="truncated"):
        residency.wait([one])
    residency.evict(one)
    gc.collect()
    assert device.weights == 0
    assert_works(residency, tinies)


@pytest.mark.usefixtures(nothing_left.__name__)
def test_a_disk_that_fails(tinies: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    device = Accounted(LARGE)
    residency = tinies.residency(device)
    one = component("image.transformer")

    def broken(*_: Any) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "preadv", broken)
        residency.begin(one)
        with pytest.raises(WeightsError, match="Input/output error"):
            residency.wait([one])
    residency.close()
    gc.collect()
    assert device.weights == 0
    assert_works(residency, tinies)


@pytest.mark.usefixtures(nothing_left.__name__)
@pytest.mark.parametrize("placement", PLACEMENTS.values(), ids=PLACEMENTS)
def test_running_out_of_memory_at_each_allocation(placement: Placement, tinies: Checkpoints) -> None:
    device = Accounted(LARGE)
    residency = tinies.residency(device)
    other, one = component("image.text_encoder"), component("image.transformer")
    loaded(residency, other)
    before = device.weights
    loaded(residency, one, placement)
    need = device.weights
    residency.evict(one)
    for limit in range(before, need, max(1, (need - before) // 4)):
        device.limit = limit
        with pytest.raises(torch.OutOfMemoryError):
            residency.begin(one, placement)
        assert one not in residency.resident
        gc.collect()
        assert device.weights == before and residency.host_bytes == 0
    device.limit = need
    output(loaded(residency, one, placement), one.name)
    residency.close()
    device.limit = LARGE
    assert_works(residency, tinies)


@pytest.mark.usefixtures(nothing_left.__name__)
@pytest.mark.parametrize("placement", PLACEMENTS.values(), ids=PLACEMENTS)
def test_running_out_of_memory_within_a_forward(placement: Placement, tinies: Checkpoints) -> None:
    device = Accounted(LARGE)
    residency = tinies.residency(device)
    one = component("image.transformer")
    module = loaded(residency, one, placement)
    device.reset_peak()
    with device.running():
        expected = output(module, one.name)
    need = device.peak()
    assert need > device.weights
    for limit in range(device.weights, need, (need - device.weights) // 5):
        device.limit = limit
        with pytest.raises(torch.OutOfMemoryError), device.running():
            output(module, one.name)
        gc.collect()
    del expected
    gc.collect()
    device.limit = need
    with device.running():
        output(module, one.name)
    del module
    residency.close()
    assert device.weights == device.activations == 0
    device.limit = LARGE
    assert_works(residency, tinies)


@pytest.mark.usefixtures(nothing_left.__name__)
@pytest.mark.parametrize("how", ["close", "evict"])
def test_cancelling_a_load(how: str, tinies: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    device = Accounted(LARGE)
    residency = tinies.residency(device, reader=Reader(2, 1 << 10))
    one, queued = component("image.transformer"), component("image.text_encoder_2")
    reading, go_on = threading.Event(), threading.Event()
    preadv = os.preadv

    def slow(*arguments: Any) -> int:
        reading.set()
        go_on.wait(10)
        return preadv(*arguments)

    memory: list[weakref.ref[Any]] = []
    arena = readers.Arena

    def seen(nbytes: int) -> readers.Arena:
        made = arena(nbytes)
        memory.append(weakref.ref(made.buffer))
        return made

    with monkeypatch.context() as patch:
        patch.setattr(os, "preadv", slow)
        patch.setattr("animatic.device.Arena", seen)
        residency.begin(one)
        residency.begin(queued)
        reading.wait(10)
        threading.Timer(0, go_on.set).start()
        if how == "close":
            residency.close()
        else:
            residency.evict(one)
            residency.evict(queued)
    residency.close()
    gc.collect()
    assert len(memory) == 2 and not any(ref() for ref in memory)
    assert device.weights == 0 and not residency.resident
    assert_works(residency, tinies)


def test_closing_while_a_second_load_waits_raises_nothing(tinies: Checkpoints) -> None:
    residency = tinies.residency(Cpu())
    for name in STOCK:
        residency.begin(component(name))
    residency.close()
    residency.close()
    assert_works(residency, tinies)


def test_what_a_checkpoint_lacks_is_found_before_anything_is_loaded(tinies: Checkpoints, tmp_path: Path) -> None:
    copied = Checkpoints(tinies.refine, tiny.copied(tinies.image, tmp_path / "flux"), tinies.video)
    residency = copied.residency(Cpu())
    residency.check(component("image.tokenizer"))
    folder = copied.image / "text_encoder_2"
    files = weights.weight_files(folder)
    tensors = {name: tensor for file in files for name, tensor in load_file(file).items()}
    for file in folder.glob("*.safetensors*"):
        file.unlink()
    del tensors["encoder.final_layer_norm.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match="lacks 1 tensor of T5EncoderModel"):
        residency.check(component("image.text_encoder_2"))
    for file in (copied.image / "tokenizer").iterdir():
        file.unlink()
    with pytest.raises(WeightsError, match="no configuration"):
        residency.check(component("image.tokenizer"))
    residency.close()
