"""Projects for tests: drawn images, a protocol with every kind of mark, SQLite, a real PostgreSQL, a real browser."""

import itertools
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from annotate_people import EVERY_MARK, Person, enter
from sqlalchemy import create_engine, text
from starlette.testclient import TestClient

from foveate.annotate.store.new_project import new_project
from foveate.annotate.store.project import Project
from foveate.annotate.web.server import make_app
from foveate.core.labels import LabelSchema
from foveate.data import synthetic
from foveate.data.manifest import Manifest

SCRIPT = Path(__file__).parent.parent.parent / ".ci" / "postgres"
NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Six drawn photographs of which nothing is known but where disc and fovea lie."""
    folder = tmp_path_factory.mktemp("images")
    rows = synthetic.write("fundus", folder, n=6, size=96)
    schema = synthetic.SCHEMAS["fundus"]
    return Manifest(schema, tuple(rows), folder).write(folder / "M.jsonl")


@pytest.fixture(scope="session")
def bare(images: Manifest) -> Manifest:
    """The same without questions, labels and truth."""
    return Manifest(LabelSchema(), tuple(images.select(questions=(), labels=()).rows), images.root)


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """URL of a PostgreSQL of our own; not in pytest's folder, which its server may not enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    started = subprocess.run([SCRIPT, "start", folder / "pg"], capture_output=True, text=True)
    if started.returncode == 3:
        pytest.skip("PostgreSQL is not installed; Debian: apt-get install postgresql")
    assert started.returncode == 0, started.stderr
    yield started.stdout.strip()
    subprocess.run([SCRIPT, "stop", folder / "pg"], check=True, capture_output=True)
    shutil.rmtree(folder)


@pytest.fixture
def postgres(cluster: str) -> str:
    """URL of an empty database."""
    name = f"project{next(NUMBERS)}"
    engine = create_engine(cluster, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return cluster.rpartition("/")[0] + f"/{name}"


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> str | None:
    """None = SQLite in the project; else an empty PostgreSQL database."""
    return request.getfixturevalue("postgres") if request.param == "postgres" else None


@pytest.fixture
def make_project(tmp_path: Path, images: Manifest) -> Iterator[Callable[..., Project]]:
    """Make a project of the drawn images with a protocol text."""
    made: list[Project] = []

    def make(
        protocol: str = EVERY_MARK, *, database: str | None = None, name: str = "project", manifest: Manifest = images
    ) -> Project:
        file = tmp_path / f"{name}.toml"
        file.write_text(protocol)
        project, broken = new_project(manifest, protocol=file, out=tmp_path / name, database=database)
        assert not broken
        made.append(project)
        return project

    yield make
    for project in made:
        project.store.close()


@pytest.fixture
def project(make_project: Callable[..., Project]) -> Project:
    """A SQLite project with every kind of mark."""
    return make_project()


@pytest.fixture
def person(project: Project) -> Iterator[Callable[..., Person]]:
    """Someone with an account, logged in."""
    clients: list[TestClient] = []
    app = make_app(project)

    def make(name: str, *roles: str, at: Project | None = None) -> Person:
        client = TestClient(app if at is None else make_app(at), base_url="http://127.0.0.1")
        clients.append(client)
        return enter(client, project if at is None else at, name, roles or ("annotator",))

    yield make
    for client in clients:
        client.close()


# -- pages; what needs a browser is imported where it is used, so that the other tests run without one ----------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium."""
    from annotate_browser import CHROMIUM, SWITCHES
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        pytest.skip("chromium is not installed; Debian: apt-get install chromium")
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield started
        started.close()


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """A photograph of 4288 x 2848, its fellow eye and another."""
    from annotate_browser import photographs

    return photographs(tmp_path_factory.mktemp("photographs"))


@pytest.fixture
def hall(large: Manifest, tmp_path: Path) -> Iterator[Project]:
    """A project with a large photograph and every kind of mark."""
    from annotate_browser import PROTOCOL

    (tmp_path / "p.toml").write_text(PROTOCOL)
    project, _ = new_project(large, protocol=tmp_path / "p.toml", out=tmp_path / "hall", name="Reading centre")
    yield project
    project.store.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Somebody's page; several of one name share a browser."""
    from annotate_browser import Screen, context

    contexts: dict[tuple[str, str], Any] = {}
    screens: list[Screen] = []

    def make(project: Project, address: str, name: str, *roles: str) -> Screen:
        if (address, name) not in contexts:
            contexts[address, name] = context(browser, project, address, name, roles or ("annotator",))
        screens.append(Screen(contexts[address, name], address))
        return screens[-1]

    yield make
    for screen in screens:
        screen.close()
