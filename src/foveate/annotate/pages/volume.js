// The B-scans of a volume: a slider, and the position of the shown one on the en-face image.

import { h } from "../../web/pages/dom.js";

/** image: as the server gives it, part of a volume; go(item): show another scan. */
export function volume(image, go) {
  const { scans, index, enface, name } = image.volume;
  const at = scans.findIndex((scan) => scan.item === image.item);
  const place = at < 0 ? index : at;
  const to = (k) => {
    const next = Math.min(scans.length - 1, Math.max(0, k));
    if (next !== place) go(scans[next].item);
  };
  const slide = h("input", { type: "range", min: 0, max: scans.length - 1, step: 1, value: place, "aria-label": "B-scan", on: { change: () => to(Number(slide.value)) } });
  const text = h("span", { class: "note" }, `B-scan ${place + 1} of ${scans.length}`);
  slide.addEventListener("input", () => (text.textContent = `B-scan ${Number(slide.value) + 1} of ${scans.length}`));
  let map = null;
  if (enface) {
    const line = h("div", { class: "line", style: { top: `${(100 * (place + 0.5)) / scans.length}%` } });
    const picture = h("img", { src: `/api/items/${image.item}/enface`, alt: "En-face image of the volume", draggable: "false" });
    map = h("div", { class: "enface", title: "Click to go to a B-scan", on: { click: (event) => {
      const box = map.getBoundingClientRect();
      to(Math.floor(((event.clientY - box.top) / box.height) * scans.length));
    } } }, picture, line);
    slide.addEventListener("input", () => line.style.setProperty("top", `${(100 * (Number(slide.value) + 0.5)) / scans.length}%`));
  }
  const element = h("section", { class: "volume" }, h("header", {}, h("h2", {}, "Volume"), h("span", { class: "note" }, name)), map, slide, text);
  return { element, step: (by) => to(place + by) };
}
