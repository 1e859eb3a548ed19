"""People of a project for tests: they log in, claim, save."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.testclient import TestClient

from foveate.annotate.domain.roles import ROLES
from foveate.annotate.store.project import Project
from foveate.annotate.web.request_context import cookie_of
from foveate.web import accounts, sessions

KEYS = itertools.count()

EVERY_MARK = """
name = "every mark"
annotators = 2
point_radius = 3.0

[[questions]]
name = "grade"
key = "g"

[[findings]]
name = "haemorrhage"
marks = ["ellipse", "polygon", "brush"]

[[findings]]
name = "hard_exudate"
marks = ["regions", "point", "brush"]

[consensus]
at_least = 1
"""

BRUSH = {"id": "b", "label": "haemorrhage", "kind": "brush", "runs": [5, 3, 101, 7]}
ELLIPSE = {
    "id": "e", "label": "haemorrhage", "kind": "ellipse", "centre": [40.25, 50.5], "radii": [6.0, 12.5], "turn": 0.7,
}  # fmt: skip
POLYGON = {"id": "p", "label": "haemorrhage", "kind": "polygon", "corners": [[60.0, 60.0], [60.5, 80.0], [75.0, 70.0]]}
REGIONS = {"id": "r", "label": "hard_exudate", "kind": "regions", "regions": ["macula", "temporal"]}
POINT = {"id": "t", "label": "hard_exudate", "kind": "point", "at": [20.0, 30.0]}


@dataclass
class Person:
    """Someone who is logged in."""

    client: TestClient
    name: str
    csrf: str

    def get(self, path: str, *, status: int = 200) -> Any:
        """What an address answers."""
        answer = self.client.get(path)
        assert answer.status_code == status, answer.text
        return answer.json() if "json" in answer.headers.get("content-type", "") else answer

    def send(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        """Send something that changes something."""
        answer = self.client.request(method, path, json=body, headers={"x-csrf-token": self.csrf})
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def claim(self, item: int = 1) -> None:
        """Start an image."""
        self.send("POST", f"/api/items/{item}/claim")

    def save(
        self,
        marks: dict[str, Any],
        *,
        item: int = 1,
        version: int = 0,
        state: str = "open",
        status: int = 200,
        key: str | None = None,
        seconds: float = 1.5,
        where: str = "marks",
    ) -> Any:
        """Save marks."""
        body = {"version": version, "save": key or f"k{next(KEYS)}", "state": state, "seconds": seconds, "marks": marks}
        return self.send("PUT", f"/api/items/{item}/{where}", body, status=status)

    def read(self, marks: dict[str, Any], *, item: int = 1) -> None:
        """Claim an image, mark it, and be done."""
        self.claim(item)
        self.save(marks, item=item, state="done")


def enter(client: TestClient, project: Project, name: str, roles: Sequence[str]) -> Person:
    """Make an account and a session (without a password: argon2 takes its time on purpose)."""
    with project.store.write() as db:
        token, who = sessions.log_in(db, accounts.create(db, name, roles=roles, known=ROLES, password=None))
    client.cookies.set(cookie_of(project), token)
    return Person(client, name, who.csrf)
