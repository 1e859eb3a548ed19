"""Load on an annotation project: annotators save while its server is killed; all acknowledged saves must be there.

    python benchmarks/annotate_load.py [--annotators 20] [--saves 500] [--kills 2] [--only sqlite|postgres]

On this machine alone (loopback), with SQLite and with a PostgreSQL of its own. An annotator saves as a page does: each
save has a key, what is not acknowledged is sent again as it was, and a new version follows only on an acknowledged one.
Prints saves per second and the time of a save (median, 95th percentile) of the calm between kills, and counts what is
lost, which must be nothing: exit code 1 otherwise.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
from sqlalchemy import select

from foveate.annotate.domain.roles import ROLES
from foveate.annotate.store.new_project import new_project
from foveate.annotate.store.project import Project
from foveate.annotate.store.project_tables import History
from foveate.annotate.web.request_context import cookie_of
from foveate.data import synthetic
from foveate.data.manifest import Manifest
from foveate.web import accounts, sessions

START = "import sys; from foveate.cli.main import main; sys.argv = ['foveate', 'annotate', *sys.argv[1:]]; main()"
SCRIPT = Path(__file__).parent.parent / ".ci" / "postgres"
PROTOCOL = """name = "load"
annotators = {annotators}
[[findings]]
name = "haemorrhage"
marks = ["ellipse", "brush"]
[consensus]
at_least = 1
"""
IMAGES = 5
READY = 0.5
"""Seconds after a start that still belong to it: a save that waited for the server does not measure the server."""


@dataclass
class Server:
    """The server's process, started again on the same port."""

    project: Path
    port: int = 0
    process: subprocess.Popen[str] | None = None
    started: list[float] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-u", "-c", START, "serve", str(self.project), "--port", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline().rpartition(":")[2])
        while True:
            try:
                httpx.get(f"{self.url}/api/session")
                break
            except httpx.TransportError:
                time.sleep(0.02)
        self.started.append(time.perf_counter())

    def kill(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@dataclass
class Acknowledged:
    """Acknowledged saves, and begin and end of each."""

    keys: list[tuple[str, int]] = field(default_factory=list)
    times: list[tuple[float, float]] = field(default_factory=list)
    again: int = 0


def marks(rng: random.Random, count: int) -> dict[str, object]:
    """As many ellipses, and a brush layer of forty stretches."""
    shapes: list[dict[str, object]] = [
        {"id": f"e{i}", "label": "haemorrhage", "kind": "ellipse", "centre": [rng.random() * 200, rng.random() * 200],
         "radii": [4.5, 7.25], "turn": rng.random()} for i in range(count)
    ]  # fmt: skip
    runs = [v for i in range(40) for v in (i * 256 + 30, 40 + i)]
    return {"shapes": [*shapes, {"id": "b", "label": "haemorrhage", "kind": "brush", "runs": runs}]}


def read(server: Server, cookies: dict[str, str], who: accounts.Who, saves: int, told: Acknowledged) -> None:
    """One annotator's day."""
    rng = random.Random(who.name)
    with httpx.Client(cookies=cookies, headers={"x-csrf-token": who.csrf}, timeout=60) as client:

        def send(method: str, path: str, body: object = None) -> dict[str, object]:
            while True:
                try:
                    answer = client.request(method, server.url + path, json=body)
                    if answer.status_code < 500:
                        answer.raise_for_status()
                        return json.loads(answer.content)
                except httpx.TransportError:
                    pass
                told.again += 1
                time.sleep(0.05)

        versions = dict.fromkeys(range(1, IMAGES + 1), 0)
        for item in versions:
            send("POST", f"/api/items/{item}/claim")
        for number in range(saves):
            item = 1 + number * IMAGES // saves
            key = f"{who.name}-{number}"
            body = {"version": versions[item], "save": key, "state": "open", "seconds": 1.0}
            begun = time.perf_counter()
            answer = send("PUT", f"/api/items/{item}/marks", body | {"marks": marks(rng, 3 + number % 20)})
            told.times.append((begun, time.perf_counter()))
            versions[item] = int(str(answer["version"]))
            told.keys.append((key, versions[item]))


def load(folder: Path, *, database: str | None, annotators: int, saves: int, kills: int) -> int:
    """Run the load on one database; returns acknowledged saves that are lost."""
    rows = synthetic.write("fundus", folder / "images", n=IMAGES, size=256)
    (folder / "p.toml").write_text(PROTOCOL.format(annotators=annotators))
    manifest = Manifest(synthetic.SCHEMAS["fundus"], tuple(rows), folder / "images")
    project, _ = new_project(manifest, protocol=folder / "p.toml", out=folder / "project", database=database)
    with project.store.write() as db:
        people = [
            sessions.log_in(db, accounts.create(db, f"r{i}", roles=["annotator"], known=ROLES, password=None))
            for i in range(annotators)
        ]
    project.store.close()
    server = Server(folder / "project")
    server.start()
    told = [Acknowledged() for _ in people]
    threads = [
        threading.Thread(target=read, args=(server, {cookie_of(project): token}, who, saves, one))
        for (token, who), one in zip(people, told, strict=True)
    ]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    down: list[tuple[float, float]] = []
    for turn in range(kills):
        while sum(len(one.keys) for one in told) < (turn + 1) * annotators * saves // (kills + 1):
            time.sleep(0.01)
        at = time.perf_counter()
        server.kill()
        server.start()
        down.append((at, time.perf_counter() + READY))
    for thread in threads:
        thread.join()
    took = time.perf_counter() - begun
    server.kill()
    project = Project.open(folder / "project")
    with project.store.read() as db:
        kept = {(key, version) for key, version in db.execute(select(History.save, History.version))}
    project.store.close()
    acknowledged = [one for some in told for one in some.keys]
    lost = len(set(acknowledged) - kept)
    calm = [
        end - start
        for some in told
        for start, end in some.times
        if not any(start < until and end > since for since, until in down)
    ]
    quiet = took - sum(until - since for since, until in down)
    print(
        f"{'postgres' if database else 'sqlite':<9} {annotators} annotators x {saves} saves, killed {kills} times: "
        f"{lost} of {len(acknowledged)} acknowledged saves lost, {len(kept) - len(acknowledged)} kept twice; "
        f"{len(calm) / quiet:.0f} saves/s, {1000 * np.median(calm):.0f} ms median, "
        f"{1000 * np.percentile(calm, 95):.0f} ms 95th percentile; {sum(t.again for t in told)} sent again; "
        f"{took:.0f} s",
        flush=True,
    )
    return lost + abs(len(kept) - len(acknowledged))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--annotators", type=int, default=20)
    parser.add_argument("--saves", type=int, default=500)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--only", choices=("sqlite", "postgres"))
    asked = parser.parse_args()
    size = {"annotators": asked.annotators, "saves": asked.saves, "kills": asked.kills}
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        if asked.only != "postgres":
            wrong += load(folder / "sqlite", database=None, **size)
        if asked.only != "sqlite":
            started = subprocess.run([SCRIPT, "start", folder / "pg"], stdout=subprocess.PIPE, text=True)
            if started.returncode:
                print("PostgreSQL is not here; Debian: apt-get install postgresql", file=sys.stderr)
                return started.returncode
            try:
                wrong += load(folder / "postgres", database=started.stdout.strip(), **size)
            finally:
                subprocess.run([SCRIPT, "stop", folder / "pg"], check=True, stderr=subprocess.DEVNULL)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
