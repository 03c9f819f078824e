"""What was kept of teachers' standings, in the journal of lessons."""

import json
import sqlite3
from typing import Final

from upriver_agent.lessons.standing import Standing
from upriver_agent.monitoring.evidence import Evidence

MAX_STANDINGS: Final = 1024
"""Of teachers that are believed, and of those that are not: their names come from the network."""


def save(connection: sqlite3.Connection, teacher: str, standing: Standing, now: float) -> None:
    """Keeps what is known of a teacher; of too many that are believed, or are not, those go that changed first."""
    evidence = standing.evidence
    state = {
        "evidence": [evidence.audits, evidence.disagreements, evidence.log_e, [_written(m) for m in evidence.log_m]],
        "bad": sorted(standing.bad),
        "since": standing.since,
        "proving": [standing.proving, standing.proof, standing.attempt],
    }
    connection.execute(
        "INSERT OR REPLACE INTO standing VALUES (?, ?, ?, ?)",
        (teacher, now, standing.quarantined, json.dumps(state, separators=(",", ":"), allow_nan=False)),
    )
    connection.execute(
        "DELETE FROM standing WHERE quarantined = ?1 AND teacher NOT IN"
        " (SELECT teacher FROM standing WHERE quarantined = ?1 ORDER BY changed DESC LIMIT ?2)",
        (standing.quarantined, MAX_STANDINGS),
    )


def load(connection: sqlite3.Connection) -> dict[str, Standing]:
    """Everything that is known of teachers; what can't be read begins anew, but for whether it is in quarantine."""
    found = {}
    for teacher, quarantined, text in connection.execute("SELECT teacher, quarantined, state FROM standing"):
        try:
            state = json.loads(text)
            audits, disagreements, log_e, log_m = state["evidence"]
            evidence = Evidence(audits, disagreements, tuple(log_e), tuple(_read(m) for m in log_m))
            proving, proof, attempt = state["proving"]
            found[teacher] = Standing(
                evidence, bool(quarantined), frozenset(state["bad"]), state["since"], proving, proof, attempt
            )
        except (KeyError, TypeError, ValueError):
            found[teacher] = Standing(quarantined=bool(quarantined))
    return found


def _written(log: float) -> float | None:
    return None if log == float("-inf") else log


def _read(log: float | None) -> float:
    return float("-inf") if log is None else log
