"""Saving in a real Chromium over plain http from another machine, and while a page is left."""

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")

from annotate_browser import CHROMIUM, SWITCHES, Screen, claimed, context, of, served
from playwright.sync_api import expect

from foveate.annotate.store.project import Project

Visit = Callable[..., Screen]


def test_marks_are_saved_over_plain_http_from_another_machine(hall: Project) -> None:
    from playwright.sync_api import sync_playwright

    switches = [*SWITCHES, "--host-resolver-rules=MAP reading.test 127.0.0.1"]
    with served(hall, hosts=["reading.test"]) as local, sync_playwright() as play:
        address = local.replace("127.0.0.1", "reading.test")
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=switches)
        anna = claimed(Screen(context(chromium, hall, address, "anna", ("annotator",)), address), 2)
        assert anna.page.evaluate("[isSecureContext, typeof crypto.randomUUID]") == [False, "undefined"]
        anna.press("1")
        anna.drag((100, 200), (140, 260))
        anna.saved()
        assert len(of(anna.marks(2)["marks"], "ellipse")) == 1
        anna.close()
        chromium.close()


@pytest.mark.parametrize("way", ["close", "other"])
def test_a_mark_drawn_just_before_the_page_is_left_is_saved(hall: Project, visit: Visit, way: str) -> None:
    with served(hall) as address:
        anna = claimed(visit(hall, address, "anna"), 2)
        anna.press("1")
        anna.drag((100, 200), (140, 260))
        if way == "close":  # sooner than the quarter of a second after which a change is kept
            anna.page.close(run_before_unload=True)
        else:
            anna.page.evaluate("location.href = '/web/pages/icon.svg'")
        other = visit(hall, address, "anna")
        other.page.goto(f"{address}/")

        def there() -> Any:
            return len(of(other.marks(2)["marks"], "ellipse"))

        for _ in range(40):
            if there():
                break
            other.page.wait_for_timeout(100)
        assert there() == 1
        other.open("/annotate?item=2")
        other.saved()
        expect(other.page.locator("[data-finding=microaneurysm] .count")).to_have_text("1")
        assert other.marks(2)["version"] == 1, "it counts once"
