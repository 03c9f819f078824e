"""Which heads are kept among the artifacts: as long as policies, which are never deleted. Methods block."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from upriver_control.store.registry import RegistryStore, loosen
from upriver_control.store.schema import heads, loose_blobs

HOLD_S: Final = 600.0
"""A head that is being kept is not swept for so long."""


@dataclass(frozen=True, slots=True)
class StoredHead:
    """A head: the digest of its bytes, the version that it is of, its size, and when it came (a Unix time)."""

    digest: str
    version_digest: str
    size_bytes: int
    created: float


class HeadTable:
    """The table `heads`, which holds their blobs; changes go through the registry, which knows of all blobs."""

    def __init__(self, registry: RegistryStore) -> None:
        self._registry = registry

    def hold(self, digest: str, now: float) -> None:
        """Has a blob that is about to be kept stay for a while."""
        self._registry.change(lambda connection: loosen(connection, [digest], now + HOLD_S))

    def keep(self, head: StoredHead) -> None:
        """Notes a head whose blob is there; one that is noted stays as it is."""

        def change(connection: Connection) -> None:
            dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
            fields = {name: getattr(head, name) for name in StoredHead.__slots__}
            made = dialect.insert(heads).values(fields)
            connection.execute(made.on_conflict_do_nothing(index_elements=["digest"]))
            connection.execute(delete(loose_blobs).where(loose_blobs.c.digest == head.digest))

        self._registry.change(change)

    def has(self, digest: str) -> bool:
        """Whether a head is noted."""
        return self.get(digest) is not None

    def get(self, digest: str) -> StoredHead | None:
        """A head, None when it is not noted."""

        def look(connection: Connection) -> StoredHead | None:
            row = connection.execute(select(heads).where(heads.c.digest == digest)).one_or_none()
            return None if row is None else StoredHead(**{name: getattr(row, name) for name in StoredHead.__slots__})

        return self._registry.read(look)
