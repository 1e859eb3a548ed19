"""The reading page in a real Chromium with a photograph of 4288 x 2848: how soon it can be worked on, how soon a stroke
is seen, how many frames a second it pans.

    python benchmarks/annotate_page.py [--strokes 12] [--runs 3]

Time to interactive is from the request of the page until the image is seen and every tool answers; the latency of a
stroke from the pointer's event until the frame that shows it has been made. Without a graphics card Chromium draws with
the processor, so figures of a laptop are better.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "annotate"))

from annotate_browser import CHROMIUM, PROTOCOL, SWITCHES, Screen, context, photographs, served

from foveate.annotate.store.new_project import new_project

WHOLE = (2848, 4288)

LATENCY = """() => {
  window.late = [];
  const channel = new MessageChannel();
  const waiting = [];
  channel.port1.onmessage = () => window.late.push(performance.now() - waiting.shift());
  document.querySelector('.view.main .overlay').addEventListener('pointermove', (event) => {
    if (!event.buttons) return;
    // after the frame in which the page draws: its own callback was asked for before this one
    const from = event.timeStamp;
    requestAnimationFrame(() => { waiting.push(from); channel.port2.postMessage(0); });
  });
}"""

FRAMES = """async (count) => {
  const canvas = document.querySelector('.view.main .overlay');
  const times = [];
  for (let k = 0; k <= count; k += 1) {
    const deltaX = k % 40 < 20 ? 30 : -30;
    canvas.dispatchEvent(new WheelEvent('wheel', {deltaX, shiftKey: true, clientX: 500, clientY: 400}));
    times.push(await new Promise(requestAnimationFrame));
  }
  return times.slice(1).map((time, k) => time - times[k]);
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strokes", type=int, default=12)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        images = Path(folder) / "images"
        images.mkdir()
        (Path(folder) / "p.toml").write_text(PROTOCOL)
        project, _ = new_project(
            photographs(images, WHOLE), protocol=Path(folder) / "p.toml", out=Path(folder) / "project"
        )
        browser = play.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        ready, late, frames = [], [], []
        with served(project) as address:
            for run in range(given.runs):
                screen = Screen(context(browser, project, address, f"reader {run}", ["annotator"]), address).open(
                    "/annotate"
                )
                ready.append(screen.page.evaluate("performance.getEntriesByName('ready')[0].startTime"))
                screen.page.wait_for_selector(".overlay[data-level='0'], .overlay[data-level='2']")
                screen.press("3", "b", *["]"] * 4)
                screen.page.evaluate(LATENCY)
                for k in range(given.strokes):
                    row = 600 + 1600 * k / given.strokes
                    screen.drag((row, 1200), (row + 200, 2000), (row - 100, 3000), steps=15)
                late += screen.page.evaluate("window.late")
                screen.press("z")
                screen.page.wait_for_timeout(1500)
                frames += screen.page.evaluate(FRAMES, 120)
                screen.saved()
                screen.close()
                project.store.engine.dispose()
        browser.close()
        project.store.close()
    tenth = statistics.quantiles(late, n=20)[-1]
    print(f"photograph of {WHOLE[1]} x {WHOLE[0]}, {given.runs} times, {len(late)} places of strokes")
    print(f"time to interactive: median {statistics.median(ready):.0f} ms (from {min(ready):.0f} to {max(ready):.0f})")
    print(f"stroke until seen: median {statistics.median(late):.1f} ms, 95 of 100 within {tenth:.1f} ms")
    print(f"panning at 1:1: median {1000 / statistics.median(frames):.0f} frames a second")


if __name__ == "__main__":
    main()
