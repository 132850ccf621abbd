"""How sentences are put together: filling forms, articles, and how people type.

Knows: how a form's parts are put in. Must not know: what there is to be said (text.py), or any word of it (words.py).
A verb is written "sails|sailing": what it does, and what it is doing; words after a space follow either form.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Forms = dict[frozenset[str], tuple[str, ...]]
# {np} a red boat, {bare} red boat, {verb} sails left, {ing} sailing left, {place} on the sea, {view} the sea
FORMS: Forms = {
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
HELD_OUT: Forms = {  # never trained on: they measure what was learnt
    frozenset({"place", "verb"}): (
        "in this scene {np} {verb} {place}", "we see {np} {ing} {place}", "{ing} {place}: {np}", "look, {np} {verb} {place}!",
        "{place} we can watch how {np} {verb}", "{np} - {view} - {ing}", "once {np} was {ing} {place}", "it {verb} {place}: {np}",
        "my idea: {np}, {ing}, {view}",
    ),
    frozenset({"place"}): ("{view}: {np}", "we see {np} {place}", "{place} is {np}", "{np} - {view}", "how about {np} {place}?"),
    frozenset({"verb"}): ("we see {np} {ing}", "look how {np} {verb}", "{np} - {ing}", "it is {ing}, {np}"),
    frozenset(): ("we see {np}", "look, {np}!", "how about {np}?"),
}  # fmt: skip

ONSETS = ("", *"bcdfghjklmnpqrstvwyz", "bl", "ch", "cl", "dr", "fl", "gr", "pl", "sh", "sk", "st", "th", "tr", "wh")
VOWELS = (*"aeiou", "ai", "ea", "ee", "oo", "ou")
CODAS = ("", "", *"bdgklmnprstwx", "ck", "lk", "ll", "nd", "ng", "rk", "sh", "sk", "st", "th")


def pick(rng: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(rng.integers(len(choices)))]


def both(verb: str) -> tuple[str, str]:
    """("sails left", "sailing left") from "sails|sailing left"."""
    head, _, tail = verb.partition(" ")
    does, _, doing = head.partition("|")
    return f"{does} {tail}".strip(), f"{doing} {tail}".strip()


def places(parts: dict[str, str]) -> dict[str, str]:
    return {name: parts[name] for name in ("place", "view") if name in parts}


def formed(forms: Forms, parts: dict[str, str], rng: np.random.Generator) -> str:
    """One of the forms for the parts that there are, filled."""
    verb, ing = both(parts.get("verb", ""))
    form = pick(rng, forms[frozenset(parts.keys() & {"place", "verb"})])
    return form.format(np=parts["np"], bare=parts.get("bare", parts["np"]), verb=verb, ing=ing, **places(parts))


def article(rng: np.random.Generator, bare: str, strict: bool = False) -> str:
    """The noun phrase with an article; not always "a", unless `strict`."""
    indefinite = "an" if bare[0] in "aeiou" else "a"
    if strict or rng.random() < 0.75:
        return f"{indefinite} {bare}"
    return f"{pick(rng, ('the', 'one', 'my', 'this', 'a'))} {bare}"


def babbled(text: str, rng: np.random.Generator) -> str:
    """The text with one to four made-up words in it, somewhere: what no lesson explains has to be passed over."""
    words, made = text.split(" "), [_made_up(rng) for _ in range(int(rng.integers(1, 5)))]
    at = int(rng.integers(len(words) + 1))
    return " ".join([*words[:at], *made, *words[at:]])


def _made_up(rng: np.random.Generator) -> str:
    """A word of one to three syllables that means nothing, such as "blosk" or "teefa", now and then with a comma."""
    syllables = (pick(rng, ONSETS) + pick(rng, VOWELS) + pick(rng, CODAS) for _ in range(int(rng.integers(1, 4))))
    return "".join(syllables) + pick(rng, ("", "", "", ",", ":"))


def dressed(text: str, rng: np.random.Generator, fillers: Sequence[str], noise: Sequence[str]) -> str:
    """Polite filler, a stray word, capitals and a full stop, as people type."""
    text = f"{pick(rng, fillers)} {text}".strip()
    if rng.random() < 0.15:
        text = f"{text}{pick(rng, (' ', ', '))}{pick(rng, noise)}"
    kind = rng.random()
    if kind < 0.35:
        text = text[0].upper() + text[1:]
    elif kind < 0.38:
        text = text.upper()
    elif kind < 0.41:
        text = text.title()
    return text + pick(rng, ("", "", "", ".", ".", "!", " please"))
