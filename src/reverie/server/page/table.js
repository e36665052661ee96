/** A file's rows as a table, a page at a time, with what is in each column drawn small above it. */
import { count, h, icon, put, s } from "./dom.js";
import { amount, cellText, isNumeric, some } from "./rows.js";

const PAGE = 20;
const LOOKED_AT = 500; // rows that the small pictures are of
const BARS = 12;

/** The table of an artifact. */
export async function tableView(file) {
  const looked = await some(file, 0, LOOKED_AT);
  const numeric = looked.columns.map((_, k) => isNumeric(looked.rows.map((row) => row[k])));
  const body = h("tbody");
  const place = h("span", { class: "quiet", "aria-live": "polite" });
  const back = h("button", { type: "button", class: "tool", "aria-label": "Rows before", onclick: () => turn(-PAGE) }, icon("left"));
  const on = h("button", { type: "button", class: "tool", "aria-label": "Rows after", onclick: () => turn(PAGE) }, icon("right"));
  let first = 0;

  async function turn(by) {
    first += by;
    const last = first + PAGE;
    const rows = last <= looked.rows.length || looked.rows.length === looked.total
      ? looked.rows.slice(first, last)
      : (await some(file, first, PAGE)).rows;
    put(body, rows.map((row) => h("tr", {}, row.map((cell, k) => h("td", { class: numeric[k] ? "number" : null }, cellText(cell))))));
    place.textContent = `rows ${count(first + 1)} to ${count(Math.min(last, looked.total))} of ${count(looked.total)}`;
    back.disabled = first === 0;
    on.disabled = last >= looked.total;
  }

  const head = looked.columns.map((name, k) => {
    const cells = looked.rows.map((row) => row[k]);
    return h("th", { scope: "col", class: numeric[k] ? "number" : null }, h("span", {}, name), numeric[k] ? histogram(name, cells) : commonest(name, cells));
  });
  await turn(0);
  return h("div", { class: "table" },
    h("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": `Rows of ${file.name}` },
      h("table", {}, h("thead", {}, h("tr", {}, head)), body)),
    looked.total > PAGE && h("div", { class: "row pager" }, back, on, place));
}

/** How a column's numbers lie, in bars. */
function histogram(name, cells) {
  const numbers = cells.map(amount).filter((one) => one !== null);
  const [low, high] = numbers.reduce(([a, b], one) => [Math.min(a, one), Math.max(b, one)], [Infinity, -Infinity]);
  const bins = new Array(BARS).fill(0);
  for (const one of numbers) bins[Math.min(Math.floor(((one - low) / (high - low || 1)) * BARS), BARS - 1)]++;
  return bars(bins, `${name}: ${cellText(low)} to ${cellText(high)}`, [cellText(low), cellText(high)]);
}

/** A column's words, the commonest first. */
function commonest(name, cells) {
  const counts = new Map();
  for (const cell of cells) counts.set(cell, (counts.get(cell) ?? 0) + 1);
  const most = [...counts].sort((a, b) => b[1] - a[1]);
  const words = most.slice(0, 3).map(([word, times]) => `${cellText(word)} ${Math.round((100 * times) / cells.length)} %`).join(", ");
  return bars(most.slice(0, BARS).map(([, times]) => times), `${name}: ${words}`, [count(most.length), most.length === 1 ? "value" : "values"]);
}

function bars(bins, said, [left, right]) {
  const top = Math.max(...bins, 1);
  const drawn = bins.map((one, k) => {
    const tall = (22 * one) / top;
    return s("rect", { x: k * 6, y: 22 - tall, width: 5, height: tall });
  });
  return h("span", { class: "bars", title: said },
    s("svg", { viewBox: "0 0 72 22", role: "img", "aria-label": said, preserveAspectRatio: "none" }, drawn),
    h("span", { class: "ends" }, h("span", {}, left), h("span", {}, right)));
}
