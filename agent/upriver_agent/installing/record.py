"""The slots on disk, so that an agent starts with what it last ran though nothing can be reached.

Written whole or not at all. A start whose record is damaged begins with empty slots and says so: what was active is
still in the state folder, and the next assignment brings it back without fetching.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from upriver.errors import DiskTrouble
from upriver.whole import write_whole
from upriver_agent.slot import Activation, Assigned, Failure, Pair, Slot, State

_LOG = logging.getLogger(__name__)
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Record:
    """The slots by model, and the last world that the control plane told: its version and its assignments.

    The slots may be behind the assignments. `starts` counts starts of the process since its slots were last seen to
    work for a while.
    """

    slots: Mapping[str, Slot] = field(default_factory=dict)
    resource_version: str = ""
    assignments: Mapping[str, Assigned] = field(default_factory=dict)
    starts: int = 0


def save(path: Path, record: Record) -> None:
    """Writes the record; raises DiskTrouble. One writer at a time."""
    document = {
        "format": _FORMAT,
        "resource_version": record.resource_version,
        "starts": record.starts,
        "slots": [asdict(slot) for slot in record.slots.values()],
        "assignments": {model: asdict(assigned) for model, assigned in record.assignments.items()},
    }
    try:
        write_whole(path, json.dumps(document).encode())
    except OSError as error:
        raise DiskTrouble(f"can't write {path}: {error.strerror or error}") from error


def load(path: Path) -> Record:
    """Reads the record; none or a damaged one gives an empty one, the latter with a warning."""
    try:
        document = json.loads(path.read_bytes())
        if document["format"] != _FORMAT:
            raise ValueError(f"format {document['format']!r}; expected {_FORMAT}")
        slots = [_slot(entry) for entry in document["slots"]]
        assignments = {_text(model): _assigned(entry) for model, entry in document["assignments"].items()}
        by_model = {slot.model: slot for slot in slots}
        return Record(by_model, _text(document["resource_version"]), assignments, int(document["starts"]))
    except FileNotFoundError:
        return Record()
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError, AttributeError) as error:
        _LOG.warning("ignoring what was kept of the slots in %s: %s: %s", path, type(error).__name__, error)
        return Record()


def _slot(entry: Mapping[str, object]) -> Slot:
    return Slot(
        model=_text(entry["model"]),
        active=_pair(entry["active"]),
        previous=_pair(entry["previous"]),
        candidate=_pair(entry["candidate"]),
        state=State(_text(entry["state"])),
        failure=Failure(_text(entry["failure"])),
        reason=_text(entry["reason"]),
        generation=_whole(entry["generation"]),
        rollout=_text(entry["rollout"]),
        activation=_activation(entry["activation"]),
    )


def _assigned(entry: Mapping[str, object]) -> Assigned:
    return Assigned(
        _pair(entry["pair"]), _whole(entry["generation"]), _text(entry["rollout"]), _activation(entry["activation"])
    )


def _activation(entry: object) -> Activation:
    if not isinstance(entry, Mapping):
        raise TypeError(f"no activation: {entry!r}")
    return Activation(float(entry["shadow_s"]), int(entry["shadow_rows"]), float(entry["min_agreement"]))


def _pair(entry: object) -> Pair | None:
    if entry is None:
        return None
    if not isinstance(entry, Mapping):
        raise TypeError(f"no pair: {entry!r}")
    return Pair(_text(entry["version"]), _text(entry["digest"]), _text(entry["policy"]))


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"no whole number: {value!r}")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"no text: {value!r}")
    return value
