"""Names, guessing, links to a new password, proxies, and what is left in a browser after a log-out."""

import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from annotate_people import Person
from starlette.testclient import TestClient
from typer.testing import CliRunner

from foveate.annotate.domain.roles import ROLES
from foveate.annotate.store.backup import backup
from foveate.annotate.store.project import Project
from foveate.annotate.web import server
from foveate.cli.main import app as commands
from foveate.web import accounts, limits, passwords
from foveate.web.account_tables import User

People = Callable[..., Person]
SECRET = "a long enough secret"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash without taking a tenth of a second."""

    class Quick:
        def hash(self, password: str) -> str:
            return f"quick {password}"

        def verify(self, kept: str, password: str) -> bool:
            return kept == f"quick {password}"

    monkeypatch.setattr(passwords, "HASHER", Quick())


def account(project: Project, name: str, *roles: str) -> int:
    with project.store.write() as db:
        made = accounts.create(
            db, name, roles=roles or ["annotator"], known=ROLES, password=passwords.HASHER.hash(SECRET)
        )
        return made.id


@contextmanager
def browser(project: Project, *, address: str = "10.0.0.1", secure: bool = False) -> Iterator[TestClient]:
    made = server.make_app(project, secure=secure)
    base = f"http{'s' if secure else ''}://127.0.0.1"
    with TestClient(made, base_url=base, client=(address, 50000)) as client:
        yield client


def log_in(client: TestClient, name: str, password: str = SECRET) -> Any:
    return client.post("/api/login", json={"name": name, "password": password})


# -- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", ["Özge", "Élise", "Дмитрий", "O'Brien", "Müller, MD", "दिव्या शर्मा"])
def test_everybody_logs_in_again_in_any_case_and_spelling(name: str, project: Project) -> None:
    with project.store.write() as db:
        token = accounts.invite(db, roles=["annotator"], known=ROLES, by="c", name=name)[1]
    with browser(project) as client:
        body = {"token": token, "name": name.upper(), "password": SECRET}
        assert client.post("/api/invites/accept", json=body).status_code == 200
    for typed in (name, name.lower(), name.upper()):
        with browser(project) as client:
            assert log_in(client, typed).status_code == 200, typed


def test_nobody_registers_beside_an_account_with_its_name_in_another_case(project: Project, person: People) -> None:
    person("Özge")
    chief = person("chief", "coordinator")
    made = chief.send("POST", "/api/invites", {"roles": ["annotator"]})
    body = {"token": made["path"].partition("#")[2], "name": "özge", "password": SECRET}
    assert chief.client.post("/api/invites/accept", json=body).json()["error"] == "name"
    assert chief.send("POST", "/api/invites", {"roles": ["annotator"], "name": "ÖZGE"}, status=409)["error"] == "name"


# -- guessing ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick")
def test_guessing_is_slowed_down_and_ends(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    account(project, "ada")
    with browser(project) as client:
        codes = [log_in(client, "ada", "x").status_code for _ in range(limits.BY_PLACE + 1)]
        assert codes == [401] * limits.BY_PLACE + [429]
        right = log_in(client, "ADA")
        assert right.status_code == 429, "the password is not looked at"
        assert int(right.headers["retry-after"]) > 0
        later = time.time() + limits.WINDOW + 1
        monkeypatch.setattr(time, "time", lambda: later)
        assert log_in(client, "ada").status_code == 200


@pytest.mark.usefixtures("quick")
def test_guesses_from_elsewhere_do_not_lock_out_the_owner(project: Project) -> None:
    account(project, "ada")
    with browser(project) as mine, browser(project) as other, browser(project, address="10.0.0.9") as away:
        assert log_in(mine, "ada").status_code == 200
        for _ in range(limits.BY_PLACE + 1):
            log_in(other, "ada", "x")
        assert log_in(other, "ada").status_code == 429
        assert log_in(away, "ada").status_code == 200, "from another address"
        assert log_in(mine, "ada").status_code == 200, "from the browser that is known, at the same address"
        for _ in range(limits.BY_PLACE):
            assert log_in(mine, "ada", "x").status_code == 401
        assert log_in(mine, "ada", "x").status_code == 429, "a stolen browser may not guess either"


@pytest.mark.usefixtures("quick")
def test_guesses_at_many_names_do_not_lock_out_everybody_behind_the_same_proxy(project: Project) -> None:
    for name in ("ada", "ben"):
        account(project, name)
    with browser(project) as known, browser(project) as attacker, browser(project) as new:
        assert log_in(known, "ada").status_code == 200
        codes = [log_in(attacker, f"n{i}", "x").status_code for i in range(100)]
        assert set(codes) == {401}
        assert log_in(new, "ben").status_code == 200
        codes = [log_in(attacker, f"m{i}", "x").status_code for i in range(limits.BY_ADDRESS)]
        assert codes[-1] == 429, "an address does not guess without end"
        assert log_in(known, "ada").status_code == 200


def test_saves_do_not_wait_for_passwords(project: Project, person: People) -> None:
    anna = person("anna")
    anna.claim()
    made = server.make_app(project)
    client = TestClient(made, base_url="http://127.0.0.1")
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda k=k: answers.append(log_in(client, f"n{k}", "x").status_code)) for k in range(30)
    ]
    for thread in threads:
        thread.start()
    slowest = 0.0
    for version in range(10):
        began = time.monotonic()
        anna.save({"answers": {"grade": "0"}}, version=version)
        slowest = max(slowest, time.monotonic() - began)
    busy = any(thread.is_alive() for thread in threads)
    for thread in threads:
        thread.join()
    client.close()
    assert len(answers) == 30
    assert set(answers) <= {401, 503}
    assert slowest < 5 or not busy, "before, all hashes (35 s on two cores) were computed in the store's lock"


# -- a new password ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick")
def test_a_link_gives_a_new_password_and_ends_the_other_sessions(project: Project, person: People) -> None:
    number = account(project, "ada")
    chief = person("chief", "coordinator")
    with browser(project) as old, browser(project) as new:
        assert log_in(old, "ada").status_code == 200
        first = chief.send("POST", f"/api/users/{number}/recovery", {})["path"]
        path = chief.send("POST", f"/api/users/{number}/recovery", {"hours": 1})["path"]
        token = path.partition("#")[2]
        assert path.startswith("/recover#")
        for wrong in (first.partition("#")[2], "x"):
            assert new.post("/api/recoveries/look", json={"token": wrong}).status_code == 403
        assert new.post("/api/recoveries/look", json={"token": token}).json() == {"name": "ada"}
        assert (
            new.post("/api/invites/accept", json={"token": token, "name": "ada", "password": SECRET}).status_code == 403
        )
        short = new.post("/api/recoveries/accept", json={"token": token, "password": "short"})
        assert short.status_code == 422
        done = new.post("/api/recoveries/accept", json={"token": token, "password": SECRET + "2"})
        assert done.json()["user"]["name"] == "ada"
        assert new.post("/api/recoveries/accept", json={"token": token, "password": SECRET}).status_code == 403, "once"
        assert old.get("/api/work").status_code == 401
        assert log_in(old, "ada").status_code == 401
        assert log_in(old, "ada", SECRET + "2").status_code == 200
    noted = [(e["who"], e["action"], e["subject"]) for e in chief.get("/api/audit")["entries"]]
    assert ("chief", "password link", "ada") in noted
    assert any(action == "password by link" for _, action, _ in noted)


@pytest.mark.usefixtures("quick")
def test_an_imported_annotator_gets_a_first_password_by_the_command(project: Project, person: People) -> None:
    imported = person("Élise")
    found = CliRunner().invoke(commands, ["annotate", "recover", str(project.folder), "élise"])
    assert found.exit_code == 0, found.output
    token = found.stdout.strip().partition("#")[2]
    with browser(project) as client:
        body = {"token": token, "password": SECRET}
        assert client.post("/api/recoveries/accept", json=body).json()["user"]["name"] == imported.name
    lost = CliRunner().invoke(commands, ["annotate", "recover", str(project.folder), "nobody"])
    assert "there is no such account; foveate annotate user makes one" in str(lost.exception or lost.output)


@pytest.mark.usefixtures("quick")
def test_links_of_closed_accounts_and_of_annotators_are_refused(project: Project, person: People) -> None:
    number = account(project, "ada")
    account(project, "head", "coordinator")
    chief = person("chief", "coordinator")
    person("r").send("POST", f"/api/users/{number}/recovery", {}, status=403)
    chief.send("POST", "/api/users/99/recovery", {}, status=404)
    token = chief.send("POST", f"/api/users/{number}/recovery", {})["path"].partition("#")[2]
    chief.send("PATCH", f"/api/users/{number}", {"active": False})
    assert chief.client.post("/api/recoveries/accept", json={"token": token, "password": SECRET}).status_code == 403
    assert chief.send("POST", f"/api/users/{number}/recovery", {}, status=409)["error"] == "closed"
    with project.store.read() as db:
        kept = db.get_one(User, number).password
    assert passwords.HASHER.verify(str(kept), SECRET), "the password is the former one"


# -- where a request comes from ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proxies", "seen"), [((), "10.0.0.1"), (("10.0.0.1",), "7.7.7.7"), (("10.0.0.2",), "10.0.0.1")]
)
def test_only_a_stated_proxy_is_believed(
    proxies: tuple[str, ...], seen: str, project: Project, person: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[uvicorn.Config] = []

    class Server:
        def __init__(self, config: uvicorn.Config) -> None:
            given.append(config)

        def run(self, sockets: list[socket.socket]) -> None:
            for one in sockets:
                one.close()

    monkeypatch.setattr(uvicorn, "Server", Server)
    account(project, "ada")
    server.serve(project, port=0, proxies=proxies, report=lambda _: None)
    given[0].load()
    served = given[0].loaded_app
    with TestClient(served, base_url="http://127.0.0.1", client=("10.0.0.1", 50000)) as client:
        client.post("/api/login", json={"name": "x", "password": "y"}, headers={"x-forwarded-for": "7.7.7.7"})
    chief = person("chief", "coordinator")
    assert chief.get("/api/audit")["entries"][0]["address"] == seen


def test_host_names_have_no_case_and_https_is_remembered(project: Project) -> None:
    with TestClient(
        server.make_app(project, hosts=["Reading.Example.org"]), base_url="http://READING.example.ORG.:80"
    ) as one:
        answer = one.get("/api/session")
        assert answer.status_code == 200
        assert "strict-transport-security" not in answer.headers
    with browser(project, secure=True) as two:
        assert two.get("/api/session").headers["strict-transport-security"].startswith("max-age=31536000")


# -- after the log-out ------------------------------------------------------------------------------------------------


def test_nothing_of_a_patient_is_kept_by_a_browser(person: People) -> None:
    anna = person("anna")
    anna.claim()
    paths = ["/", "/annotate", "/api/items/1", "/api/items/1/image", "/api/items/1/tiles/0/0/0", "/api/items/1/regions"]
    for path in paths:
        answer = anna.client.get(path)
        assert answer.status_code == 200
        assert "no-store" in answer.headers["cache-control"], path
    tag = anna.client.get("/api/items/1/image").headers["etag"]
    gone = anna.client.post("/api/logout", headers={"x-csrf-token": anna.csrf})
    assert gone.headers["clear-site-data"] == '"cache"'
    for path in paths[2:]:
        assert anna.client.get(path, headers={"if-none-match": tag}).status_code == 401, path


def test_only_the_owner_reads_store_and_backup(project: Project, tmp_path: Path) -> None:
    backup(project, tmp_path / "b.zip")
    files = [tmp_path / "b.zip", *project.folder.glob("store.sqlite*"), project.folder / "project.json"]
    assert len(files) > 2
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    (project.folder / "store.sqlite").chmod(0o644)
    Project.open(project.folder).store.close()
    assert stat.S_IMODE((project.folder / "store.sqlite").stat().st_mode) == 0o600, "a store of a former version too"
