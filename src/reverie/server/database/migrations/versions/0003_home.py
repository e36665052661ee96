"""A name of the database's own, by which a folder of files knows to whom it belongs."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """A table of one row."""
    home = op.create_table("home", sa.Column("id", sa.String(length=32), nullable=False), sa.PrimaryKeyConstraint("id"))
    op.bulk_insert(home, [{"id": secrets.token_hex(16)}])
