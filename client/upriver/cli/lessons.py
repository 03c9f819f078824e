"""`upriver lessons`: what an agent was told from above and learns from; looking at it, and forgetting."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from upriver.cli import options as opt
from upriver.cli.calling import calling
from upriver.cli.lesson_files import write_lessons, writer_of
from upriver.cli.lesson_tables import lesson_document, print_lesson, print_lessons, print_stats, stats_document
from upriver.errors import ConfigError, NotFound
from upriver.lessons import SERVICE, Lesson, LessonState, choice_of, parse_lesson
from upriver.v1 import lesson_pb2 as pb

app = typer.Typer(
    name="lessons",
    help="See what an agent learns from, and have it forget.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

Agent = Annotated[str, typer.Option("--agent", "-a", metavar="HOST:PORT", help="The agent that keeps the lessons.")]
Model = Annotated[str, typer.Option(metavar="MODEL", help="Only those of this model.")]
Version = Annotated[str, typer.Option(metavar="DIGEST", help="Only those of this version.")]
Label = Annotated[str, typer.Option(metavar="LABEL", help="Only those that were told to be this class.")]
Source = Annotated[str, typer.Option(metavar="CALLER", help="Only those that this caller asked about.")]
TeacherOption = Annotated[str, typer.Option(metavar="AGENT", help="Only those that this agent, or `person`, taught.")]
Since = Annotated[
    str, typer.Option(metavar="TIME", help="Only those learnt since then: `24h`, `30d` or 2026-05-01T12:00:00Z.")
]
Until = Annotated[str, typer.Option(metavar="TIME", help="Only those learnt before then.")]
State = Annotated[LessonState | None, typer.Option(help="Only those that count so.")]
_PAGE = 1000
_EXPORT_S = 3600.0


@app.command("stats")
def stats_command(
    agent: Agent = opt.DEFAULT_AGENT,
    timeout: opt.Timeout = 10.0,
    tls: opt.Tls = False,
    ca: opt.Ca = None,
    certificate: opt.Certificate = None,
    key: opt.Key = None,
    server_name: opt.ServerName = "",
    as_json: opt.AsJson = False,
) -> None:
    """Show how many lessons there are of which class, which teachers are believed, and what became of the rest.

    `taken`, `put_out`, `expired`, `forgotten` and `without_input` are counted since the journal began, the others since
    the agent did.
    An agent shows lessons to callers with a certificate (mutual TLS); `learning.access = "network"` in its
    configuration lets anybody see and forget them who reaches its port.

    ```console
    upriver lessons stats
    upriver lessons stats --agent 10.0.0.7:8470 --json | jq '.teachers'
    ```
    """
    with calling(agent, opt.tls_files(tls, ca, certificate, key, server_name), SERVICE) as stub:
        stats = stub.GetLessonStats(pb.GetLessonStatsRequest(), timeout=timeout)
    if as_json:
        typer.echo(json.dumps(stats_document(stats), allow_nan=False, ensure_ascii=False, indent=2))
    else:
        print_stats(stats)


@app.command("list")
def list_command(
    agent: Agent = opt.DEFAULT_AGENT,
    model: Model = "",
    version: Version = "",
    label: Label = "",
    source: Source = "",
    teacher: TeacherOption = "",
    since: Since = "",
    until: Until = "",
    state: State = None,
    limit: Annotated[int, typer.Option(metavar="NUMBER", help="At most so many, the oldest first.", min=1)] = 100,
    timeout: opt.Timeout = 10.0,
    tls: opt.Tls = False,
    ca: opt.Ca = None,
    certificate: opt.Certificate = None,
    key: opt.Key = None,
    server_name: opt.ServerName = "",
    as_json: opt.AsJson = False,
) -> None:
    """List lessons, the oldest first.

    ```console
    upriver lessons list --label 7 --since 24h
    upriver lessons list --state held --json | jq -r '.lessons[].id'
    ```
    """
    choice = choice_of((), model, version, label, source, teacher, since, until, state, time.time())
    found: list[Lesson] = []
    token = ""
    with calling(agent, opt.tls_files(tls, ca, certificate, key, server_name), SERVICE) as stub:
        while True:
            size = min(_PAGE, limit - len(found))
            request = pb.ListLessonsRequest(choice=choice, page_size=size, page_token=token)
            reply = stub.ListLessons(request, timeout=timeout)
            found += [parse_lesson(lesson) for lesson in reply.lessons]
            token = reply.next_page_token
            if not token or len(found) >= limit:
                break
    if as_json:
        document = {"lessons": [lesson_document(lesson) for lesson in found], "more": bool(token)}
        typer.echo(json.dumps(document, allow_nan=False, ensure_ascii=False, indent=2))
        return
    print_lessons(found)
    typer.echo(f"{len(found)} lessons" + ("; there are more than these" if token else ""))


@app.command("show")
def show_command(
    lesson: Annotated[str, typer.Argument(metavar="LESSON", help="As `upriver lessons list` has it.")],
    agent: Agent = opt.DEFAULT_AGENT,
    timeout: opt.Timeout = 10.0,
    tls: opt.Tls = False,
    ca: opt.Ca = None,
    certificate: opt.Certificate = None,
    key: opt.Key = None,
    server_name: opt.ServerName = "",
    as_json: opt.AsJson = False,
) -> None:
    """Show a lesson: what was said here, what the agent was told, by whom.

    ```console
    upriver lessons show q-5f0c2a9b1d3e4f67-0123456789abcdef.0
    ```
    """
    request = pb.ListLessonsRequest(choice=choice_of((lesson,)), page_size=1, include_input=True)
    with calling(agent, opt.tls_files(tls, ca, certificate, key, server_name), SERVICE) as stub:
        found = stub.ListLessons(request, timeout=timeout).lessons
    if not found:
        raise NotFound(f"the agent at {agent} has no lesson {lesson[:80]!r}")
    shown = parse_lesson(found[0])
    if as_json:
        typer.echo(json.dumps(lesson_document(shown), allow_nan=False, ensure_ascii=False, indent=2))
    else:
        print_lesson(shown)


@app.command("export")
def export_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Ends in .jsonl, or in .npz for one version's.")],
    agent: Agent = opt.DEFAULT_AGENT,
    model: Model = "",
    version: Version = "",
    label: Label = "",
    source: Source = "",
    teacher: TeacherOption = "",
    since: Since = "",
    until: Until = "",
    state: State = None,
    inputs: Annotated[bool, typer.Option("--inputs", help="With the inputs that were kept.")] = False,
    tls: opt.Tls = False,
    ca: opt.Ca = None,
    certificate: opt.Certificate = None,
    key: opt.Key = None,
    server_name: opt.ServerName = "",
) -> None:
    """Write lessons to a file, embeddings included.

    Inputs are ModelInferRequest messages of the Open Inference Protocol, one row each: base64 in .jsonl, files in .npz.
    One that is sealed with a key that the agent has not any more is left out, and told.

    ```console
    upriver lessons export digits.npz --model digits
    upriver lessons export all.jsonl --inputs --since 30d
    ```
    """
    writer_of(file)  # before anything is sent
    choice = choice_of((), model, version, label, source, teacher, since, until, state, time.time())
    request = pb.ExportLessonsRequest(choice=choice, include_input=inputs)
    unopened: list[str] = []
    with calling(agent, opt.tls_files(tls, ca, certificate, key, server_name), SERVICE) as stub:
        count = write_lessons(_exported(stub.ExportLessons(request, timeout=_EXPORT_S), unopened), file)
    typer.echo(f"{count} lessons in {file}")
    if unopened:
        typer.echo(f"{len(unopened)} inputs are left out; the first: {unopened[0]}", err=True)


@app.command("forget")
def forget_command(
    lessons: Annotated[
        list[str] | None, typer.Argument(metavar="[LESSON...]", help="These, or all of a question.")
    ] = None,
    agent: Agent = opt.DEFAULT_AGENT,
    model: Model = "",
    version: Version = "",
    label: Label = "",
    source: Source = "",
    teacher: TeacherOption = "",
    since: Since = "",
    until: Until = "",
    state: State = None,
    everything: Annotated[bool, typer.Option("--all", help="All lessons.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell how many there are.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    timeout: opt.Timeout = 300.0,
    tls: opt.Tls = False,
    ca: opt.Ca = None,
    certificate: opt.Certificate = None,
    key: opt.Key = None,
    server_name: opt.ServerName = "",
    as_json: opt.AsJson = False,
) -> None:
    """Have an agent forget lessons: by id, class, caller, teacher or time. What it has learnt forgets them too.

    Everything that is given has to fit. The head afterwards is one that never saw them.

    ```console
    upriver lessons forget q-5f0c2a9b1d3e4f67-0123456789abcdef.0
    upriver lessons forget --label 7 --since 24h --dry-run
    upriver lessons forget --source ipv4:10.0.0.12 --yes
    ```
    """
    choice = choice_of(lessons or (), model, version, label, source, teacher, since, until, state, time.time())
    if choice == pb.LessonChoice() and not everything:
        raise ConfigError("upriver lessons forget", ["name lessons, give an option that chooses some, or --all"])
    if choice != pb.LessonChoice() and everything:
        raise ConfigError("upriver lessons forget", ["--all means everything: leave out what chooses some"])
    with calling(agent, opt.tls_files(tls, ca, certificate, key, server_name), SERVICE) as stub:
        request = pb.ForgetLessonsRequest(choice=choice, dry_run=True, all=everything)
        count = stub.ForgetLessons(request, timeout=timeout).lessons
        forgets = bool(count or lessons) and not dry_run  # what is not there any more may be above
        if forgets and count and not yes:
            typer.confirm(f"Forget {_many(count)} for good?", abort=True, err=True)
        if forgets:
            request.dry_run = False
            count = stub.ForgetLessons(request, timeout=timeout).lessons
    if as_json:
        typer.echo(json.dumps({"lessons": count, "forgotten": forgets}))
    else:
        typer.echo(f"forgotten: {_many(count)}" if forgets or not dry_run else f"would be forgotten: {_many(count)}")


@app.command("release")
def release_command(
    teacher: Annotated[str, typer.Argument(metavar="AGENT", help="A teacher in quarantine.")],
    agent: Agent = opt.DEFAULT_AGENT,
    timeout: opt.Timeout = 60.0,
    tls: opt.Tls = False,
    ca: opt.Ca = None,
    certificate: opt.Certificate = None,
    key: opt.Key = None,
    server_name: opt.ServerName = "",
    as_json: opt.AsJson = False,
) -> None:
    """Believe a teacher in quarantine again; what it had taught counts again.

    ```console
    upriver lessons release edge-3
    ```
    """
    with calling(agent, opt.tls_files(tls, ca, certificate, key, server_name), SERVICE) as stub:
        count = stub.ReleaseTeacher(pb.ReleaseTeacherRequest(agent=teacher), timeout=timeout).lessons
    if as_json:
        typer.echo(json.dumps({"teacher": teacher, "lessons": count}))
    else:
        typer.echo(f"{teacher} is believed again; {count} lessons of it count again")


def _many(lessons: int) -> str:
    return f"{lessons} lesson{'' if lessons == 1 else 's'}"


def _exported(replies: Iterator[pb.ExportLessonsResponse], unopened: list[str]) -> Iterator[Lesson]:
    """The lessons as they come, with a bar on a terminal; notes in `unopened` which inputs can't be opened."""
    columns = (TextColumn("lessons"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("lessons", total=None)
        for reply in replies:
            if reply.total:
                progress.update(task, total=reply.total)
            for message in reply.lessons:
                lesson = parse_lesson(message)
                if lesson.input_problem:
                    unopened.append(lesson.input_problem)
                progress.advance(task)
                yield lesson
