"""A journal in memory with what waits to be handed up."""

import sqlite3
from concurrent.futures import Future

from upriver.errors import DiskTrouble
from upriver_agent.handing_up import spool
from upriver_agent.handing_up.spool import Entry
from upriver_agent.handing_up.table import STATEMENTS


class Memory:
    """A journal in memory."""

    def __init__(self):
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.full = False
        for statement in STATEMENTS:
            self.connection.execute(statement)

    def write(self, change):
        future = Future()
        if self.full:
            future.set_exception(DiskTrouble("the disk is full"))
        else:
            future.set_result(change(self.connection))
        return future

    def read(self, look):
        return look(self.connection)

    def put(self, *names, room=1 << 20):
        return self.write(
            lambda connection: spool.put(connection, [Entry(name, name.encode()) for name in names], room)
        ).result()

    def left(self):
        return [entry.id for entry in spool.waiting(self.connection, 10_000, 1 << 30)]
