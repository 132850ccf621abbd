"""The command line. Each command: parse, call, print. Errors become one line and an exit code here."""

from __future__ import annotations

import contextlib
import enum
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from animatic.errors import AnimaticError, InputError, OptionError
from animatic.events import Clip, Event, Failed, Notice, Sheet, Sketch, Step
from animatic.geometry import parse_size
from animatic.options import parse
from animatic.sizes import parse_bytes

MEMORY = "Memory that models may take where they run, such as 12GiB."
HOST_MEMORY = "Main memory that models may take, such as 32GiB."
FILE = "A file of shots, one a line: JSON Lines, CSV or plain text; - is standard input."
STORE = "The folder of the artifacts; otherwise in the platform's cache folder."
LIKE = "As an earlier clip, but for what is given."
OLDER = "Remove what was not used for so long, such as 30d."
ABANDON = "Give up unfinished runs, whose artifacts stay otherwise."
STRICT = "Take only what was made by the same versions on the same kind of device."
STOPPED = "stopped; nothing is lost, and the same command goes on from here"
SERVER = "The server; otherwise http://127.0.0.1:8420. The key for it is taken from ANIMATIC_API_KEY."
AT = "A server that makes it, such as http://box:8420; the key for it is taken from ANIMATIC_API_KEY."


class Last(enum.StrEnum):
    """The stage after which a making ends."""

    refine = "refine"
    image = "image"
    file = "file"


app = typer.Typer(
    name="animatic",
    help="One short sentence becomes a video, with open models only.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
models_app = typer.Typer(help="The presets: what they need, and whether they are here.", invoke_without_command=True)
app.add_typer(models_app, name="models")
serve_app = typer.Typer(help="An HTTP API, a durable queue and a page for people.", invoke_without_command=True)
app.add_typer(serve_app, name="serve")
keys_app = typer.Typer(help="Who may use the service.", no_args_is_help=True)
serve_app.add_typer(keys_app, name="keys")
store_app = typer.Typer(help="The artifacts: stored results, made only once.", invoke_without_command=True)
app.add_typer(store_app, name="store")


@app.callback(invoke_without_command=True)
def _version(show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if show:
        print(f"animatic {version('animatic')}")
        raise typer.Exit


@app.command()
def make(
    prompt: Annotated[str | None, typer.Argument(help="What the clip should show, in one short sentence.")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help=FILE)] = None,
    preset: Annotated[str | None, typer.Option(help="Which models; see: animatic models")] = None,
    seed: Annotated[int | None, typer.Option(help="The first take's seed; 0 if not given.")] = None,
    takes: Annotated[int, typer.Option(help="How many clips, by further seeds.")] = 1,
    words: Annotated[int | None, typer.Option(help="The most words of the paragraph.")] = None,
    size: Annotated[str | None, typer.Option(metavar="WxH", help="The clip's size.")] = None,
    frames: Annotated[int | None, typer.Option(help="The clip's frames.")] = None,
    caption: Annotated[str | None, typer.Option(help="Your own paragraph; skips the chat model.")] = None,
    image: Annotated[Path | None, typer.Option(help="Your own still; skips the image model.")] = None,
    stills: Annotated[int, typer.Option(help="Draw so many stills, and choose one of them.")] = 1,
    pick: Annotated[str | None, typer.Option(metavar="K|best", help="Which still; without it you are asked.")] = None,
    scorer: Annotated[str, typer.Option(help="What finds the best still: plain, or clip:FOLDER.")] = "plain",
    until: Annotated[Last, typer.Option(help="Stop after this stage, with a file to edit and go on from.")] = Last.file,
    like: Annotated[str | None, typer.Option(metavar="CLIP|last", help=LIKE)] = None,
    shard: Annotated[str, typer.Option(metavar="I/N", help="Of --file, the I-th of N parts.")] = "1/1",
    memory: Annotated[str | None, typer.Option(metavar="SIZE", help=MEMORY)] = None,
    host_memory: Annotated[str | None, typer.Option(metavar="SIZE", help=HOST_MEMORY)] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="STAGE.OPTION=VALUE", help="Any option.")] = None,
    strict_env: Annotated[bool, typer.Option("--strict-env", help=STRICT)] = False,
    store: Annotated[Path | None, typer.Option(metavar="DIR", help=STORE)] = None,
    out: Annotated[Path, typer.Option(help="The folder for the results.")] = Path("outputs"),
    at: Annotated[str | None, typer.Option(metavar="URL", envvar="ANIMATIC_AT", help=AT)] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print what happens as JSON lines.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the clips' paths only.")] = False,
) -> None:
    """Make a video from one short sentence, or many from a file. What is made already is not made again."""
    from animatic import batch

    wish: dict[str, Any] = {"takes": takes, "stills": stills, "pick": pick, "scorer": scorer, "strict_env": strict_env}
    wish["options"] = _options(words, size, frames, set_)
    given = {"preset": preset, "seed": seed, "caption": caption, "image": image, **_budget(memory, host_memory)}
    wish |= {name: value for name, value in given.items() if value is not None}
    way = {"out": out, "store": store, "until": until.value, "choose": _chooser(json_ or quiet)}
    _check_ways(prompt, file, like)
    with _maker(at, quiet) as (maker, farewell):
        if file is not None:
            _show(maker.batch(file, shard=batch.shard(shard), **way, **wish), json_, quiet, farewell)
            return
        if shard != "1/1":
            raise OptionError("--shard takes a part of a file's shots: give --file")
        wish |= {"prompt": prompt} if prompt is not None else {}
        if like is not None:
            wish = _like(like, store, wish)
        _show(maker.stream(**wish, **way), json_, quiet, farewell)


@contextlib.contextmanager
def _maker(at: str | None, quiet: bool) -> Iterator[tuple[Any, Callable[[], str]]]:
    """What makes clips, by the same two calls here and at a server; and what to say when somebody stops it."""
    if not at:
        from animatic import api

        yield api, lambda: STOPPED
        return
    from animatic import remote

    with remote.connect(at) as client:
        maker = remote.Remote(client, previews=not quiet)
        yield maker, maker.farewell


def _check_ways(prompt: str | None, file: Path | None, like: str | None) -> None:
    """Raises OptionError where it is not said what to make, or said twice."""
    if file is not None and (prompt is not None or like is not None):
        other = "a prompt" if prompt is not None else "--like"
        raise OptionError(f"{other} and --file are two answers to one question: give one of them")
    if prompt is None and file is None and like is None:
        raise OptionError('nothing to make: give a sentence, such as animatic make "a red boat sails", or --file')


def _like(clip: str, store: Path | None, given: dict[str, Any]) -> dict[str, Any]:
    """What an earlier clip was asked for with, but for what is given now."""
    from animatic import again
    from animatic.store import default

    before = again.like(clip, store or default(), given.get("image"))
    if given.get("image"):
        before["options"].pop("image.candidate", None)
    return {**before, **given, "options": {**before["options"], **given["options"]}}


def _chooser(silent: bool) -> Any:
    """Asks in the terminal; None: there is nobody to ask."""
    if silent or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    from animatic.chooser import ask

    return ask


@app.command()
def plan(
    prompt: Annotated[str, typer.Argument(help="What the clip should show; any will do.")] = "",
    file: Annotated[Path | None, typer.Option("--file", "-f", help=FILE)] = None,
    shots: Annotated[int, typer.Option(help="How many clips of each prompt.")] = 1,
    preset: Annotated[str | None, typer.Option(help="Which models; see: animatic models")] = None,
    gpu: Annotated[str | None, typer.Option(help='A card that need not be at hand, such as "RTX 4070".')] = None,
    memory: Annotated[str | None, typer.Option(metavar="SIZE", help=MEMORY)] = None,
    host_memory: Annotated[str | None, typer.Option(metavar="SIZE", help=HOST_MEMORY)] = None,
    words: Annotated[int | None, typer.Option(help="The most words of the paragraph.")] = None,
    size: Annotated[str | None, typer.Option(metavar="WxH", help="The clip's size.")] = None,
    frames: Annotated[int | None, typer.Option(help="The clip's frames.")] = None,
    caption: Annotated[str | None, typer.Option(help="Your own paragraph; skips the chat model.")] = None,
    image: Annotated[Path | None, typer.Option(help="Your own still; skips the image model.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="STAGE.OPTION=VALUE", help="Any option.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the timeline into an SVG file.")] = None,
) -> None:
    """Say what making clips would take: will it fit, how long will it take. Runs no model and downloads nothing."""
    if prompt and file:
        raise OptionError("a prompt and --file are two answers to one question: give one of them")
    from animatic import api

    options, budget = _options(words, size, frames, set_), _budget(memory, host_memory)
    outlook = api.plan(
        prompt, file=file, shots=shots, preset=preset, gpu=gpu, options=options, caption=caption, image=image, **budget
    )
    if svg is not None:
        from animatic import files, picture

        files.write(svg, picture.svg(outlook).encode(), option="--svg")
    if json_:
        print(json.dumps(outlook.as_dict(), ensure_ascii=False))
        return
    from animatic.timeline import table

    console = Console(highlight=False)
    console.print(table(outlook))
    if svg is not None:
        console.print(f"\n→ {svg}", soft_wrap=True, markup=False)


def _options(words: int | None, size: str | None, frames: int | None, set_: list[str] | None) -> dict[str, Any]:
    """The options that were given, by dotted name."""
    options: dict[str, Any] = {"refine.words": words, "video.num_frames": frames}
    if size:
        options["video.width"], options["video.height"] = parse_size(size)
    chosen = {name: value for name, value in options.items() if value is not None}
    return chosen | dict(parse(assignment) for assignment in set_ or [])


def _budget(memory: str | None, host_memory: str | None) -> dict[str, int | None]:
    """The granted memory in bytes, as a wish takes it."""
    return {
        "memory": parse_bytes(memory, "--memory") if memory is not None else None,
        "host_memory": parse_bytes(host_memory, "--host-memory") if host_memory is not None else None,
    }


def _show(events: Iterator[Event], as_json: bool, quiet: bool, farewell: Callable[[], str] = lambda: STOPPED) -> None:
    """Print what happens. Ctrl-C and SIGTERM stop within a step: they end the events, and `farewell` is said."""

    def stop(number: int, _: object) -> None:
        raise _Stopped(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        _print_events(events, as_json, quiet)
    except _Stopped as stopped:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print(f"animatic: {farewell()}", file=sys.stderr)
        raise typer.Exit(128 + stopped.number) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Stopped(KeyboardInterrupt):
    """A signal that asks to stop. It ends what goes on, as Ctrl-C does."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def _print_events(events: Iterator[Event], as_json: bool, quiet: bool) -> None:
    if as_json:
        for event in events:
            print(json.dumps(_line(event), ensure_ascii=False), flush=True)
    elif quiet:
        for event in events:
            if isinstance(event, (Clip, Sheet, Sketch)):
                print(event.path, flush=True)
            elif isinstance(event, Notice):
                print(event.text, file=sys.stderr)
            elif isinstance(event, Failed):
                print(f"{event.shot} failed: {event.phase}: {event.text}", file=sys.stderr)
    else:
        from animatic.terminal import watch

        watch(events, Console())


def _line(event: Event) -> dict[str, Any]:
    """An event as JSON; a preview is a small PNG in a data URL, so that a bad clip can be seen and stopped early."""
    line = event.as_dict()
    if isinstance(event, Step) and event.preview is not None:
        from animatic import bitmap

        line["preview"] = bitmap.data_url(event.preview)
    return line


@app.command()
def show(
    files: Annotated[list[Path], typer.Argument(help="Clips (.mp4, anyone's) or stills (.png) that Animatic made.")],
    vbench: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Instead copy the clips there, named as VBench wants them.")
    ] = None,
    command: Annotated[bool, typer.Option("--command", help="Instead print the command that makes it again.")] = False,
) -> None:
    """Print how a clip or a still was made, and what a clip measures; what is wrong with it goes to stderr."""
    if vbench is not None:
        from animatic.vbench import export

        for path in export(files, vbench):
            print(path)
        return
    from animatic import again, media, provenance

    for file in files:
        if command:
            said = again.command(provenance.read(file))
            print(said)
            if f"--image {again.STILL}" in said:
                print(f"animatic: {again.STILL} stands for the still that was given", file=sys.stderr)
            continue
        shown = _clip(file) if media.is_mp4(file) else provenance.read(file)
        Console(soft_wrap=True).print_json(data=shown)


def _clip(file: Path) -> dict[str, Any]:
    """A clip's record with "measures", always fresh from the file: a record may come from anyone and tell anything."""
    from animatic import film, provenance

    record: dict[str, Any] = {}
    said: list[str] = []
    try:
        record = provenance.read(file)
    except InputError as error:
        said.append(str(error))
    measures = film.look(file, record)
    said += [f"{file}: {remark}" for remark in measures["remarks"]]
    for line in said:
        print(f"animatic: {line}", file=sys.stderr)
    return {**record, "measures": measures}


@models_app.callback()
def models(context: typer.Context) -> None:
    """List the presets: size, licences, whether they are here and whether they fit this machine."""
    if context.invoked_subcommand is None:
        from animatic.listing import presets_table

        Console().print(presets_table())


@models_app.command()
def pull(
    preset: Annotated[str, typer.Argument(help="The preset whose models to download.")],
    local: Annotated[
        list[str] | None, typer.Option(metavar="REPO=FOLDER", help="Use weights that are already in a folder.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Download a preset's models, after saying how much that is; or register folders that hold them."""
    from animatic.listing import pull_preset

    pull_preset(preset, local or [], yes, Console())


@models_app.command()
def verify(preset: Annotated[str, typer.Argument(help="The preset whose weights to read.")]) -> None:
    """Read all of a preset's weights: say whether they are whole, and which of them are the same."""
    from animatic.listing import verify_preset

    verify_preset(preset, Console())


@store_app.callback()
def stored(
    context: typer.Context,
    store: Annotated[Path | None, typer.Option(metavar="DIR", help=STORE)] = None,
) -> None:
    """The artifacts: stored results, from which nothing is made twice. Without a command, lists them."""
    from animatic.store import Store, default

    context.obj = Store(store or default())
    if context.invoked_subcommand is None:
        ls(context)


@store_app.command()
def ls(context: typer.Context) -> None:
    """List what lies in the store by kind, and the unfinished runs that need some of it."""
    from animatic.stocklist import contents

    Console(soft_wrap=True).print(contents(context.obj))


@store_app.command(name="verify")
def verify_store(context: typer.Context) -> None:
    """Read every artifact, and set aside those that are damaged; they are made anew when they are needed."""
    from animatic.stocklist import verified

    verified(context.obj, Console(soft_wrap=True))


@store_app.command()
def gc(
    context: typer.Context,
    keep: Annotated[str | None, typer.Option(metavar="SIZE", help="Bytes to keep, such as 50GB.")] = None,
    older_than: Annotated[str | None, typer.Option(metavar="AGE", help=OLDER)] = None,
    abandon: Annotated[bool, typer.Option("--abandon", help=ABANDON)] = False,
) -> None:
    """Remove what was not used for longest, and what killed runs left; never what an unfinished run needs."""
    from animatic.sizes import parse_age
    from animatic.stocklist import collected

    size = parse_bytes(keep, "--keep") if keep is not None else None
    age = parse_age(older_than, "--older-than") if older_than is not None else None
    Console(soft_wrap=True).print(collected(context.obj, size, age, abandon))


@serve_app.callback()
def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="The address to listen at; other than 127.0.0.1 needs keys.")] = None,
    port: Annotated[int | None, typer.Option(help="The port; 8420 if not given.")] = None,
    devices: Annotated[str | None, typer.Option(help="all, cpu, or the numbers of GPUs, such as 0,1.")] = None,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="The folder of the jobs and their clips.")] = None,
    store: Annotated[Path | None, typer.Option(metavar="DIR", help=STORE)] = None,
    storage: Annotated[str | None, typer.Option(metavar="URL", help="Where clips are kept instead, by fsspec.")] = None,
    presets: Annotated[str | None, typer.Option(help="Which may be used; all that are here if not given.")] = None,
    hosts: Annotated[str | None, typer.Option(help="Names that it is called by, besides localhost.")] = None,
    memory: Annotated[str | None, typer.Option(metavar="SIZE", help=MEMORY)] = None,
    host_memory: Annotated[str | None, typer.Option(metavar="SIZE", help=HOST_MEMORY)] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help=r"TOML, with all settings in \[serve].")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any setting.")] = None,
) -> None:
    """Serve videos over HTTP, with a page at the same address. Stops at Ctrl-C when running jobs are done."""
    flags = {"host": host, "port": port, "devices": devices, "data": data, "store": store, "storage": storage,
             "presets": presets, "hosts": hosts, "memory": memory, "host_memory": host_memory}  # fmt: skip
    given = {name: value for name, value in flags.items() if value is not None} | dict(map(parse, set_ or []))
    from animatic.settings import settings

    context.obj = settings(given, os.environ, config)
    if context.invoked_subcommand is None:
        try:
            from animatic.serving import serve as run
        except ModuleNotFoundError as error:
            how = "which is not installed: pip install 'animatic[serve]'"
            raise OptionError(f"serving needs {error.name}, {how}") from None
        run(context.obj)


@keys_app.command(name="add")
def add_key(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Whose it is.")],
    priority: Annotated[int, typer.Option(help="Of its jobs; the higher go first.")] = 0,
) -> None:
    """Make a key, and print it: this once."""
    from animatic.keys import Keys

    _, secret = Keys(context.obj.data).add(name, priority)
    print(secret)
    print("animatic: this is the only time it is shown; it is sent as Authorization: Bearer KEY", file=sys.stderr)


@keys_app.command(name="list")
def list_keys(context: typer.Context) -> None:
    """List the keys; what they are is kept nowhere."""
    from animatic.keylist import keys_table
    from animatic.keys import Keys

    Console(soft_wrap=True).print(keys_table(Keys(context.obj.data).all()))


@keys_app.command()
def revoke(context: typer.Context, key: Annotated[str, typer.Argument(help="Its name or its id.")]) -> None:
    """Take a key back; its jobs stay."""
    from animatic.keys import Keys

    revoked = Keys(context.obj.data).revoke(key)
    print(f"{revoked.name} ({revoked.id}) is revoked")


@app.command()
def jobs(
    id: Annotated[str | None, typer.Argument(help="One video; without it all are listed.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show what happens to it, until it is done.")] = False,
    get: Annotated[bool, typer.Option("--get", help="Fetch its files.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Stop it.")] = False,
    last: Annotated[int, typer.Option(metavar="N", help="How many are listed, the newest first.")] = 20,
    out: Annotated[Path, typer.Option(help="The folder for the files.")] = Path("outputs"),
    at: Annotated[str | None, typer.Option(metavar="URL", envvar="ANIMATIC_AT", help=SERVER)] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
) -> None:
    """The videos of a server: list them, look at one, watch, fetch or cancel it."""
    if watch + get + cancel > 1 or (id is None and watch + get + cancel):
        raise OptionError("--watch, --get and --cancel each need one video's ID: animatic jobs ID --watch")
    from animatic import joblist, remote

    with remote.connect(at) as client:
        maker = remote.Remote(client, previews=True)
        if id is not None and watch:
            _show(maker.watch(id, _chooser(json_)), json_, False, maker.farewell)
        elif id is not None and get:
            _show(iter([maker.fetch(id, out)]), json_, True, maker.farewell)
        else:
            videos = [client.cancel(id) if cancel else client.retrieve(id)] if id is not None else client.newest(last)
            if json_:
                for video in videos:
                    print(json.dumps(video.as_dict(), ensure_ascii=False))
            else:
                Console(soft_wrap=True).print(joblist.details(videos[0]) if id else joblist.table(videos))


@app.command()
def doctor() -> None:
    """Say what this machine is, what is missing, and how to install it."""
    from animatic.doctor import report

    Console(soft_wrap=True).print(report())


def main() -> None:
    """The door: known errors become one line and an exit code."""
    try:
        app()
    except AnimaticError as error:
        print(f"animatic: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
