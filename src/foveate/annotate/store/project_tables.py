"""Tables of an annotation project, beside those of its accounts. Times are seconds since 1970 in UTC."""

from __future__ import annotations

from sqlalchemy import BigInteger, Double, ForeignKey, Integer, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from foveate.web.account_tables import Base


class Meta(Base):
    """Facts about the store itself: the project that it belongs to."""

    __tablename__ = "meta"
    key: Mapped[str] = mapped_column(String(40), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class Item(Base):
    """An image of the project, and how far it has come: open, ready, disputed or settled."""

    __tablename__ = "items"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    image: Mapped[str] = mapped_column(Text, unique=True)
    rows: Mapped[int] = mapped_column(Integer)
    cols: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(String(10), default="open", index=True)
    disputes: Mapped[str] = mapped_column(Text, default="[]")
    completed: Mapped[float | None] = mapped_column(Double)


class Draft(Base):
    """A run's prediction of an image, until the next run; ``uncertainty`` orders the images."""

    __tablename__ = "drafts"
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), primary_key=True)
    run: Mapped[str] = mapped_column(Text)
    at: Mapped[float] = mapped_column(Double)
    uncertainty: Mapped[float] = mapped_column(Double)
    marks: Mapped[bytes] = mapped_column(LargeBinary)


class MarkSet(Base):
    """Marks of one image by one annotator (slot ``r`` and the account's number), or its consensus (``consensus``)."""

    __tablename__ = "mark_sets"
    __table_args__ = (UniqueConstraint("item_id", "slot"),)
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    slot: Mapped[str] = mapped_column(String(20))
    version: Mapped[int] = mapped_column(Integer, default=0)
    state: Mapped[str] = mapped_column(String(10), default="open")
    seconds: Mapped[float] = mapped_column(Double, default=0.0)
    started: Mapped[float] = mapped_column(Double)
    saved: Mapped[float | None] = mapped_column(Double)


class History(Base):
    """Every version of every mark set; entries are added, never changed or removed (a trigger ensures it)."""

    __tablename__ = "history"
    __table_args__ = (UniqueConstraint("set_id", "version"), UniqueConstraint("set_id", "save"))
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    set_id: Mapped[int] = mapped_column(ForeignKey("mark_sets.id"))
    version: Mapped[int] = mapped_column(Integer)
    save: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    at: Mapped[float] = mapped_column(Double)
    state: Mapped[str] = mapped_column(String(10))
    seconds: Mapped[float] = mapped_column(Double)
    marks: Mapped[bytes] = mapped_column(LargeBinary)
