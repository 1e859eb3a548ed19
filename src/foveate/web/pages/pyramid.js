// One image in its levels: a small one at once, the full one when it has come. Level k is halved k times.

const WHOLE = 24e6; // pixels of a level that is fetched in one piece; larger levels come in tiles
const TILE = 512;
const KEPT = 160; // tiles kept: 160 MiB

export class Pyramid extends EventTarget {
  /** image: {item, rows, cols, levels}; the event "come" means that there is more to draw. */
  constructor(image) {
    super();
    this.image = image;
    this.look = this.asked = "plain"; // the one that is shown, the one that was asked for last
    this.sheets = new Map(); // "look/level" or "look/level/row/col" -> ImageBitmap, null while it comes
    this.failed = null;
  }

  size(level) {
    return [Math.ceil(this.image.rows / 2 ** level), Math.ceil(this.image.cols / 2 ** level)];
  }

  /** The coarsest level that still has about this many columns on the screen. */
  #small() {
    let level = 0;
    while (level < this.image.levels - 1 && this.size(level + 1)[1] >= 900) level += 1;
    return level;
  }

  /** Fetch the small level, then, when it is there, the full one in the background. */
  async open(look = "plain") {
    this.asked = look;
    const small = this.#small();
    await this.#sheet(small, look);
    if (this.asked !== look) return; // another look was wanted meanwhile
    this.look = look; // only now: until then the look before it stays on the screen
    this.dispatchEvent(new Event("come"));
    const [rows, cols] = this.size(0);
    if (small > 0 && rows * cols <= WHOLE) this.#sheet(0, look);
  }

  #sheet(level, look) {
    return this.#fetch(`${look}/${level}`, `/api/items/${this.image.item}/image?level=${level}&look=${look}`);
  }

  async #fetch(key, path) {
    if (this.sheets.has(key)) return;
    this.sheets.set(key, null);
    try {
      const answer = await fetch(path);
      if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).message ?? `answer ${answer.status}`);
      // as the server reads it: neither turned by what a camera noted nor changed in colour
      const plain = { imageOrientation: "none", colorSpaceConversion: "none", premultiplyAlpha: "none" };
      this.sheets.set(key, await createImageBitmap(await answer.blob(), plain));
      this.failed = null;
      if (this.sheets.size > KEPT) this.#forget();
    } catch (error) {
      this.sheets.delete(key);
      this.failed = error.message;
    }
    this.dispatchEvent(new Event("come"));
  }

  #forget() {
    for (const [key, sheet] of this.sheets) {
      if (this.sheets.size <= KEPT * 0.75) break;
      if (sheet && key.split("/").length === 4) {
        sheet.close();
        this.sheets.delete(key);
      }
    }
  }

  /** Draw what the camera sees: the coarsest sheet below, the wanted level above it. */
  draw(context, view) {
    const ratio = view.ratio;
    context.imageSmoothingEnabled = view.scale * ratio < 3;
    context.imageSmoothingQuality = "low"; // sheets are never drawn at less than half their size
    const wanted = Math.min(this.image.levels - 1, Math.max(0, Math.floor(-Math.log2(view.scale * ratio) + 0.2)));
    const drawn = [];
    for (let level = this.image.levels - 1; level >= 0; level -= 1) {
      const sheet = this.sheets.get(`${this.look}/${level}`);
      if (sheet) drawn.push([level, sheet]);
    }
    // the finest that is not finer than needed covers all; else the one that is there
    const best = drawn.filter(([level]) => level <= wanted)[0] ?? drawn.at(-1);
    if (best) this.#one(context, view, best[1], 0, 0, 2 ** best[0]);
    const [rows, cols] = this.size(wanted);
    if (best && best[0] <= wanted) return best[0];
    if (rows * cols <= WHOLE) {
      if (best) this.#sheet(wanted, this.look);
    } else this.#tiles(context, view, wanted);
    return best ? best[0] : null;
  }

  // step: image pixels a pixel of the sheet
  #one(context, view, sheet, top, left, step) {
    // source rectangle: the visible part only, so that drawing is fast when zoomed in
    const [bottom, right] = [top + sheet.height * step, left + sheet.width * step];
    const [fromRow, toRow] = [Math.max(top, view.top), Math.min(bottom, this.image.rows, view.top + view.height / view.scale)];
    const [fromCol, toCol] = [Math.max(left, view.left), Math.min(right, this.image.cols, view.left + view.width / view.scale)];
    if (toRow <= fromRow || toCol <= fromCol) return;
    context.drawImage(
      sheet,
      (fromCol - left) / step, (fromRow - top) / step, (toCol - fromCol) / step, (toRow - fromRow) / step,
      (fromCol - view.left) * view.scale, (fromRow - view.top) * view.scale,
      (toCol - fromCol) * view.scale, (toRow - fromRow) * view.scale,
    );
  }

  #tiles(context, view, level) {
    const [rows, cols] = this.size(level);
    const [step, side] = [2 ** level, TILE * 2 ** level];
    const places = (edge, seen, all) => {
      const first = Math.max(0, Math.floor(edge / side));
      const last = Math.min(Math.ceil(all / TILE) - 1, Math.floor((edge + seen) / side));
      return Array.from({ length: Math.max(0, last - first + 1) }, (_, k) => first + k);
    };
    for (const row of places(view.top, view.height / view.scale, rows)) {
      for (const col of places(view.left, view.width / view.scale, cols)) {
        const key = `${this.look}/${level}/${row}/${col}`;
        const sheet = this.sheets.get(key);
        if (sheet) this.#one(context, view, sheet, row * side, col * side, step);
        else this.#fetch(key, `/api/items/${this.image.item}/tiles/${level}/${row}/${col}?look=${this.look}`);
      }
    }
  }

  close() {
    for (const sheet of this.sheets.values()) sheet?.close();
    this.sheets.clear();
  }
}
