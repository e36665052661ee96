/** What a mask holds: a byte a pixel, 1 what to fill; every change can be taken back. */

const REMEMBERED = 50;

export class MaskLayer {
  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.pixels = new Uint8Array(width * height);
    this.past = [];
    this.future = [];
  }

  /** Remember how it is, before a change. */
  begin() {
    this.past.push(this.pixels.slice());
    if (this.past.length > REMEMBERED) this.past.shift();
    this.future = [];
  }

  undo() {
    if (!this.past.length) return;
    this.future.push(this.pixels);
    this.pixels = this.past.pop();
  }

  redo() {
    if (!this.future.length) return;
    this.past.push(this.pixels);
    this.pixels = this.future.pop();
  }

  /** A round dab of `size` pixels across, its middle in pixel (x, y). */
  dab(x, y, size, value) {
    const radius = size / 2;
    for (let row = Math.ceil(y - radius); row <= y + radius; row++) {
      for (let column = Math.ceil(x - radius); column <= x + radius; column++) {
        if ((row - y) ** 2 + (column - x) ** 2 <= radius ** 2) this.set(column, row, value);
      }
    }
  }

  /** Dabs from one place to another, without gaps. */
  stroke(from, to, size, value) {
    const steps = Math.max(Math.abs(to.x - from.x), Math.abs(to.y - from.y), 1);
    for (let k = 0; k <= steps; k++) {
      const x = Math.round(from.x + ((to.x - from.x) * k) / steps);
      this.dab(x, Math.round(from.y + ((to.y - from.y) * k) / steps), size, value);
    }
  }

  /** A rectangle, both corners in it. */
  rectangle(from, to, value) {
    for (let y = Math.min(from.y, to.y); y <= Math.max(from.y, to.y); y++) {
      for (let x = Math.min(from.x, to.x); x <= Math.max(from.x, to.x); x++) this.set(x, y, value);
    }
  }

  invert() {
    this.pixels = this.pixels.map((one) => 1 - one);
  }

  clear() {
    this.pixels = new Uint8Array(this.width * this.height);
  }

  /** How much of the picture is to be filled, 0 to 1. */
  get share() {
    return this.pixels.reduce((sum, one) => sum + one, 0) / this.pixels.length;
  }

  set(x, y, value) {
    if (x >= 0 && y >= 0 && x < this.width && y < this.height) this.pixels[y * this.width + x] = value;
  }
}
