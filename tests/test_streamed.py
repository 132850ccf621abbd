"""Streamed blocks: the same bits in any order, through two slots, alone and in lockstep; failures leave nothing."""

from __future__ import annotations

import errno
import gc
import os
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import CogVideoXDPMScheduler, FlowMatchEulerDiscreteScheduler
from transformers import AutoModelForCausalLM

from animatic.core import Component, Placement
from animatic.device import Accounted
from animatic.errors import WeightsError
from animatic.lockstep import lockstep
from animatic.models import cogvideox, flux
from animatic.reader import Reader
from animatic.residency import Residency
from tests import residents
from tests.residents import Checkpoints, Queueing, component, inputs, nothing_left, output

PLACEMENTS = [Placement(True, k, source) for source in ("disk", "host") for k in (0, 1)]  # type: ignore[arg-type]
LARGE = 1 << 30
TRANSFORMER = component("image.transformer")


@pytest.fixture(scope="module")
def tinies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkpoints]:
    yield from residents.make(tmp_path_factory.mktemp("tiny"))


def loaded(residency: Residency, one: Component, placement: Placement) -> Any:
    residency.begin(one, placement)
    residency.wait([one])
    return residency.parts([one])[one.name]


def resident(tinies: Checkpoints, one: Component) -> Any:
    return loaded(tinies.residency(Accounted(LARGE)), one, Placement())


# ------------------------------------------------------------------------------------------------------- in lockstep


def flux_shot(transformer: Any, seed: int, steps: int) -> Iterator[torch.Tensor]:
    given = inputs("image.transformer", seed)
    request = flux.Request(given["encoder_hidden_states"], given["pooled_projections"], 96, 64, steps, 3.5)
    scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    for state in flux.denoise(transformer, scheduler, request, torch.Generator().manual_seed(seed)):
        yield state.latents


def video_shot(transformer: Any, seed: int, steps: int) -> Iterator[torch.Tensor]:
    given = inputs("video.transformer", seed)
    anchor = given["hidden_states"][:, :1, :16]
    request = cogvideox.Request(given["encoder_hidden_states"], anchor, 96, 64, 3, steps, 1.0, False)
    scheduler = CogVideoXDPMScheduler(prediction_type="v_prediction")
    for state in cogvideox.denoise(transformer, scheduler, request, torch.Generator().manual_seed(seed)):
        yield state.latents


def chat_shot(model: Any, seed: int, steps: int) -> Iterator[torch.Tensor]:
    """Sampled; shots of different lengths."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield model.generate(
            **inputs("refine.llm", seed), max_new_tokens=4 * steps, do_sample=True, pad_token_id=0, eos_token_id=None
        )


SHOTS = {"image.transformer": flux_shot, "video.transformer": video_shot, "refine.llm": chat_shot}


@pytest.mark.usefixtures(nothing_left.__name__)
@pytest.mark.parametrize("placement", PLACEMENTS, ids=str)
@pytest.mark.parametrize("name", SHOTS)
@pytest.mark.parametrize("device", [Accounted, Queueing])
def test_shots_in_lockstep_are_what_they_are_alone(
    device: type[Accounted], name: str, placement: Placement, tinies: Checkpoints
) -> None:
    one, lengths = component(name), (2, 3, 1)
    whole = resident(tinies, one)
    alone = {(seed, i): t for seed, n in enumerate(lengths) for i, t in enumerate(SHOTS[name](whole, seed, n))}
    residency = tinies.residency(device(LARGE))
    module = loaded(residency, one, placement)
    before = torch.get_rng_state()
    for width in (1, 2, 3):
        makers = [partial(labelled, SHOTS[name], module, seed, lengths[seed]) for seed in range(width)]
        together = dict(lockstep(makers))
        assert together.keys() == {key for key in alone if key[0] < width}
        assert all(torch.equal(tensor, alone[key]) for key, tensor in together.items())
    assert torch.equal(torch.get_rng_state(), before)
    residency.close()


def drain(results: Iterator[Any]) -> None:
    """Run it all, and keep no result."""
    deque(results, maxlen=0)


def labelled(shot: Any, module: Any, seed: int, steps: int) -> Iterator[tuple[tuple[int, int], torch.Tensor]]:
    for number, result in enumerate(shot(module, seed, steps)):
        yield (seed, number), result


def test_each_block_comes_once_for_all_shots(tinies: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    residency = tinies.residency(Accounted(LARGE))
    module = loaded(residency, TRANSFORMER, Placement(streamed=True))
    read: list[int] = []
    fill = Reader.fill
    monkeypatch.setattr(Reader, "fill", lambda self, places, *rest: (read.append(1), fill(self, places, *rest)))
    for _ in lockstep([partial(flux_shot, module, seed, 5) for seed in range(3)]):
        pass
    # Four blocks in five steps, and the one for a sixth, whose fetching may only have been ordered yet.
    assert len(read) in (4 * 5, 4 * 5 + 1)
    residency.close()


# ------------------------------------------------------------------------------------------------------- any order


def test_blocks_may_be_run_in_any_order(tinies: Checkpoints) -> None:
    whole: Any = resident(tinies, component("refine.llm"))
    residency = tinies.residency(Accounted(LARGE))
    module = loaded(residency, component("refine.llm"), Placement(streamed=True))
    hidden = torch.randn(1, 5, 32).bfloat16()
    position = whole.model.rotary_emb(hidden, torch.arange(5)[None])
    for number in (0, 0, 1, 1, 0, 1, 0):
        with torch.no_grad():
            theirs = whole.model.layers[number](hidden, position_embeddings=position)
            assert torch.equal(module.model.layers[number](hidden, position_embeddings=position), theirs)
    residency.close()


def test_blocks_without_their_turn_have_no_memory(tinies: Checkpoints) -> None:
    residency = tinies.residency(Accounted(LARGE))
    module = loaded(residency, TRANSFORMER, Placement(streamed=True, resident=1))
    output(module, TRANSFORMER.name)
    blocks = [*module.transformer_blocks, *module.single_transformer_blocks]
    memory = [any(not parameter.is_meta for parameter in block.parameters()) for block in blocks]
    assert memory == [True, False, False, True]  # The first is resident, the last has just run.
    assert module.dtype == torch.bfloat16 and module.device == torch.device("cpu")
    residency.close()


def test_device_memory_is_two_slots(tinies: Checkpoints) -> None:
    device = Accounted(LARGE)
    residency = tinies.residency(device)
    module = loaded(residency, TRANSFORMER, Placement(streamed=True))
    device.reset_peak()
    for seed in range(3):
        output(module, TRANSFORMER.name, seed)
        assert device.peak() == device.weights == residency.device_bytes
    residency.evict(TRANSFORMER)
    loaded(residency, TRANSFORMER, Placement())
    assert residency.device_bytes > device.peak() * 0.6
    residency.close()


def test_after_an_eviction_the_module_runs_whole(tinies: Checkpoints) -> None:
    expected = output(resident(tinies, TRANSFORMER), TRANSFORMER.name)
    residency = tinies.residency(Accounted(LARGE))
    for placement in (PLACEMENTS[0], Placement(), PLACEMENTS[3], Placement()):
        assert torch.equal(output(loaded(residency, TRANSFORMER, placement), TRANSFORMER.name), expected)
        residency.evict(TRANSFORMER)
    residency.close()


# -------------------------------------------------------------------------------------------------- what goes wrong


@pytest.mark.usefixtures(nothing_left.__name__)
@pytest.mark.parametrize("width", [1, 3])
def test_a_disk_that_fails_in_the_midst_of_a_pass(
    width: int, tinies: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Accounted(LARGE)
    residency = tinies.residency(device)
    module = loaded(residency, TRANSFORMER, Placement(streamed=True))
    results = lockstep([partial(flux_shot, module, seed, 5) for seed in range(width)])
    next(results)

    def broken(*_: Any) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "preadv", broken)
        with pytest.raises(WeightsError, match="Input/output error"):
            for _ in results:
                pass
    # The disk is well again: the same module goes on where it is.
    assert torch.equal(output(module, TRANSFORMER.name), output(resident(tinies, TRANSFORMER), TRANSFORMER.name))
    del module
    residency.close()
    gc.collect()
    assert device.weights == 0


@pytest.mark.usefixtures(nothing_left.__name__)
def test_a_file_that_shrinks_while_its_blocks_are_streamed(tinies: Checkpoints, tmp_path: Path) -> None:
    copied = Checkpoints(tinies.refine, residents.tiny.copied(tinies.image, tmp_path / "flux"), tinies.video)
    residency = copied.residency(Accounted(LARGE))
    module = loaded(residency, TRANSFORMER, Placement(streamed=True))
    output(module, TRANSFORMER.name)
    for file in (copied.image / "transformer").glob("*.safetensors"):
        os.truncate(file, file.stat().st_size // 4)
    with pytest.raises(WeightsError, match="truncated"):
        output(module, TRANSFORMER.name)
    residency.close()


@pytest.mark.usefixtures(nothing_left.__name__)
@pytest.mark.parametrize("placement", PLACEMENTS, ids=str)
@pytest.mark.parametrize("results", range(1, 6, 2))
def test_stopping_in_the_midst_of_a_pass(results: int, placement: Placement, tinies: Checkpoints) -> None:
    device = Accounted(LARGE)
    residency = tinies.residency(device)
    module = loaded(residency, TRANSFORMER, placement)
    running = device.within(lockstep([partial(flux_shot, module, seed, 5) for seed in range(2)]))
    for _ in range(results):
        next(running)
    running.close()  # type: ignore[attr-defined]
    del running, module
    residency.close()
    assert device.weights == device.activations == residency.host_bytes == 0
    assert torch.equal(
        output(loaded(residency, TRANSFORMER, placement), TRANSFORMER.name),
        output(resident(tinies, TRANSFORMER), TRANSFORMER.name),
    )
    residency.close()


@pytest.mark.usefixtures(nothing_left.__name__)
def test_closing_while_a_block_is_being_read(tinies: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    device = Accounted(LARGE)
    residency = tinies.residency(device)
    module = loaded(residency, TRANSFORMER, Placement(streamed=True))
    output(module, TRANSFORMER.name)
    reading, go_on = threading.Event(), threading.Event()
    preadv = os.preadv
    reads: list[int] = []

    def slow(*arguments: Any) -> int:
        reads.append(1)
        if len(reads) > 3:
            reading.set()
            go_on.wait(10)
        return preadv(*arguments)

    monkeypatch.setattr(os, "preadv", slow)
    running = lockstep([partial(flux_shot, module, 0, 5)])
    computing = threading.Thread(target=lambda: [reading.wait(10), go_on.set()])
    computing.start()
    next(running)
    running.close()  # type: ignore[attr-defined]
    memory = weakref.ref(module.transformer_blocks[0])
    residency.close()
    computing.join()
    del module, running, residency
    gc.collect()
    assert device.weights == 0 and memory() is None


@pytest.mark.usefixtures(nothing_left.__name__)
@pytest.mark.parametrize("placement", PLACEMENTS, ids=str)
def test_running_out_of_memory_in_lockstep(placement: Placement, tinies: Checkpoints) -> None:
    device = Accounted(LARGE)
    residency = tinies.residency(device)
    module = loaded(residency, TRANSFORMER, placement)
    makers = [partial(flux_shot, module, seed, 3) for seed in range(3)]
    device.reset_peak()
    drain(device.within(lockstep(makers)))
    need = device.peak()
    gc.collect()
    for limit in range(device.weights, need, (need - device.weights) // 5):
        device.limit = limit
        with pytest.raises(torch.OutOfMemoryError):
            drain(device.within(lockstep(makers)))
        gc.collect()
        assert device.activations == 0
    device.limit = need
    drain(device.within(lockstep(makers)))
    del module, makers
    residency.close()
    assert device.weights == 0


def test_stock_generates_the_same(tinies: Checkpoints) -> None:
    residency = tinies.residency(Accounted(LARGE))
    model = loaded(residency, component("refine.llm"), Placement(streamed=True, source="host"))
    stock = AutoModelForCausalLM.from_pretrained(tinies.refine, dtype=torch.bfloat16)
    assert torch.equal(next(chat_shot(model, 4, 3)), next(chat_shot(stock, 4, 3)))
    residency.close()
