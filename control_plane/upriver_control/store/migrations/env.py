"""Alembic's way in: runs the scripts on the connection, and in the transaction, of `upriver_control.store.database`."""

from alembic import context

from upriver_control.store.schema import metadata


def run() -> None:
    """Runs what is missing."""
    context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
    context.run_migrations()


if __name__ == "env_py":  # so Alembic names it when it runs it; importing it does nothing
    run()
