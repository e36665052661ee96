"""What watchers see: the step of a picture, what a worker is, and which models are wanted in memory."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Two columns and a table."""
    op.add_column("job", sa.Column("shown", sa.Integer(), nullable=True))
    op.add_column("worker", sa.Column("facts", sa.JSON(none_as_null=True), nullable=True))
    op.create_table(
        "wish",
        sa.Column("model", sa.String(length=400), nullable=False),
        sa.Column("load", sa.Boolean(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("model"),
    )
