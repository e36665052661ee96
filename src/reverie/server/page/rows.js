/** The rows of tables and series that jobs made. */
import { get } from "./api.js";

const PART = 500;

/** A part of a file's rows: {columns, total, rows}. */
export const some = (file, first, most) => get(`${file.url}:rows?first=${first}&most=${most}`);

/** All rows of a file, `most` of them at most: its first, or its last. */
export async function all(file, { most = 4000, last = false } = {}) {
  let found = await some(file, 0, PART);
  const first = last ? Math.max(found.total - most, 0) : 0;
  if (first) found = await some(file, first, PART);
  while (found.rows.length < Math.min(found.total - first, most)) {
    const { rows } = await some(file, first + found.rows.length, PART);
    if (!rows.length) break;
    found.rows.push(...rows);
  }
  return found;
}

/** A cell as a number, or null where it is none. */
export function amount(cell) {
  if (typeof cell === "number") return Number.isFinite(cell) ? cell : null;
  if (typeof cell !== "string" || cell.trim() === "") return null;
  const read = Number(cell);
  return Number.isFinite(read) ? read : null;
}

/** Are most of a column's cells numbers? */
export function isNumeric(cells) {
  const full = cells.filter((cell) => cell !== null && cell !== "");
  return full.length > 0 && full.every((cell) => amount(cell) !== null);
}

/** A cell as it is read: numbers to five digits, what is empty as a dash. */
export function cellText(cell) {
  if (cell === null || cell === "") return "–";
  const number = typeof cell === "number" ? cell : null;
  return number === null || Number.isInteger(number) ? String(cell) : String(Number(number.toPrecision(6)));
}
