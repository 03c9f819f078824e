"""Texts of the command line as parts of a rollout's request."""

import json
import re

from upriver.errors import ConfigError

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
