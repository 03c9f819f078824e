"""Alembic's way in; its own note is called so that the other tables may be in the same database."""

from alembic import context

from upriver_control.spans.schema import metadata


def run() -> None:
    """Runs what is missing."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        version_table="alembic_version_spans",
    )
    context.run_migrations()


if __name__ == "env_py":  # so Alembic names it when it runs it; importing it does nothing
    run()
