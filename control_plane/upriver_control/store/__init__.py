"""What the control plane remembers: models, versions, aliases, rollouts, agents; in SQLite or PostgreSQL."""

from upriver_control.store.database import Database, open_database

__all__ = ["Database", "open_database"]
