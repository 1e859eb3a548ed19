// Two versions of the marks of one image: what differs, and both in one.

import { fresh } from "./shapes.js";

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
// a shape without its names, its fields in one order: the server and the page write them in different ones
const bare = ({ id, draft, ...rest }) => JSON.stringify(Object.entries({ doubtful: false, ...rest }).sort(([a], [b]) => (a < b ? -1 : 1)));
const layered = (shape) => shape.kind === "brush" || shape.kind === "regions";
const slot = (shape) => `${shape.kind} ${shape.label} ${Boolean(shape.doubtful)}`;

/** The shapes of one version that the other does not have just so. */
export function onlyIn(mine, theirs) {
  const there = theirs.shapes.map((shape) => bare(shape));
  return mine.shapes.filter((shape) => !there.includes(bare(shape)));
}

/** Runs [start, length, ...] of pixels that are in either. */
export function unitedRuns(one, two) {
  const ends = [one, two].flatMap((runs) => Array.from({ length: runs.length / 2 }, (_, k) => [runs[2 * k], runs[2 * k] + runs[2 * k + 1]]));
  ends.sort((a, b) => a[0] - b[0]);
  const out = [];
  for (const [from, to] of ends) {
    const last = out.at(-1);
    if (last && from <= last[1]) last[1] = Math.max(last[1], to);
    else out.push([from, to]);
  }
  return out.flatMap(([from, to]) => [from, to - from]);
}

/** Everything of both versions: all shapes; where an answer or a state differs, mine. */
export function both(mine, theirs) {
  const shapes = theirs.shapes.map((shape) => ({ ...shape }));
  const ids = new Set(shapes.map((shape) => shape.id));
  for (const shape of onlyIn(mine, theirs)) {
    const other = layered(shape) ? shapes.find((one) => slot(one) === slot(shape)) : null;
    if (other && shape.kind === "brush") other.runs = unitedRuns(other.runs, shape.runs);
    else if (other) other.regions = [...new Set([...other.regions, ...shape.regions])];
    else shapes.push(ids.has(shape.id) ? { ...shape, id: fresh() } : shape);
  }
  const findings = { ...theirs.findings, ...mine.findings };
  for (const [label, state] of Object.entries(findings)) {
    if (state === "absent" && shapes.some((shape) => shape.label === label)) delete findings[label];
  }
  return {
    ...theirs, ...mine, shapes, findings,
    answers: { ...theirs.answers, ...mine.answers },
    disc: mine.disc ?? theirs.disc, fovea: mine.fovea ?? theirs.fovea,
    comments: [...theirs.comments, ...mine.comments.filter((one) => !theirs.comments.some((other) => same(one, other)))],
    ungradable: mine.ungradable ?? theirs.ungradable,
    rejected: [...new Set([...(theirs.rejected ?? []), ...(mine.rejected ?? [])])],
  };
}
