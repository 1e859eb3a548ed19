"""A real server, killed in the middle of saves: what it acknowledged is there; and requests of every kind."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import httpx
import pytest
import schemathesis
from annotate_people import BRUSH, Person
from hypothesis import HealthCheck, Phase, given, settings
from sqlalchemy import select
from starlette.testclient import TestClient

from foveate.annotate.domain.roles import ROLES
from foveate.annotate.store.project import Project
from foveate.annotate.store.project_tables import History
from foveate.annotate.web.request_context import cookie_of
from foveate.annotate.web.server import make_app
from foveate.web import accounts, sessions

START = "import sys; from foveate.cli.main import main; sys.argv = ['foveate', 'annotate', *sys.argv[1:]]; main()"


@pytest.fixture
def running(project: Project) -> Iterator[Callable[[], tuple[subprocess.Popen[str], str]]]:
    processes: list[subprocess.Popen[str]] = []

    def start() -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-u", "-c", START, "serve", str(project.folder), "--port", "0"]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
        processes.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline().split()[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_no_acknowledged_save_is_lost_when_the_server_is_killed(
    project: Project, running: Callable[[], tuple[subprocess.Popen[str], str]]
) -> None:
    people = []
    with project.store.write() as db:
        for name in ("anna", "ben"):
            people.append(
                sessions.log_in(db, accounts.create(db, name, roles=["annotator"], known=ROLES, password=None))
            )
    process, base = running()
    acknowledged: list[str] = []
    enough = threading.Event()

    def work(token: str, csrf: str, name: str) -> None:
        with httpx.Client(base_url=base, cookies={cookie_of(project): token}, headers={"x-csrf-token": csrf}) as client:
            client.post("/api/items/1/claim").raise_for_status()
            version = 0
            try:
                while True:
                    key = f"{name}-{version}"
                    body = {
                        "version": version,
                        "save": key,
                        "state": "open",
                        "seconds": 1,
                        "marks": {"shapes": [BRUSH]},
                    }
                    client.put("/api/items/1/marks", json=body).raise_for_status()
                    acknowledged.append(key)
                    version += 1
                    if len(acknowledged) > 20:
                        enough.set()
            except httpx.TransportError:
                return

    threads = [threading.Thread(target=work, args=(t, who.csrf, who.name)) for t, who in people]
    for thread in threads:
        thread.start()
    assert enough.wait(60)
    os.kill(process.pid, signal.SIGKILL)
    for thread in threads:
        thread.join()
    process.wait()
    with project.store.read() as db:
        kept = set(db.scalars(select(History.save)))
    assert len(acknowledged) > 20
    assert set(acknowledged) <= kept
    assert len(kept) <= len(acknowledged) + 2, "at most the one save each that was under way"
    token, who = people[0]
    last = max(int(key.split("-")[1]) for key in kept if key.startswith("anna"))
    with TestClient(make_app(project), base_url="http://127.0.0.1", headers={"x-csrf-token": who.csrf}) as client:
        client.cookies.set(cookie_of(project), token)
        mine = client.get("/api/items/1").json()["marks"]
        assert mine["version"] == last + 1
        body = {"version": last, "save": f"anna-{last}", "state": "open", "seconds": 1, "marks": {"shapes": [BRUSH]}}
        assert client.put("/api/items/1/marks", json=body).json()["version"] == last + 1, "sent again it is the same"


@pytest.mark.filterwarnings("ignore")
def test_no_request_brings_the_server_down(project: Project, person: Callable[..., Person]) -> None:
    chief = person("chief", "annotator", "adjudicator", "coordinator")
    chief.claim()
    cookie = f"{cookie_of(project)}={chief.client.cookies[cookie_of(project)]}"
    headers = {"x-csrf-token": chief.csrf, "cookie": cookie, "host": "127.0.0.1"}
    schema = schemathesis.openapi.from_asgi("/openapi.json", make_app(project, hosts=None))
    seen: set[int] = set()
    paths = []
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path in ("/api/logout",):  # the session must last
            continue
        paths.append(operation.path)

        @settings(
            max_examples=6,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case: schemathesis.Case) -> None:
            answer = case.call(headers=headers)
            seen.add(answer.status_code)
            assert answer.status_code < 500, (case.method, case.path, answer.text[:300])
            assert str(project.folder) not in answer.text

        ask()
    assert len(paths) > 25
    assert {200, 422} <= seen
