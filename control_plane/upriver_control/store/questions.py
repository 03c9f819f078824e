"""Which questions files are kept among the artifacts, and until when. Methods block."""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from upriver.errors import NotFound
from upriver_control.jobs import ENDED
from upriver_control.store.registry import RegistryStore, loosen
from upriver_control.store.schema import calibrations, questions, trainings


@dataclass(frozen=True, slots=True)
class StoredQuestions:
    """A questions file: the digest of its bytes, its questions, and until when it is kept (a Unix time)."""

    digest: str
    questions: int
    has_labels: bool
    size_bytes: int
    until: float


class QuestionTable:
    """The table `questions`, which holds their blobs; changes go through the registry, which knows of all blobs."""

    def __init__(self, registry: RegistryStore) -> None:
        self._registry = registry

    def keep(self, found: StoredQuestions) -> None:
        """Notes a file, or that one which is there is kept for longer."""

        def change(connection: Connection) -> None:
            dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
            made = dialect.insert(questions).values(
                digest=found.digest,
                questions=found.questions,
                has_labels=found.has_labels,
                size_bytes=found.size_bytes,
                until=found.until,
            )
            connection.execute(
                made.on_conflict_do_update(
                    index_elements=["digest"],
                    set_={"until": made.excluded.until},
                    where=questions.c.until < made.excluded.until,
                )
            )

        self._registry.change(change)

    def get(self, digest: str) -> StoredQuestions:
        """A file; raises NotFound."""

        def look(connection: Connection) -> StoredQuestions:
            row = connection.execute(select(questions).where(questions.c.digest == digest)).one_or_none()
            if row is None:
                raise NotFound(f"no calibration data {digest} was uploaded, or it is kept no longer: upload it again")
            return StoredQuestions(row.digest, row.questions, row.has_labels, row.size_bytes, row.until)

        return self._registry.read(look)

    def forget(self, now: float) -> int:
        """Lets go of files past their time that no calibration or training waits for or reads; gives how many.

        Their blobs are loose then, and deleted by the registry's next sweep.
        """

        def change(connection: Connection) -> int:
            doomed = set(connection.scalars(select(questions.c.digest).where(questions.c.until <= now)))
            ended = [one.value for one in ENDED]
            for jobs, name in ((calibrations, "data"), (trainings, "replay")):
                for document in connection.scalars(select(jobs.c.document).where(jobs.c.state.not_in(ended))):
                    doomed.discard(json.loads(document)["spec"].get(name, ""))
            connection.execute(delete(questions).where(questions.c.digest.in_(doomed)))
            loosen(connection, sorted(doomed), now)
            return len(doomed)

        return self._registry.change(change)
