"""Who may enter: invite links, passwords, sessions, roles, and guessing."""

from collections.abc import Callable

import pytest
from annotate_people import Person
from starlette.testclient import TestClient

from foveate.annotate.domain.roles import ROLES
from foveate.annotate.store.project import Project
from foveate.annotate.web import server
from foveate.web import accounts
from foveate.web.passwords import HASHER

People = Callable[..., Person]
SECRET = "a long enough secret"


def test_from_the_first_link_to_an_annotator_who_logs_in(project: Project) -> None:
    with project.store.write() as db:
        token = accounts.invite(db, roles=ROLES, known=ROLES, by="the server")[1]
    with TestClient(server.make_app(project), base_url="http://127.0.0.1") as client:
        assert client.get("/api/session").json()["accounts"] is False
        body = {"token": token, "name": "Ada", "password": "short"}
        assert client.post("/api/invites/accept", json=body).status_code == 422
        answer = client.post("/api/invites/accept", json=body | {"password": SECRET})
        assert answer.json()["user"] == {"id": 1, "name": "Ada", "roles": list(ROLES)}
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert client.post("/api/invites/accept", json=body | {"password": SECRET}).status_code == 403, "it works once"
        ada = Person(client, "Ada", answer.json()["csrf"])
        path = ada.send("POST", "/api/invites", {"roles": ["annotator"], "name": "ben", "hours": 1})["path"]
        ada.send("POST", "/api/logout", status=204)
        ada.get("/api/users", status=401)
        ben = {"token": path.partition("#")[2], "name": "ben", "password": SECRET}
        assert client.post("/api/invites/accept", json=ben | {"name": "bob"}).status_code == 403, "for another name"
        assert client.post("/api/invites/accept", json=ben).status_code == 200
        client.cookies.clear()
        assert client.post("/api/login", json={"name": "ben", "password": SECRET + "!"}).status_code == 401
        again = client.post("/api/login", json={"name": "BEN", "password": SECRET})
        assert again.json()["user"]["roles"] == ["annotator"]
        changed = Person(client, "ben", again.json()["csrf"])
        changed.send("POST", "/api/password", {"old": SECRET, "new": SECRET + "2"}, status=204)
        assert client.get("/api/session").json()["user"]["name"] == "ben"
    with project.store.read() as db:
        kept = db.connection().exec_driver_sql("SELECT password FROM users").scalars().all()
        assert all(hash_.startswith("$argon2id$") for hash_ in kept)


def test_what_changes_something_needs_the_token_of_the_session(person: People) -> None:
    anna = person("anna")
    for csrf in ("", "wrong", person("ben").csrf):
        other = Person(anna.client, "anna", csrf)
        assert other.send("POST", "/api/work/next", status=403)["error"] == "csrf"
    login = {"name": "anna", "password": SECRET}
    headers = {"sec-fetch-site": "cross-site"}
    assert anna.client.post("/api/login", json=login, headers=headers).status_code == 403


def test_each_role_opens_its_own_doors(person: People) -> None:
    annotator, judge, coordinator = person("r"), person("a", "adjudicator"), person("c", "coordinator")
    doors = {"/api/work": "r", "/api/consensus": "ac", "/api/agreement": "ac", "/api/items/1/consensus": "ac"}
    doors |= {"/api/users": "c", "/api/progress": "c", "/api/audit": "c", "/api/protocol": "rac", "/api/items/1": "rac"}
    for path, who in doors.items():
        for someone in (annotator, judge, coordinator):
            someone.get(path, status=200 if someone.name in who else 403)
    with TestClient(annotator.client.app, base_url="http://127.0.0.1") as stranger:
        pictures = ["/api/items/1/image", "/api/items/1/tiles/0/0/0", "/api/items/1/regions", "/api/items/1/enface"]
        for path in [*doors, *pictures]:
            assert stranger.get(path).status_code == 401, path


def test_a_closed_account_is_out_at_once(project: Project, person: People) -> None:
    anna, chief = person("anna"), person("chief", "coordinator")
    number = next(u["id"] for u in chief.get("/api/users")["users"] if u["name"] == "anna")
    with project.store.write() as db:  # the one coordinator who can log in
        accounts.create(db, "other", roles=["coordinator"], known=ROLES, password=HASHER.hash(SECRET))
    assert chief.send("PATCH", f"/api/users/{number}", {"active": False})["active"] is False
    anna.get("/api/work", status=401)
    other = next(u["id"] for u in chief.get("/api/users")["users"] if u["name"] == "other")
    assert chief.send("PATCH", f"/api/users/{other}", {"roles": ["annotator"]}, status=409)["error"] == "last"
    said = [(e["who"], e["action"], e["subject"]) for e in chief.get("/api/audit")["entries"]]
    assert ("chief", "account changed", "anna: annotator, closed") in said


def test_another_address_needs_accounts_first(project: Project) -> None:
    with pytest.raises(ValueError, match="has no account yet"):
        server.serve(project, host="0.0.0.0", port=0)


def test_two_servers_on_one_sqlite_room_are_kept_apart(project: Project) -> None:
    other = Project.open(project.folder)
    with project.held(), pytest.raises(ValueError, match="another server has this project open"):
        server.serve(other, port=0)
    other.store.close()


def test_another_name_for_this_machine_is_refused(project: Project) -> None:
    with TestClient(server.make_app(project), base_url="http://evil.example") as client:
        assert client.get("/api/session").json()["error"] == "host"
    with TestClient(server.make_app(project), base_url="http://[::1]:8765") as client:
        assert client.get("/api/session").status_code == 200


def test_answers_tell_the_browser_to_load_nothing_from_outside(project: Project) -> None:
    with TestClient(server.make_app(project), base_url="http://127.0.0.1") as client:
        answer = client.get("/api/session")
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert client.get("/docs").status_code == 404
        for path in (
            "/annotate/pages/../server.py",
            "/annotate/pages/%2e%2e/server.py",
            "/annotate/pages/..%2fserver.py",
            "/annotate/pages//etc/passwd",
        ):
            assert client.get(path).status_code == 404, path


def test_bodies_have_a_limit(person: People) -> None:
    anna = person("anna")
    anna.claim()
    headers = {"x-csrf-token": anna.csrf, "content-type": "application/json"}
    answer = anna.client.put("/api/items/1/marks", content=b" " * (16 * 2**20 + 1), headers=headers)
    assert answer.json()["error"] == "too large"

    def without_length() -> object:
        for _ in range(17):
            yield b" " * 2**20

    assert anna.client.put("/api/items/1/marks", content=without_length(), headers=headers).status_code == 413


def test_two_rooms_on_one_machine_do_not_log_each_other_out(
    project: Project, make_project: Callable[..., Project], person: Callable[..., Person]
) -> None:
    other = make_project(name="other")
    here, there = person("anna"), person("ben", at=other)
    for name, value in there.client.cookies.items():  # a browser sends the cookies of every port of a machine
        here.client.cookies.set(name, value)
    assert here.get("/api/session")["user"]["name"] == "anna"
    there.client.cookies.update(here.client.cookies)
    assert there.get("/api/session")["user"]["name"] == "ben"
