"""Accounts are found by the key of their name; links that set a password; browsers that are known."""

import sqlalchemy as sa
from alembic import op

from foveate.web.names import separate_names

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the keys. Accounts whose names have the same key stay apart: the later one gets a number."""
    op.add_column("users", sa.Column("key", sa.Text(), nullable=False, server_default=""))
    db = op.get_bind()
    users = db.execute(sa.text("SELECT id, name FROM users ORDER BY id")).all()
    for (number, _), (name, key) in zip(users, separate_names([name for _, name in users]), strict=True):
        db.execute(
            sa.text("UPDATE users SET name = :name, key = :key WHERE id = :id"),
            {"name": name, "key": key, "id": number},
        )
    op.create_index("users_key", "users", ["key"], unique=True)
    op.add_column("invites", sa.Column("user_id", sa.Integer()))
    op.create_table(
        "browsers",
        sa.Column("token", sa.String(64), primary_key=True),
        sa.Column("user_id", sa.Integer(), sa.ForeignKey("users.id"), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
    )


def downgrade() -> None:
    """Remove what was added; names keep their numbers."""
    op.drop_table("browsers")
    op.drop_column("invites", "user_id")
    op.drop_index("users_key", "users")
    op.drop_column("users", "key")
