"""Policies that calibrations made; never changed, never deleted. Methods block."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, select
from sqlalchemy.dialects import postgresql, sqlite

from upriver.errors import InvalidInput, NotFound
from upriver_control.store.database import Database
from upriver_control.store.schema import policies

MAX_PAGE: Final = 1000
SHOWN_DIGITS: Final = 16
_NAME: Final = re.compile(r"models/(-|[A-Za-z0-9][A-Za-z0-9._-]{0,62})/policies/(?:sha256:)?([0-9a-f]{6,64})")


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """A policy: its document and that document's digest, the version that it belongs to, the tier it was made for."""

    model: str
    digest: str
    version: str
    version_digest: str
    tier: str
    calibration: str
    document: str
    created: float

    @property
    def name(self) -> str:
        """Its resource name."""
        return policy_name(self.model, self.digest)


def policy_name(model: str, digest: str) -> str:
    """A policy's resource name: the beginning of its digest is enough to tell it."""
    return f"models/{model}/policies/{digest.removeprefix('sha256:')[:SHOWN_DIGITS]}"


class PolicyTable:
    """The table `policies`; raises Unreachable and DiskTrouble as Database does."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, policy: StoredPolicy) -> None:
        """Keeps a policy; one that is there stays as it is."""

        self._database.write(lambda connection: add_policy(connection, policy))

    def get(self, name: str) -> StoredPolicy:
        """A policy by `models/{model}/policies/{its digest or at least 6 digits of it}`, where the model may be `-`.

        Raises InvalidInput for another name or one that several have, NotFound.
        """
        told = _NAME.fullmatch(name)
        if told is None:
            raise InvalidInput(
                f"{name[:200]!r} is no policy's name; expected models/MODEL/policies/POLICY, where POLICY is its digest"
                " or at least the first 6 digits of it"
            )
        wanted = select(policies).where(policies.c.digest.startswith(f"sha256:{told.group(2)}", autoescape=True))
        if told.group(1) != "-":
            wanted = wanted.where(policies.c.model == told.group(1))
        found = self._database.read(lambda connection: connection.execute(wanted.limit(3)).all())
        if len(found) > 1:
            raise InvalidInput(f"{name} is the beginning of several policies' names; give more digits")
        if not found:
            raise NotFound(f"there is no policy {name}")
        return _read(found[0])

    def documents_of(self, model: str, version_digest: str) -> Sequence[str]:
        """The documents of all policies of a version, oldest first."""
        here = (policies.c.model == model) & (policies.c.version_digest == version_digest)
        wanted = select(policies.c.document).where(here).order_by(policies.c.number)
        return self._database.read(lambda connection: list(connection.scalars(wanted)))

    def names_of(self, model: str, version_digest: str) -> list[str]:
        """The names of all policies of a version, newest first."""
        here = (policies.c.model == model) & (policies.c.version_digest == version_digest)
        wanted = select(policies.c.digest).where(here).order_by(policies.c.number.desc())
        found = self._database.read(lambda connection: list(connection.scalars(wanted)))
        return [policy_name(model, digest) for digest in found]

    def page(self, model: str = "", before: int = 0, size: int = 100) -> tuple[tuple[StoredPolicy, ...], int]:
        """Policies of a model (empty: all), newest first, below a number (0: from the newest); and the next number."""
        size = max(1, min(size, MAX_PAGE))
        wanted = select(policies).order_by(policies.c.number.desc()).limit(size + 1)
        if model:
            wanted = wanted.where(policies.c.model == model)
        if before:
            wanted = wanted.where(policies.c.number < before)
        found = self._database.read(lambda connection: connection.execute(wanted).all())
        return tuple(map(_read, found[:size])), found[size - 1].number if len(found) > size else 0


def add_policy(connection: Connection, policy: StoredPolicy) -> None:
    """The same within a transaction that is under way."""
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    fields = {name: getattr(policy, name) for name in StoredPolicy.__slots__}
    made = dialect.insert(policies).values(fields)
    connection.execute(made.on_conflict_do_nothing(index_elements=["model", "digest"]))


def _read(row: Row[Any]) -> StoredPolicy:
    return StoredPolicy(**{name: getattr(row, name) for name in StoredPolicy.__slots__})
