"""The language of the toy world: short user prompts in many wordings, and the exact paragraph of a scenario.

Knows: how the words of words.py are put together, and what a user means by leaving a part out.
Must not know: pictures, models, training.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import product

import numpy as np

from training.pocket import grammar
from training.pocket import words as w
from training.pocket.grammar import COLOUR_FORMS, HELD_OUT, article, both, dressed, formed, pick, places
from training.pocket.scenario import (
    COLOURS,
    NAMES,
    NOCTURNAL,
    PROPS,
    SUBJECTS,
    Scenario,
    sample,
    unseen,
)

Text = tuple[str, frozenset[str]]
LONGEST = 48  # words; with its full stops and commas that is under the 56 tokens that the image and video models read
ODDS = {"subject": 0.97, "colour": 0.72, "scene": 0.7, "movement": 0.6, "time": 0.35, "prop": 0.4, "camera": 0.3}
# What users seldom say would be learnt last, and what has the most words: ways to move are a third of the vocabulary.
TALKATIVE = {**ODDS, "movement": 0.8, "time": 0.5, "prop": 0.8, "camera": 0.5}
SHORT = 0.25  # share of short prompts among what the transformers are told, so that both also work without a refiner
BABBLED = 0.3  # share of lessons with made-up words
DETAILS = ("prop", "time", "camera")  # said around the sentence, from the inside out
PROPER = tuple(name for name in PROPS if name != "none")  # that there is no prop is never said

# "and nothing else" would say that there is no prop.
FORMS = {**grammar.FORMS, frozenset(): ("{np}", "{np}", "{bare}", "there is {np}", "just {np}", "simply {np}")}
# {text} is all the rest; {a} a rock, {beside} next to a rock; {hour} at night, {tag} night; {shot} the camera pans
DETAIL_FORMS: dict[str, tuple[str, ...]] = {
    "prop": ("{text} {beside}", "{text} {beside}", "{text}, {beside}", "{text}, and there is {a} nearby", "{text}, {a} stands nearby",
             "{text}. there is {a} too", "{text}, {a}", "{beside}, {text}"),
    "time": ("{text} {hour}", "{text} {hour}", "{text} {hour}", "{text}, {hour}", "{hour}, {text}", "{hour} {text}", "{text}, {tag}",
             "{tag}, {text}", "{text}. it is {tag}"),
    "camera": ("{text}, {shot}", "{text}, {shot}", "{text}. {shot}", "{text}, {tag}", "{text}, {tag}", "{tag}: {text}",
               "{tag}, {text}", "{text} - {tag}"),
}  # fmt: skip
HELD_OUT_DETAILS: dict[str, tuple[str, ...]] = {
    "prop": ("{text}, and you can see {a} as well", "{text}, plus {a}", "{a} is in it, and {text}"),
    "time": ("{hour} it happens: {text}", "{text}, all of it {hour}", "{text} ({tag})"),
    "camera": ("{text} ({tag})", "filmed as a {tag}: {text}", "{text}; {shot}", "for the camera: {tag}. {text}"),
}  # fmt: skip


def sentence(s: Scenario, rng: np.random.Generator, held_out: bool = False) -> Text:
    """A short prompt for `s` as a user may type it, and the names of the attributes that it states."""
    return _worded(s, _drawn(s, ODDS, rng), rng, held_out)


def prompt(
    rng: np.random.Generator, held_out: bool = False, odds: Mapping[str, float] = ODDS
) -> tuple[str, Scenario, frozenset[str]]:
    """A prompt with what it means: where it leaves a part open, the scenario has what comes to mind for its subject.

    `odds` are those of stating each attribute. Held out, the wording is one that is never trained on, and the prompt states a pair that no training shows.
    """
    while True:
        s = sample(rng, held_out)
        stated = _drawn(s, odds, rng)
        s = _imagined(s, stated, rng)
        if _states_unseen(s, stated) if held_out else not unseen(s):
            text, said = _worded(s, stated, rng, held_out)
            return text, s, said


def lesson(rng: np.random.Generator) -> tuple[str, Scenario, frozenset[str]]:
    """A prompt for the refiner to learn from: it states more than users do, and some words in it may mean nothing."""
    text, s, stated = prompt(rng, odds=TALKATIVE)
    return (grammar.babbled(text, rng) if rng.random() < BABBLED else text), s, stated


def strange_prompt(rng: np.random.Generator) -> tuple[str, Scenario, frozenset[str]]:
    """A prompt with things from outside the world ("a dragon plays chess on mars") and the nearest scenario."""
    odds = {"subject": 0.8, "scene": 0.6, "movement": 0.6, "time": 0.1, "prop": 0.15, "camera": 0.1}
    while True:
        s = sample(rng)
        swapped = _drawn(s, odds, rng)
        stated = _drawn(s, ODDS, rng) - swapped
        if "movement" in swapped:
            s = replace(s, movement=pick(rng, tuple(w.ANTICS)))
        s = _imagined(s, stated | swapped | {"subject"}, rng)
        if not unseen(s):
            break
    noun = pick(rng, w.STRANGERS[s.subject] if "subject" in swapped else w.NOUNS[s.subject])
    parts = {"np": article(rng, " ".join(filter(None, [_shade(s, stated, rng), noun])), strict=True)}
    if "movement" in swapped:
        parts["verb"] = pick(rng, w.ANTICS[s.movement])
    elif "movement" in stated:
        parts["verb"] = _verb(s, rng)
    if "scene" in swapped or "scene" in stated:
        parts["place"] = parts["view"] = pick(rng, (w.ELSEWHERE if "scene" in swapped else w.PLACES)[s.scene])
    details = {name: _detail(name, s, rng, odd=name in swapped) for name in DETAILS if name in stated | swapped}
    text = formed(FORMS, _joined(parts, details, rng), rng)
    return dressed(_detailed(text, DETAIL_FORMS, details, rng), rng, w.FILLERS, w.NOISE), s, stated


def paragraph(s: Scenario, rng: np.random.Generator, words: int) -> str:
    """One paragraph of at most `words` words, 28 to 48 where the limit allows.

    It names every attribute of the scenario and, in more than about 30 words, the light and where the subject starts.
    Raises ValueError for a limit under 20.
    """
    if words < 20:
        raise ValueError(f"a paragraph needs at least 20 words, not {words}")
    limit = min(words, LONGEST)
    for _ in range(3 if limit > 30 else 0):
        text = _long(s, rng)
        if len(text.split()) <= limit:
            return text
    return _short(s, rng, limit)


def told(text: str) -> dict[str, str]:
    """What a paragraph of this language says, attribute by attribute; what it does not say clearly is left out.

    A paragraph that names no prop says that there is none.
    """
    low = text.lower()
    said = {name: {key for key, pattern in keys.items() if pattern.search(low)} for name, keys in SAID.items()}
    said["prop"] = said["prop"] or {"none"}
    found = {name: keys.pop() for name, keys in said.items() if len(keys) == 1}
    first = THING.search(low)
    return {"subject": first[2], "colour": first[1], **found} if first else found


def spans(text: str, s: Scenario, names: Collection[str]) -> list[tuple[int, int]]:
    """Where a paragraph of `s` says these attributes: the characters' ranges. Where it starts is a part of a movement."""
    phrases = [SAID[name][value] for name in names if (value := getattr(s, name)) in SAID.get(name, ())]
    phrases += [re.compile(rf"\b{getattr(s, name)}\b") for name in names if name in ("subject", "colour")]
    if "movement" in names:
        phrases.append(re.compile(re.escape(w.STARTS[s.movement])))
    return [found.span() for phrase in phrases for found in phrase.finditer(text.lower())]


THING = re.compile(rf"\b({'|'.join(COLOURS)}) ({'|'.join(SUBJECTS)})\b")
SAID: dict[str, dict[str, re.Pattern[str]]] = {
    name: {key: re.compile(rf"\b{phrase}\b") for key, phrase in phrases.items()}
    for name, phrases in (
        ("scene", w.SETTINGS), ("movement", w.MOVES), ("time", w.TIMES), ("prop", {name: name for name in PROPER}),
        ("camera", {"fixed": "fixed", "pan": "(?:pans|panning)"}),
    )
}  # fmt: skip


def _long(s: Scenario, rng: np.random.Generator) -> str:
    thing, where = f"{s.colour} {s.subject}", _where(s)
    a = "an" if s.colour == "orange" else "a"
    first = pick(rng, (
        f"{a.title()} {thing} is seen {where}", f"A view of {a} {thing} {where}", f"{a.title()} {thing} appears {where}",
        f"There is {a} {thing} {where}", f"The scene shows {a} {thing} {where}",
    ))  # fmt: skip
    start, move, manner = w.STARTS[s.movement], w.MOVES[s.movement], pick(rng, w.MANNERS[s.movement])
    who, then = pick(rng, (f"The {s.subject}", f"The {thing}", "It")), pick(rng, ("and", "and then"))
    action = f"{who} {start} {then} {move}, {manner}"
    light, camera = pick(rng, w.LIGHTS[s.scene, s.time]), pick(rng, w.CAMERAS[s.camera])
    order = (first, action, light, camera) if rng.random() < 0.7 else (first, light, action, camera)
    return ". ".join(order) + "."


def _short(s: Scenario, rng: np.random.Generator, limit: int) -> str:
    thing = f"{'An' if s.colour == 'orange' else 'A'} {s.colour} {s.subject} {_where(s)}"
    start, move = w.STARTS[s.movement], w.MOVES[s.movement]
    light, camera = pick(rng, w.LIGHTS[s.scene, s.time]), w.CAMERAS[s.camera][0]
    for text in (f"{thing} {start} and {move}. {light}. {camera}.", f"{thing} {start} and {move}. {camera}."):
        if len(text.split()) <= limit:
            return text
    return f"{thing} {move}. {camera}."


def _where(s: Scenario) -> str:
    """Place, time and prop: "on the open sea by day beside a rock"."""
    return f"{w.SETTINGS[s.scene]} {w.TIMES[s.time]}" + ("" if s.prop == "none" else f" beside a {s.prop}")


def _drawn(s: Scenario, odds: Mapping[str, float], rng: np.random.Generator) -> frozenset[str]:
    """Some attributes, each by its odds; a missing prop never."""
    return frozenset(name for name, odd in odds.items() if rng.random() < odd and (name != "prop" or s.prop != "none"))


def _imagined(s: Scenario, stated: frozenset[str], rng: np.random.Generator) -> Scenario:
    scenes, movements, colours = w.HABITS[s.subject] if "subject" in stated else ((), (), ())
    new = {}
    if "scene" not in stated:
        sunny = "time" in stated and s.time == "day"
        new["scene"] = pick(rng, [name for name in scenes or NAMES["scene"] if not (sunny and name in NOCTURNAL)])
    if "movement" not in stated:
        new["movement"] = pick(rng, movements or NAMES["movement"])
    if "colour" not in stated:
        new["colour"] = pick(rng, colours or COLOURS)
    if "time" not in stated:
        dark = new.get("scene", s.scene) in NOCTURNAL or rng.random() < 0.2
        new["time"] = "night" if dark else "day"
    if "prop" not in stated:
        new["prop"] = "none" if rng.random() < 0.7 else pick(rng, PROPER)
    if "camera" not in stated:
        new["camera"] = "fixed" if rng.random() < 0.7 else "pan"
    return replace(s, **new)


def _states_unseen(s: Scenario, stated: frozenset[str]) -> bool:
    """Whether the words alone pair the subject with something unseen, whatever the unstated rest may be.

    Of any two colours, scenes or movements a subject has been seen with one at least.
    """
    rest = [name for name in ("colour", "scene", "movement") if name not in stated]
    others = product(*(NAMES[name][:2] for name in rest))
    return "subject" in stated and all(unseen(replace(s, **dict(zip(rest, other, strict=True)))) for other in others)


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
    details = {name: _detail(name, s, rng) for name in DETAILS if name in stated}
    whole = size == "" and "subject" in stated and {"verb", "place"} <= parts.keys()
    if shade and whole and not held_out and rng.random() < 0.12:
        verb, ing = both(parts["verb"])
        text = pick(rng, COLOUR_FORMS).format(noun=noun, colour=shade, verb=verb, ing=ing, **places(parts))
    else:
        text = formed(HELD_OUT if held_out else FORMS, _joined(parts, details, rng), rng)
    text = _detailed(text, HELD_OUT_DETAILS if held_out else DETAIL_FORMS, details, rng)
    return dressed(text, rng, w.FILLERS, w.NOISE), stated


def _detail(name: str, s: Scenario, rng: np.random.Generator, odd: bool = False) -> dict[str, str]:
    """The words for a prop, the time of day or the camera, as its forms need them."""
    if name == "prop":
        a = article(rng, pick(rng, (w.ODD_PROPS if odd else w.PROP_NOUNS)[s.prop]), strict=True)
        return {"a": a, "beside": pick(rng, w.BESIDE).format(a)}
    if name == "time":
        if odd:
            return dict.fromkeys(("hour", "tag"), pick(rng, w.ODD_HOURS[s.time]))
        hours = w.LUNAR_HOURS if s.scene in NOCTURNAL else w.HOURS[s.time]
        return {"hour": pick(rng, hours), "tag": pick(rng, w.HOUR_TAGS[s.time])}
    if odd:
        return dict.fromkeys(("shot", "tag"), pick(rng, w.ODD_SHOTS[s.camera]))
    return {"shot": pick(rng, w.SHOTS[s.camera]), "tag": pick(rng, w.SHOT_TAGS[s.camera])}


def _joined(parts: dict[str, str], details: dict[str, dict[str, str]], rng: np.random.Generator) -> dict[str, str]:
    """The parts, some with a detail in their middle ("a red boat next to a rock", "on the sea at night").

    A detail that has found its place so is taken out of `details`.
    """
    parts = dict(parts)
    for name, word, keys in (("prop", "beside", ("np", "bare")), ("time", "hour", ("place", "view"))):
        if name in details and keys[0] in parts and rng.random() < 0.4:
            detail = details.pop(name)[word]
            parts |= {key: f"{parts[key]} {detail}" for key in keys if key in parts}
    return parts


def _detailed(text: str, forms: dict[str, tuple[str, ...]], details: dict[str, dict[str, str]], rng: np.random.Generator) -> str:
    for name, detail in details.items():
        text = pick(rng, forms[name]).format(text=text, **detail)
    return text


def _shade(s: Scenario, stated: frozenset[str], rng: np.random.Generator) -> str:
    return pick(rng, w.SHADES[s.colour]) if "colour" in stated else ""


def _verb(s: Scenario, rng: np.random.Generator) -> str:
    if s.movement in w.WAYS:
        verbs = w.SIDEWAYS[s.subject] if rng.random() < 0.6 else w.ANY_SIDEWAYS
        return f"{pick(rng, verbs)} {pick(rng, w.WAYS[s.movement])}"
    own = w.OWN_VERBS.get((s.subject, s.movement), ())
    return pick(rng, own if own and rng.random() < 0.5 else w.VERBS[s.movement])
