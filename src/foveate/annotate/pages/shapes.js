// Ellipses and polygons: what they cover, their handles, their moves. Positions are [row, col]; shapes are never
// changed in place, each move gives a new one.

const plus = ([a, b], [c, d]) => [a + c, b + d];
export const far = (p, q) => Math.hypot(p[0] - q[0], p[1] - q[1]);

/** A new id that no other shape of the set will have. */
export const fresh = () => Array.from(crypto.getRandomValues(new Uint8Array(8)), (n) => n.toString(16).padStart(2, "0")).join("");

// -- ellipse ----------------------------------------------------------------------------------------------------------
// u along the turned columns, v along the turned rows; inside = (v / radii[0])^2 + (u / radii[1])^2 <= 1

function axes(turn) {
  const [sine, cosine] = [Math.sin(turn), Math.cos(turn)];
  return { u: [sine, cosine], v: [cosine, -sine] };
}

function place({ centre, turn }, u, v) {
  const along = axes(turn);
  return [centre[0] + u * along.u[0] + v * along.v[0], centre[1] + u * along.u[1] + v * along.v[1]];
}

function local({ centre, turn }, p) {
  const along = axes(turn);
  const d = [p[0] - centre[0], p[1] - centre[1]];
  return [d[0] * along.u[0] + d[1] * along.u[1], d[0] * along.v[0] + d[1] * along.v[1]];
}

/** The ellipse in the box from p to q; round: a circle; middle: p is its centre. */
export function boxed(p, q, { round = false, middle = false } = {}) {
  let half = [Math.abs(q[0] - p[0]) / 2, Math.abs(q[1] - p[1]) / 2];
  if (round) half = [Math.max(...half), Math.max(...half)];
  if (middle) return { centre: p, radii: half.map((n) => Math.max(0.5, 2 * n)), turn: 0 };
  const centre = [p[0] + Math.sign(q[0] - p[0]) * half[0], p[1] + Math.sign(q[1] - p[1]) * half[1]];
  return { centre, radii: half.map((n) => Math.max(0.5, n)), turn: 0 };
}

// -- every kind -------------------------------------------------------------------------------------------------------

/** Whether a place is on a shape, within reach (image pixels) of a point. */
export function contains(shape, p, reach = 0) {
  if (shape.kind === "ellipse") {
    const [u, v] = local(shape, p);
    return (v / (shape.radii[0] + reach)) ** 2 + (u / (shape.radii[1] + reach)) ** 2 <= 1;
  }
  if (shape.kind === "point") return far(shape.at, p) <= reach;
  if (shape.kind !== "polygon") return false;
  let inside = false;
  const { corners } = shape;
  for (let k = 0, last = corners.length - 1; k < corners.length; last = k, k += 1) {
    const [[r0, c0], [r1, c1]] = [corners[last], corners[k]];
    if (r0 > p[0] !== r1 > p[0] && p[1] < c0 + ((p[0] - r0) * (c1 - c0)) / (r1 - r0)) inside = !inside;
  }
  return inside || (reach > 0 && edge(shape, p).distance <= reach);
}

/** The nearest edge of a polygon: {index of its first corner, distance, place}. */
export function edge({ corners }, p) {
  let best = { index: 0, distance: Infinity, place: p };
  corners.forEach((a, index) => {
    const b = corners[(index + 1) % corners.length];
    const d = [b[0] - a[0], b[1] - a[1]];
    const size = d[0] ** 2 + d[1] ** 2;
    const share = size ? Math.min(1, Math.max(0, ((p[0] - a[0]) * d[0] + (p[1] - a[1]) * d[1]) / size)) : 0;
    const on = [a[0] + share * d[0], a[1] + share * d[1]];
    if (far(on, p) < best.distance) best = { index, distance: far(on, p), place: on };
  });
  return best;
}

/** How large a shape is, to take the smallest of those under the pointer. */
export function area(shape) {
  if (shape.kind === "ellipse") return Math.PI * shape.radii[0] * shape.radii[1];
  if (shape.kind !== "polygon") return 0;
  let sum = 0;
  shape.corners.forEach(([r, c], k) => {
    const [s, d] = shape.corners[(k + 1) % shape.corners.length];
    sum += r * d - s * c;
  });
  return Math.abs(sum) / 2;
}

/** The box about a shape in an image of so many columns, [top, left, bottom, right]; null for regions. */
export function bounds(shape, cols) {
  if (shape.kind === "ellipse") {
    const [[v, u], { turn, centre: [r, c] }] = [shape.radii, shape];
    const down = Math.hypot(v * Math.cos(turn), u * Math.sin(turn));
    const across = Math.hypot(v * Math.sin(turn), u * Math.cos(turn));
    return [r - down, c - across, r + down, c + across];
  }
  const spots = [];
  if (shape.kind === "point") spots.push(shape.at);
  if (shape.kind === "polygon") spots.push(...shape.corners);
  if (shape.kind === "brush") {
    for (let k = 0; k < shape.runs.length; k += 2) {
      const [first, last] = [shape.runs[k], shape.runs[k] + shape.runs[k + 1] - 1];
      const [top, bottom] = [Math.floor(first / cols), Math.floor(last / cols)];
      spots.push([top, top === bottom ? first % cols : 0], [bottom, top === bottom ? last % cols : cols - 1]);
    }
  }
  if (!spots.length) return null;
  return spots.reduce(([a, b, c, d], [r, s]) => [Math.min(a, r), Math.min(b, s), Math.max(c, r), Math.max(d, s)], [Infinity, Infinity, -Infinity, -Infinity]);
}

/** The middle of a shape. */
export function middle(shape) {
  if (shape.kind === "ellipse") return shape.centre;
  if (shape.kind === "point") return shape.at;
  const n = shape.corners.length;
  return [0, 1].map((k) => shape.corners.reduce((sum, corner) => sum + corner[k], 0) / n);
}

/** The shape elsewhere. */
export function moved(shape, by) {
  if (shape.kind === "ellipse") return { ...shape, centre: plus(shape.centre, by) };
  if (shape.kind === "point") return { ...shape, at: plus(shape.at, by) };
  return { ...shape, corners: shape.corners.map((corner) => plus(corner, by)) };
}

/** The shape larger or smaller about its middle. */
export function scaled(shape, factor) {
  if (shape.kind === "ellipse") return { ...shape, radii: shape.radii.map((n) => Math.max(0.5, n * factor)) };
  if (shape.kind === "point") return shape;
  const m = middle(shape);
  return { ...shape, corners: shape.corners.map((p) => [m[0] + (p[0] - m[0]) * factor, m[1] + (p[1] - m[1]) * factor]) };
}

/** The shape turned about its middle. */
export function turned(shape, by) {
  if (shape.kind === "ellipse") return { ...shape, turn: within(shape.turn + by) };
  if (shape.kind === "point") return shape;
  const m = middle(shape);
  const along = axes(by);
  const turn = ([r, c]) => [
    m[0] + (r - m[0]) * along.v[0] + (c - m[1]) * along.u[0],
    m[1] + (r - m[0]) * along.v[1] + (c - m[1]) * along.u[1],
  ];
  return { ...shape, corners: shape.corners.map(turn) };
}

/** An ellipse's turn between -90 and 90 degrees, where every ellipse has one. */
function within(turn) {
  return turn - Math.PI * Math.round(turn / Math.PI);
}

/** Handles of a shape: {name, at}; apart: distance of the rotation handle in image pixels. */
export function handles(shape, apart) {
  if (shape.kind === "ellipse") {
    const [v, u] = shape.radii;
    return [
      { name: "u+", at: place(shape, u, 0) }, { name: "u-", at: place(shape, -u, 0) },
      { name: "v+", at: place(shape, 0, v) }, { name: "v-", at: place(shape, 0, -v) },
      { name: "turn", at: place(shape, 0, -v - apart) },
    ];
  }
  if (shape.kind !== "polygon") return [];
  return shape.corners.map((at, index) => ({ name: "corner", index, at }));
}

/** The shape with a handle pulled to a place. */
export function pulled(shape, handle, p) {
  if (handle.name === "corner") return { ...shape, corners: shape.corners.map((c, k) => (k === handle.index ? p : c)) };
  if (handle.name === "turn") {
    const d = [p[0] - shape.centre[0], p[1] - shape.centre[1]];
    return { ...shape, turn: within(Math.atan2(d[1], -d[0])) };
  }
  // the side across stays where it is
  const sign = handle.name[1] === "+" ? 1 : -1;
  const axis = handle.name[0] === "u" ? 1 : 0;
  const reach = sign * local(shape, p)[axis === 1 ? 0 : 1];
  const radius = Math.max(0.5, (shape.radii[axis] + reach) / 2);
  const shift = sign * (radius - shape.radii[axis]);
  const centre = axis === 1 ? place(shape, shift, 0) : place(shape, 0, shift);
  return { ...shape, centre, radii: shape.radii.map((n, k) => (k === axis ? radius : n)) };
}

/** A corner put in after another. */
export function inserted(shape, index, p) {
  return { ...shape, corners: [...shape.corners.slice(0, index + 1), p, ...shape.corners.slice(index + 1)] };
}

/** A corner taken out; null where fewer than three would be left. */
export function without(shape, index) {
  return shape.corners.length > 3 ? { ...shape, corners: shape.corners.filter((_, k) => k !== index) } : null;
}

/** Fewer corners for a line drawn by hand: every removed corner is within reach (Douglas and Peucker 1973). */
export function simpler(points, reach) {
  if (points.length < 3) return points;
  const [first, last] = [points[0], points.at(-1)];
  const long = far(first, last);
  let [worst, most] = [0, -1];
  points.forEach((p, k) => {
    const off = long
      ? Math.abs((last[0] - first[0]) * (p[1] - first[1]) - (last[1] - first[1]) * (p[0] - first[0])) / long
      : far(p, first);
    if (off > most) [worst, most] = [k, off];
  });
  if (most <= reach) return [first, last];
  return [...simpler(points.slice(0, worst + 1), reach).slice(0, -1), ...simpler(points.slice(worst), reach)];
}

/** Add a shape's outline to a path, in screen pixels. */
export function trace(path, shape, view) {
  if (shape.kind === "ellipse") {
    const [x, y] = view.toScreen(shape.centre);
    path.moveTo(...view.toScreen(place(shape, shape.radii[1], 0)));
    path.ellipse(x, y, shape.radii[1] * view.scale, shape.radii[0] * view.scale, shape.turn, 0, 2 * Math.PI);
  } else if (shape.kind === "point") {
    const [x, y] = view.toScreen(shape.at);
    path.moveTo(x + 5, y);
    path.arc(x, y, 5, 0, 2 * Math.PI);
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      path.moveTo(x + 5 * dx, y + 5 * dy);
      path.lineTo(x + 11 * dx, y + 11 * dy);
    }
  } else if (shape.kind === "polygon") {
    shape.corners.forEach((corner, k) => path[k ? "lineTo" : "moveTo"](...view.toScreen(corner)));
    path.closePath();
  }
}
