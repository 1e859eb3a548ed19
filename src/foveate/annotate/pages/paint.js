// Drawing marks above an image: shapes, painted layers, regions, landmarks. A dark line under each bright one keeps
// it seen on every background.

import { coarse } from "../../web/pages/pointer.js";
import { handles, trace } from "./shapes.js";

const HANDLE = coarse() ? 8 : 4; // half of a handle's side in screen pixels
const HALO = "rgb(0 0 0 / 65%)";

/** "#rrggbb" with an opacity. */
export const faded = (colour, opacity) => `${colour}${Math.round(opacity * 255).toString(16).padStart(2, "0")}`;

function line(context, path, colour, { width = 1.8, dash = [] } = {}) {
  context.setLineDash([]);
  context.lineWidth = width + 2;
  context.strokeStyle = HALO;
  context.stroke(path);
  context.setLineDash(dash);
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.stroke(path);
  context.setLineDash([]);
}

/**
 * Shapes with their painted layers.
 * how: {colourOf(label), seen(label), opacity(label), chosen: Set of ids, dash, layers: [{layer, label, doubtful}]}
 */
export function paintShapes(context, view, shapes, how) {
  for (const { layer, label, doubtful } of how.layers ?? []) {
    if (how.seen(label)) layer.draw(context, view, how.opacity(label) * (doubtful ? 0.55 : 1));
  }
  for (const shape of shapes) {
    if (shape.kind === "regions" || shape.kind === "brush" || !how.seen(shape.label)) continue;
    const [path, colour] = [new Path2D(), how.colourOf(shape.label)];
    trace(path, shape, view);
    const opacity = how.opacity(shape.label);
    if (shape.kind !== "point") {
      context.fillStyle = faded(colour, opacity * (how.chosen?.has(shape.id) ? 0.32 : 0.16));
      context.fill(path, "evenodd");
    }
    context.globalAlpha = Math.min(1, 0.4 + opacity);
    line(context, path, colour, { width: how.chosen?.has(shape.id) ? 3 : 2, dash: how.dash ?? (shape.doubtful ? [7, 5] : []) });
    context.globalAlpha = 1;
  }
}

/** The handles of a chosen shape; corner: the one that keys act on. */
export function paintHandles(context, view, shape, corner) {
  const all = handles(shape, 26 / view.scale);
  const turn = all.find((one) => one.name === "turn");
  if (turn) {
    const stem = new Path2D();
    stem.moveTo(...view.toScreen(all.find((one) => one.name === "v-").at));
    stem.lineTo(...view.toScreen(turn.at));
    line(context, stem, "#ffffff", { width: 1 });
  }
  for (const handle of all) {
    const [x, y] = view.toScreen(handle.at);
    const path = new Path2D();
    if (handle.name === "turn") path.arc(x, y, HANDLE + 1, 0, 2 * Math.PI);
    else path.rect(x - HANDLE, y - HANDLE, 2 * HANDLE, 2 * HANDLE);
    context.fillStyle = handle.name === "corner" && handle.index === corner ? "#ffd75e" : "#ffffff";
    line(context, path, "#20262d", { width: 1 });
    context.fill(path);
  }
}

/** A dotted box about [top, left, bottom, right]: what is inside is a draft; away: its distance in screen pixels. */
export function paintBox(context, view, [top, left, bottom, right], colour, { away = 4, width = 1.5 } = {}) {
  const [[x0, y0], [x1, y1]] = [view.toScreen([top - 0.5, left - 0.5]), view.toScreen([bottom + 0.5, right + 0.5])];
  const path = new Path2D();
  path.rect(x0 - away, y0 - away, x1 - x0 + 2 * away, y1 - y0 + 2 * away);
  line(context, path, colour, { width, dash: [3, 4] });
}

/** The eight regions: outlines {name: corners}, marks [{regions, colour, strong, opacity, dash}], under: the name that is pointed at. */
export function paintRegions(context, view, outlines, { marks = [], under = null, names = true } = {}) {
  context.font = "500 12px system-ui, sans-serif";
  context.textAlign = "center";
  for (const [name, corners] of Object.entries(outlines)) {
    const path = new Path2D();
    trace(path, { kind: "polygon", corners }, view);
    const here = marks.filter((mark) => mark.regions.includes(name));
    for (const { colour, strong, opacity = 0.6, dash = [] } of here) {
      if (!strong) continue;
      context.fillStyle = faded(colour, 0.08 * opacity); // the border shows it: a tint would hide what is judged
      context.fill(path);
      context.save();
      context.clip(path); // a border inside of it: an orange finding is seen on an orange fundus too
      line(context, path, colour, { width: 6, dash });
      context.restore();
    }
    if (name === under) {
      context.fillStyle = "rgb(255 255 255 / 12%)";
      context.fill(path);
    }
    line(context, path, "rgb(235 240 245 / 80%)", { width: 1 });
    const spot = seat(corners, view);
    if (!spot) continue;
    if (names) written(context, name, name === "macula" ? [spot[0], spot[1] + 32] : spot); // below the fovea's sign
    here.forEach(({ colour }, k) => {
      const dot = new Path2D();
      dot.arc(spot[0] + (k - (here.length - 1) / 2) * 13, spot[1] + (name === "macula" ? 43 : 11), 4.5, 0, 2 * Math.PI);
      line(context, dot, colour, { width: 1 });
      context.fillStyle = colour;
      context.fill(dot);
    });
  }
}

/** Text that is read on every background. */
export function written(context, text, [x, y]) {
  context.lineWidth = 3;
  context.strokeStyle = "rgb(0 0 0 / 75%)";
  context.strokeText(text, x, y);
  context.fillStyle = "#f2f5f8";
  context.fillText(text, x, y);
}

// the middle of what is seen of a region
function seat(corners, view) {
  const places = corners.map((corner) => view.toScreen(corner)).map(([x, y]) => [
    Math.min(view.width, Math.max(0, x)), Math.min(view.height, Math.max(0, y)),
  ]);
  let [sum, x, y] = [0, 0, 0];
  places.forEach(([x0, y0], k) => {
    const [x1, y1] = places[(k + 1) % places.length];
    const cross = x0 * y1 - x1 * y0;
    [sum, x, y] = [sum + cross, x + (x0 + x1) * cross, y + (y0 + y1) * cross];
  });
  return Math.abs(sum) < 2000 ? null : [x / sum / 3, y / sum / 3];
}

/** The centres of disc and fovea; chosen: the one that keys act on. */
export function paintLandmarks(context, view, { disc, fovea, assumed }, chosen) {
  for (const [name, place] of [["disc", disc], ["fovea", fovea]]) {
    if (!place) continue;
    const [x, y] = view.toScreen(place);
    const path = new Path2D();
    path.arc(x, y, name === "disc" ? 9 : 6, 0, 2 * Math.PI);
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      path.moveTo(x + 3 * dx, y + 3 * dy);
      path.lineTo(x + 14 * dx, y + 14 * dy);
    }
    line(context, path, chosen === name ? "#ffd75e" : "#ffffff", { width: 1.5, dash: name === "fovea" && assumed ? [3, 3] : [] });
    context.font = "600 12px system-ui, sans-serif";
    context.textAlign = "left";
    written(context, name === "fovea" && assumed ? "fovea?" : name, [x + 16, y - 8]);
  }
}

/** A ring around a place that a message is about. */
export function paintRing(context, view, at) {
  const path = new Path2D();
  path.arc(...view.toScreen(at), 18, 0, 2 * Math.PI);
  line(context, path, "#ffd75e", { width: 2.5 });
}

/** A line of the ruler with its length in words. */
export function paintRuler(context, view, [p, q], text) {
  const path = new Path2D();
  path.moveTo(...view.toScreen(p));
  path.lineTo(...view.toScreen(q));
  line(context, path, "#7fe3ff", { width: 1.5 });
  const [x, y] = view.toScreen([(p[0] + q[0]) / 2, (p[1] + q[1]) / 2]);
  context.font = "600 13px system-ui, sans-serif";
  context.textAlign = "center";
  written(context, text, [x, y - 8]);
}
