"""What a good caption is: judge what the chat model wrote, and decide what of it becomes the caption.

Knows refusals, loops and limits. Pure text in, decisions out: knows nothing of models, tokenizers (a counter is
given), files or events. How answers are cleaned is answer.py, how text is counted and cut prose.py.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from animatic.answer import clean
from animatic.prose import CJK, closed, count_words, finished, plain, sentence_ends, shorten, tidy, to_words

__all__ = ["Again", "Caption", "Limits", "accept", "clean", "consider", "count_words", "judge", "shorten", "tidy"]

ENOUGH = 12
"""Words that make a beginning worth keeping when the rest of an answer is lost."""

_FLAGS = re.IGNORECASE | re.MULTILINE


# ------------------------------------------------------------------------------------------------- what is decided


@dataclass(frozen=True)
class Limits:
    """What a caption must keep to: `words` of the chat model's answer, `tokens` as the video model counts them."""

    words: int
    tokens: int
    count_tokens: Callable[[str], int]


@dataclass(frozen=True)
class Caption:
    """The paragraph, where it comes from, and all that was done to it.

    source    'model', 'user' (given as it is), or 'fallback' (the user's sentence, as no answer could be used)
    attempts  the model's raw answers, in order
    repairs   short names of what was changed, in order
    words     of `text`; tokens: likewise, by the counter that was given
    reason    why the fallback: 'empty', 'refusal' or 'repetition'
    """

    text: str
    source: Literal["model", "user", "fallback"]
    attempts: tuple[str, ...]
    repairs: tuple[str, ...]
    words: int
    tokens: int
    reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"attempts": list(self.attempts), "repairs": list(self.repairs)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Caption:
        """The inverse of `as_dict`, also after JSON. Unknown keys are ignored; a missing one raises TypeError."""
        known = {f.name: data[f.name] for f in fields(cls) if f.name in data}
        return cls(**known | {k: tuple(known[k]) for k in ("attempts", "repairs") if k in known})


@dataclass(frozen=True)
class Again:
    """Ask the model once more, with this user message after its answer."""

    message: str


@dataclass(frozen=True)
class _Draft:
    text: str
    repairs: tuple[str, ...]
    fault: str | None


def consider(attempts: Sequence[str], prompt: str, limits: Limits) -> Caption | Again:
    """What to do with the model's answers so far: take a caption from them, or ask again. Two answers always decide.

    The text is empty only where `prompt` has nothing printable or not one character fits the limits.
    Raises ValueError when there is no attempt yet.
    """
    if not attempts:
        raise ValueError("consider needs at least one attempt")
    drafts = [_drafted(raw, prompt) for raw in attempts[-2:]]
    usable = [d for d in drafts if d.fault is None]
    within = [d for d in usable if count_words(d.text) <= limits.words]
    if len(attempts) == 1 and not within:
        return _again(drafts[0], limits.words)
    if not usable:
        text, fault = tidy(prompt), drafts[-1].fault
        return _caption(text, "fallback", limits, attempts=attempts, words=limits.words, reason=fault)
    best = within[-1] if within else max(usable, key=lambda d: count_words(to_words(d.text, limits.words)))
    return _caption(best.text, "model", limits, attempts=attempts, repairs=best.repairs, words=limits.words)


def accept(text: str, limits: Limits) -> Caption:
    """A caption given by the user: their words stay, only cut (and said so) where the video model would cut them."""
    return _caption(tidy(text), "user", limits)


def _drafted(raw: str, prompt: str) -> _Draft:
    text, repairs = clean(raw)
    fault = judge(text, prompt)
    if fault == "repetition" and (saved := _before_loop(text)):
        text, repairs, fault = saved, (*repairs, "loop"), None
    if fault is None and not finished(text):
        ends = sentence_ends(text)
        if ends and count_words(text[: ends[-1]]) >= ENOUGH:
            text, repairs = text[: ends[-1]], (*repairs, "unfinished")
        else:
            text, repairs = closed(text), (*repairs, "stop")
    return _Draft(text, repairs, fault)


def _again(draft: _Draft, words: int) -> Again:
    only = f"in at most {words} words. Reply with the paragraph and nothing else."
    match draft.fault:
        case None:
            said = f"That was {count_words(draft.text)} words; the limit is {words}."
            return Again(f"{said} Rewrite it {only} Keep the subject and its movement, drop the lesser details.")
        case "repetition":
            return Again(f"That repeated itself. Write the paragraph anew, each thing said once, {only}")
        case _:
            return Again(f"That was not a description. Describe the shot in one paragraph {only}")


def _caption(
    text: str,
    source: Literal["model", "user", "fallback"],
    limits: Limits,
    *,
    attempts: Sequence[str] = (),
    repairs: tuple[str, ...] = (),
    words: int | None = None,
    reason: str | None = None,
) -> Caption:
    if words is not None and (cut := to_words(text, words)) != text:
        text, repairs = cut, (*repairs, "words")
    if (cut := shorten(text, lambda t: limits.count_tokens(t) <= limits.tokens)) != text:
        text, repairs = cut, (*repairs, "tokens")
    return Caption(text, source, tuple(attempts), repairs, count_words(text), limits.count_tokens(text), reason)


# ----------------------------------------------------------------------------------------------------------- judge


def judge(text: str, prompt: str = "") -> str | None:
    """What is wrong with a cleaned answer: 'empty', 'refusal', 'repetition', or None.

    `prompt` acquits: what the user wrote themselves is no refusal, nor is a caption as short as theirs empty.
    """
    words = count_words(text)
    if words == 0 or (words < 3 and words < count_words(prompt)):
        return "empty"
    if _refuses(text) and not _refuses(tidy(prompt)):
        return "refusal"
    return "repetition" if _loop(text) is not None else None


_DO = (
    r"(?:assist|help|create|generat|writ|provid|fulfil|compl|produc|do (?:that|this|so)|describ|engag"
    r"|support|make|"
    r"satisf|participat|discuss|continu|depict|process|answer|respond|offer|accommodat|proceed|rewrit|turn"
    r"|share|in good)"
)
_REFUSAL = re.compile(
    r"[\s\"'*\u201c]*(?:however|but|unfortunately)?,?\s*(?:"
    r"(?:i'm|i am) (?:\w+ )?sorry,? (?:but|i\b|that i\b|for)|(?:sorry|apologies),? (?:but|i\b|for)"
    rf"|i (?:can't|cannot|can not|won't|will not|could not|couldn't) {_DO}"
    rf"|(?:i'm|i am) (?:unable|not able|not (?:currently )?designed|not programmed) to {_DO}"
    r"|(?:i'm|i am) (?:not comfortable|not going to|ready to|here to|just an?|only an?|an ai\b|an? language)"
    r"|i (?:must|have to|need to|respectfully) (?:decline|refuse|politely)|i (?:do not|don't) feel comfortable"
    r"|i (?:do not|don't) (?:have (?:the ability|access|enough)|see (?:a|any|the|your) (?:sentence|prompt"
    r"|input|text))|as an? (?:ai,|ai (?:language|model|assistant|text|developed|created|trained|i\b)"
    r"|artificial intelligence[, ]i?|(?:large )?language model|text-based)"
    r"|(?:this|the|your) (?:request|prompt|content) (?:violates|goes against|is not something|cannot|can't"
    r"|appears to)"
    r"|(?:it is|it's) (?:not appropriate|against my)|(?:please|could you|can you)(?: please)? (?:provide"
    r"|clarify|specify)"
    r"|(?:i need|i'd need|i will need) (?:more|the|a) (?:information|details|sentence|prompt|context)"
    r"|(?:i'd|i would|i'll) be (?:happy|glad) to (?:help|assist)|(?:what|how) (?:would you like|can i help)"
    r"|it (?:seems|looks|appears)(?: like| that)? (?:you|your|the (?:sentence|prompt|input|message))"
    r"|you (?:haven't|have not|didn't|did not) (?:provide|give|include)"
    r"|(?:很|非常|十分)?(?:抱歉|对不起|遗憾)[,。]|作为(?:一个|一名|一款)?\s?(?:ai|人工智能|语言模型|大语言)"
    r"|我(?:无法|不能|没办法)(?:提供|生成|协助|帮助|满足|完成|创建|描述|回答)"
    r"|je suis d\u00e9sol\u00e9|es tut mir leid,? (?:aber|ich|das)|lo siento,? (?:pero|no)"
    r"|mi dispiace,? (?:ma|non)"
    r"|sinto muito,? (?:mas|n))",
    _FLAGS,
)
_TO_YOU = re.compile(r"[\s\"'*]*(?:i\b|you\b|your\b|thank|this\b|that\b|unfortunately|however|while)", _FLAGS)


def _refuses(text: str) -> bool:
    """It says no at its start, or after a polite sentence or two addressed to the user."""
    head = plain(text[:600])
    starts = [0, *sentence_ends(head)[:2]] if _TO_YOU.match(head) else [0]
    return any(_REFUSAL.match(head, at) for at in starts)


_TOKEN = re.compile(rf"[{CJK}]|(?:(?![{CJK}])\w)+")
_RUN = re.compile(r"([^\W\d_])\1{9}|(\S)\2{29}|(?<!\S)(\S{2,16}?)\3{7}|(\w{2,8}?)\4{9}")


def _loop(text: str) -> int | None:
    """Where it stops saying anything new (an offset; 0 where all of it is stuck), None for prose."""
    text = text[:20_000]
    spans = [(m.group().lower(), m.start()) for m in _TOKEN.finditer(text)]
    words = [word for word, _ in spans]
    copy, sentence, run = _period(words), _said_again(text), _RUN.search(text)
    found = [] if copy is None else [spans[copy][1]]
    found += [] if sentence is None else [sentence]
    found += [run.start()] if run else []
    triples = list(zip(words, words[1:], words[2:], strict=False))
    poor = len(words) >= 40 and 2 * len(set(triples)) < len(triples)
    stuck = len(words) >= 20 and Counter(words).most_common(1)[0][1] > 0.35 * len(words)
    return min(found) if found else 0 if poor or stuck else None


def _period(words: Sequence[str]) -> int | None:
    """The index of the first word of the second copy in a run of copies; short phrases may recur more often."""
    found = []
    for period in range(1, min(60, len(words) // 3) + 1):
        copies = 6 if period == 1 else 5 if period == 2 else 4 if period < 6 else 3
        run = 0
        for i in range(period, len(words)):
            run = run + 1 if words[i] == words[i - period] else 0
            if run == period * (copies - 1):
                found.append(i - run + 1)
                break
    return min(found, default=None)


def _said_again(text: str) -> int | None:
    """The offset of the first sentence that was said before, where that happens twice or more."""
    seen: set[tuple[str, ...]] = set()
    again: list[int] = []
    start = 0
    for end in [*sentence_ends(text), len(text)]:
        sentence = tuple(m.group().lower() for m in _TOKEN.finditer(text, start, end))
        if len(sentence) >= 5 and sentence in seen:
            again.append(start)
        seen.add(sentence)
        start = end
    return again[0] if len(again) >= 2 else None


def _before_loop(text: str) -> str | None:
    good = _loop(text) or 0
    ends = [end for end in sentence_ends(text) if end <= good]
    if not ends or count_words(kept := text[: ends[-1]]) < ENOUGH or judge(kept):
        return None
    return kept
