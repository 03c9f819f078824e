"""Lessons on the terminal, and as JSON."""

import json
import time
from collections.abc import Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from upriver.cli.documents import plain, rfc3339
from upriver.cli.tables import print_table
from upriver.lessons import Lesson, parse_state, seconds
from upriver.v1 import lesson_pb2 as pb


def lesson_document(lesson: Lesson) -> dict[str, Any]:
    """A lesson as JSON has it, without embedding and input."""
    return {
        "id": lesson.id,
        "model": lesson.model,
        "version": lesson.version_digest,
        "state": lesson.state.value,
        "learnt": rfc3339(lesson.learnt_at),
        "student": {
            "label": lesson.student_label,
            "confidence": plain(lesson.student_confidence),
            "known": plain(lesson.known),
        },
        "label": lesson.label,
        "probabilities": {label: plain(share) for label, share in lesson.probabilities.items()},
        "teacher": {
            "agent": lesson.teacher,
            "tier": lesson.teacher_tier,
            "policy": lesson.teacher_policy_digest,
            "confidence": plain(lesson.teacher_confidence),
        },
        "trace_id": lesson.trace_id,
        "span_id": lesson.span_id,
        "source": lesson.source,
        "draw": plain(lesson.draw),
        "consent": lesson.consent,
        "has_input": lesson.has_input,
    }


def stats_document(stats: pb.GetLessonStatsResponse) -> dict[str, Any]:
    """How things stand, as JSON has it."""
    return {
        "models": dict(stats.models),
        "classes": [
            {
                "model": one.model,
                "version": one.version_digest,
                "label": one.label,
                "state": parse_state(one.state).value,
                "lessons": one.lessons,
                "bytes": one.bytes,
                "used": one.used,
            }
            for one in stats.classes
        ],
        "teachers": [
            {
                "agent": one.agent,
                "taken": one.taken,
                "idle": one.idle,
                "quarantined": one.quarantined,
                "since": rfc3339(seconds(one.quarantine_time)) if one.quarantined else None,
                "audits": one.audits,
                "contradictions": one.contradictions,
            }
            for one in stats.teachers
        ],
        "counters": dict(stats.counters),
        "bytes": stats.bytes,
        "max_bytes": stats.max_bytes,
        "trouble": stats.trouble or None,
    }


def print_lessons(lessons: Sequence[Lesson]) -> None:
    """Prints one line each; nothing when there are none."""
    if not lessons:
        return
    table = Table(
        "lesson", "model", "state", "said here", "told", "known", "teacher", "source", "age", box=None, pad_edge=False
    )
    for one in lessons:
        cells = (
            one.id,
            one.model,
            one.state.value,
            one.student_label,
            one.label,
            f"{one.known:.4f}",
            f"{one.teacher} ({one.teacher_tier})",
            one.source,
            _age(time.time() - one.learnt_at),
        )
        table.add_row(*map(escape, cells))
    print_table(table)


def print_lesson(lesson: Lesson) -> None:
    """Prints all that is known of one."""
    table = Table(box=None, pad_edge=False, show_header=False)
    shares = ", ".join(f"{label} {share:.4f}" for label, share in lesson.probabilities.items())
    kept = (lesson.input_problem or "kept") if lesson.has_input else "not kept"
    rows = (
        ("lesson", lesson.id),
        ("model", f"{lesson.model} {lesson.version_digest[:19]}"),
        ("state", lesson.state.value),
        ("learnt", str(rfc3339(lesson.learnt_at))),
        ("said here", f"{lesson.student_label}, confidence {lesson.student_confidence:.4f}"),
        ("told", f"{lesson.label}, to which {lesson.known:.4f} was given here"),
        ("probabilities", shares),
        ("teacher", f"{lesson.teacher} ({lesson.teacher_tier}), confidence {lesson.teacher_confidence:.4f}"),
        ("its policy", lesson.teacher_policy_digest),
        ("source", lesson.source),
        ("trace", lesson.trace_id),
        ("input", kept),
    )
    for name, value in rows:
        table.add_row(name, escape(value))
    print_table(table)


def print_stats(stats: pb.GetLessonStatsResponse) -> None:
    """Prints classes, teachers and counters."""
    classes = Table("model", "version", "label", "state", "lessons", "KiB", box=None, pad_edge=False)
    for one in stats.classes:
        version = one.version_digest[:19] + ("" if one.used else " (not here)")
        state = parse_state(one.state).value
        classes.add_row(
            *map(escape, (one.model, version, one.label, state, str(one.lessons), f"{one.bytes / 1024:.1f}"))
        )
    teachers = Table("teacher", "taken", "idle", "audits", "contradicted", "believed", box=None, pad_edge=False)
    for teacher in stats.teachers:
        believed = f"no, since {rfc3339(seconds(teacher.quarantine_time))}" if teacher.quarantined else "yes"
        counts = (teacher.taken, teacher.idle, teacher.audits, teacher.contradictions)
        teachers.add_row(*map(escape, (teacher.agent, *map(str, counts), believed)))
    for table in (classes, teachers):
        if table.row_count:
            print_table(table)
    for model, why in sorted(stats.models.items()):
        if why:
            print(f"{model} learns nothing: {why}")
    told = ", ".join(f"{count} {name}" for name, count in sorted(stats.counters.items()) if count)
    print(f"{stats.bytes / 2**20:.2f} of {stats.max_bytes / 2**20:.0f} MiB; {told or 'nothing came yet'}")
    if stats.trouble:
        print(f"nothing can be kept: {stats.trouble}")


def one_line_of_json(lesson: Lesson) -> str:
    """A lesson with its embedding as one line of JSON."""
    document = lesson_document(lesson)
    if lesson.embedding is not None:
        document["embedding"] = plain(lesson.embedding.astype(float).tolist())
    return json.dumps(document, allow_nan=False, ensure_ascii=False)


def _age(seconds_: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds_ >= size:
            return f"{seconds_ / size:.0f} {unit}"
    return f"{max(0.0, seconds_):.0f} s"
