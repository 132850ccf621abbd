"""The contact sheet of a batch: one web page beside its media that shows every clip, how it was made, and what failed.

Pure text from results. Must not know files, models or how anything was made: a result is a mapping of unknown hand, any
key of which may be lacking or of another kind. Nothing in it becomes markup, and no path leaves the batch's folder.
"""

from __future__ import annotations

import base64
import hashlib
import html
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from animatic.sizes import duration

Result = Mapping[str, Any]

SMALL = 256
"""Pixels. A clip narrower than this is enlarged by a whole number, pixels staying squares."""
CHUNK = 60
"""Cards that a browser lays out together, once they are near. A multiple of every number of columns there can be, up
to 6, so that no row is left short; one grid of 10,000 took ten times as long to scroll."""
LONG = 160
"""Characters. Texts longer than this are folded to a few lines."""
_WIDE = '<div class="wide">'
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
"""What HTML or UTF-8 cannot hold: control characters, lone surrogates and what is no character at all."""


@dataclass
class _Tally:
    """What the header says of all results."""

    completed: int = 0
    failed: int = 0
    remarked: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, result: Result) -> None:
        done = _completed(result)
        self.completed += done
        self.failed += not done
        self.remarked += done and bool(_remarks(result))
        for stage, seconds in _seconds(result):
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds


def page(title: str, results: Iterable[Result], missing: int = 0) -> Iterator[str]:
    """The page part by part, to be written beside the media that the results name. Goes through `results` twice.

    results   lines of a batch's `results.jsonl`; one whose status is not "completed" is shown as failed
    missing   how many clips are not made yet
    """
    tally = _Tally()
    for result in results:
        tally.add(result)
    yield f"{_head(title)}<body>\n{_header(title, tally, missing)}{_tools(tally)}<main>\n"
    yield from _rows(map(_card, results))
    yield f"</main>\n{_FOOTER}<script>{_SCRIPT}</script>\n</body>\n</html>\n"


def _rows(cards: Iterator[str]) -> Iterator[str]:
    empty = True
    while some := list(itertools.islice(cards, CHUNK)):
        yield '<section class="rows">\n'
        yield from some
        yield "</section>\n"
        empty = False
    if empty:
        yield '<p class="empty">No clip is made yet.</p>\n'


def _head(title: str) -> str:
    # The policy is a second wall behind the escaping: no script runs but our own, and nothing is sent anywhere.
    digest = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    rules = f"script-src 'sha256-{digest}'; connect-src 'none'; object-src 'none'; base-uri 'none'; form-action 'none'"
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{rules}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="dark light">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
    )


def _header(title: str, tally: _Tally, missing: int) -> str:
    counts = [("", tally.completed, "completed")]
    counts += [("bad", tally.failed, "failed")] * bool(tally.failed) + [("", missing, "not yet made")] * bool(missing)
    shown = "".join(f'<li class="{kind}"><b>{count:,}</b> {name}</li>' for kind, count, name in counts)
    heading = f'<h1 dir="auto">{_text(title)}</h1>\n<ul class="counts">{shown}</ul>'
    return f"<header>\n{heading}\n{_times(tally.seconds)}</header>\n"


def _times(seconds: Mapping[str, float]) -> str:
    """Seconds by stage as a bar, and in words below it."""
    total = sum(seconds.values())
    if not total:
        return ""
    bar = "".join(
        f'<i class="s{n % 4}" style="flex-grow:{value / total:.4f}"></i>' for n, value in enumerate(seconds.values())
    )
    legend = "".join(
        f'<div><dt><i class="s{n % 4}"></i>{_text(stage)}</dt><dd>{duration(value)}</dd></div>'
        for n, (stage, value) in enumerate(seconds.items())
    )
    whole = f'<div class="whole"><dt>in all</dt><dd>{duration(total)}</dd></div>'
    return f'<div class="bar" aria-hidden="true">{bar}</div>\n<dl class="times">{legend}{whole}</dl>\n'


def _tools(tally: _Tally) -> str:
    """What narrows the page down: by kind without any script, by text with it."""
    kinds = [("all", "all", tally.completed + tally.failed), ("remarked", "with remarks", tally.remarked)]
    kinds.append(("failed", "failed", tally.failed))
    if not kinds[0][2]:
        return ""
    choices = "".join(
        f'<label><input type="radio" name="show" id="show-{kind}"{" checked" if kind == "all" else ""}>'
        f"<span>{name} <b>{count:,}</b></span></label>"
        for kind, name, count in kinds
        if count
    )
    return (
        f'<div class="tools" role="search">\n<fieldset><legend>Show</legend>{choices}</fieldset>\n'
        f'<input id="filter" type="search" placeholder="filter by text" aria-label="Filter by text" hidden>'
        f'<output id="found" for="filter" aria-live="polite"></output>\n</div>\n'
    )


# ----------------------------------------------------------------------------------------------------- one clip


def _card(result: Result) -> str:
    done, remarks = _completed(result), _remarks(result)
    kind = "failed" if not done else "remarked" if remarks else ""
    name = str(result.get("id", ""))
    anchor = "clip-" + quote(name, errors="replace")
    top = _film(result, name) if done else _error(result)
    heading = f'<h2 dir="auto"><a href="#{quote(anchor)}">{_text(name)}</a></h2>'
    texts = _folded(result.get("prompt"), "prompt") + _folded(result.get("caption"), "caption")
    below = _tags(remarks) + _listed(_facts(result)) + _files(result)
    return f'<article class="card {kind}" id="{anchor}">\n{top}{heading}\n{texts}{below}</article>\n'


def _film(result: Result, name: str) -> str:
    """The still as a link to the film; the script plays it in place, in a `<video>` made when it is to play.

    Ten thousand of them in the page took a browser 20 s to open, and each would load its poster at once; an image
    waits until it is near.
    """
    clip, still, size = _path(result.get("clip")), _path(result.get("still")), _size(result)
    if not (clip or still):
        return '<p class="film none">no film</p>\n'
    sides = f' width="{size[0]}" height="{size[1]}"' if size else ""
    style = f' style="--w:{size[0]};--h:{size[1]}"' if size else ""
    kind = "film" + (" plays" if clip else "") + (" crisp" if size and size[0] < SMALL else "")
    image = f'<img src="{still}" alt="" loading="lazy" decoding="async"{sides}>' if still else "<i></i>"
    label = f"{'Play' if clip else 'Still of'} {_text(name)}"
    return f'<a class="{kind}" href="{clip or still}" aria-label="{label}"{style}>{image}</a>\n'


def _error(result: Result) -> str:
    error = _text(result.get("error")) or "no reason is given"
    return f'<div class="error"><b>failed</b><p dir="auto">{error}</p></div>\n'


def _tags(remarks: list[str]) -> str:
    return f'<ul class="tags">{"".join(f"<li>{_text(remark)}</li>" for remark in remarks)}</ul>\n' if remarks else ""


def _folded(value: object, kind: str) -> str:
    """A text; a long one cut to a few lines, which open when it is clicked."""
    text = _text(value)
    if not text:
        return ""
    if len(str(value)) <= LONG:
        return f'<p class="{kind}" dir="auto">{text}</p>\n'
    return f'<details class="{kind}"><summary><span dir="auto">{text}</span></summary></details>\n'


def _listed(facts: Iterable[tuple[str, str]]) -> str:
    """Names with values in two columns; a value of many words takes the whole width."""
    items = "".join(
        f"{_WIDE if len(value) > 24 else '<div>'}<dt>{name}</dt><dd>{_text(value)}</dd></div>" for name, value in facts
    )
    return f"<dl>{items}</dl>" if items else ""


def _facts(result: Result) -> Iterator[tuple[str, str]]:
    for name in ("seed", "preset"):
        if isinstance(value := result.get(name), int | str):
            yield name, str(value)
    if size := _size(result):
        yield "size", f"{size[0]}×{size[1]}"
    frames, fps = _number(result.get("frames")), _number(result.get("fps"))
    if frames and fps:
        yield "frames", f"{frames:.0f} in {frames / fps:.1f} s"
    if seconds := list(_seconds(result)):
        parts = ", ".join(f"{stage} {duration(value)}".replace(" ", "\u00a0") for stage, value in seconds)
        yield "made in", f"{duration(sum(value for _, value in seconds))}: {parts}"
    yield from _measured(_mapping(result.get("measures")))


def _measured(measures: Result) -> Iterator[tuple[str, str]]:
    """The few measures that tell a good clip from a bad one, in the words that the page's footer explains."""
    motion, flicker = _number(measures.get("motion")), _number(measures.get("temporal_flickering"))
    drift, psnr = _number(measures.get("sharpness_drift")), _number(measures.get("still_psnr"))
    if motion is not None:
        yield "motion", f"{motion:.2f} px"
    if flicker is not None:
        yield "flicker", f"{(1 - flicker) * 255:.1f}"
    if drift is not None:
        yield "sharpness", f"{drift * 100:+.0f} %".replace("-", "−")
    if psnr is not None:
        yield "first frame", f"{psnr:.1f} dB"


def _files(result: Result) -> str:
    names = (("film", "clip"), ("still", "still"), ("card", "card"), ("record", "sidecar"))
    links = [f'<a href="{path}">{name}</a>' for name, key in names if (path := _path(result.get(key)))]
    return f'<p class="files">{" ".join(links)}</p>\n' if links else ""


# ------------------------------------------------------------------------------- values of unknown hand, made safe


def _completed(result: Result) -> bool:
    return result.get("status") == "completed"


def _remarks(result: Result) -> list[str]:
    found = _mapping(result.get("measures")).get("remarks")
    return [str(remark) for remark in found] if isinstance(found, list | tuple) else []


def _seconds(result: Result) -> Iterator[tuple[str, float]]:
    for stage, value in _mapping(result.get("seconds")).items():
        if (seconds := _number(value)) is not None and seconds >= 0:
            yield str(stage), seconds


def _mapping(value: object) -> Result:
    return value if isinstance(value, Mapping) else {}


def _number(value: object) -> float | None:
    """The number, if it is one that can be shown."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if abs(value) < 1e12 else None


def _size(result: Result) -> tuple[int, int] | None:
    size = result.get("size")
    if not isinstance(size, list | tuple) or len(size) != 2:
        return None
    numbers = [_number(side) for side in size]
    width, height = (int(number) if number else 0 for number in numbers)
    return (width, height) if width > 0 and height > 0 else None


def _text(value: object) -> str:
    """A value as text that is safe between tags and in quoted attributes; nothing for None."""
    return "" if value is None else html.escape(_UNFIT.sub("\ufffd", str(value)))


def _path(value: object) -> str:
    """A file of the batch as a URL; nothing for what is no name of a file in the batch's folder.

    `./` keeps a name from being read as a scheme or as a host.
    """
    if not isinstance(value, str) or any(part in ("", ".", "..") for part in value.split("/")):
        return ""
    return "./" + quote(value, errors="replace")


# --------------------------------------------------------------------------------------------- how it looks and acts

# The share card's palette: a warm, nearly black ground, cream and sand for what is read, amber for the accent. By day
# the same hues on paper. Every text has a contrast of 4.5 or more against what is under it.
_STYLE = """
:root{color-scheme:dark light;--ground:#171412;--panel:#1e1a17;--well:#0f0d0c;--hairline:#3e3731;--accent:#e2a458;
--cream:#f6efe4;--sand:#cac0b2;--umber:#9c9184;--tag:#332716;--bad:#f0947c;--badground:#2e1a15;
--s0:#8c8174;--s1:#7d9c90;--s2:#e2a458;--s3:#b5694a}
@media(prefers-color-scheme:light){:root{--ground:#f8f3ea;--panel:#fffdf9;--well:#ece4d7;--hairline:#ddd2c2;
--accent:#8a5410;--cream:#221c17;--sand:#4c4339;--umber:#6d6153;--tag:#f7e5c8;--bad:#a0321b;--badground:#fbe9e3;
--s0:#a89c8d;--s1:#5f8578;--s2:#cf8a35;--s3:#a3583a}}
*{box-sizing:border-box}
html{scroll-padding-top:5rem;-webkit-text-size-adjust:100%}
body{margin:0 auto;padding:0 clamp(16px,3.2vw,56px) 48px;max-width:2200px;background:var(--ground);color:var(--sand);
font:16px/1.5 Inter,system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;overflow-wrap:anywhere}
a{color:inherit}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
[hidden]{display:none!important}
header{padding:clamp(32px,5vw,64px) 0 20px}
header::before{content:"";display:block;width:64px;height:5px;background:var(--s2);margin-bottom:22px}
h1{margin:0 0 14px;color:var(--cream);font-size:clamp(1.9rem,4.4vw,3.1rem);line-height:1.12;letter-spacing:-.02em;
font-weight:650;text-wrap:balance}
.counts{display:flex;flex-wrap:wrap;gap:4px 28px;margin:0 0 22px;padding:0;list-style:none}
.counts b{color:var(--cream);font-size:1.35rem;font-weight:600;font-variant-numeric:tabular-nums}
.counts .bad,.counts .bad b{color:var(--bad)}
.bar{display:flex;gap:2px;height:8px;max-width:720px;border-radius:4px;overflow:hidden}
.bar i{flex:0 1 0;min-width:2px}
.s0{background:var(--s0)}.s1{background:var(--s1)}.s2{background:var(--s2)}.s3{background:var(--s3)}
dl{display:flex;flex-wrap:wrap;gap:2px 16px;margin:0;font-size:.8125rem;font-variant-numeric:tabular-nums}
dl div{display:flex;gap:6px}
dt{color:var(--umber);white-space:nowrap}
dd{margin:0}
.times{gap:4px 24px;margin-top:10px;font-size:.875rem}
.times dt i{display:inline-block;width:9px;height:9px;margin-right:7px;border-radius:2px}
.times .whole dd{color:var(--cream);font-weight:600}
.tools{position:sticky;top:0;z-index:2;display:flex;flex-wrap:wrap;align-items:center;gap:10px 20px;
margin:0 calc(-1*clamp(16px,3.2vw,56px)) 24px;padding:10px clamp(16px,3.2vw,56px);background:var(--ground);
border-bottom:1px solid var(--hairline)}
fieldset{display:flex;flex-wrap:wrap;gap:6px;margin:0;padding:0;border:0;min-width:0}
legend{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.tools label{position:relative;cursor:pointer}
.tools label input{position:absolute;inset:0;opacity:0;margin:0;cursor:pointer}
.tools label span{display:block;padding:5px 13px;border:1px solid var(--hairline);border-radius:99px;font-size:.875rem}
.tools label b{color:var(--umber);font-weight:500;font-variant-numeric:tabular-nums}
.tools label:hover span{border-color:var(--umber)}
.tools :checked+span{border-color:var(--accent);color:var(--accent)}
.tools :focus-visible+span{outline:3px solid var(--accent);outline-offset:2px}
#filter{flex:0 1 280px;min-width:0;padding:6px 14px;border:1px solid var(--umber);border-radius:99px;
background:var(--panel);color:var(--cream);font:inherit;font-size:.875rem}
#filter::placeholder{color:var(--umber);opacity:1}
output{color:var(--umber);font-size:.875rem}
.rows,main.narrow,.tools:has(#show-failed:checked,#show-remarked:checked)~main{display:grid;
grid-template-columns:repeat(auto-fill,minmax(min(100%,290px),1fr));gap:22px;align-items:start}
.rows{margin-bottom:22px;content-visibility:auto;contain-intrinsic-size:auto 8000px}
main.narrow .rows,.tools:has(#show-failed:checked,#show-remarked:checked)~main .rows{display:contents}
.card{display:flex;flex-direction:column;min-width:0;padding:0 16px 14px;border:1px solid var(--hairline);
border-radius:12px;background:var(--panel);overflow:hidden}
.card:target{border-color:var(--accent)}
.tools:has(#show-failed:checked)~main .card:not(.failed),
.tools:has(#show-remarked:checked)~main .card:not(.remarked){display:none}
.film{position:relative;display:grid;place-items:center;margin:0 -16px;background:var(--well);overflow:hidden}
.film:focus-visible{outline-offset:-3px}
.film>*{grid-area:1/1;display:block;width:100%;height:auto;max-height:78vh;object-fit:contain;
aspect-ratio:var(--w,3)/var(--h,2)}
.film.crisp{padding:10px 0}
.film.crisp>*{image-rendering:pixelated;width:100%;width:max(round(down,100%,calc(var(--w)*1px)),min(100%,calc(var(--w)*1px)))}
.plays::after{content:"";position:absolute;right:14px;bottom:14px;width:34px;height:34px;border-radius:50%;
background:#171412b8;box-shadow:0 0 0 1px #f6efe455}
.plays::before{content:"";position:absolute;z-index:1;right:24px;bottom:24px;border:solid transparent;
border-width:7px 0 7px 11px;border-left-color:#f6efe4}
.playing::before,.playing::after{display:none}
.none{margin-top:0;padding:56px 16px;color:var(--umber)}
.error{margin:0 -16px;padding:16px;background:var(--badground);border-bottom:1px solid var(--hairline)}
.error b{color:var(--bad);font-size:.8125rem;letter-spacing:.04em}
.error p{margin:4px 0 0;color:var(--cream);font-size:.9375rem;white-space:pre-line}
.tags{display:flex;flex-wrap:wrap;gap:6px;margin:12px 0 0;padding:0;list-style:none}
.tags li{padding:2px 10px;border-radius:6px;background:var(--tag);color:var(--accent);font-size:.8125rem}
h2{margin:14px 0 0;color:var(--umber);font-size:.8125rem;font-weight:500;line-height:1.4}
h2 a{display:-webkit-box;-webkit-box-orient:vertical;-webkit-line-clamp:2;overflow:hidden;text-decoration:none}
h2 a:hover{text-decoration:underline}
p.prompt,p.caption{margin:0}
.prompt{margin-top:2px;color:var(--cream);font-size:1.0625rem;line-height:1.4}
.caption{margin-top:8px!important;font-size:.9375rem;line-height:1.55}
summary{display:block;cursor:pointer;list-style:none;border-radius:4px}
summary::-webkit-details-marker{display:none}
summary span{display:block;text-align:start;unicode-bidi:isolate}
details:not([open]) summary span{display:-webkit-box;-webkit-box-orient:vertical;-webkit-line-clamp:3;overflow:hidden}
summary::after{content:"more";color:var(--accent);font-size:.8125rem}
details[open]>summary::after{content:"less"}
summary:hover::after{text-decoration:underline}
.card dl{display:grid;grid-template-columns:minmax(0,4fr) minmax(0,5fr);margin-top:12px;padding-top:11px;
border-top:1px solid var(--hairline)}
.card dl .wide{grid-column:1/-1}
.files{display:flex;flex-wrap:wrap;gap:2px 14px;margin:10px 0 0;font-size:.8125rem}
.files a{color:var(--accent);text-underline-offset:3px;padding:3px 0}
.empty{color:var(--umber)}
footer{margin-top:48px;padding-top:18px;border-top:1px solid var(--hairline);font-size:.875rem;color:var(--umber)}
footer p{margin:0 0 8px;max-width:72ch}
footer b{color:var(--sand);font-weight:600}
footer .mark{color:var(--accent);font-size:1.05rem}
@media(max-width:970px){.rows{contain-intrinsic-size:auto 16000px}}
@media(max-width:660px){.rows{contain-intrinsic-size:auto 32000px}.tools{gap:8px}#filter{flex:1 1 100%}}
@media print{.tools{display:none}.rows{content-visibility:visible}.card{break-inside:avoid}}
"""

# A film plays while the mouse is over it or the keyboard is at it, and on a tap; a click or Enter follows its link.
_SCRIPT = """
(()=>{
const on=(what,act)=>document.addEventListener(what,act,true),calm=matchMedia('(prefers-reduced-motion: reduce)');
const film=e=>e.target instanceof Element?e.target.closest('.plays'):null;
let now=null,video=null;
const stop=()=>{if(!now)return;video.pause();video.removeAttribute('src');video.load();video.remove();
now.classList.remove('playing');now=video=null};
const play=f=>{if(!f||f===now)return;stop();now=f;video=document.createElement('video');
Object.assign(video,{loop:true,muted:true,playsInline:true,poster:f.querySelector('img')?.src??'',src:f.href});
f.classList.add('playing');f.append(video);video.play().catch(()=>{})};
on('pointerover',e=>{if(e.pointerType==='mouse'&&!calm.matches)play(film(e))});
on('pointerout',e=>{const f=film(e);if(e.pointerType==='mouse'&&f&&f===now&&!f.contains(e.relatedTarget))stop()});
on('focusin',e=>{const f=film(e);if(f&&f.matches(':focus-visible')&&!calm.matches)play(f)});
on('focusout',e=>{if(now&&film(e)===now)stop()});
on('click',e=>{const f=film(e);if(f&&e.pointerType==='touch'){e.preventDefault();f===now?stop():play(f)}});
const field=document.getElementById('filter'),found=document.getElementById('found');
if(!field)return;
field.hidden=false;
const cards=[...document.querySelectorAll('.card')];let texts,timer;
const narrow=()=>{
texts??=cards.map(card=>card.textContent.toLowerCase());
const words=field.value.toLowerCase().split(/\\s+/);let count=0;
cards.forEach((card,n)=>{const fits=words.every(word=>texts[n].includes(word));card.hidden=!fits;count+=fits});
const narrowed=!!field.value.trim();
document.querySelector('main').classList.toggle('narrow',narrowed);
found.textContent=narrowed?count+' of '+cards.length:''};
field.addEventListener('input',()=>{clearTimeout(timer);timer=setTimeout(narrow,120)});
if(field.value)narrow()
})()
"""

_FOOTER = """<footer>
<p><b>motion</b>: how far the picture's parts move in a frame, in pixels. <b>flicker</b>: how much a pixel changes from
frame to frame, of 255 levels; movement counts too. <b>sharpness</b>: what the last frame gained or lost of it since the
first. <b>first frame</b>: how like the still it is; 30 dB is near, below 20 it is another picture.</p>
<p class="mark">Animatic</p>
</footer>
"""
