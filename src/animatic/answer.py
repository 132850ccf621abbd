"""The answer inside what a chat model wrote: thoughts, greetings, labels, lists, quotes and offers taken off.

Knows the habits of language models. Must not know what a caption has to be (caption.py), nor models, files or events;
imports only the standard library and prose.py. Every pattern is bounded, so that cleaning takes linear time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial

from animatic.prose import CJK, STOPS, closed, count_words, finished, plain, sentence_ends, uncontrolled

_PASSES = 8
_FLAGS = re.IGNORECASE | re.MULTILINE


def clean(raw: str) -> tuple[str, tuple[str, ...]]:
    """The paragraph inside a chat model's answer, and the names of the repairs that uncovered it, in order.

    Idempotent: the steps run until none of them changes anything. What is still wrapped after so many rounds is not
    an answer but noise, and comes back empty (repair 'tangled').
    """
    text = re.sub(r"\r\n?|[\v\f\x1c-\x1e\x85\u2028\u2029]", "\n", raw).strip()
    repairs: dict[str, None] = {}
    for _ in range(_PASSES):
        before = text
        for name, step in _STEPS:
            after = step(text)
            if after != text and ((name == "joined" and "\n" in text.strip()) or after.split() != text.split()):
                repairs[name] = None
            text = after
        if text == before:
            return text, tuple(repairs)
    return "", (*repairs, "tangled")


_THOUGHT = re.compile(
    r"(?P<open>[<\[\u25c1]\s?)(?P<close>/\s?)?(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|analysis"
    r"|scratchpad)\s?[>\]\u25b7]|<\|(?P<kind>begin|end)_of_thought\|>"
    r"|<\|channel\|>\s*(?:analysis|commentary)\s*<\|message\|>",
    _FLAGS,
)
_HARMONY = re.compile(
    r"<\|channel\|>\s*final\s*<\|message\|>|\Aanalysis(?=[A-Z])[\s\S]*?assistantfinal|\.\.\.done thinking\."
)


def _think(text: str) -> str:
    """Without thoughts: closed, unclosed (to the end) and unopened (from the start)."""
    text = text[max((m.end() for m in _HARMONY.finditer(text)), default=0) :]
    kept: list[str] = []
    at, inside = 0, False
    for tag in _THOUGHT.finditer(text):
        closing = tag["close"] is not None or tag["kind"] == "end"
        if not inside and closing:
            kept.clear()
        elif not inside:
            kept.append(text[at : tag.start()])
        at, inside = tag.end(), not closing
    return " ".join(kept if inside else [*kept, text[at:]]).strip() if at else text


_TURN = re.compile(
    r"<\|(?:eot_id|eom_id|im_end|end_of_text|endoftext|end|return|user|observation|eot)\|>|</s>"
    r"|<end_of_turn>|<eos>"
    r"|<\uff5cend\u2581of\u2581sentence\uff5c>|(?<=[.!?\"\u201d])\s{0,4}(?:assistant|user)[ \t]*\n",
    _FLAGS,
)
_TOKEN = re.compile(
    r"(?:<\|(?:im_start|start|start_header_id|assistant)\|>|<start_of_turn>)\s*(?:assistant|model|system)?"
    r"|<\|[^|<>\n]{1,40}\|>|<\uff5c[^\uff5c\n]{1,40}\uff5c>|\[/?(?:INST|gMASK|sMASK|SYS)\]|<</?SYS>>"
    r"|</?s>|<(?:sop|eop|pad|unk|bos|eos)>|\A\s*assistant[ \t]*:?[ \t]*\n",
    _FLAGS,
)


def _tokens(text: str) -> str:
    """Without special tokens; what follows the end of the model's own turn is not its answer."""
    turns = (_TOKEN.sub(" ", turn) for turn in _TURN.split(text))
    return next((turn for turn in turns if count_words(turn)), "" if _TURN.search(text) else text)


_FENCE = re.compile(r"^[ \t>]*(?:```|~~~)[\w+-]*[ \t]*$", re.MULTILINE)
_RULE = re.compile(r"^[ \t|:*_=~\u2500\u2501\u2013\u2014-]+$", re.MULTILINE)
_QUOTED = re.compile(r"^[ \t]*(?:>[ \t]?){1,8}", re.MULTILINE)
_ROW = re.compile(r"^[ \t]*\|(.*)\|[ \t]*$", re.MULTILINE)


def _blocks(text: str) -> str:
    text = _RULE.sub("", _FENCE.sub("", _QUOTED.sub("", text)))
    return _ROW.sub(lambda row: ". ".join(cell.strip() for cell in row[1].split("|") if cell.strip()), text)


def _json(text: str) -> str:
    if not (text.lstrip().startswith("{") and text.rstrip().endswith("}")):
        return text
    try:
        data = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return text
    values = [value for value in data.values() if isinstance(value, str)] if isinstance(data, dict) else []
    return max(values, key=len, default=text)


_ENTITIES = {"nbsp": " ", "amp": "&", "quot": '"', "lt": "<", "gt": ">", "apos": "'", "#39": "'", "#x27": "'"}
_ENTITY = re.compile("&(" + "|".join(_ENTITIES) + ");")
_TAG = re.compile(r"</?([A-Za-z][\w-]{0,20})(?:\s[^<>\n]{0,80})?/?>")
_EMOJI = re.compile("(?:[\u2600-\u27bf\u2b50\ufe0f\u20e3\U0001f000-\U0001faff]\u200d?)+")


def _html(text: str) -> str:
    text = _TAG.sub(lambda tag: "\n" if tag[1].lower() in ("br", "p", "li", "div") else "", text)
    return _ENTITY.sub(lambda entity: _ENTITIES[entity[1]], text)


_MARKS = r"[*_#>\s]{0,8}"
_OPTION = re.compile(
    rf"(?:^|(?<=[.!?\"] )){_MARKS}(?:\d{{1,2}}[.)] )?(?:option|version|variation|alternative|variant|choice)\s?"
    r"(?:#?\d{1,2}|[a-d]|one|two|three)\b(?:\s?\([^)\n]{0,40}\)|\s?- ?[^\n:]{0,40}|\*\*)?[*_]{0,2}(?::"
    r"|[ \t]*\n)(?=(.{0,100}))",
    _FLAGS,
)


def _option(text: str) -> str:
    """The first of several alternatives: what comes before the second, or before the first if that is a paragraph."""
    marks = list(_OPTION.finditer(plain(text)))
    if not marks:
        return text
    before = text[: marks[0].start()]
    if count_words(_preamble(before)) >= 12:
        return before
    first, end = marks[0][1], marks[1].start() if len(marks) > 1 else len(text)
    chosen = text[marks[0].start(1) : end]
    titled = count_words(first) <= 8 and not finished(first) and chosen.startswith(first + "\n")
    rest = chosen.removeprefix(first) if titled else chosen
    return rest if count_words(rest) else chosen


_CLAUSE_TO_COLON = r"(?P<clause>(?:[^\n:.!?]|[.!?](?=\S)){0,200})(?::(?!\d)|[.!]?[ \t]*(?=\n))"
_ABOUT = re.compile(_MARKS + _CLAUSE_TO_COLON, _FLAGS)
_STARTS = re.compile(
    r"(?:here(?:'s| is| are)|below|this is|the following|following|i(?:'ve|'ll|'d| have| will)\b|as requested"
    r"|based on|(?:under|within|in) (?:the )?(?:word|\d+)|let me|以下|这是|下面|根据)",
    _FLAGS,
)
_ANSWER = re.compile(
    r"\b(?:paragraph|description|captions?|prompts?|versions?|rewrit\w{2,6}|rewrote|response|answer|output)\b"
    r"|以下|描述|提示词|段落|here(?:'s| is) (?:a|an|the|your|one) (?:(?:cinematic|six-second|film|video|descriptive"
    r"|detailed|vivid|short|single|continuous|requested|expanded|final|full|new) )*(?:scene|shot|clip|video)$",
    _FLAGS,
)
_GREETINGS = (
    r"(?:sure(?: thing)?|certainly|of course|ok(?:ay)?|alright|absolutely|great(?: (?:prompt|idea|concept|choice))?"
    r"|understood|got it|no problem|gladly|yes|好的|当然(?:可以)?|没问题)"
)
_SAYS = (
    # Thinking aloud without tags, a chat written out, a count in front.
    re.compile(
        rf"{_MARKS}(?:(?:ok(?:ay)?|alright|hmm),? )?(?:let me think|let's (?:tackle|see|think)|the user (?:wants"
        rf"|asks|asked"
        r"|is asking|has|gave|provided))[^\n]{0,2000}\n|(?:user|human):[^\n]{0,500}\n"
        r"|[(\[](?:word count:? ?)?\d+ words?[)\]]"
        r"|here (?:it is|you go|you are)[:!.]{1,3}\s",
        _FLAGS,
    ),
    re.compile(
        rf"{_MARKS}{_GREETINGS}(?:[!:., ]{{0,3}}\n|[!:]{{1,3}}(?=\s|[{CJK}])"
        r"|[!:.,。-]{1,2}\s{0,2}(?=here|below|this is|i(?:'ve|'ll| have| will)\b|the following|let me"
        r"|as requested|以下|这是|下面))",
        _FLAGS,
    ),
    re.compile(
        rf"{_MARKS}(?:i(?:'ve|'ll| have| will| can) [^\n.!:]{{0,80}}\b(?:paragraph|description|caption"
        rf"|prompt|words?|word limit"
        r"|rewritten|shortened|condensed|trimmed)\b|i (?:rewrote|shortened|condensed|trimmed)\b"
        r"|i'd be (?:happy|glad) to"
        r"|(?:i apologi[sz]e|my apologies|apologies|sorry) (?:for|about)\b|(?:thank you|thanks) for\b"
        r"|you're (?:absolutely )?right\b)[^\n.!:]{0,160}(?:[.!:](?=\s)|\n)",
        _FLAGS,
    ),
    re.compile(
        rf"{_MARKS}(?:(?:final|revised|rewritten|rewrite|cinematic|video|film|image|shot|scene|detailed"
        rf"|enhanced|improved|optimi[sz]ed"
        r"|expanded|updated|shortened|new|my|the|your|refined|one|single|text-to-video)\s){0,4}"
        r"(?:captions?|prompts?|paragraph|description|answer|output|response|version|rewrite|scene|shot"
        r"|result|assistant"
        r"|画面描述|视频描述|描述|提示词|视频提示词)(?: \d{1,2})?(?: ?\([^)\n]{0,40}\))?[*_]{0,3}\s?:(?!\d)[*_]{0,3}",
        _FLAGS,
    ),
)


# In any language, a short line with a colon and an empty line after it introduces what follows.
_INTRODUCED = re.compile(r"\s{0,8}[^\n]{1,120}:[*_]{0,3}[ \t]{0,8}\n[ \t]{0,8}\n\s{0,8}")


def _preamble(text: str) -> str:
    """Without what is said about the answer before it. A head that does not speak of the answer is the answer."""
    ascii_, at = plain(text), 0
    introduced = _INTRODUCED.match(ascii_)
    if introduced and not _ITEM.match(ascii_, introduced.end()) and count_words(ascii_[introduced.end() :]) >= 12:
        at = introduced.end()
    while True:
        end = max((m.end() for m in (says.match(ascii_, at) for says in _SAYS) if m), default=at)
        about = _ABOUT.match(ascii_, at)
        if about and _STARTS.match(about["clause"]) and _ANSWER.search(about["clause"].rstrip("*_ ")):
            end = max(end, about.end())
        if end == at:
            return text[at:]
        at = end


_HEADING = re.compile(
    r"[ \t]{0,3}(?:#{1,6}[ \t]+|(?=(\*\*|__)[^*\n]{1,80}\1:?[ \t]*$)|[*_]{0,2}title[*_]{0,2}:[*_ \t]*(?=\S))",
    _FLAGS,
)
_HASHES = re.compile(r"^[ \t]{0,3}#{1,6}[ \t]+", re.MULTILINE)


def _headings(text: str) -> str:
    """Without headings and a title on its own, unless they are all there is."""
    lines = text.strip().split("\n")
    kept = [line for line in lines if not _HEADING.match(line) or _is_text(line)]
    if len(kept) > 2 and not kept[1].strip() and _is_title(kept[0]) and count_words(" ".join(kept[1:])) >= 12:
        kept = kept[1:]
    return _HASHES.sub("", "\n".join(kept if any(map(count_words, kept)) else lines))


def _is_text(line: str) -> bool:
    return _ENDING.match(plain(line)) is not None or (count_words(line) > 8 and finished(line.strip()))


def _is_title(line: str) -> bool:
    return count_words(line) <= 8 and line.rstrip("*_ \t")[-1:] not in (*STOPS, ",", ";", ":") and not _ITEM.match(line)


_FIELD = re.compile(
    r"^([ \t]*(?:[-*+\u2022][ \t]+|\d{1,2}[.)][ \t]+)?)[*_]{0,3}(?:main )?(?:subject|setting|scene"
    r"|environment|background|light|lighting"
    r"|camera(?: (?:movement|work|angle|motion))?|movement|motion|action|mood|atmosphere|style|colou?rs?"
    r"|composition"
    r"|主体|场景|光线|镜头|动作|运动)[*_]{0,3}[ \t]?[:\uff1a][*_]{0,3}[ \t]*(?=\S)",
    _FLAGS,
)
_BOLD_FIELD = re.compile(
    r"(\*\*|__)(?!(?i:title|word|total|note|negative|key|tags|explan|change|altern|option|version))"
    r"[A-Za-z][A-Za-z &/-]{0,24}(?::\1|\1:)[ \t]*"
)


def _fields(text: str) -> str:
    return _BOLD_FIELD.sub("", _FIELD.sub(r"\1", text))


_ITEM = re.compile(
    r"[ \t]*(?:[-*+\u2013\u2014][ \t]+|[\u2022\u25e6\u2023\u25aa\u25cf\u00b7\u30fb][ \t]*"
    r"|\(?\d{1,2}[.)][ \t]+|\(?[a-h]\)[ \t]+)",
    re.IGNORECASE,
)


def _items(text: str) -> str:
    """List items as sentences."""
    lines = text.split("\n")
    several = sum(_ITEM.match(line) is not None for line in lines) > 1
    return "\n".join(_item(line, several) if _ITEM.match(line) else line for line in lines)


def _item(line: str, several: bool) -> str:
    text = _ITEM.sub("", line, count=1).strip()
    return closed(text[:1].upper() + text[1:]) if several else text


_LENGTH = (
    r"[(\[]?(?:total |final )?(?:(?:word ?count\b|words:|字数)[^\n.]{0,12}\d+"
    r"|(?:共|约|~|about|approx\w*\.?|exactly|total:?)? ?\d+ ?(?:words?|字)(?: total| exactly"
    r"| long)?[\s*_.)\]]{0,8}(?=\n|\Z))"
)
_ENDING = re.compile(
    r"[\s*_()\[\]#>-]{0,12}(?:(?:please )?(?:let me know (?:if|whether|what|how|should)|feel free to)"
    r"|i hope (?:this|that|you|it)|hope (?:this|that|it) (?:helps|works)|would you like (?:me|to|another"
    r"|any|a)\b|do you want me|shall i|is there anything|if you(?:'d| would)? (?:like|want|need|prefer"
    r"|have)\b[^\n.]{0,60}"
    r"\b(?:chang|adjust|version|revis|let me|another|different|variation|question|modif|i can)"
    r"|i(?:'ve| have) (?:kept|ensured|used|included|written|tried|made|limited|focused|aimed)|enjoy!"
    r"|(?:(?:this|the above) (?:caption|prompt|version|paragraph|description|response|rewrite)"
    r"|the (?:paragraph|description|response|rewrite)) (?:is|has|contains|uses|stays"
    r"|was|meets|captures|fits|should|can|aims|adheres|keeps|focuses|includes|provides|emphasi[sz]es"
    r"|maintains|incorporates)\b"
    r"|(?:notes?|explanation|negative prompt|keywords|tags|key (?:elements|changes|details)"
    r"|changes(?: made)?|alternatively"
    r"|or|p\.?s\.?|human|user)[*_]{0,2}[:,]|end of (?:paragraph|description|caption)|希望这|如果您?需要|如需|注[:意]"
    rf"|{_LENGTH})",
    _FLAGS,
)
_TAIL = re.compile(rf"[\s*_]{{0,8}}(?=[(\[])(?:{_LENGTH})[\s*_.)\]]{{0,8}}\Z", _FLAGS)
_HASHTAGS = re.compile(r"\s*(?:#+\s*|#[^\W\d]\w*\s*){1,20}\Z")


def _closing(text: str) -> str:
    """Without offers, notes and word counts after the answer; within a line only in its second half."""
    ascii_ = plain(text)
    starts = {m.start() for m in re.finditer(r"\n", text)}
    inline = {end for end in sentence_ends(text) if 2 * end >= len(text)}
    begun = next((m.start() for m in re.finditer(r"\w", text)), len(text))
    for start in sorted(starts | inline):
        if start > begun and _ENDING.match(ascii_, start):
            return text[:start]
    window = max(0, len(text) - 160)
    tail = _TAIL.search(ascii_, window) or _HASHTAGS.search(ascii_, window)
    return text[: tail.start()] if tail and tail.start() > begun else text


_LINK = re.compile(r"(!?)\[([^\[\]\n]{0,200})\]\([^()\s]{0,300}\)")
_INLINE = re.compile(r"\*+|`+|~~+|==+|(?<![^\W_])_+|_+(?!\w)|\\(?=[*_#`~\[\]()\"'.!>-])")


def _inline(text: str) -> str:
    return _INLINE.sub("", _LINK.sub(lambda link: "" if link[1] else link[2], text.replace("\\n", "\n")))


_DOUBLE = '"\u201c\u201d\u201e\u201f\u00ab\u00bb\uff02\u300c\u300d\u300e\u300f\u301d\u301e'
_SINGLE = "'\u2018\u2019\u201a\u201b\u2039\u203a"
_OPENS = "\u201c\u201e\u00ab\u300c\u300e\u301d\u2018\u201a\u2039([{\u300a\u3010"
_SHUTS = "\u201d\u00bb\u300d\u300f\u301e\u203a)]}\u300b\u3011"
_FAMILIES = (_DOUBLE, _SINGLE, "[]", "()", "{}", "\u300a\u300b", "\u3010\u3011")


def _quotes(text: str) -> str:
    """Without quotes or brackets around the whole, also of two kinds or on one side only."""
    for _ in range(_PASSES):
        text = text.strip()
        if len(text) < 2:
            break
        stop = "." if text[-1] == "." and text[-2] in _DOUBLE else ""
        body = text.removesuffix(stop)
        family = next((f for f in _FAMILIES if body[0] in f), "")
        if family and body[-1] in family and _wraps(body, family):
            text = body[1:-1] + ("" if finished(body[1:-1]) else stop)
        elif (bare := _one_sided(text)) != text:
            text = bare
        else:
            break
    return text


def _wraps(body: str, family: str) -> bool:
    """The first and last characters are a pair of their own, not the ends of two quotations inside."""
    kinds = (_opens(body, m.start()) for m in re.finditer(f"[{re.escape(family)}]", body[:-1]) if m.start())
    known = (kind for kind in kinds if kind is not None)
    return next(known, True) or True not in known


def _opens(text: str, at: int) -> bool | None:
    """Whether the quote there opens; None for an apostrophe."""
    mark, before, after = text[at], text[at - 1], text[at + 1 : at + 2]
    if mark in "'\u2019" and before.isalnum() and after.isalnum():
        return None
    if mark in _SHUTS or (mark == "\u201c" and "\u201e" in text):
        return False
    return mark in _OPENS or ((before.isspace() or before in _DOUBLE + _SINGLE + "([-\u2014") and not after.isspace())


def _one_sided(text: str) -> str:
    if (text[0] in _DOUBLE or text[-1] in _DOUBLE) and sum(map(text.count, _DOUBLE)) == 1:
        return text[1:] if text[0] in _DOUBLE else text[:-1]
    return text


def _joined(text: str) -> str:
    """One paragraph; what stood apart without a full stop gets one."""
    parts = [" ".join(part.split()) for part in re.split(r"\n[ \t]*\n", text)]
    parts = [part for part in parts if part]
    return " ".join([*map(closed, parts[:-1]), *parts[-1:]])


_STEPS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("control", uncontrolled),
    ("think", _think),
    ("token", _tokens),
    ("markdown", _blocks),
    ("json", _json),
    ("html", _html),
    ("emoji", partial(_EMOJI.sub, "")),
    ("option", _option),
    ("preamble", _preamble),
    ("label", _fields),
    ("heading", _headings),
    ("list", _items),
    ("closing", _closing),
    ("markdown", _inline),
    ("quotes", _quotes),
    ("joined", _joined),
)
