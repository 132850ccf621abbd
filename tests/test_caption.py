"""Captions: what chat models really answer, and what becomes of it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import animatic
from animatic.caption import Again, Caption, Limits, accept, clean, consider, count_words, judge, shorten

SHOT = "A small red boat drifts slowly from left to right across a calm grey sea."
MORE = "Soft dawn light spreads over the water while the camera holds a low, steady wide shot."
BOTH = f"{SHOT} {MORE}"


def limits(words: int = 100, tokens: int = 226) -> Limits:
    """Tokens are counted as a tokenizer would at worst: four characters make one."""
    return Limits(words, tokens, lambda text: -(-len(text) // 4))


# ----------------------------------------------------------------------------------------------------------- clean

ANSWERS = {
    "plain": (BOTH, BOTH, ()),
    "Qwen3 thinking": (f"<think>\nThe user wants a boat.\n</think>\n\n{BOTH}", BOTH, ("think",)),
    "Qwen3 thinking, empty": (f"<think>\n\n</think>\n\n{BOTH}", BOTH, ("think",)),
    "DeepSeek, the opening tag in the prompt": (f"Okay, so a boat.\n</think>\n{BOTH}", BOTH, ("think",)),
    "cut off while thinking": ("<think>\nOkay, the user wants a boat. I should", "", ("think",)),
    "thinking after the answer": (f"{BOTH}\n<think>Was that good", BOTH, ("think",)),
    "thinking about tags": (f"<think>I use <think> now</think> hm </think>{BOTH}", BOTH, ("think",)),
    "Kimi": (f"◁think▷a boat◁/think▷{BOTH}", BOTH, ("think",)),
    "Magistral": (f"[THINK]a boat[/THINK]{BOTH}", BOTH, ("think",)),
    "other spelling": (f"<reasoning>why</reasoning>\n<Thinking>\nmore\n</Thinking>\n{BOTH}", BOTH, ("think",)),
    "gpt-oss": (
        f"<|channel|>analysis<|message|>A boat.<|end|><|start|>assistant<|channel|>final<|message|>{BOTH}<|return|>",
        BOTH,
        ("think", "token"),
    ),
    "gpt-oss, tokens dropped": (f"analysisThe user wants a boat.assistantfinal{BOTH}", BOTH, ("think",)),
    "gpt-oss, cut off": ("<|channel|>analysis<|message|>The user wants a boat", "", ("think",)),
    "Ollama": (f"Thinking...\nA boat, so...\n...done thinking.\n\n{BOTH}", BOTH, ("think",)),
    "Llama, header left": (f"<|start_header_id|>assistant<|end_header_id|>\n\n{BOTH}<|eot_id|>", BOTH, ("token",)),
    "Llama, header's word left": (f"assistant\n\n{BOTH}", BOTH, ("token",)),
    "Llama, running on": (f"{BOTH}<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nA cat", BOTH, ("token",)),
    "ChatML": (f"<|im_start|>assistant\n{BOTH}<|im_end|>\n<|im_start|>user\nmore", BOTH, ("token",)),
    "GLM": (f"[gMASK]<sop><|assistant|>\n{BOTH}<|user|>", BOTH, ("token",)),
    "Gemma": (f"<start_of_turn>model\n{BOTH}<end_of_turn>", BOTH, ("token",)),
    "Mistral": (f"<s>[INST] [/INST] {BOTH}</s>", BOTH, ("token",)),
    "sure, here is": (f"Sure, here is a cinematic paragraph:\n\n{BOTH}", BOTH, ("preamble",)),
    "sure!": (f"Sure! Here's your 100-word description:\n\n{BOTH}", BOTH, ("preamble",)),
    "curly": (f"Here\u2019s a cinematic paragraph: {BOTH}", BOTH, ("preamble",)),
    "certainly": (f"Certainly!\n\n{BOTH}", BOTH, ("preamble",)),
    "of course": (f"Of course: {BOTH}", BOTH, ("preamble",)),
    "okay": (f"Okay, here is the scene description you asked for:\n{BOTH}", BOTH, ("preamble",)),
    "shot": (f"Here is the shot:\n\n{BOTH}", BOTH, ("preamble",)),
    "below": (f"Below is the rewritten prompt.\n\n{BOTH}", BOTH, ("preamble",)),
    "no colon": (f"Here is the revised paragraph\n\n{BOTH}", BOTH, ("preamble",)),
    "sorry for the length": (
        f"I apologize for the length. Here's a shortened version within the limit:\n\n{BOTH}",
        BOTH,
        ("preamble",),
    ),
    "you're right": (f"You're right, that was too long. I've rewritten it.\n{BOTH}", BOTH, ("preamble",)),
    "praise": (f"Great prompt! Here's a description:\n\n{BOTH}", BOTH, ("preamble",)),
    "here you go": (f"Sure thing! Here you go:\n\n{BOTH}\n\nEnjoy!", BOTH, ("preamble", "closing")),
    "thinking aloud": (f"Okay, let's tackle this. The user wants a boat.\n\n{BOTH}", BOTH, ("preamble",)),
    "a chat written out": (f"User: a boat\nAssistant: {BOTH}\n\nUser: a cat", BOTH, ("preamble", "closing")),
    "French": (f"Voici le paragraphe demandé :\n\n{BOTH}", BOTH, ("preamble",)),
    "Spanish": (f"¡Claro! Aquí tienes el párrafo:\n\n{BOTH}", BOTH, ("preamble",)),
    "label": (f"Caption: {BOTH}", BOTH, ("preamble",)),
    "bold label": (f"**Prompt:** {BOTH}", BOTH, ("preamble",)),
    "bold label, colon outside": (f"**Final Caption**: {BOTH}", BOTH, ("preamble",)),
    "heading label": (f"### Video Prompt:\n{BOTH}", BOTH, ("preamble",)),
    "label with a count": (f"Revised paragraph (98 words): {BOTH}", BOTH, ("preamble",)),
    "everything at once": (
        f'Sure! Here is the caption:\n\n**Caption:** "{BOTH}"\n\n---\n*(31 words)*\n\nLet me know if you like it!',
        BOTH,
        ("markdown", "preamble", "closing", "quotes"),
    ),
    "offer": (f"{BOTH}\n\nLet me know if you'd like any changes!", BOTH, ("closing",)),
    "offer on the line": (f"{BOTH} I hope this helps! Feel free to adjust it.", BOTH, ("closing",)),
    "count": (f"{BOTH}\n\n(98 words)", BOTH, ("closing",)),
    "count on the line": (f"{BOTH} (Word count: 31)", BOTH, ("closing",)),
    "count, bold": (f"{BOTH}\n\n**Word count:** 87", BOTH, ("closing",)),
    "note": (f"{BOTH}\n\n*Note: I kept the camera low.*\n\nIt has 31 words.", BOTH, ("closing",)),
    "about itself": (f"{BOTH}\n\nThis paragraph captures the boat in under 100 words.", BOTH, ("closing",)),
    "changes": (f"{BOTH}\n\n**Changes made:**\n- shorter\n- clearer", BOTH, ("list", "closing")),
    "hashtags": (f"{BOTH}\n\n#film #boat #sea", BOTH, ("closing",)),
    "negative prompt": (f"{BOTH}\n\nNegative prompt: blurry, low quality", BOTH, ("closing",)),
    "double quotes": (f'"{BOTH}"', BOTH, ("quotes",)),
    "single quotes": (f"'{BOTH}'", BOTH, ("quotes",)),
    "curly quotes": (f"\u201c{BOTH}\u201d", BOTH, ("quotes",)),
    "German quotes": (f"\u201e{BOTH}\u201c", BOTH, ("quotes",)),
    "guillemets": (f"\u00ab {BOTH} \u00bb", BOTH, ("quotes",)),
    "CJK quotes": (f"\u300c{BOTH}\u300d", BOTH, ("quotes",)),
    "mismatched": (f'\u201c{BOTH}"', BOTH, ("quotes",)),
    "nested": (f"\"'{BOTH}'\"", BOTH, ("quotes",)),
    "only opened": (f'"{BOTH}', BOTH, ("quotes",)),
    "only closed": (f"{BOTH}\u201d", BOTH, ("quotes",)),
    "stop outside": (f'"{BOTH[:-1]}".', BOTH, ("quotes",)),
    "brackets": (f"[{BOTH}]", BOTH, ("quotes",)),
    "backticks": (f"`{BOTH}`", BOTH, ("markdown",)),
    "fence": (f"```text\n{BOTH}\n```", BOTH, ("markdown",)),
    "fence and talk": (
        f"Here's the prompt:\n```\n{BOTH}\n```\nWould you like another?",
        BOTH,
        ("markdown", "preamble", "closing"),
    ),
    "emphasis": (BOTH.replace("red boat", "**red boat**").replace("slowly", "_slowly_"), BOTH, ("markdown",)),
    "bold whole": (f"**{BOTH}**", BOTH, ("markdown",)),
    "link": (BOTH.replace("grey sea", "[grey sea](https://example.org/sea)"), BOTH, ("markdown",)),
    "blockquote": (f"> {SHOT}\n> {MORE}", BOTH, ("markdown", "joined")),
    "rules": (f"---\n\n{BOTH}\n\n---", BOTH, ("markdown",)),
    "heading": (f"# The Red Boat\n\n{BOTH}", BOTH, ("heading",)),
    "bold heading": (f"**The Red Boat**\n\n{BOTH}", BOTH, ("heading",)),
    "title alone": (f"The Red Boat\n\n{BOTH}", BOTH, ("heading",)),
    "title label": (f"Title: The Red Boat\n{BOTH}", BOTH, ("heading",)),
    "heading as sentence": (f"# {BOTH}", BOTH, ("heading",)),
    "bullets": (
        "- a red boat\n- calm grey sea;\n- camera pans right",
        "A red boat. Calm grey sea. Camera pans right.",
        ("list", "joined"),
    ),
    "numbered": (f"1. {SHOT}\n2. {MORE}", BOTH, ("list", "joined")),
    "fields": (
        "**Subject:** A red boat.\n**Setting:** A calm sea.\n**Camera movement:** It pans right.",
        "A red boat. A calm sea. It pans right.",
        ("label", "joined"),
    ),
    "fields in a list": (
        "* **Subject**: a red boat\n* **Light**: soft dawn",
        "A red boat. Soft dawn.",
        ("label", "list", "joined"),
    ),
    "table": (
        "| Element | Text |\n|---|---|\n| Boat | drifts |",
        "Element. Text. Boat. drifts",
        ("markdown", "joined"),
    ),
    "wrapped": (BOTH.replace(" drifts", "\ndrifts"), BOTH, ("joined",)),
    "two paragraphs": (f"{SHOT[:-1]}\n\n{MORE}", BOTH, ("joined",)),
    "Windows line ends": (f"{SHOT}\r\n\r\n{MORE}\r\n", BOTH, ("joined",)),
    "options": (f"Option 1: {BOTH}\n\nOption 2: A blue boat sinks.", BOTH, ("option",)),
    "options on a line": (f"Option 1: {BOTH} Option 2: A blue boat sinks.", BOTH, ("option",)),
    "options, titled": (
        f"Here are two versions:\n\n**Version 1: The Drift**\n\n{BOTH}\n\n**Version 2: The Fall**\n\nA cat.",
        BOTH,
        ("option",),
    ),
    "an afterthought": (f"{BOTH}\n\nAlternative 2:\n\nA blue boat sinks.", BOTH, ("option",)),
    "JSON": (json.dumps({"prompt": BOTH, "words": 31}), BOTH, ("json",)),
    "JSON in a fence": (f'```json\n{{"caption": "{BOTH}"}}\n```', BOTH, ("markdown", "json")),
    "tags": (f"<caption>{BOTH}</caption>", BOTH, ("html",)),
    "entities": (BOTH.replace("calm grey", "calm&nbsp;grey"), BOTH, ("html",)),
    "emoji": (f"🎬 {BOTH} ✨", BOTH, ("emoji",)),
    "control characters": (BOTH.replace("boat", "bo\x00at\u200b"), BOTH, ("control",)),
    "terminal colours": (f"\x1b[1m{BOTH}\x1b[0m", BOTH, ("control",)),
    "Chinese": ("好的，以下是描述：\n\n一只红色的小船在海上漂流。\n\n（共12字）", "一只红色的小船在海上漂流。", None),
    "Chinese label": ("提示词：“一只红色的小船在海上漂流。”", "一只红色的小船在海上漂流。", ("preamble", "quotes")),
    "Japanese quotes": ("「赤い船が海を渡る。」", "赤い船が海を渡る。", ("quotes",)),
    "nothing": (" \n\t ", "", ()),
    "only marks": ("***", "", ("markdown",)),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_paragraph_is_found_and_the_repairs_are_told(name: str) -> None:
    raw, text, repairs = ANSWERS[name]
    found, made = clean(raw)
    assert found == text
    assert repairs is None or made == repairs
    assert clean(found) == (found, ())


@pytest.mark.parametrize(
    "text",
    [
        "Here is a quiet harbour at dawn: boats rock on their ropes while gulls wheel overhead.",
        "Here's the old lighthouse again: its beam sweeps from left to right.",
        "This is the sea: grey, wide and restless.",
        '"Hello," she says, waving. "Goodbye."',
        'A sign above the door reads "OPEN" and swings to the left.',
        "A dog's ears flap; the sailors' coats don't.",
        "'Tis the boats' race, and the dogs' tails wag.",
        "A 3.5 metre wave rolls from 5:30 to 6:15 past Mr. Smith.",
        "Okay is painted on the hull of a boat that drifts by.",
        "Sure-footed goats climb the cliff from left to right.",
        "A note: small, yellow, pinned to the mast, flutters. The wind takes it.",
        "A thinking robot turns its head. The caption of a poster curls in the wind.",
        "Version 2 of the car rolls into the light.",
        "Two options lie on the table. A hand takes the left one.",
        "A snake_case of letters and x < y glow on a screen that pans left.",
        "A boat (red, small) drifts past a buoy (green).",
        "(Dawn.) A boat drifts past (slowly).",
        "In the middle of 100 words of neon, a man walks left. 30 words glow behind him as he goes on.",
        "一只红色的小船在海上漂流。",
    ],
)
def test_prose_that_only_looks_like_talk_is_left_alone(text: str) -> None:
    assert clean(text) == (text, ())
    assert judge(text) is None


FRAGMENTS = st.sampled_from(
    [
        *("Sure, here is the caption:", "Caption:", "Option 1:", "Subject:", "Note:", "Let me know if", "(9 words)"),
        *("**", "\n", "\n\n", '"', "“", "”", "'", "- ", "1. ", "# ", "> ", "```", "<think>", "</think>", "&amp;", "|"),
        *("<|eot_id|>", "_", "\\n", "[", "](x)", "。", "「", "」", "Mr.", "--", "{", "}", "\x85", "</", " ", "a boat."),
        *("The sea,", ":", "Here it is:\n", "#film", "The user wants a boat\n", "...", "A boat goes on."),
    ]
)
MESSY = st.lists(FRAGMENTS | st.text(max_size=8), max_size=30).map("".join) | st.text(max_size=200)


@given(MESSY)
@settings(max_examples=600, deadline=None)
@example("\\n-\\n- a\\n- b")
@example('{"a": "\\"x\\""}')
def test_cleaning_twice_is_cleaning_once(raw: str) -> None:
    text, _ = clean(raw)
    assert clean(text) == (text, ())
    assert text == " ".join(text.split())


FLOODS = (
    "<think> </think> [ [a]( ** _a \"' \" ( Caption:_ Sure!\n -_ 1._ #_ >_ \n _ a a._ a. . ...! Option_1:_ &amp; & {"
    ' {"a": <a_ <| ```\n Note:_ | -like_ Mr._ Here_is_the_ \\n \\ i\'ve_ (98_words)_ analysisA 。 “ 字 😀 ._\n a\n\n'
    " a:\n\n #a_ Here_it_is:_"
)


def floods(piece: str, length: int) -> list[str]:
    return [piece * (length // len(piece)), SHOT + piece * (length // len(piece)) + "x"]


@pytest.mark.parametrize("piece", [piece.replace("_", " ") for piece in FLOODS.split(" ")])
def test_a_flood_of_anything_is_read_at_once(piece: str) -> None:
    """Linear time: quadratic work would take minutes, so that the bound can be generous."""
    begun = time.process_time()
    for text in floods(piece, 16_000):
        judge(text)
        consider([text, text], "a boat", limits())
    assert time.process_time() - begun < 5


@pytest.mark.slow
def test_a_greater_flood_too() -> None:
    for piece in FLOODS.split(" "):
        begun = time.process_time()
        clean(floods(piece.replace("_", " "), 100_000)[1])
        assert time.process_time() - begun < 10, piece


# ----------------------------------------------------------------------------------------------------------- judge


@pytest.mark.parametrize(
    "text",
    [
        "I can't help with that request.",
        "I can\u2019t create content of that kind.",
        "I cannot generate images of real people.",
        "I'm sorry, but I can't assist with that.",
        "I am so sorry, I won't write that.",
        "Sorry, I can't do that.",
        "As an AI language model, I do not have eyes.",
        "As a large language model, I cannot watch films.",
        "I'm unable to create videos, but I could suggest one.",
        "I must decline this request.",
        "Unfortunately, I cannot fulfil this request.",
        "I understand that you want a film. However, I can't create this kind of content.",
        "Thank you for asking. I'm not able to help with this.",
        "Please provide the sentence you would like me to describe.",
        "It seems that you haven't given a sentence.",
        "I'd be happy to help! What is the sentence?",
        "This request violates the guidelines.",
        "很抱歉，我无法提供帮助。",
        "作为一个人工智能语言模型，我不能看电影。",
        "Lo siento, pero no puedo ayudar con eso.",
        "Es tut mir leid, aber das kann ich nicht.",
    ],
)
def test_a_refusal_is_no_caption(text: str) -> None:
    assert judge(text) == "refusal"


@pytest.mark.parametrize(
    "text",
    [
        "A man says he is sorry and turns away from the window.",
        "A robot whispers \"I'm sorry, but I can't help you\" and rolls away to the left.",
        "As an AI-driven drone rises, dust swirls beneath it.",
        "I cannot see the shore; fog rolls from left to right over the bow.",
        "Unfortunately for the cat, the fish leaps back into the sea.",
        "As a language teacher writes on the board, chalk dust falls.",
        "The waves rise and fall, rise and fall, rise and fall, as the boat goes up and down and up and down.",
        "Red, red, red: every roof glows as the sun sinks from left to right.",
        "The boat drifts left. The boat drifts right. The boat drifts left.",
    ],
)
def test_what_happens_in_the_shot_is_no_refusal_and_no_loop(text: str) -> None:
    assert judge(text) is None


def test_what_the_user_wrote_themselves_acquits() -> None:
    assert judge("I can't help falling in love, sings a man", "A man sings 'I can't help falling in love'") == "refusal"
    assert judge("I can't help falling in love, sings a man", "I can't help falling in love") is None
    assert judge("Boat.", "boat") is None
    assert judge("OK.", "a red boat on the sea") == "empty"


@pytest.mark.parametrize("text", ["", "   ", "...", "!!!!!!!!!!!!!!!!!!!!", "*", "\u3002"])
def test_without_a_word_it_is_empty(text: str) -> None:
    assert judge(text) == "empty"


@pytest.mark.parametrize(
    "text",
    [
        "A boat" + " -like" * 40,
        "A boat drifts" + "-like" * 40,
        SHOT + " the sea" * 12,
        "The waves roll on and on. " * 6,
        f"{BOTH} {BOTH}",
        "aaaaaaaaaaaaaaaaaaaaaaaa boat",
        "A boat hahahahahahahahahahahahahahaha",
        "红船红船红船红船红船红船红船红船红船红船",
        " ".join(f"boat-like {w}-like" for w in "abcdefghijklmnop"),
        " ".join(f"the {w} of the" for w in ("sea", "sky", "sun", "sand", "ship", "shore")),
        "It glides left, then it glides right, and so " * 5,
    ],
)
def test_a_loop_is_no_caption(text: str) -> None:
    assert judge(text) == "repetition"


# --------------------------------------------------------------------------------------------------- count and fit


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("a red boat", 3),
        ("a well-lit boat's sail \u2014 3.5 m & \u2026", 6),
        ("  spaced \n out  ", 2),
        ("一只红船。", 4),
        ("赤い船 drifts", 4),
        ("빨간 배가 간다", 3),
        ("лодка плывёт", 2),
        ("?! ... --", 0),
    ],
)
def test_words_are_counted_as_readers_do(text: str, words: int) -> None:
    assert count_words(text) == words


def at_most(words: int):  # type: ignore[no-untyped-def]
    return lambda text: count_words(text) <= words


@pytest.mark.parametrize(
    ("text", "words", "short"),
    [
        ("One two. Three four.", 9, "One two. Three four."),
        ("One two. Three four. Five.", 4, "One two. Three four."),
        ("One two. Three four. Five.", 3, "One two."),
        ('He says "stop." Then he goes.', 4, 'He says "stop."'),
        ("Mr. Smith meets Dr. Jones at 3.5 m. He waves back.", 9, "Mr. Smith meets Dr. Jones at 3.5 m."),
        ("Wait... the boat turns. It sinks now.", 5, "Wait... the boat turns."),
        ("At 5 p.m. the boat turns. It sinks.", 6, "At 5 p.m. the boat turns."),
        ("One two, three four five six", 3, "One two."),
        ("Slowly, the red boat drifts over a calm and silver sea", 6, "Slowly, the red boat drifts over."),
        ("One two three four", 2, "One two."),
        ("Really? Yes! And then on and on", 2, "Really? Yes!"),
        ("红船漂流。白鸟飞过天空。", 5, "红船漂流。"),
        ("红船漂流,白鸟飞过天空", 6, "红船漂流,白鸟。"),
        ("one two", 0, ""),
    ],
)
def test_it_is_cut_where_a_reader_would(text: str, words: int, short: str) -> None:
    assert shorten(text, at_most(words)) == short


def test_one_endless_word_is_cut_inside_but_not_inside_a_letter() -> None:
    assert shorten("x" * 50, lambda t: len(t) <= 10) == "x" * 9 + "."
    assert shorten("e\u0301" * 9, lambda t: len(t) <= 4) == "e\u0301."
    assert shorten("boat", lambda t: len(t) <= 1) == "b"


@given(MESSY, st.integers(0, 120), st.sampled_from([len, count_words]))
@settings(deadline=None)
def test_what_is_shortened_fits_and_is_a_beginning(text: str, limit: int, size) -> None:  # type: ignore[no-untyped-def]
    calls = 0

    def fits(piece: str) -> bool:
        nonlocal calls
        calls += 1
        return size(piece) <= limit

    short = shorten(text, fits)
    assert size(short) <= limit or not short
    assert text.startswith(short) or (short[-1] in ".\u3002" and text.startswith(short[:-1]))
    assert short == text or size(text) > limit
    assert calls < 80


# -------------------------------------------------------------------------------------------------------- consider

THINGS = "wave gull rope sail mast cloud reef buoy crab shell oar net whale".split()  # noqa: SIM905
WAYS = "slowly gently sharply proudly softly".split()  # noqa: SIM905
LONG = " ".join(
    f"{WAYS[n % 5].title()} the {THINGS[n % 13]} moves past {THINGS[n * 5 % 13]} and {n}." for n in range(20)
)
"""Twenty sentences of eight words."""


def caption(*attempts: str, prompt: str = "a red boat", **kinds: int) -> Caption:
    outcome = consider(attempts, prompt, limits(**kinds))
    assert isinstance(outcome, Caption)
    assert outcome.attempts == attempts
    return outcome


def test_a_good_answer_is_taken_as_it_is() -> None:
    outcome = caption(BOTH)
    assert outcome == Caption(BOTH, "model", (BOTH,), (), 31, limits().count_tokens(BOTH), None)


def test_a_long_answer_is_asked_again_with_the_numbers_and_then_cut() -> None:
    again = consider([LONG], "a boat", limits(100, 900))
    assert isinstance(again, Again)
    assert "160 words" in again.message and "limit is 100" in again.message
    outcome = caption(LONG, LONG, tokens=900)
    assert (outcome.words, outcome.source, outcome.repairs) == (96, "model", ("words",))
    assert LONG.startswith(outcome.text) and outcome.text.endswith("sail and 11.")


def test_the_better_of_two_answers_counts() -> None:
    assert caption(LONG, BOTH).text == BOTH
    endless = f"A boat drifts. Then {LONG[:-1].replace('.', ' and').lower()}."
    assert caption(LONG, endless, words=50, tokens=900).text == shorten(LONG, at_most(50))
    kept = caption(LONG, "I can't help with that.", tokens=900)
    assert (kept.source, kept.words) == ("model", 96)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [("", "empty"), ("<think>hm", "empty"), ("I'm sorry, but I can't help.", "refusal"), ("go " * 60, "repetition")],
)
def test_unusable_twice_falls_back_to_the_users_own_words(answer: str, reason: str) -> None:
    again = consider([answer], "a  red\nboat", limits())
    assert isinstance(again, Again)
    assert "100 words" in again.message
    outcome = caption(answer, answer, prompt="a  red\nboat")
    assert (outcome.text, outcome.source, outcome.reason) == ("a red boat", "fallback", reason)
    long = caption(answer, answer, prompt=LONG, tokens=900)
    assert (long.words, long.repairs) == (96, ("words",))


def test_a_good_beginning_before_a_loop_is_kept() -> None:
    outcome = caption(BOTH + " The sail is wave" + " -like" * 80)
    assert (outcome.text, outcome.repairs) == (BOTH, ("loop",))
    assert caption(f"{BOTH} {BOTH} {BOTH}").text == BOTH
    assert isinstance(consider(["A boat. The sail is" + " -like" * 80], "a boat", limits()), Again)


def test_an_answer_cut_off_by_the_generation_limit_ends_with_a_sentence() -> None:
    assert caption(f"{SHOT} Soft dawn light spreads over").text == SHOT
    assert caption(f"{SHOT} Soft dawn light spreads over").repairs == ("unfinished",)
    assert caption("A red boat drifts across the sea,").text == "A red boat drifts across the sea."
    assert caption("一只红色的小船在海上漂流").text == "一只红色的小船在海上漂流。"


def test_tokens_are_counted_and_cut_out_loud() -> None:
    outcome = caption(BOTH, tokens=25)
    assert (outcome.text, outcome.repairs, outcome.tokens) == (SHOT, ("tokens",), 19)


def test_the_users_own_caption_is_held_to_tokens_only() -> None:
    assert accept(f'  "{SHOT}"\n\x00', limits()).text == f'"{SHOT}"'
    assert accept(LONG, limits(words=10, tokens=900)).repairs == ()
    cut = accept(LONG, limits(tokens=150))
    assert (cut.source, cut.repairs) == ("user", ("tokens",))
    assert 130 < cut.tokens <= 150


def test_a_caption_survives_json() -> None:
    outcome = caption("", "", prompt="a boat")
    assert Caption.from_dict(json.loads(json.dumps(outcome.as_dict()))) == outcome
    assert Caption.from_dict(outcome.as_dict() | {"later": 1}) == outcome


def test_no_answer_yet_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least one"):
        consider([], "a boat", limits())


@given(
    st.lists(MESSY, min_size=1, max_size=3), st.text(min_size=1, max_size=60), st.integers(1, 30), st.integers(1, 60)
)
@settings(max_examples=400, deadline=None)
def test_two_answers_always_decide(attempts: list[str], prompt: str, words: int, tokens: int) -> None:
    given_limits = limits(words, tokens)
    first = consider(attempts[:1], prompt, given_limits)
    outcome = consider([attempts[0], attempts[-1]], prompt, given_limits) if isinstance(first, Again) else first
    assert isinstance(outcome, Caption)
    assert outcome.words == count_words(outcome.text) <= words
    assert outcome.tokens <= tokens
    assert outcome.text or not accept(prompt, given_limits).text
    assert (outcome.source == "fallback") == (outcome.reason is not None)


# ---------------------------------------------------------------------------------------------------------- prompt


def test_the_system_prompt_is_short_and_takes_the_limit() -> None:
    template = (Path(animatic.__file__).parent / "prompts" / "cinematic.txt").read_text(encoding="utf-8")
    text = template.format(words=80)
    assert "at most 80 words" in text
    assert count_words(text) <= 170
