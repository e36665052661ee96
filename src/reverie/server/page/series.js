/** Series over time as plots: a line for each, and a fan where a job gave quantiles. */
import { count, h, icon, put } from "./dom.js";
import { chart } from "./plot.js";
import { all, amount, isNumeric } from "./rows.js";

const AT_ONCE = 6; // series beside each other
const FAN = [["q05", "q95", "wide"], ["q25", "q75", "narrow"]];

/** The plots of a file; spread: the file of quantiles beside it, if there is one. */
export async function seriesView(file, spread = null) {
  const found = read(await all(file));
  if (!found.series.length) return h("p", { class: "empty" }, `${file.name} holds no series that can be drawn.`);
  const fans = spread ? fansOf(await all(spread)) : new Map();
  const place = h("div", { class: found.series.length > 1 ? "plots" : "plots is-one" });
  const where = h("span", { class: "quiet", "aria-live": "polite" });
  const back = h("button", { type: "button", class: "tool", "aria-label": "Series before", onclick: () => turn(-AT_ONCE) }, icon("left"));
  const on = h("button", { type: "button", class: "tool", "aria-label": "Series after", onclick: () => turn(AT_ONCE) }, icon("right"));
  let first = 0;
  const turn = (by) => {
    first += by;
    const last = Math.min(first + AT_ONCE, found.series.length);
    put(place, found.series.slice(first, last).flatMap((one) => found.channels.map((channel) => plotOf(one, channel, found, fans))));
    where.textContent = `series ${first + 1} to ${last} of ${count(found.series.length)}`;
    back.disabled = first === 0;
    on.disabled = last === found.series.length;
  };
  turn(0);
  const cut = found.cut && h("p", { class: "quiet" }, `Drawn are the first ${count(found.rows)} of ${count(found.total)} rows; the file holds all.`);
  const legend = fans.size > 0 && h("p", { class: "legend" }, h("i", { class: "key-line" }), "best guess", h("i", { class: "key-narrow" }), "half of the draws",
    h("i", { class: "key-wide" }), "nine of ten");
  return h("div", { class: "series" }, place, legend, found.series.length > AT_ONCE && h("div", { class: "row pager" }, back, on, where), cut);
}

/** The first channel of a file's first series, for a small picture: {x, y}. */
export function firstLine(part) {
  const { series, channels } = read(part);
  return series.length ? { x: series[0].x, y: series[0].values.get(channels[0]) } : null;
}

function plotOf(one, channel, found, fans) {
  const fan = fans.get(`${one.name} ${channel}`) ?? fans.get(` ${channel}`);
  const at = new Map(fan?.x.map((x, k) => [x, k]));
  const along = (name) => one.x.map((x) => (at.has(x) ? fan[name][at.get(x)] : null)); // where nothing was filled in, there is no fan
  const bands = FAN.filter(([low]) => fan?.[low]).map(([low, high, kind]) => ({ name: `${low} to ${high}`, x: one.x, low: along(low), high: along(high), kind }));
  const name = [found.series.length > 1 && `series ${one.name}`, found.channels.length > 1 && channel].filter(Boolean).join(", ") || channel;
  const lines = [{ name: channel, x: one.x, y: one.values.get(channel) }];
  const tall = found.series.length * found.channels.length > 1 ? 150 : 240;
  const figure = chart({ title: name, lines, bands, time: found.time, tall });
  figure.append(h("figcaption", {}, name));
  return figure;
}

/** Series of rows: each with its x, and its values by channel. */
function read({ columns, rows, total }) {
  const at = (name) => columns.indexOf(name);
  const clock = ["time", "step", "date"].map(at).find((k) => k >= 0) ?? -1;
  const group = at("series");
  const channels = columns.filter((_, k) => k !== clock && k !== group && isNumeric(rows.map((row) => row[k])));
  const parts = new Map();
  for (const row of rows) {
    const name = group < 0 ? "" : String(row[group]);
    if (!parts.has(name)) parts.set(name, []);
    parts.get(name).push(row);
  }
  const time = clock >= 0 && rows.length > 0 && amount(rows[0][clock]) === null;
  const series = [...parts].map(([name, its]) => ({
    name: name.replace(/\.0$/, ""),
    x: its.map((row, k) => (clock < 0 ? k : xOf(row[clock], k))),
    values: new Map(channels.map((channel) => [channel, its.map((row) => amount(row[at(channel)]))])),
  }));
  return { series: channels.length ? series : [], channels, time, rows: rows.length, total, cut: rows.length < total };
}

/** A time as milliseconds, a step as itself. */
function xOf(cell, k) {
  const number = amount(cell);
  if (number !== null) return number;
  const then = Date.parse(`${String(cell).replace(" ", "T")}${/Z|[+-]\d\d:?\d\d$/.test(String(cell)) ? "" : "Z"}`);
  return Number.isNaN(then) ? k : then;
}

/** Quantiles by series and channel, of a file that has them as columns q05, q25, ... */
function fansOf({ columns, rows }) {
  const at = (name) => columns.indexOf(name);
  const quantiles = columns.filter((name) => /^q\d+$/.test(name));
  const fans = new Map();
  for (const row of rows) {
    const series = at("series") < 0 || row[at("series")] === "all" ? "" : String(row[at("series")]);
    const key = `${series.replace(/\.0$/, "")} ${row[at("channel")]}`;
    if (!fans.has(key)) fans.set(key, { x: [], ...Object.fromEntries(quantiles.map((name) => [name, []])) });
    const fan = fans.get(key);
    fan.x.push(xOf(row[at("time") < 0 ? at("step") : at("time")], fan.x.length));
    for (const name of quantiles) fan[name].push(amount(row[at(name)]));
  }
  return fans;
}
