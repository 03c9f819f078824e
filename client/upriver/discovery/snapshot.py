"""The last known agents on disk, so that an agent that starts with no registry in reach still knows its upstreams."""

import json
import logging
from dataclasses import asdict
from pathlib import Path

from upriver.discovery.port import AgentRecord, ServedModel
from upriver.whole import write_whole

_LOG = logging.getLogger(__name__)
_FORMAT = 1


def save(path: Path, records: tuple[AgentRecord, ...]) -> None:
    """Writes the records whole or not at all; a disk that refuses is logged and costs nothing else.

    One writer at a time.
    """
    document = {"format": _FORMAT, "agents": [asdict(record) for record in records]}
    try:
        write_whole(path, json.dumps(document).encode())
    except OSError as error:
        _LOG.warning("the last known agents can't be kept in %s: %s", path, error)


def load(path: Path) -> tuple[AgentRecord, ...]:
    """Reads what was saved; nothing saved or a damaged file gives no agents, the latter with a warning."""
    try:
        document = json.loads(path.read_bytes())
        if document["format"] != _FORMAT:
            raise ValueError(f"format {document['format']!r}, expected {_FORMAT}")
        return tuple(_record(agent) for agent in document["agents"])
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        _LOG.warning("ignoring the last known agents in %s: %s: %s", path, type(error).__name__, error)
        return ()


def _record(agent: dict[str, object]) -> AgentRecord:
    models, load_ = agent["models"], agent["load"]
    texts = {key: agent[key] for key in ("agent", "tier", "region", "address")}
    if not isinstance(models, dict) or not isinstance(load_, int | float) or not isinstance(agent["protocol"], int):
        raise TypeError(f"no agent: {agent}")
    if not all(isinstance(text, str) and text for text in texts.values()):
        raise TypeError(f"no agent: {agent}")
    return AgentRecord(
        **{key: str(text) for key, text in texts.items()},
        protocol=agent["protocol"],
        models={name: ServedModel(str(served["version"]), str(served["digest"])) for name, served in models.items()},
        load=float(load_),
        healthy=bool(agent["healthy"]),
        tls=bool(agent["tls"]),
    )
