/** Series over time as plots: a line for each, and a fan where a job gave quantiles. */
import { count, h, icon, put } from "./dom.js";
import { chart } from "./plot.js";
import { all, amount, isNumeric } from "./rows.js";

const AT_ONCE = 6; // series beside each other
const ENOUGH = 19; // draws, from which on one in twenty can lie beyond a band's edge
const ALONE = ""; // the name of a series that has none
const SAYS_SERIES = ["series", "series_id", "unique_id", "item_id", "id"];
const SAYS_TIME = ["time", "date", "datetime", "timestamp", "ds", "step", "t", "year"];
const DATE = /^(\d{4}[-/]\d\d(?:[-/]\d\d)?)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)\s?([zZ]|[+-]\d\d:?\d\d)?)?$/;
const FAN = [["q05", "q95", "wide"], ["q25", "q75", "narrow"]];

/** The plots of a file; spread: the file of quantiles beside it, if there is one; draws: how many these are of. */
export async function seriesView(file, spread = null, draws = null) {
  const told = spread && (await all(spread));
  const one = told && new Set(told.rows.map(([name]) => name)).size === 1;
  const found = read(await all(file, { last: one }), told?.columns); // what was filled in is at a series' end, as a rule
  if (!found.series.length) return h("p", { class: "empty" }, `${file.name} holds no series that can be drawn.`);
  const fans = told ? fansOf(told) : new Map();
  const only = one ? nameOf(told.rows[0][0]) : null; // a file of one series has no column of names
  const place = h("div", { class: found.series.length > 1 ? "plots" : "plots is-one" });
  const where = h("span", { class: "quiet", "aria-live": "polite" });
  const back = h("button", { type: "button", class: "tool", "aria-label": "Series before", onclick: () => turn(-AT_ONCE) }, icon("left"));
  const on = h("button", { type: "button", class: "tool", "aria-label": "Series after", onclick: () => turn(AT_ONCE) }, icon("right"));
  let first = 0;
  const turn = (by) => {
    first += by;
    const last = Math.min(first + AT_ONCE, found.series.length);
    put(place, found.series.slice(first, last).flatMap((one) => found.channels.map((channel) => plotOf(one, channel, found, fans, only))));
    where.textContent = `series ${first + 1} to ${last} of ${count(found.series.length)}`;
    back.disabled = first === 0;
    on.disabled = last === found.series.length;
  };
  turn(0);
  const cut = found.cut && h("p", { class: "quiet" }, `Drawn are the ${one ? "last" : "first"} ${count(found.rows)} of ${count(found.total)} rows; the file holds all.`);
  return h("div", { class: "series" }, place, fans.size > 0 && legendOf(draws), found.series.length > AT_ONCE && h("div", { class: "row pager" }, back, on, where), cut);
}

/** What line and bands are; of few draws the outer band is all of them, and says no more than that. */
function legendOf(draws) {
  const few = draws !== null && draws < ENOUGH;
  const keys = h("p", { class: "legend" }, h("i", { class: "key-line" }), "best guess", h("i", { class: "key-narrow" }), "half of the draws",
    h("i", { class: "key-wide" }), few ? `all ${draws} draws` : "nine of ten");
  return [keys, few && h("p", { class: "quiet" }, `${draws} draws say little of what is likely: ask for ${ENOUGH} or more, and the wide band holds nine of ten.`)];
}

/** The first channel of a file's first series, for a small picture: {x, y}. */
export function firstLine(part) {
  const { series, channels } = read(part);
  return series.length ? { x: series[0].x, y: series[0].values.get(channels[0]) } : null;
}

function plotOf(one, channel, found, fans, only) {
  const fan = fans.get(`${one.name} ${channel}`) ?? fans.get(`${only} ${channel}`);
  const along = (name) => one.keys.map((key) => fan.at.get(key)?.[name] ?? null); // where nothing was filled in, there is no fan
  const bands = FAN.filter(([low]) => fan?.names.includes(low))
    .map(([low, high, kind]) => ({ name: `${low} to ${high}`, x: one.x, low: along(low), high: along(high), kind }));
  const name = [found.series.length > 1 && `series ${one.name}`, found.channels.length > 1 && channel].filter(Boolean).join(", ") || channel;
  const lines = [{ name: channel, x: one.x, y: one.values.get(channel) }];
  const tall = found.series.length * found.channels.length > 1 ? 150 : 240;
  const figure = chart({ title: name, lines, bands, time: found.time, words: found.words, tall });
  figure.append(h("figcaption", {}, name));
  return figure;
}

/**
 * Series of rows: each with its x, its values by channel, and `keys`, what its rows are called in a file of quantiles.
 * beside: the columns of such a file, of which the first says whose row it is and the second when, as the file itself does.
 */
function read({ columns, rows, total }, beside = null) {
  const [group, clock] = beside ? beside.slice(0, 2).map((name) => columns.indexOf(name)) : [groupOf(columns), clockOf(columns, rows[0])];
  const channels = columns.filter((_, k) => k !== clock && k !== group && isNumeric(rows.map((row) => row[k])));
  const parts = new Map();
  for (const row of rows) {
    const name = group < 0 ? ALONE : nameOf(row[group]);
    if (!parts.has(name)) parts.set(name, []);
    parts.get(name).push(row);
  }
  const cells = clock < 0 ? [] : rows.map((row) => row[clock]);
  const steps = cells.length > 0 && cells.every((cell) => amount(cell) !== null);
  const time = !steps && cells.length > 0 && cells.every((cell) => !Number.isNaN(moment(cell)));
  const xOf = steps ? (row) => amount(row[clock]) : time ? (row) => moment(row[clock]) : (_, k) => k;
  const series = [...parts].map(([name, its]) => ({
    name,
    x: its.map(xOf),
    keys: its.map((row, k) => (clock < 0 ? String(k) : String(row[clock]))),
    values: new Map(channels.map((channel) => [channel, its.map((row) => amount(row[columns.indexOf(channel)]))])),
  }));
  const words = !steps && !time && parts.size === 1 && cells.length ? cells : null; // times that no calendar here can read
  return { series: channels.length ? series : [], channels, time, words, rows: rows.length, total, cut: rows.length < total };
}

const groupOf = (columns) => columns.findIndex((name) => SAYS_SERIES.includes(name.toLowerCase()));

/** The column that tells when a row is: one that is called so, or else the first that begins with a date. */
function clockOf(columns, row) {
  const named = columns.findIndex((name) => SAYS_TIME.includes(name.toLowerCase()));
  return named >= 0 || !row ? named : row.findIndex((cell) => typeof cell === "string" && !Number.isNaN(moment(cell)));
}

const nameOf = (cell) => String(cell).replace(/\.0$/, "");

/** A date, or a date and a time, as milliseconds; NaN for what is none. What a file's clock says is taken as it stands. */
function moment(cell) {
  const [, day, clock, zone] = DATE.exec(String(cell)) ?? [];
  return day ? Date.parse(`${day.replaceAll("/", "-")}${clock ? `T${clock}${zone?.replace("z", "Z") ?? "Z"}` : ""}`) : NaN;
}

/** Quantiles by series and channel, and in these by when they are. */
function fansOf({ columns, rows }) {
  const names = columns.filter((name) => /^q\d+$/.test(name));
  const channel = columns.indexOf("channel");
  const fans = new Map();
  for (const row of rows) {
    const key = `${nameOf(row[0])} ${row[channel]}`;
    if (!fans.has(key)) fans.set(key, { names, at: new Map() });
    fans.get(key).at.set(String(row[1]), Object.fromEntries(names.map((name) => [name, amount(row[columns.indexOf(name)])])));
  }
  return fans;
}
