/** PNG files of 8 bits, grey or RGB, byte for byte what was given: a canvas alone would make a mask RGBA. */

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});
const COLOUR = { 1: 0, 3: 2, 4: 6 };

/** A PNG of `pixels`, height x width x channels (1, 3 or 4), as a blob. Source: PNG specification, third edition. */
export async function png(pixels, width, height, channels) {
  const row = width * channels;
  const raw = new Uint8Array((row + 1) * height); // each row begins with its filter: 0, none
  for (let y = 0; y < height; y++) raw.set(pixels.subarray(y * row, (y + 1) * row), y * (row + 1) + 1);
  const squeezed = new Blob([raw]).stream().pipeThrough(new CompressionStream("deflate"));
  const data = new Uint8Array(await new Response(squeezed).arrayBuffer());
  const head = new Uint8Array([...big(width), ...big(height), 8, COLOUR[channels], 0, 0, 0]);
  const magic = new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]);
  const parts = [magic, chunk("IHDR", head), chunk("IDAT", data), chunk("IEND", new Uint8Array())];
  return new Blob(parts, { type: "image/png" });
}

/** A picture at another size, its middle cut to the same shape: pixels of 1, 3 or 4 channels. */
export function fitted(image, width, height, channels) {
  const canvas = new OffscreenCanvas(width, height);
  const pen = canvas.getContext("2d");
  const scale = Math.min(image.naturalWidth / width, image.naturalHeight / height);
  const [w, h] = [width * scale, height * scale];
  pen.imageSmoothingQuality = "high";
  pen.drawImage(image, (image.naturalWidth - w) / 2, (image.naturalHeight - h) / 2, w, h, 0, 0, width, height);
  const { data } = pen.getImageData(0, 0, width, height);
  if (channels === 4) return new Uint8Array(data);
  const made = new Uint8Array(width * height * channels);
  for (let k = 0; k < width * height; k++) {
    const [r, g, b] = data.subarray(4 * k, 4 * k + 3);
    if (channels === 1) made[k] = Math.round(0.299 * r + 0.587 * g + 0.114 * b); // ITU-R BT.601, as Pillow has it
    else made.set([r, g, b], 3 * k);
  }
  return made;
}

function chunk(type, data) {
  const body = new Uint8Array(data.length + 4);
  body.set(new TextEncoder().encode(type));
  body.set(data, 4);
  let crc = 0xffffffff;
  for (const byte of body) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
  return new Blob([new Uint8Array(big(data.length)), body, new Uint8Array(big(~crc >>> 0))]);
}

const big = (number) => [24, 16, 8, 0].map((shift) => (number >>> shift) & 255);
