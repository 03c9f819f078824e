"""What was refined on this agent, on disk: written whole or not at all, so a start finds the old or the new pair."""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from upriver.errors import DiskTrouble
from upriver.whole import write_whole
from upriver_agent.refinement import Base, Ended, Refined, Standing

_LOG = logging.getLogger(__name__)
_FORMAT: Final = 1
MAX_MODELS: Final = 64


def save(path: Path, standings: Mapping[str, Standing]) -> None:
    """Writes how models stand; raises DiskTrouble, and then what was there is there. One writer at a time."""
    document = {"format": _FORMAT, "models": {model: asdict(one) for model, one in standings.items()}}
    try:
        write_whole(path, json.dumps(document).encode())
    except OSError as error:
        raise DiskTrouble(f"can't write {path}: {error.strerror or error}") from error


def load(path: Path) -> dict[str, Standing]:
    """Reads how models stood; none or a damaged file gives nothing, the latter with a warning."""
    try:
        document = json.loads(path.read_bytes())
        if document["format"] != _FORMAT:
            raise ValueError(f"format {document['format']!r}; expected {_FORMAT}")
        entries = list(document["models"].items())
        return {str(model): _standing(entry) for model, entry in entries[:MAX_MODELS]}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError, AttributeError) as error:
        _LOG.warning("ignoring what was kept of refined pairs in %s: %s: %s", path, type(error).__name__, error)
        return {}


def _standing(entry: Mapping[str, Any]) -> Standing:
    base, refined, ended = entry["base"], entry["refined"], entry["ended"]
    return Standing(
        base=None if base is None else _base(base),
        refined=None if refined is None else _refined(refined),
        ended=None if ended is None else Ended(_text(ended["why"]), float(ended["at"])),
    )


def _refined(entry: Mapping[str, Any]) -> Refined:
    return Refined(
        base=_base(entry["base"]),
        document=_text(entry["document"]),
        lessons=int(entry["lessons"]),
        attempt=int(entry["attempt"]),
        since=float(entry["since"]),
    )


def _base(entry: Mapping[str, Any]) -> Base:
    return Base(_text(entry["version"]), _text(entry["policy"]))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"no text: {value!r}")
    return value
