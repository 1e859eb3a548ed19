"""The tables of the store. Times are seconds since 1970 in UTC; secrets are kept as their SHA-256 or argon2 hash."""

from __future__ import annotations

from sqlalchemy import BigInteger, Double, ForeignKey, Integer, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """All tables."""


class Meta(Base):
    """Facts about the store itself: which room it belongs to."""

    __tablename__ = "meta"
    key: Mapped[str] = mapped_column(String(40), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class User(Base):
    """Someone who may enter; one who is not active may not, and keeps what was marked."""

    __tablename__ = "users"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String(40), unique=True)
    roles: Mapped[str] = mapped_column(String(80))
    password: Mapped[str | None] = mapped_column(String(200))
    active: Mapped[int] = mapped_column(Integer, default=1)
    created: Mapped[float] = mapped_column(Double)


class Invite(Base):
    """A link that makes an account, once."""

    __tablename__ = "invites"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    token: Mapped[str] = mapped_column(String(64), unique=True)
    roles: Mapped[str] = mapped_column(String(80))
    name: Mapped[str | None] = mapped_column(String(40))
    by: Mapped[str] = mapped_column(String(40))
    created: Mapped[float] = mapped_column(Double)
    expires: Mapped[float] = mapped_column(Double)
    used: Mapped[float | None] = mapped_column(Double)


class Login(Base):
    """A session."""

    __tablename__ = "logins"
    token: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    csrf: Mapped[str] = mapped_column(String(64))
    expires: Mapped[float] = mapped_column(Double)


class Attempt(Base):
    """A login that failed; old ones are swept."""

    __tablename__ = "attempts"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String(40), index=True)
    address: Mapped[str] = mapped_column(String(80), index=True)
    at: Mapped[float] = mapped_column(Double)


class Item(Base):
    """An image of the room, and how far it has come: open, ready, disputed or settled."""

    __tablename__ = "items"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    image: Mapped[str] = mapped_column(Text, unique=True)
    rows: Mapped[int] = mapped_column(Integer)
    cols: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(String(10), default="open", index=True)
    disputes: Mapped[str] = mapped_column(Text, default="[]")
    completed: Mapped[float | None] = mapped_column(Double)


class Draft(Base):
    """What a run says of an image, until the next run; ``uncertainty`` orders the images."""

    __tablename__ = "drafts"
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), primary_key=True)
    run: Mapped[str] = mapped_column(Text)
    at: Mapped[float] = mapped_column(Double)
    uncertainty: Mapped[float] = mapped_column(Double)
    marks: Mapped[bytes] = mapped_column(LargeBinary)


class MarkSet(Base):
    """The reading of one image by one reader (slot ``r`` and their number), or its consensus (slot ``consensus``)."""

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
    """Every version of every mark set; lines are added, never changed or removed (the database sees to it)."""

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


class Audit(Base):
    """Who did what, and when; lines are added, never changed or removed."""

    __tablename__ = "audit"
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    at: Mapped[float] = mapped_column(Double)
    who: Mapped[str] = mapped_column(String(40))
    address: Mapped[str] = mapped_column(String(80))
    action: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(Text)
