"""A version's manifest, read for training and written anew for what was trained. Pure."""

import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from upriver.errors import InvalidInput

Document = Mapping[str, Any]


def read_manifest(text: str, version: str) -> Document:
    """A manifest that a training can begin with; raises InvalidInput naming what is missing."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{version}: its manifest can't be read: {error}") from error
    task, outputs = document.get("task", {}), document.get("outputs", {})
    if task.get("kind") != "classify":
        raise InvalidInput(f"{version}: its task is {task.get('kind')!r}; lessons train classifiers")
    if not task.get("labels") or not outputs.get("scores"):
        raise InvalidInput(
            f"{version}: its manifest has no task.labels or outputs.scores; lessons name their classes, so give both"
        )
    return document


def labels_of(document: Document) -> tuple[str, ...]:
    """The labels, in the order of the scores."""
    return tuple(map(str, document["task"]["labels"]))


def scores_of(document: Document) -> tuple[str, bool]:
    """The name of the scores, and whether they are logits."""
    outputs = document["outputs"]
    return str(outputs["scores"]), outputs.get("scores_are", "probabilities") == "logits"


def renewed(document: Document, version: str, labels: Sequence[str], description: str) -> str:
    """The manifest of a version that was trained from another: everything else stays as it was."""
    task = {**document["task"], "labels": list(labels)}
    made = {**document, "version": version, "description": description, "task": task}
    return "\n".join(_written(made, ())) + "\n"


def _written(table: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    """A table as TOML: plain values first, then the tables in it."""
    plain = {key: value for key, value in table.items() if not _is_table(value)}
    lines = [f"{_key(key)} = {_value(value)}" for key, value in plain.items()]
    for key, value in table.items():
        if not _is_table(value):
            continue
        name = ".".join(map(_key, (*path, key)))
        for one in value if isinstance(value, list) else [value]:
            lines += ["", f"[[{name}]]" if isinstance(value, list) else f"[{name}]", *_written(one, (*path, key))]
    return lines


def _is_table(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(one, Mapping) for one in value)
    return isinstance(value, Mapping)


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else json.dumps(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else "inf" if value > 0 else "-inf" if value < 0 else "nan"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(str(value), ensure_ascii=False)
