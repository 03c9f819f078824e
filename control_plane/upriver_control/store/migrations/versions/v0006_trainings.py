"""Trainings, the lessons that they are made from, and what versions are trained from."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "trainings",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=200), nullable=False),
        sa.Column("model", sa.String(length=63), nullable=False),
        sa.Column("state", sa.String(length=63), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("request_id", sa.String(length=200), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_trainings")),
        sa.UniqueConstraint("id", name=op.f("uq_trainings_id")),
        sa.UniqueConstraint("request_id", name=op.f("uq_trainings_request_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_trainings_model"), "trainings", ["model"])
    op.create_index(op.f("ix_trainings_state"), "trainings", ["state"])
    _lessons()
    op.create_table(
        "version_sources",
        sa.Column("version_digest", sa.String(length=71), nullable=False),
        sa.Column("kind", sa.String(length=63), nullable=False),
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("version_digest", "kind", name=op.f("pk_version_sources")),
    )
    op.create_index(op.f("ix_version_sources_digest"), "version_sources", ["digest"])


def _lessons() -> None:
    op.create_table(
        "lesson_parts",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("model", sa.String(length=63), nullable=False),
        sa.Column("region", sa.String(length=200), nullable=False),
        sa.Column("date", sa.String(length=10), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("staged", sa.Boolean(), nullable=False),
        sa.Column("dirty", sa.Boolean(), nullable=False),
        sa.Column("gone", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_lesson_parts")),
        sa.UniqueConstraint("name", name=op.f("uq_lesson_parts_name")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_lesson_parts_date"), "lesson_parts", ["date"])
    op.create_index("ix_lesson_parts_model", "lesson_parts", ["model", "region"])
    op.create_table(
        "lessons",
        sa.Column("id", sa.String(length=200), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["part"], ["lesson_parts.number"], name=op.f("fk_lessons_part")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lessons")),
    )
    op.create_index(op.f("ix_lessons_part"), "lessons", ["part"])
    op.create_table(
        "forgotten_lessons",
        sa.Column("id", sa.String(length=200), nullable=False),
        sa.Column("forgotten", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_forgotten_lessons")),
    )
    op.create_index(op.f("ix_forgotten_lessons_forgotten"), "forgotten_lessons", ["forgotten"])
