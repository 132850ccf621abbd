"""Plans hold what they promise, whatever the shots and the budget: replayed by the timeline's rules."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animatic.blocks import passed_bytes, streamed_bytes
from animatic.core import RESIDENT, Component, Evict, Load, Phase, Placement, Plan, Run, Shot
from animatic.errors import CapacityError
from animatic.place import Capacity, Demand
from animatic.plan import plan, smallest

NAMES = ["refine.generate", "image.encode", "image.denoise", "image.decode", "video.anchor", "video.denoise"]
OPTIONS: Mapping[str, None] = {}


def component(name: str, nbytes: int = 10, blocks: tuple[int, ...] = ()) -> Component:
    return Component(name, f"model of {name.partition('.')[0]}", nbytes, nbytes, blocks)


def chain(seed: int, names: list[str], sizes: Mapping[str, Component]) -> list[Phase]:
    """One shot's phases, each reading the one before; neighbours of a stage share a component without weights."""
    shot = Shot("p", seed, "x", OPTIONS)
    phases: list[Phase] = []
    for name in names:
        parts = (sizes[name], component(f"{name.partition('.')[0]}.tokenizer", 0))
        phases.append(Phase(name, "latents", shot, {"name": name}, parts, tuple(phases[-1:])))
    return phases


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[Phase], dict[str, Demand]]:
    """Some shots through some phases: components with and without blocks, of any size; some of one model share one."""
    sizes, demands = {}, {}
    for name in NAMES:
        blocks = tuple(draw(st.lists(st.integers(1, 30), max_size=6)))
        sizes[name] = component(name, draw(st.integers(1, 60)) + sum(blocks), blocks)
        if draw(st.booleans()):
            sizes[name] = draw(st.sampled_from(list(sizes.values())))
        demands[name] = Demand(
            draw(st.floats(0, 20)), draw(st.integers(0, 20)), draw(st.integers(1, 9)), draw(st.integers(0, 5))
        )
    some = st.lists(st.sampled_from(NAMES), unique=True, min_size=1).map(lambda names: sorted(names, key=NAMES.index))
    shots = draw(st.lists(some, min_size=1, max_size=5))
    return [phase for seed, names in enumerate(shots) for phase in chain(seed, names, sizes)], demands


def capacity(device: int, host: int = 1000, unified: bool = False) -> Capacity:
    return Capacity(device, host, 10.0, 40.0, unified)


@settings(max_examples=200)
@given(batches(), st.integers(0, 120), st.integers(0, 200), st.booleans(), st.booleans())
def test_plans_are_sound(
    batch: tuple[list[Phase], dict[str, Demand]], room: int, host: int, unified: bool, keep: bool
) -> None:
    phases, demands = batch

    def demand(phase: Phase) -> Demand:
        return demands[phase.name]

    granted = capacity(smallest(phases, demand) + room, host, unified)
    made = plan(phases, granted, demand, keep=keep)
    left = _replay(made, {}, granted, demand)
    assert {id(p) for run in made.runs for p in run.phases} == {id(p) for p in phases}
    assert keep or not left, "something is left over"
    assert made.forecast.peak_device <= granted.device and made.forecast.peak_host <= granted.host


def _replay(made: Plan, before: dict[Component, Placement], granted: Capacity, demand) -> dict[Component, Placement]:  # type: ignore[no-untyped-def]
    """Carry a plan out on paper: what is needed is there, inputs come first, and no budget is exceeded."""
    here, done = dict(before), set()
    for action in made.actions:
        match action:
            case Load(component=one, placement=placement):
                assert one not in here, "loaded twice"
                assert placement.source == "disk" or not granted.unified
                here[one] = placement
            case Evict(component=one):
                del here[one]
            case Run(phases=group, lockstep=together):
                assert 1 <= together <= len(group)
                used = sum(_bytes(one, placement) for one, placement in here.items())
                spare = max(demand(phase).workspace for phase in group)
                spare += (together - 1) * max(demand(phase).held for phase in group)
                assert used + spare <= granted.device, "the budget is exceeded"
                copies = sum(_copy(one, placement) for one, placement in here.items())
                assert copies <= made.forecast.peak_host <= granted.host, "main memory is exceeded"
                for phase in group:
                    assert set(phase.components) <= here.keys(), "a component is not there"
                    assert all(id(given) in done for given in (*phase.inputs, *phase.aids)), "an input comes later"
                done |= {id(phase) for phase in group}
    return here


def _bytes(one: Component, placement: Placement) -> int:
    return streamed_bytes(one.nbytes, one.blocks, placement.resident) if placement.streamed else one.nbytes


def _copy(one: Component, placement: Placement) -> int:
    hosted = placement.streamed and placement.source == "host"
    return one.host + (passed_bytes(one.blocks, placement.resident) if hosted else 0)


def of(seconds: float = 1.0, workspace: int = 1) -> Demand:
    return Demand(seconds, workspace)


SIZES = {name: component(name) for name in NAMES}


def test_many_shots_load_each_model_once() -> None:
    phases = [phase for seed in range(20) for phase in chain(seed, NAMES, SIZES)]
    loads = [a.component.name for a in plan(phases, capacity(11), lambda _: of()).actions if isinstance(a, Load)]
    assert sorted(name for name in loads if "tokenizer" not in name) == sorted(NAMES)


def test_a_thousand_shots_are_planned_as_one_is() -> None:
    def outline(shots: int) -> list[str]:
        phases = [phase for seed in range(shots) for phase in chain(seed, NAMES, SIZES)]
        made = plan(phases, capacity(25), lambda _: of(3.0 / shots))
        return [f"{type(a).__name__} {a.name if isinstance(a, Run) else a.component.name}" for a in made.actions]

    assert outline(1000) == outline(1)


def test_what_is_needed_next_comes_while_this_computes() -> None:
    phases = chain(0, ["image.encode", "image.denoise"], SIZES)
    roomy = plan(phases, capacity(25), lambda _: of(5.0))
    names = [a.name if isinstance(a, Run) else a.component.name for a in roomy.actions if not isinstance(a, Evict)]
    assert names.index("image.denoise") < names.index("image.encode", names.index("image.encode") + 1)
    assert roomy.forecast.seconds == pytest.approx(1 + 5 + 5)
    tight = plan(phases, capacity(11), lambda _: of(5.0))
    assert tight.forecast.seconds == pytest.approx(1 + 5 + 1 + 5)
    assert tight.forecast.exposed == pytest.approx(2)


def test_what_neighbours_share_stays() -> None:
    made = plan(chain(0, ["image.encode", "image.denoise"], SIZES), capacity(11), lambda _: of())
    loads = [action.component.name for action in made.actions if isinstance(action, Load)]
    assert loads.count("image.tokenizer") == 1


def test_one_text_encoder_serves_two_stages_when_both_hold_the_same() -> None:
    shot = Shot("p", 0, "x", OPTIONS)
    first = Component("image.text_encoder_2", "a", 10, 10, holds="sha")
    second = Component("video.text_encoder", "b", 10, 10, holds="sha")
    phases = [
        Phase("image.encode", "embeddings", shot, {}, (first,)),
        Phase("video.encode", "embeddings", shot, {}, (second,)),
    ]
    made = plan(phases, capacity(11), lambda _: of())
    assert sum(isinstance(action, Load) for action in made.actions) == 1


def test_text_for_the_video_is_encoded_beside_the_images() -> None:
    shot = Shot("p", 0, "x", OPTIONS)
    caption = Phase("refine.generate", "caption", shot, {})
    encode = Phase("image.encode", "embeddings", shot, {}, inputs=(caption,))
    denoise = Phase("image.denoise", "latents", shot, {}, inputs=(encode,))
    other = Phase("video.encode", "embeddings", shot, {}, inputs=(caption,))
    tables = Phase("video.modulate", "tables", shot, {})
    film = Phase("video.denoise", "latents", shot, {}, inputs=(other, denoise), aids=(tables,))
    phases = [caption, encode, denoise, other, tables, film]
    order = [run.name for run in plan(phases, capacity(1), lambda _: of()).runs]
    assert order == [
        "refine.generate", "image.encode", "video.encode", "image.denoise", "video.modulate", "video.denoise",
    ]  # fmt: skip


def test_tokenizers_do_not_wait_behind_what_is_fetched_ahead() -> None:
    names = ["image.encode", "video.anchor", "video.denoise"]
    made = plan(chain(0, names, SIZES), capacity(1000), lambda _: of(0.1))
    order = [a.component.name for a in made.actions if isinstance(a, Load)]
    assert order == ["image.tokenizer", "image.encode", "video.tokenizer", "video.anchor", "video.denoise"]


BLOCKS = (20,) * 10
LARGE = component("video.denoise", 210, BLOCKS)


def film(shots: int = 1) -> list[Phase]:
    return [
        Phase("video.denoise", "latents", Shot("p", n, "x", OPTIONS), {}, (LARGE,)) for n in range(shots)
    ]


def test_what_does_not_fit_is_streamed_with_as_many_resident_blocks_as_fit() -> None:
    made = plan(film(), capacity(130), lambda _: Demand(100.0, 5, 10))
    load = next(action for action in made.actions if isinstance(action, Load))
    assert load.placement == Placement(True, 3, "host")
    assert made.forecast.peak_device == 10 + 2 * 20 + 3 * 20 + 5 <= 130
    # Ten passes compute 10 s each, and 140 bytes pass at 40 a second meanwhile: only the first block of a pass shows.
    assert made.forecast.spans[-1].end - made.forecast.spans[-1].begin == pytest.approx(10 * (10 + 20 / 40))


def test_blocks_come_from_the_disk_where_main_memory_is_short_or_the_same() -> None:
    for granted in (capacity(130, host=100), capacity(130, unified=True)):
        load = next(a for a in plan(film(), granted, lambda _: Demand(1.0, 5, 10)).actions if isinstance(a, Load))
        assert load.placement.source == "disk"


def test_shots_go_through_streamed_blocks_together_where_copying_takes_longer_than_computing() -> None:
    made = plan(film(8), capacity(130), lambda _: Demand(1.0, 5, 10, held=1))
    assert made.runs[0].lockstep == 8
    lone = plan(film(1), capacity(130), lambda _: Demand(1.0, 5, 10, held=1))
    assert made.forecast.seconds < 8 * lone.forecast.seconds / 3


def test_resident_blocks_make_room_for_the_next_component_where_they_spare_no_time() -> None:
    after = component("video.decode", 90)
    cut = Phase("video.decode", "frames", Shot("p", 0, "x", OPTIONS), {}, (after,), tuple(film()))
    made = plan([*cut.inputs, cut], capacity(155), lambda _: Demand(100.0, 5, 10))
    names = [a.name if isinstance(a, Run) else a.component.name for a in made.actions if not isinstance(a, Evict)]
    assert names == ["video.denoise", "video.decode", "video.denoise", "video.decode"]
    assert made.forecast.exposed == pytest.approx(21)  # The first load; that of the decoder is hidden.


def test_copies_of_two_components_share_main_memory() -> None:
    shot = Shot("p", 0, "x", OPTIONS)
    writer = Component("refine.llm", "w", 0, 100, host=100)
    write = Phase("refine.generate", "caption", shot, {}, (writer,))
    draw = Phase("video.denoise", "latents", shot, {}, (LARGE,), (write,))
    for host, hidden in ((200, False), (320, True)):
        made = plan([write, draw], capacity(130, host), lambda _: Demand(100.0, 5, 10))
        names = [a.name if isinstance(a, Run) else a.component.name for a in made.actions if not isinstance(a, Evict)]
        assert (names.index("video.denoise") < names.index("refine.generate")) == hidden
        assert made.forecast.peak_host <= host


def test_a_component_has_one_placement_in_all_its_runs() -> None:
    shot = Shot("p", 0, "x", OPTIONS)
    easy = Phase("video.encode", "latents", shot, {}, (LARGE,))
    hard = Phase("video.denoise", "latents", shot, {}, (LARGE,), (easy,))
    made = plan([easy, hard], capacity(230), lambda phase: Demand(1.0, 100 if phase is hard else 0, 2))
    assert sum(isinstance(action, Load) for action in made.actions) == 1
    assert made.forecast.peak_device <= 230


@pytest.mark.parametrize("device", [10, 54])
def test_what_cannot_fit_is_refused_with_the_least_that_would_do(device: int) -> None:
    with pytest.raises(CapacityError, match=r"video.denoise needs 0 KiB at least .* --memory 1MiB") as caught:
        plan(film(), capacity(device), lambda _: Demand(1.0, 5, 10))
    assert "\n" not in str(caught.value)
    least = smallest(film(), lambda _: Demand(1.0, 5, 10))
    assert least == 10 + 2 * 20 + 5
    assert plan(film(), capacity(least), lambda _: Demand(1.0, 5, 10)).runs


def test_what_is_resident_and_needed_is_kept_and_what_is_not_needed_leaves() -> None:
    phases = chain(0, ["image.encode", "image.denoise"], SIZES)
    stranger = component("old.model", 5)
    made = plan(phases, capacity(11), lambda _: of(), {SIZES["image.encode"]: RESIDENT, stranger: RESIDENT})
    loads = [a.component.name for a in made.actions if isinstance(a, Load)]
    assert "image.encode" not in loads and "image.denoise" in loads
    assert isinstance(made.actions[0], Evict) and made.actions[0].component == stranger


def test_nothing_to_do_is_an_empty_plan() -> None:
    assert plan([], capacity(0), lambda _: of()) == Plan(())
