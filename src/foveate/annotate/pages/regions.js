// The eight regions of a fundus photograph from disc and fovea (Son et al. 2018, section 2.1); as the server has them.
//
// With D the distance from disc to fovea: circles of 2 D / 5 about the disc and 2 D / 3 about the fovea, parted by the
// chord through their intersections. In the plane with the disc at (0, 0), the fovea at (1, 0) and superior up.

export const NAMES = [
  "disc superior", "disc inferior", "macula", "temporal", "superior", "inferior", "nasal superior", "nasal inferior",
];
const [DISC, FOVEA] = [2 / 5, 2 / 3];
const CHORD = (1 + DISC ** 2 - FOVEA ** 2) / 2;
const AWAY = 15.5 / 45; // of the columns, from disc to fovea, where a photograph shows 45 degrees
const BELOW = (6 * Math.PI) / 180;
const FAR = 1e4;

/** Where the fovea is taken to be when it is not known. */
export function assumedFovea({ cols, laterality }, disc) {
  const away = AWAY * cols;
  const side = { OD: -1, OS: 1 }[laterality] ?? (disc[1] < (cols - 1) / 2 ? 1 : -1);
  return [disc[0] + away * Math.sin(BELOW), disc[1] + side * away * Math.cos(BELOW)];
}

function frame(disc, fovea, laterality) {
  const long = Math.hypot(fovea[0] - disc[0], fovea[1] - disc[1]);
  const along = [(fovea[0] - disc[0]) / long, (fovea[1] - disc[1]) / long];
  let up = [-along[1], along[0]];
  const seenDown = up[0] > 0 || (up[0] === 0 && up[1] < 0);
  if (laterality === "OD" || (!laterality && seenDown)) up = [-up[0], -up[1]];
  return { long, along, up };
}

/** The name of the region that contains a place. */
export function region(disc, fovea, laterality, p) {
  const { long, along, up } = frame(disc, fovea, laterality);
  const [r, c] = [(p[0] - disc[0]) / long, (p[1] - disc[1]) / long];
  const [a, b] = [r * along[0] + c * along[1], r * up[0] + c * up[1]];
  const higher = b >= 0 ? 0 : 1;
  if (a * a + b * b <= DISC ** 2 && a <= CHORD) return NAMES[higher];
  if ((a - 1) ** 2 + b * b <= FOVEA ** 2 && a > CHORD) return NAMES[2];
  if (a > 1 && Math.abs(b) <= FOVEA) return NAMES[3];
  return NAMES[(a >= 0 ? 4 : 6) + higher];
}

// -- outlines -------------------------------------------------------------------------------------------------------

function arc(centre, radius, start, end) {
  const count = 2 + Math.floor((Math.abs(end - start) * 180) / Math.PI);
  return Array.from({ length: count }, (_, k) => {
    const angle = start + ((end - start) * k) / (count - 1);
    return [centre + radius * Math.cos(angle), radius * Math.sin(angle)];
  });
}

function plane() {
  const meet = Math.acos(CHORD / DISC);
  const [front, back] = [arc(0, DISC, meet, Math.PI / 2), arc(0, DISC, Math.PI / 2, Math.PI)];
  const near = arc(1, FOVEA, Math.PI - Math.acos((1 - CHORD) / FOVEA), Math.PI / 2);
  const distant = arc(1, FOVEA, Math.PI / 2, 0);
  near[0] = front[0];
  const flip = (points) => points.map(([a, b]) => [a, -b]);
  const back2front = (points) => flip(points).slice(0, -1).reverse();
  const half = [[CHORD, 0], ...front, ...back.slice(1)];
  const above = [...front.toReversed(), ...near.slice(1), [FAR, FOVEA], [FAR, FAR], [0, FAR]];
  const nasal = [...back, [-FAR, 0], [-FAR, FAR], [0, FAR]];
  const whole = [...near, ...distant.slice(1)];
  const macula = [...whole, ...back2front(whole)];
  const strip = [...distant, ...back2front(distant), [FAR, -FOVEA], [FAR, FOVEA]];
  return [half, flip(half), macula, strip, above, flip(above), nasal, flip(nasal)];
}

const PLANE = plane();

function cut(corners, rows, cols) {
  let out = corners;
  for (const [axis, border, sign] of [[0, -0.5, 1], [0, rows - 0.5, -1], [1, -0.5, 1], [1, cols - 0.5, -1]]) {
    const kept = [];
    out.forEach((here, k) => {
      const there = out[(k + 1) % out.length];
      const [d, e] = [sign * (here[axis] - border), sign * (there[axis] - border)];
      if (d >= 0) kept.push(here);
      if (d >= 0 !== e >= 0) {
        const share = d / (d - e);
        const crossing = [here[0] + (there[0] - here[0]) * share, here[1] + (there[1] - here[1]) * share];
        crossing[axis] = border;
        kept.push(crossing);
      }
    });
    out = kept;
  }
  return out;
}

/** Each region as a polygon cut to the image's edge: {name: [[row, col], ...]}; left out where none of it is seen. */
export function outlines({ rows, cols, laterality }, disc, fovea) {
  const { long, along, up } = frame(disc, fovea, laterality);
  const out = {};
  PLANE.forEach((corners, k) => {
    const placed = corners.map(([a, b]) => [
      disc[0] + long * (a * along[0] + b * up[0]),
      disc[1] + long * (a * along[1] + b * up[1]),
    ]);
    const seen = cut(placed, rows, cols);
    if (seen.length > 2) out[NAMES[k]] = seen;
  });
  return out;
}
