"""Texts of the command line as parts of a rollout's request."""

import json
import re

from google.protobuf.duration_pb2 import Duration

from upriver.errors import ConfigError
from upriver.v1 import rollout_pb2 as pb

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "": 1.0}
_SPAN = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|)")
_VERSION = re.compile(r"([A-Za-z0-9._-]+)(?:/|(?=@))(@?[A-Za-z0-9._-]+)")
_WHAT = "upriver rollout start"


def version_name(text: str) -> str:
    """`digits/3` and `digits@champion` as resource names; a resource name as it is. Raises ConfigError."""
    if text.startswith("models/"):
        return text
    found = _VERSION.fullmatch(text)
    if found is None:
        raise ConfigError(_WHAT, [f"version {text!r}: expected MODEL/VERSION or MODEL@ALIAS, as digits/3"])
    return f"models/{found.group(1)}/versions/{found.group(2)}"


def policy_name(text: str) -> str:
    """A policy's digits, `MODEL/DIGITS` or resource name, as the latter."""
    if text.startswith("models/"):
        return text
    model, slash, digits = text.rpartition("/")
    return f"models/{model if slash else '-'}/policies/{digits}"


def rollout_name(text: str) -> str:
    """A rollout's id, or its resource name, as the latter."""
    return text if text.startswith("rollouts/") else f"rollouts/{text}"


def rings(text: str) -> list[pb.Ring]:
    """`1,10%,100%` as rings. A last ring of all is added where there is none. Raises ConfigError."""
    found = [_ring(part.strip()) for part in text.split(",")]
    if found[-1].percent < 100:
        found.append(pb.Ring(percent=100))
    return found


def _ring(text: str) -> pb.Ring:
    try:
        if text.endswith("%"):
            return pb.Ring(percent=float(text[:-1]))
        return pb.Ring(count=int(text))
    except ValueError as error:
        raise ConfigError(
            _WHAT, [f"--rings: {text!r} is no ring; expected a count or a percentage, as 1,10%,100%"]
        ) from error


def share(text: str, option: str) -> float:
    """`10%` or `0.1` as 0.1. Raises ConfigError."""
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ConfigError(_WHAT, [f"{option}: {text!r} is no share; expected 0 to 1 or 0% to 100%"])
    return value


def span(text: str, option: str) -> Duration:
    """`30s`, `5m`, `500ms`, `1h` or seconds as a Duration. Raises ConfigError."""
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise ConfigError(_WHAT, [f"{option}: {text!r} is no time; expected such as 30s, 5m or 1h"])
    duration = Duration()
    duration.FromMilliseconds(round(float(found.group(1)) * _UNITS[found.group(2)] * 1000))
    return duration


def policy_overrides(threshold: str | None, temperature: float | None) -> str:
    """The fields of a policy to use others of, as a JSON object; empty for none. Raises ConfigError."""
    fields: dict[str, float | str] = {}
    if threshold is not None:
        try:
            fields["threshold"] = threshold if threshold in ("inf", "-inf") else float(threshold)
        except ValueError as error:
            raise ConfigError(_WHAT, [f"--threshold: {threshold!r} is no number; inf always escalates"]) from error
    if temperature is not None:
        fields["temperature"] = temperature
    return json.dumps(fields) if fields else ""
