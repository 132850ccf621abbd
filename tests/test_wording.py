"""The toy world's language: prompts mean what they state, paragraphs say everything and can be read back."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.pocket.grammar import babbled
from training.pocket.scenario import ATTRIBUTES, NAMES, NOCTURNAL, Scenario, unseen
from training.pocket.text import paragraph, prompt, sentence, spans, strange_prompt, told

SCENARIOS = st.builds(Scenario, **{name: st.sampled_from(values) for name, values in NAMES.items()})
SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=500, deadline=None)
@given(SCENARIOS, SEEDS, st.integers(20, 130))
def test_a_paragraph_keeps_its_limit_and_says_everything(s: Scenario, seed: int, words: int) -> None:
    text = paragraph(s, np.random.default_rng(seed), words)
    count = len(text.split())
    assert count <= min(words, 48)
    assert words < 48 or count >= 28
    assert count + len(re.findall("[.,]", text)) < 56  # tokens, and there is one more that ends the text
    assert told(text) == {name: getattr(s, name) for name in ATTRIBUTES}
    assert "\n" not in text
    assert text.endswith(".")


def test_a_limit_that_nothing_fits_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 20"):
        paragraph(Scenario("cat", "red", "snow", "rest"), np.random.default_rng(0), 19)


def test_what_is_said_twice_or_not_at_all_is_not_told() -> None:
    assert told("") == {"prop": "none"}
    assert told("A red cat by day, at night. The camera pans. The fixed camera. A rock and a bush.") == {
        "subject": "cat", "colour": "red",
    }  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(SCENARIOS, SEEDS, st.integers(20, 130))
def test_what_a_paragraph_says_of_an_attribute_is_found_in_it(s: Scenario, seed: int, words: int) -> None:
    text = paragraph(s, np.random.default_rng(seed), words)
    for name in ATTRIBUTES:
        found = spans(text, s, [name])
        assert bool(found) == ((name, s.prop) != ("prop", "none"))
        others = spans(text, s, set(ATTRIBUTES) - {name})
        assert not any(a < end and start < b for start, end in found for a, b in others), "a word says one thing"


@given(SEEDS)
def test_made_up_words_stand_between_the_others_and_change_none(seed: int) -> None:
    text = "a red boat sails to the left"
    words = babbled(text, np.random.default_rng(seed)).split(" ")
    added = len(words) - len(text.split())
    assert 1 <= added <= 4
    assert any(words[:n] + words[n + added :] == text.split() for n in range(len(words)))


@settings(max_examples=100, deadline=None)
@given(SCENARIOS, SEEDS, st.booleans())
def test_a_sentence_is_short_and_states_only_attributes(s: Scenario, seed: int, held_out: bool) -> None:
    text, stated = sentence(s, np.random.default_rng(seed), held_out)
    assert text == text.strip()
    assert 0 < len(text.split()) <= 45
    assert stated <= set(ATTRIBUTES)
    assert "prop" not in stated or s.prop != "none"
    assert not set("{}|") & set(text)


@settings(max_examples=300, deadline=None)
@given(SEEDS)
def test_every_prompt_means_something_in_the_world(seed: int) -> None:
    for text, s, stated in (prompt(np.random.default_rng(seed)), strange_prompt(np.random.default_rng(seed))):
        assert text
        assert not set("{}|") & set(text)
        assert stated <= set(ATTRIBUTES)
        assert all(getattr(s, name) in values for name, values in NAMES.items())
        assert s.scene not in NOCTURNAL or s.time == "night"
        assert "prop" not in stated or s.prop != "none"


@settings(max_examples=300, deadline=None)
@given(SEEDS)
def test_only_held_out_prompts_state_an_unseen_pair(seed: int) -> None:
    assert not unseen(prompt(np.random.default_rng(seed))[1])
    assert not unseen(strange_prompt(np.random.default_rng(seed))[1])
    _, s, stated = prompt(np.random.default_rng(seed), held_out=True)
    assert unseen(s)
    assert "subject" in stated
    assert stated & {"colour", "scene", "movement"}


def test_time_prop_and_camera_are_stated_now_and_then() -> None:
    rng = np.random.default_rng(0)
    all_stated = [prompt(rng)[2] for _ in range(4000)]
    for name, share in (("time", 0.35), ("prop", 0.32), ("camera", 0.3)):
        assert np.mean([name in stated for stated in all_stated]) == pytest.approx(share, abs=0.04)


def test_a_boat_of_which_nothing_else_is_said_sails_on_the_sea() -> None:
    rng = np.random.default_rng(0)
    meant = [s for _, s, stated in (prompt(rng) for _ in range(4000)) if s.subject == "boat" and stated == {"subject"}]
    assert meant
    assert {(s.scene, s.movement in ("left", "right")) for s in meant} == {("sea", True)}
