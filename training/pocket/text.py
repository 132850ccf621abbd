"""The language of the toy world: short user prompts in many wordings, and the exact paragraph of a scenario.

Knows: how the words of words.py are put together, and what a user means by leaving a part out.
Must not know: pictures, models, training.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from training.pocket import words as w
from training.pocket.grammar import COLOUR_FORMS, FORMS, HELD_OUT, article, both, dressed, formed, pick, places
from training.pocket.scenario import ATTRIBUTES, COLOURS, MOVEMENTS, SCENES, SUBJECTS, Scenario, sample

Text = tuple[str, frozenset[str]]
LONGEST = 45  # words; what the text encoders' 64 tokens hold
SHORT = 0.0  # share of short prompts among what the transformers are told


def sentence(s: Scenario, rng: np.random.Generator, held_out: bool = False) -> Text:
    """A short prompt for `s` as a user may type it, and the names of the attributes that it states."""
    return _worded(s, _stated(rng), rng, held_out)


def prompt(rng: np.random.Generator, held_out: bool = False) -> tuple[str, Scenario, frozenset[str]]:
    """A prompt with what it means: where it leaves a part open, the scenario has what comes to mind for its subject."""
    stated = _stated(rng)
    s = _imagined(sample(rng), stated, rng)
    text, said = _worded(s, stated, rng, held_out)
    return text, s, said


def lesson(rng: np.random.Generator) -> tuple[str, Scenario, frozenset[str]]:
    """A prompt for the refiner to learn from: here as users word it."""
    return prompt(rng)


def strange_prompt(rng: np.random.Generator) -> tuple[str, Scenario, frozenset[str]]:
    """A prompt with things from outside the world ("a dragon plays chess on the moon") and the nearest scenario."""
    swapped = {name for name, odds in (("subject", 0.8), ("scene", 0.6), ("movement", 0.6)) if rng.random() < odds}
    stated = _stated(rng) - swapped
    s = _imagined(sample(rng), stated | {"subject", "scene"}, rng)
    noun = pick(rng, w.STRANGERS[s.subject] if "subject" in swapped else w.NOUNS[s.subject])
    parts = {"np": article(rng, " ".join(filter(None, [_shade(s, stated, rng), noun])), strict=True)}
    if "movement" in swapped:
        parts["verb"] = pick(rng, w.ANTICS)
    elif "movement" in stated:
        parts["verb"] = _verb(s, rng)
    if "scene" in swapped or "scene" in stated:
        parts["place"] = parts["view"] = pick(rng, (w.ELSEWHERE if "scene" in swapped else w.PLACES)[s.scene])
    return dressed(formed(FORMS, parts, rng), rng, w.FILLERS, w.NOISE), s, frozenset(stated)


def paragraph(s: Scenario, rng: np.random.Generator, words: int) -> str:
    """One paragraph of at most `words` words, 28 to 45 where the limit allows.

    It names subject, colour, scene, light, camera, movement and where the subject starts.
    Raises ValueError for a limit under 20.
    """
    if words < 20:
        raise ValueError(f"a paragraph needs at least 20 words, not {words}")
    limit = min(words, LONGEST)
    for _ in range(8):
        text = _long(s, rng)
        if len(text.split()) <= limit:
            return text
    return _short(s, rng, limit)


def _long(s: Scenario, rng: np.random.Generator) -> str:
    thing, setting = f"{s.colour} {s.subject}", w.SETTINGS[s.scene]
    first = pick(rng, (
        f"A {thing} is seen {setting}", f"A wide shot of a {thing} {setting}", f"A {thing} appears {setting}",
        f"There is a {thing} {setting}", f"The scene shows a {thing} {setting}",
    )).replace("A orange", "An orange").replace("a orange", "an orange")  # fmt: skip
    manner = pick(rng, w.MANNERS[s.movement])
    start, move = w.STARTS[s.movement], w.MOVES[s.movement]
    action = pick(rng, (
        f"The {s.subject} {start} and {move} {manner}", f"It {start} and then {move} {manner}", f"It {start} and {move}, {manner}",
        f"The {thing} {start} and slowly {move}",
    ))  # fmt: skip
    light, camera = pick(rng, w.LIGHTS[s.scene]), pick(rng, w.CAMERAS)
    order = (first, action, light, camera) if rng.random() < 0.7 else (first, light, action, camera)
    return ". ".join(order) + "."


def _short(s: Scenario, rng: np.random.Generator, limit: int) -> str:
    a = "An" if s.colour == "orange" else "A"
    core = f"{a} {s.colour} {s.subject} {w.SETTINGS[s.scene]} {w.STARTS[s.movement]} and {w.MOVES[s.movement]}"
    light, camera = w.BRIEF_LIGHT[s.scene], pick(rng, w.CAMERAS[:3])
    for text in (f"{core}. {pick(rng, w.LIGHTS[s.scene])}. {camera}.", f"{core} in {light}. {camera}.",
                 f"{core} in {light}. Fixed camera.", f"{core}, {light}, fixed camera."):  # fmt: skip
        if len(text.split()) <= limit:
            return text
    return f"{a} {s.colour} {s.subject} {w.SETTINGS[s.scene]} {w.STARTS[s.movement]}, {w.MOVES[s.movement]}, {light}, fixed camera."


def _stated(rng: np.random.Generator) -> frozenset[str]:
    odds = {"subject": 0.97, "colour": 0.72, "scene": 0.7, "movement": 0.6}
    return frozenset(name for name in ATTRIBUTES if rng.random() < odds[name])


def _imagined(s: Scenario, stated: frozenset[str], rng: np.random.Generator) -> Scenario:
    scenes, movements, colours = w.HABITS[s.subject] if "subject" in stated else ((), (), ())
    if "scene" not in stated:
        s = replace(s, scene=pick(rng, scenes or SCENES))
    if "movement" not in stated:
        s = replace(s, movement=pick(rng, movements or MOVEMENTS))
    if "colour" not in stated:
        s = replace(s, colour=pick(rng, colours or COLOURS))
    return s


def _worded(s: Scenario, stated: frozenset[str], rng: np.random.Generator, held_out: bool) -> Text:
    shade = _shade(s, stated, rng)
    noun = pick(rng, w.NOUNS[s.subject]) if "subject" in stated else "something"
    size = pick(rng, w.SIZES) if rng.random() < 0.2 and "subject" in stated else ""
    bare = " ".join(filter(None, [size, shade, noun]))
    parts = {"bare": bare, "np": article(rng, bare) if "subject" in stated else f"{noun} {shade}".strip()}
    if "scene" in stated:
        parts["place"], parts["view"] = pick(rng, w.PLACES[s.scene]), pick(rng, w.VIEWS[s.scene])
    if "movement" in stated:
        parts["verb"] = _verb(s, rng)
    elif s.movement in w.WAYS and "subject" in stated and rng.random() < 0.6:
        parts["verb"] = pick(rng, w.SIDEWAYS[s.subject])  # "sails": no direction is named
    if shade and size == "" and {"verb", "place"} <= parts.keys() and "subject" in stated and rng.random() < 0.12:
        verb, ing = both(parts["verb"])
        text = pick(rng, COLOUR_FORMS).format(noun=noun, colour=shade, verb=verb, ing=ing, **places(parts))
    else:
        text = formed(HELD_OUT if held_out else FORMS, parts, rng)
    return dressed(text, rng, w.FILLERS, w.NOISE), stated


def _shade(s: Scenario, stated: frozenset[str], rng: np.random.Generator) -> str:
    return pick(rng, w.SHADES[s.colour]) if "colour" in stated else ""


def _verb(s: Scenario, rng: np.random.Generator) -> str:
    if s.movement in w.WAYS:
        verbs = w.SIDEWAYS[s.subject] if rng.random() < 0.6 else w.ANY_SIDEWAYS
        return f"{pick(rng, verbs)} {pick(rng, w.WAYS[s.movement])}"
    own = w.OWN_VERBS.get((s.subject, s.movement), ())
    return pick(rng, own if own and rng.random() < 0.5 else w.VERBS[s.movement])


def told(text: str) -> dict[str, str]:
    """What a paragraph of this language says, attribute by attribute; what it does not say clearly is left out."""
    low = text.lower()
    first = re.search(rf"\b({'|'.join(COLOURS)}) ({'|'.join(SUBJECTS)})\b", low)
    found = {"colour": first[1], "subject": first[2]} if first else {}
    for name, phrases in (("scene", w.SETTINGS), ("movement", w.MOVES)):
        said = {key for key, phrase in phrases.items() if re.search(rf"\b{phrase}\b", low)}
        if len(said) == 1:
            found[name] = said.pop()
    return found
