"""What was counted last of each agent, so that no process counts it again."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "counted",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("agent", "model", "boot", "version", "region")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("rows", "escalated_rows")),
        *(sa.Column(name, sa.Double(), nullable=False) for name in ("active_for_s", "at")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("lessons", "lessons_minute")),
        sa.PrimaryKeyConstraint("agent", "model", name=op.f("pk_counted")),
    )
    op.create_index("ix_counted_at", "counted", ["at"])


def downgrade() -> None:
    """Removes the table."""
    op.drop_table("counted")
