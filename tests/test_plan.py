"""Plans hold what they promise, whatever the shots: inputs first, components there when needed, nothing left over."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from animatic.core import Component, Evict, Load, Phase, Plan, Run, Shot
from animatic.plan import plan

NAMES = ["refine.generate", "image.encode", "image.denoise", "image.decode", "video.anchor", "video.denoise"]


def component(name: str) -> Component:
    return Component(name, "m", 1)


def chain(seed: int, names: list[str]) -> list[Phase]:
    """One shot's phases, each reading the one before; neighbours share a component."""
    shot = Shot("p", seed, "x", {})
    phases: list[Phase] = []
    for name in names:
        parts = (component(name), component(f"{name.partition('.')[0]}.shared"))
        phases.append(Phase(name, "latents", shot, {"name": name}, parts, tuple(phases[-1:])))
    return phases


some = st.lists(st.sampled_from(NAMES), unique=True, min_size=1).map(lambda names: sorted(names, key=NAMES.index))
shots = st.lists(some, min_size=1, max_size=5)


@given(shots, st.sets(st.sampled_from(NAMES).map(component)))
def test_plans_are_sound(batch: list[list[str]], resident: set[Component]) -> None:
    phases = [phase for seed, names in enumerate(batch) for phase in chain(seed, names)]
    made = plan(phases, resident)
    here, done = set(resident), set()
    for action in made.actions:
        match action:
            case Load(component=one):
                assert one not in here, "loaded twice"
                here.add(one)
            case Evict(component=one):
                here.remove(one)
            case Run(phases=group):
                for phase in group:
                    assert set(phase.components) <= here
                    assert all(given in done for given in phase.inputs)
                    done.add(phase)
                assert here == set(group[0].components), "something is resident that this phase does not use"
    assert done == set(phases) and not here


def test_many_shots_load_each_model_once() -> None:
    phases = [phase for seed in range(20) for phase in chain(seed, NAMES)]
    loads = [action.component.name for action in plan(phases).actions if isinstance(action, Load)]
    own = [name for name in loads if not name.endswith("shared")]
    assert sorted(own) == sorted(NAMES)


def test_what_two_neighbours_share_stays() -> None:
    made = plan(chain(0, ["image.encode", "image.denoise"]))
    loads = [action.component.name for action in made.actions if isinstance(action, Load)]
    assert loads.count("image.shared") == 1


def test_text_for_the_video_is_encoded_beside_the_images() -> None:
    shot = Shot("p", 0, "x", {})
    caption = Phase("refine.generate", "caption", shot, {})
    encode = Phase("image.encode", "embeddings", shot, {}, inputs=(caption,))
    denoise = Phase("image.denoise", "latents", shot, {}, inputs=(encode,))
    other = Phase("video.encode", "embeddings", shot, {}, inputs=(caption,))
    film = Phase("video.denoise", "latents", shot, {}, inputs=(other, denoise))
    order = [run.name for run in plan([caption, encode, denoise, other, film]).runs]
    assert order == ["refine.generate", "image.encode", "video.encode", "image.denoise", "video.denoise"]


def test_nothing_to_do_is_an_empty_plan() -> None:
    assert plan([]) == Plan(())
