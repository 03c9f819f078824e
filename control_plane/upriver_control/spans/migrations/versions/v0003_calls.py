"""Calls between agents, of the last minutes."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "calls",
        *(sa.Column(name, sa.LargeBinary(), nullable=False) for name in ("trace", "span")),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("agent", "upstream")),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("bucket", "failed")),
        sa.PrimaryKeyConstraint("trace", "span", name=op.f("pk_calls")),
    )
    op.create_index("ix_calls_at_ns", "calls", ["at_ns"])


def downgrade() -> None:
    """Removes the table."""
    op.drop_table("calls")
