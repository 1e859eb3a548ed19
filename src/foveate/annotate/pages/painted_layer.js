// A painted layer of one label: its pixels in tiles, what a stroke changed as runs of flipped pixels.
//
// A pixel is painted if its centre is within the brush's radius of the stroke. A change is kept as the stretches
// of pixels that it flipped, so undoing and redoing are the same act, and a thousand strokes cost a few kilobytes.

export const SIDE = 256;
const BITS = SIDE * SIDE;

/** "#rrggbb" as the four bytes of a canvas pixel. */
function bytes(colour) {
  const value = Number.parseInt(colour.slice(1), 16);
  return ((255 << 24) | ((value & 255) << 16) | (value & 0xff00) | (value >> 16)) >>> 0;
}

export class Layer {
  constructor(rows, cols, colour) {
    this.rows = rows;
    this.cols = cols;
    this.colour = bytes(colour);
    this.across = Math.ceil(cols / SIDE);
    this.tiles = new Map(); // place -> {data, fresh: drawn as it is, canvas}
    this.before = null; // place -> data before the change that is under way
    this.kept = null;
  }

  // -- painting -----------------------------------------------------------------------------------------------------

  /** One row's stretch [from, to) set to 1 or 0. */
  set(row, from, to, value) {
    if (row < 0 || row >= this.rows) return;
    let col = Math.max(0, from);
    const end = Math.min(this.cols, to);
    const [down, line] = [Math.floor(row / SIDE), (row % SIDE) * SIDE];
    while (col < end) {
      const across = Math.floor(col / SIDE);
      const stop = Math.min(end, (across + 1) * SIDE);
      const tile = this.#touch(down * this.across + across, value);
      if (tile) tile.data.fill(value, line + col - across * SIDE, line + stop - across * SIDE);
      col = stop;
    }
  }

  #touch(place, value) {
    let tile = this.tiles.get(place);
    if (!tile) {
      if (!value) return null;
      tile = { data: new Uint8Array(BITS), fresh: false, canvas: null };
      this.tiles.set(place, tile);
    }
    if (this.before && !this.before.has(place)) this.before.set(place, tile.data.slice());
    tile.fresh = false;
    this.kept = null;
    return tile;
  }

  /** Paint (1) or wipe (0) every pixel whose centre is within radius of the line from p to q. */
  stroke(p, q, radius, value) {
    const [dr, dc] = [q[0] - p[0], q[1] - p[1]];
    const long = Math.hypot(dr, dc);
    const first = Math.max(0, Math.ceil(Math.min(p[0], q[0]) - radius));
    const last = Math.min(this.rows - 1, Math.floor(Math.max(p[0], q[0]) + radius));
    for (let row = first; row <= last; row += 1) {
      let [low, high] = [Infinity, -Infinity];
      for (const [r, c] of [p, q]) {
        const half = radius * radius - (row - r) ** 2;
        if (half < 0) continue;
        low = Math.min(low, c - Math.sqrt(half));
        high = Math.max(high, c + Math.sqrt(half));
      }
      if (long > 0) {
        // the strip between the two discs: along in [0, long], across in [-radius, radius], each linear in the column
        let [from, to] = [-Infinity, Infinity];
        const within = (slope, offset, least, most) => {
          if (slope === 0) {
            if (offset < least || offset > most) [from, to] = [Infinity, -Infinity];
            return;
          }
          const ends = [(least - offset) / slope, (most - offset) / slope];
          from = Math.max(from, Math.min(...ends));
          to = Math.min(to, Math.max(...ends));
        };
        const [ur, uc] = [dr / long, dc / long];
        within(uc, (row - p[0]) * ur - p[1] * uc, 0, long);
        within(ur, -(row - p[0]) * uc - p[1] * ur, -radius, radius);
        if (from <= to) [low, high] = [Math.min(low, from), Math.max(high, to)];
      }
      if (low <= high) this.set(row, Math.ceil(low), Math.floor(high) + 1, value);
    }
  }

  /** Fill (1) or wipe (0) runs of the whole image: [start, length, ...]. */
  fill(runs, value = 1) {
    for (let k = 0; k < runs.length; k += 2) {
      let [at, left] = [runs[k], runs[k + 1]];
      while (left > 0) {
        const [row, col] = [Math.floor(at / this.cols), at % this.cols];
        const here = Math.min(left, this.cols - col);
        this.set(row, col, col + here, value);
        at += here;
        left -= here;
      }
    }
  }

  // -- changes ------------------------------------------------------------------------------------------------------

  begin() {
    this.before = new Map();
  }

  /** End of a change: what it flipped, place -> [start, length, ...]; null where nothing did. */
  end() {
    const flips = new Map();
    for (const [place, was] of this.before) {
      const now = this.tiles.get(place).data;
      const runs = [];
      for (let k = 0; k < BITS; k += 1) {
        if (was[k] === now[k]) continue;
        const start = k;
        while (k < BITS && was[k] !== now[k]) k += 1;
        runs.push(start, k - start);
      }
      if (runs.length) flips.set(place, Uint32Array.from(runs));
    }
    this.before = null;
    return flips.size ? flips : null;
  }

  /** Undo or redo a change: flip what it flipped. */
  toggle(flips) {
    for (const [place, runs] of flips) {
      const { data } = this.#touch(place, 1);
      for (let k = 0; k < runs.length; k += 2) {
        for (let at = runs[k]; at < runs[k] + runs[k + 1]; at += 1) data[at] ^= 1;
      }
    }
  }

  // -- reading ------------------------------------------------------------------------------------------------------

  at(row, col) {
    const [r, c] = [Math.round(row), Math.round(col)];
    if (r < 0 || c < 0 || r >= this.rows || c >= this.cols) return false;
    const tile = this.tiles.get(Math.floor(r / SIDE) * this.across + Math.floor(c / SIDE));
    return tile !== undefined && tile.data[(r % SIDE) * SIDE + (c % SIDE)] === 1;
  }

  /** All painted stretches of the image, row after row: [start, length, ...]. */
  runs() {
    if (this.kept) return this.kept;
    const out = [];
    let end = -1;
    for (let down = 0; down * SIDE < this.rows; down += 1) {
      const here = [];
      for (let across = 0; across < this.across; across += 1) {
        const tile = this.tiles.get(down * this.across + across);
        if (tile && tile.data.includes(1)) here.push([across * SIDE, tile.data]);
      }
      if (!here.length) continue;
      for (let y = 0; y < SIDE && down * SIDE + y < this.rows; y += 1) {
        const base = (down * SIDE + y) * this.cols;
        for (const [left, data] of here) {
          const line = data.subarray(y * SIDE, (y + 1) * SIDE);
          let from = line.indexOf(1);
          while (from >= 0) {
            let to = line.indexOf(0, from);
            if (to < 0) to = SIDE;
            const start = base + left + from;
            if (start === end) out[out.length - 1] += to - from;
            else out.push(start, to - from);
            end = base + left + to;
            from = line.indexOf(1, to);
          }
        }
      }
    }
    this.kept = out;
    return out;
  }

  // -- drawing ------------------------------------------------------------------------------------------------------

  draw(context, view, opacity) {
    context.save();
    context.globalAlpha = opacity;
    context.imageSmoothingEnabled = view.scale * view.ratio < 1;
    for (const [place, tile] of this.tiles) {
      const [row, col] = [Math.floor(place / this.across) * SIDE, (place % this.across) * SIDE];
      const [x, y] = view.toScreen([row - 0.5, col - 0.5]);
      const side = SIDE * view.scale;
      if (x > view.width || y > view.height || x + side < 0 || y + side < 0) continue;
      if (!tile.fresh) this.#paint(tile);
      context.drawImage(tile.canvas, x, y, side, side);
    }
    context.restore();
  }

  #paint(tile) {
    tile.canvas ??= new OffscreenCanvas(SIDE, SIDE);
    const context = tile.canvas.getContext("2d");
    const image = new ImageData(SIDE, SIDE);
    const out = new Uint32Array(image.data.buffer);
    const { data } = tile;
    for (let k = 0; k < BITS; k += 1) if (data[k]) out[k] = this.colour;
    context.putImageData(image, 0, 0);
    tile.fresh = true;
  }
}

/** Radius in image pixels of a stroke's place: a pen pressed lightly paints down to a third of the size. */
export const radius = (size, pressure) => Math.max(0.5, (size / 2) * (pressure >= 1 ? 1 : 0.33 + 0.67 * pressure));
