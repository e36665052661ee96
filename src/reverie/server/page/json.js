/** JSON whose whole numbers are exact, as seeds must be: those that a number here cannot hold are BigInt. */

const MARK = "\u0000whole:"; // no text of the server's holds NUL
const PARTS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** Read JSON. */
export function parsed(text) {
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  const marked = text.replace(PARTS, (part) => (whole(part) === Number(part) || part.startsWith('"') ? part : `"${MARKED}${part}"`));
  return JSON.parse(marked, (_, value) => (typeof value === "string" && value.startsWith(MARK) ? BigInt(value.slice(MARK.length)) : value));
}

/** Write JSON. */
export function written(value) {
  return JSON.stringify(value, (_, one) => (typeof one === "bigint" ? `${MARK}${one}` : one)).replace(LARGE, "$1");
}

/** The number that a text says: a BigInt where it is whole and no number here is it. */
export function whole(text) {
  const near = Number(text);
  return /^-?\d+$/.test(text) && !Number.isSafeInteger(near) ? BigInt(text) : near;
}

const MARKED = JSON.stringify(MARK).slice(1, -1);
const LARGE = new RegExp(`"${MARKED.replace("\\", "\\\\")}(-?\\d+)"`, "g");
