"""Alembic's scripts of the database of spans."""
