"""Alembic's entrance: the store gives it the connection; nothing is read from a file."""

from alembic import context

from foveate.annotate.store import project_tables  # noqa: F401 - its tables join those of accounts
from foveate.web.account_tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
