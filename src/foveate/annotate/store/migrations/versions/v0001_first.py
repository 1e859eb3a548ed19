"""The first tables; history and audit only grow."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
GROWING = ("history", "audit")


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "meta", sa.Column("key", sa.String(40), primary_key=True), sa.Column("value", sa.Text(), nullable=False)
    )
    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(40), nullable=False, unique=True),
        sa.Column("roles", sa.String(80), nullable=False),
        sa.Column("password", sa.String(200)),
        sa.Column("active", sa.Integer(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
    )
    op.create_table(
        "invites",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("token", sa.String(64), nullable=False, unique=True),
        sa.Column("roles", sa.String(80), nullable=False),
        sa.Column("name", sa.String(40)),
        sa.Column("by", sa.String(40), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("expires", sa.Double(), nullable=False),
        sa.Column("used", sa.Double()),
    )
    op.create_table(
        "logins",
        sa.Column("token", sa.String(64), primary_key=True),
        sa.Column("user_id", sa.Integer(), sa.ForeignKey("users.id"), nullable=False),
        sa.Column("csrf", sa.String(64), nullable=False),
        sa.Column("expires", sa.Double(), nullable=False),
    )
    op.create_table(
        "attempts",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(40), nullable=False, index=True),
        sa.Column("address", sa.String(80), nullable=False, index=True),
        sa.Column("at", sa.Double(), nullable=False),
    )
    op.create_table(
        "items",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("image", sa.Text(), nullable=False, unique=True),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("cols", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False, index=True),
        sa.Column("disputes", sa.Text(), nullable=False),
        sa.Column("completed", sa.Double()),
    )
    op.create_table(
        "drafts",
        sa.Column("item_id", sa.Integer(), sa.ForeignKey("items.id"), primary_key=True),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("uncertainty", sa.Double(), nullable=False),
        sa.Column("marks", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "mark_sets",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("item_id", sa.Integer(), sa.ForeignKey("items.id"), nullable=False, index=True),
        sa.Column("user_id", sa.Integer(), sa.ForeignKey("users.id"), nullable=False, index=True),
        sa.Column("slot", sa.String(20), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("started", sa.Double(), nullable=False),
        sa.Column("saved", sa.Double()),
        sa.UniqueConstraint("item_id", "slot"),
    )
    op.create_table(
        "history",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("set_id", sa.Integer(), sa.ForeignKey("mark_sets.id"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("save", sa.String(64), nullable=False),
        sa.Column("user_id", sa.Integer(), sa.ForeignKey("users.id"), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("marks", sa.LargeBinary(), nullable=False),
        sa.UniqueConstraint("set_id", "version"),
        sa.UniqueConstraint("set_id", "save"),
    )
    op.create_table(
        "audit",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("who", sa.String(40), nullable=False),
        sa.Column("address", sa.String(80), nullable=False),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
    )
    for statement in _only_grow(op.get_bind().dialect.name):
        op.execute(statement)


def downgrade() -> None:
    """Refuse: the marks would be lost."""
    raise RuntimeError("the first step cannot be undone; restore a backup instead")


def _only_grow(dialect: str) -> list[str]:
    """Statements that make the database refuse to change or remove a line."""
    if dialect == "sqlite":
        return [
            f"CREATE TRIGGER {table}_no_{verb} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} only grows'); END"
            for table in GROWING
            for verb in ("UPDATE", "DELETE")
        ]
    made = [
        "CREATE FUNCTION only_grows() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% only grows', TG_TABLE_NAME; END $$"
    ]
    made += [
        f"CREATE TRIGGER {table}_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION only_grows()"
        for table in GROWING
    ]
    return made
