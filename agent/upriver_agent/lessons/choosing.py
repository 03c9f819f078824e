"""A choice of lessons as a condition of the tables. Pure."""

from typing import Any

from upriver_agent.lessons.lesson import Choice


def where(choice: Choice) -> tuple[str, list[Any]]:
    """The condition, with marks, and their values."""
    parts = ["TRUE"]
    values: list[Any] = []
    for condition, value in (
        ("model = ?", choice.model),
        ("digest = ?", choice.version_digest),
        ("label = ?", choice.label),
        ("source = ?", choice.source),
        ("agent = ?", choice.teacher),
    ):
        if value:
            parts.append(condition)
            values.append(value)
    for condition, at in (("at >= ?", choice.since), ("at < ?", choice.until)):
        if at is not None:
            parts.append(condition)
            values.append(at)
    if choice.states:
        parts.append(f"state IN ({', '.join(str(int(state)) for state in sorted(choice.states))})")
    if choice.ids:
        # A row's number is behind the last dot; an id may also be a question's, of which all rows are meant.
        parts.append("(" + " OR ".join(["(question = ? AND row = ?)", "question = ?"] * len(choice.ids)) + ")")
        for id_ in choice.ids:
            question, _, row = id_.rpartition(".")
            values += [question, int(row) if row.isascii() and row.isdigit() and len(row) < 10 else -1, id_]
    return " AND ".join(parts), values
