"""The role `reader` becomes `annotator`."""

from alembic import op

revision = "0002"
down_revision = "0001"
OLD = "reader"


def upgrade() -> None:
    """Rename it in accounts and open invites."""
    for table in ("users", "invites"):
        op.execute(f"UPDATE {table} SET roles = replace(roles, '{OLD}', 'annotator')")


def downgrade() -> None:
    """Restore the former name."""
    for table in ("users", "invites"):
        op.execute(f"UPDATE {table} SET roles = replace(roles, 'annotator', '{OLD}')")
