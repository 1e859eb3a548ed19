"""The role "reader" is called "annotator"."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Rename it in accounts and open invites."""
    for table in ("users", "invites"):
        op.execute(f"UPDATE {table} SET roles = replace(roles, 'reader', 'annotator')")


def downgrade() -> None:
    """Restore the former name."""
    for table in ("users", "invites"):
        op.execute(f"UPDATE {table} SET roles = replace(roles, 'annotator', 'reader')")
