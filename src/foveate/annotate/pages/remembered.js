// How somebody works, kept from image to image and from day to day in this browser: tool, brush size, opacity, how the
// image is shown, zoom, which parts of the panel are open.

export class Remembered {
  /** name: of the project and the account, so that people on one computer keep their own. */
  constructor(name) {
    this.name = `foveate ${name}`;
    try {
      this.all = JSON.parse(localStorage.getItem(this.name)) ?? {};
    } catch {
      this.all = {}; // a private window may have no storage: then it is kept while the page is open
    }
  }

  get(key, otherwise) {
    return this.all[key] ?? otherwise;
  }

  set(key, value) {
    this.all[key] = value;
    try {
      localStorage.setItem(this.name, JSON.stringify(this.all));
    } catch {
      // no storage
    }
  }
}

/** Keep what is chosen in a workspace, and take it up again in the next one. */
export function remember(kept, { editor, view, adjust, element }) {
  editor.size = kept.get("size", editor.size);
  for (const [label, opacity] of Object.entries(kept.get("opacity", {}))) if (editor.layers.has(label)) editor.layers.get(label).opacity = opacity;
  const tool = editor.tools.find((one) => one.name === kept.get("tool"));
  if (tool && editor.useful(tool) && editor.allowed(tool)) editor.use(tool.name);
  adjust.set(kept.get("adjust", {}));
  const zoom = kept.get("zoom");
  if (zoom?.factor > 1.02) {
    view.scale = view.least * zoom.factor;
    view.centre([zoom.at[0] * view.rows, zoom.at[1] * view.cols]);
  }
  element.classList.toggle("folded", kept.get("folded", false));
  editor.addEventListener("chosen", () => {
    kept.set("size", editor.size);
    kept.set("opacity", Object.fromEntries([...editor.layers].map(([label, { opacity }]) => [label, opacity])));
    if (editor.mayDraw) kept.set("tool", editor.tool.name);
  });
  adjust.addEventListener("change", () => kept.set("adjust", adjust.now));
  view.addEventListener("moved", () => {
    const [row, col] = view.toImage([view.width / 2, view.height / 2]);
    kept.set("zoom", { factor: view.fits ? 1 : view.scale / view.least, at: [row / view.rows, col / view.cols] });
  });
}

/** A part of the panel that stays open or closed; open at the first visit if so wanted. */
export function keepOpen(details, kept, key, first = false) {
  details.open = kept.get(key, first);
  details.addEventListener("toggle", () => kept.set(key, details.open));
  if (first && kept.get(key) === undefined) kept.set(key, false); // at the next image it is known
  return details;
}
