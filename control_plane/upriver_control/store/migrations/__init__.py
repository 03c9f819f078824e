"""How the schema came to be: Alembic's scripts, run when a database is opened."""
