"""The language of the toy world: short user prompts in many wordings, and the exact paragraph of a scenario.

Knows: how the words of words.py are put together, and what a user means by leaving a part out.
Must not know: pictures, models, training.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from training.pocket import words as w
from training.pocket.scenario import COLOURS, MOVEMENTS, SCENES, SUBJECTS, Scenario, sample

ATTRIBUTES: tuple[str, ...] = ("subject", "colour", "scene", "movement")
Text = tuple[str, frozenset[str]]
LONGEST = 45  # words; what the text encoders' 64 tokens hold

# {np} a red boat, {bare} red boat, {verb} sails left, {ing} sailing left, {place} on the sea, {view} the sea
FORMS: dict[frozenset[str], tuple[str, ...]] = {
    frozenset({"place", "verb"}): (
        "{np} {verb} {place}", "{np} {verb} {place}", "{np} {ing} {place}", "{np} {ing} {place}", "{np} {place} {ing}",
        "{np} {place}, {ing}", "{np} {verb}, {place}", "{place}, {np} {verb}", "{place} {np} {verb}", "{np} is {ing} {place}",
        "{view} with {np} {ing}", "{np} {place} that {verb}", "there is {np} {place} and it {verb}", "{np} which {verb} {place}",
        "{bare}, {view}, {ing}", "{bare} {ing}, {view}", "{view}, {bare} {ing}", "{bare} {ing} {place}", "{bare} {place}, {ing}",
        "{view} and {np} that {verb}", "{np}, {ing} {place}", "{np} {place}. it {verb}", "{np} {place}, it is {ing}",
    ),
    frozenset({"place"}): (
        "{np} {place}", "{np} {place}", "{np}, {view}", "{view} with {np}", "{place}, {np}", "{np} is {place}", "{bare} {place}",
        "there is {np} {place}", "{view} and {np}", "{bare}, {view}", "{view}, {bare}", "{np} somewhere {place}",
    ),
    frozenset({"verb"}): (
        "{np} {verb}", "{np} {verb}", "{np} {ing}", "{np}, {ing}", "{np} is {ing}", "{np} that {verb}", "there is {np}, it {verb}",
        "{bare} {ing}", "{bare}, {ing}", "{np} which is {ing}", "{ing}: {np}",
    ),
    frozenset(): ("{np}", "{np}", "{bare}", "there is {np}", "just {np}", "{np} and nothing else"),
}  # fmt: skip
COLOUR_FORMS = (  # the colour apart from the noun
    "the {noun} is {colour} and {verb} {place}", "{noun}, {colour}, {view}, {ing}", "a {noun} {ing} {place}, {colour}",
    "{place} a {noun} {verb}, it is {colour}", "a {noun} {place}, it is {colour} and {verb}", "a {noun} that is {colour} {verb} {place}",
)  # fmt: skip
HELD_OUT: dict[frozenset[str], tuple[str, ...]] = {  # never trained on: they measure what was learnt
    frozenset({"place", "verb"}): (
        "in this scene {np} {verb} {place}", "we see {np} {ing} {place}", "{ing} {place}: {np}", "look, {np} {verb} {place}!",
        "{place} we can watch how {np} {verb}", "{np} - {view} - {ing}", "once {np} was {ing} {place}", "it {verb} {place}: {np}",
        "my idea: {np}, {ing}, {view}",
    ),
    frozenset({"place"}): ("{view}: {np}", "we see {np} {place}", "{place} is {np}", "{np} - {view}", "how about {np} {place}?"),
    frozenset({"verb"}): ("we see {np} {ing}", "look how {np} {verb}", "{np} - {ing}", "it is {ing}, {np}"),
    frozenset(): ("we see {np}", "look, {np}!", "how about {np}?"),
}  # fmt: skip


def sentence(s: Scenario, rng: np.random.Generator, held_out: bool = False) -> Text:
    """A short prompt for `s` as a user may type it, and the names of the attributes that it states."""
    return _worded(s, _stated(rng), rng, held_out)


def prompt(rng: np.random.Generator, held_out: bool = False) -> tuple[str, Scenario, frozenset[str]]:
    """A prompt with what it means: where it leaves a part open, the scenario has what comes to mind for its subject."""
    stated = _stated(rng)
    s = _imagined(sample(rng), stated, rng)
    text, said = _worded(s, stated, rng, held_out)
    return text, s, said


def strange_prompt(rng: np.random.Generator) -> tuple[str, Scenario, frozenset[str]]:
    """A prompt with things from outside the world ("a dragon plays chess on the moon") and the nearest scenario."""
    swapped = {name for name, odds in (("subject", 0.8), ("scene", 0.6), ("movement", 0.6)) if rng.random() < odds}
    stated = _stated(rng) - swapped
    s = _imagined(sample(rng), stated | {"subject", "scene"}, rng)
    noun = _pick(rng, w.STRANGERS[s.subject] if "subject" in swapped else w.NOUNS[s.subject])
    parts = {"np": _article(rng, " ".join(filter(None, [_shade(s, stated, rng), noun])), strict=True)}
    if "movement" in swapped:
        parts["verb"] = _pick(rng, w.ANTICS)
    elif "movement" in stated:
        parts["verb"] = _verb(s, rng)
    if "scene" in swapped or "scene" in stated:
        parts["place"] = parts["view"] = _pick(rng, (w.ELSEWHERE if "scene" in swapped else w.PLACES)[s.scene])
    return _dressed(_formed(FORMS, parts, rng), rng), s, frozenset(stated)


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
    first = _pick(rng, (
        f"A {thing} is seen {setting}", f"A wide shot of a {thing} {setting}", f"A {thing} appears {setting}",
        f"There is a {thing} {setting}", f"The scene shows a {thing} {setting}",
    )).replace("A orange", "An orange").replace("a orange", "an orange")  # fmt: skip
    manner = _pick(rng, w.MANNERS[s.movement])
    start, move = w.STARTS[s.movement], w.MOVES[s.movement]
    action = _pick(rng, (
        f"The {s.subject} {start} and {move} {manner}", f"It {start} and then {move} {manner}", f"It {start} and {move}, {manner}",
        f"The {thing} {start} and slowly {move}",
    ))  # fmt: skip
    light, camera = _pick(rng, w.LIGHTS[s.scene]), _pick(rng, w.CAMERAS)
    order = (first, action, light, camera) if rng.random() < 0.7 else (first, light, action, camera)
    return ". ".join(order) + "."


def _short(s: Scenario, rng: np.random.Generator, limit: int) -> str:
    a = "An" if s.colour == "orange" else "A"
    core = f"{a} {s.colour} {s.subject} {w.SETTINGS[s.scene]} {w.STARTS[s.movement]} and {w.MOVES[s.movement]}"
    light, camera = w.BRIEF_LIGHT[s.scene], _pick(rng, w.CAMERAS[:3])
    for text in (f"{core}. {_pick(rng, w.LIGHTS[s.scene])}. {camera}.", f"{core} in {light}. {camera}.",
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
        s = replace(s, scene=_pick(rng, scenes or SCENES))
    if "movement" not in stated:
        s = replace(s, movement=_pick(rng, movements or MOVEMENTS))
    if "colour" not in stated:
        s = replace(s, colour=_pick(rng, colours or COLOURS))
    return s


def _worded(s: Scenario, stated: frozenset[str], rng: np.random.Generator, held_out: bool) -> Text:
    shade = _shade(s, stated, rng)
    noun = _pick(rng, w.NOUNS[s.subject]) if "subject" in stated else "something"
    size = _pick(rng, w.SIZES) if rng.random() < 0.2 and "subject" in stated else ""
    bare = " ".join(filter(None, [size, shade, noun]))
    parts = {"bare": bare, "np": _article(rng, bare) if "subject" in stated else f"{noun} {shade}".strip()}
    if "scene" in stated:
        parts["place"], parts["view"] = _pick(rng, w.PLACES[s.scene]), _pick(rng, w.VIEWS[s.scene])
    if "movement" in stated:
        parts["verb"] = _verb(s, rng)
    elif s.movement in w.WAYS and "subject" in stated and rng.random() < 0.6:
        parts["verb"] = _pick(rng, w.SIDEWAYS[s.subject])  # "sails": no direction is named
    if shade and size == "" and {"verb", "place"} <= parts.keys() and "subject" in stated and rng.random() < 0.12:
        verb, ing = _both(parts["verb"])
        text = _pick(rng, COLOUR_FORMS).format(noun=noun, colour=shade, verb=verb, ing=ing, **_places(parts))
    else:
        text = _formed(HELD_OUT if held_out else FORMS, parts, rng)
    return _dressed(text, rng), stated


def _shade(s: Scenario, stated: frozenset[str], rng: np.random.Generator) -> str:
    return _pick(rng, w.SHADES[s.colour]) if "colour" in stated else ""


def _verb(s: Scenario, rng: np.random.Generator) -> str:
    if s.movement in w.WAYS:
        verbs = w.SIDEWAYS[s.subject] if rng.random() < 0.6 else w.ANY_SIDEWAYS
        return f"{_pick(rng, verbs)} {_pick(rng, w.WAYS[s.movement])}"
    own = w.OWN_VERBS.get((s.subject, s.movement), ())
    return _pick(rng, own if own and rng.random() < 0.5 else w.VERBS[s.movement])


def _both(verb: str) -> tuple[str, str]:
    """("sails left", "sailing left") from "sails|sailing left"."""
    head, _, tail = verb.partition(" ")
    does, _, doing = head.partition("|")
    return f"{does} {tail}".strip(), f"{doing} {tail}".strip()


def _places(parts: dict[str, str]) -> dict[str, str]:
    return {name: parts[name] for name in ("place", "view") if name in parts}


def _formed(forms: dict[frozenset[str], tuple[str, ...]], parts: dict[str, str], rng: np.random.Generator) -> str:
    verb, ing = _both(parts.get("verb", ""))
    form = _pick(rng, forms[frozenset(parts.keys() & {"place", "verb"})])
    return form.format(np=parts["np"], bare=parts.get("bare", parts["np"]), verb=verb, ing=ing, **_places(parts))


def _article(rng: np.random.Generator, bare: str, strict: bool = False) -> str:
    article = "an" if bare[0] in "aeiou" else "a"
    if strict or rng.random() < 0.75:
        return f"{article} {bare}"
    return f"{_pick(rng, ('the', 'one', 'my', 'this', 'a'))} {bare}"


def _dressed(text: str, rng: np.random.Generator) -> str:
    """Polite filler, a stray word, capitals and a full stop, as people type."""
    text = f"{_pick(rng, w.FILLERS)} {text}".strip()
    if rng.random() < 0.15:
        text = f"{text}{_pick(rng, (' ', ', '))}{_pick(rng, w.NOISE)}"
    kind = rng.random()
    if kind < 0.35:
        text = text[0].upper() + text[1:]
    elif kind < 0.38:
        text = text.upper()
    elif kind < 0.41:
        text = text.title()
    return text + _pick(rng, ("", "", "", ".", ".", "!", " please"))


def _pick(rng: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(rng.integers(len(choices)))]




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
