"""Calibrations in the database, each with the policies that came out of it. Methods block."""

from collections.abc import Sequence
from typing import TypeAlias

from sqlalchemy import Connection

from upriver_control.jobs import Job
from upriver_control.store.database import Database
from upriver_control.store.jobs import Page, WorkTable
from upriver_control.store.policies import StoredPolicy, add_policy
from upriver_control.store.schema import calibrations

JobPage: TypeAlias = Page[Job]


class JobTable(WorkTable[Job]):
    """The table `calibrations`; raises Unreachable and DiskTrouble as Database does."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, calibrations, Job, "calibration")

    def newest(self, model: str, automatic: bool) -> Job | None:
        """The newest calibration of a model that was, or was not, started by itself."""
        return self.newest_of(model, lambda job: job.automatic == automatic)

    def save(self, job: Job, policies: Sequence[StoredPolicy] = ()) -> Job | None:
        """Keeps a changed calibration, with its policies, and gives it with its new revision.

        None, and nothing is kept, when it has changed since it was read.
        """

        def add(connection: Connection) -> None:
            for policy in policies:
                add_policy(connection, policy)

        return self.save_with(job, add)
