"""Tables of accounts. Times are seconds since 1970 in UTC; secrets are kept as their SHA-256 or argon2 hash."""

from __future__ import annotations

from sqlalchemy import BigInteger, Double, ForeignKey, Integer, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Base of all tables of a server."""


class User(Base):
    """An account; nobody can log in to one that is not active, and its work stays.

    It is found by its ``key`` (`names.name_key`): a longer or shorter form of the name that ignores case and spelling.
    """

    __tablename__ = "users"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String(40), unique=True)
    key: Mapped[str] = mapped_column(Text, unique=True)
    roles: Mapped[str] = mapped_column(String(80))
    password: Mapped[str | None] = mapped_column(String(200))
    active: Mapped[int] = mapped_column(Integer, default=1)
    created: Mapped[float] = mapped_column(Double)


class Invite(Base):
    """A link that works once: it makes an account, or gives an account (``user_id``) a new password."""

    __tablename__ = "invites"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    token: Mapped[str] = mapped_column(String(64), unique=True)
    roles: Mapped[str] = mapped_column(String(80))
    name: Mapped[str | None] = mapped_column(String(40))
    by: Mapped[str] = mapped_column(String(40))
    created: Mapped[float] = mapped_column(Double)
    expires: Mapped[float] = mapped_column(Double)
    used: Mapped[float | None] = mapped_column(Double)
    user_id: Mapped[int | None] = mapped_column(Integer)


class Login(Base):
    """A session."""

    __tablename__ = "logins"
    token: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    csrf: Mapped[str] = mapped_column(String(64))
    expires: Mapped[float] = mapped_column(Double)


class Browser(Base):
    """A browser that somebody has logged in with; guesses from elsewhere do not lock it out (`limits`)."""

    __tablename__ = "browsers"
    token: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    at: Mapped[float] = mapped_column(Double)


class Attempt(Base):
    """A login that failed, by the digest of the typed name; old ones are removed."""

    __tablename__ = "attempts"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String(40), index=True)
    address: Mapped[str] = mapped_column(String(80), index=True)
    at: Mapped[float] = mapped_column(Double)


class Audit(Base):
    """Who did what, and when; entries are added, never changed or removed."""

    __tablename__ = "audit"
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    at: Mapped[float] = mapped_column(Double)
    who: Mapped[str] = mapped_column(String(40))
    address: Mapped[str] = mapped_column(String(80))
    action: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(Text)
