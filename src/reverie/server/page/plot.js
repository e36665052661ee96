/** Lines over an axis, with bands between quantiles, as SVG that is drawn anew at every width. */
import { h, s } from "./dom.js";

const AXES = { left: 48, right: 10, top: 8, bottom: 24 };
const BARE = { left: 2, right: 2, top: 4, bottom: 4 };

/**
 * A figure. lines: [{name, x, y, kind}], y may hold null, where the line breaks; bands: [{name, x, low, high, kind}].
 * time: whether x are milliseconds since 1970. words: what each whole x is called, where it is no number. kind: a class of the
 * style sheet. bare: the lines alone, for a small picture.
 */
export function chart({ title, lines, bands = [], time = false, words = null, tall = 220, bare = false }) {
  const figure = h("figure", { class: "chart", "aria-label": title || null });
  let drawn = 0;
  new ResizeObserver(([entry]) => {
    const wide = Math.round(entry.contentRect.width);
    if (wide === drawn || wide < 40) return;
    drawn = wide;
    figure.querySelector("svg")?.remove();
    figure.prepend(picture({ title, lines, bands, time, words, tall, bare, wide }));
  }).observe(figure);
  return figure;
}

function picture({ title, lines, bands, time, words, tall, bare, wide }) {
  const [x0, x1] = extent([...lines, ...bands].flatMap((one) => one.x));
  const ys = [...lines.flatMap((one) => one.y), ...bands.flatMap((one) => [...one.low, ...one.high])];
  const [y0, y1] = padded(extent(ys));
  const margin = bare ? BARE : AXES;
  const px = (x) => margin.left + ((x - x0) / (x1 - x0 || 1)) * (wide - margin.left - margin.right);
  const py = (y) => tall - margin.bottom - ((y - y0) / (y1 - y0 || 1)) * (tall - margin.top - margin.bottom);
  const right = wide - margin.right;
  const across = bare ? [] : ticks(y0, y1, tall > 120 ? 4 : 2).map((y) => [
    s("line", { class: "grid", x1: margin.left, x2: right, y1: py(y), y2: py(y) }),
    s("text", { class: "tick", x: margin.left - 6, y: py(y) + 4, "text-anchor": "end" }, tick(y)),
  ]);
  const many = wide > 420 ? 5 : 2;
  const marks = time ? evenly(x0, x1, many) : ticks(x0, x1, many);
  const along = bare ? [] : marks.map((x, k) => {
    const anchor = k === 0 && px(x) < margin.left + 20 ? "start" : k === marks.length - 1 && px(x) > right - 20 ? "end" : "middle";
    return s("text", { class: "tick", x: px(x), y: tall - 6, "text-anchor": anchor }, time ? moment(x, x1 - x0) : (words?.[x] ?? tick(x)));
  });
  const named = bare ? { "aria-hidden": "true" } : { role: "img", "aria-label": title };
  return s("svg", { viewBox: `0 0 ${wide} ${tall}`, width: wide, height: tall, ...named }, across, along,
    bands.map((band) => s("path", { class: `band ${band.kind ?? ""}`, d: area(band, px, py) })),
    lines.map((line) => s("path", { class: `line ${line.kind ?? ""}`, d: path(line.x, line.y, px, py) }, s("title", {}, line.name))));
}

function path(x, y, px, py) {
  let pen = "M";
  return x.map((one, k) => {
    if (y[k] === null) {
      pen = "M";
      return "";
    }
    const part = `${pen}${px(one).toFixed(1)} ${py(y[k]).toFixed(1)}`;
    pen = "L";
    return part;
  }).join("");
}

/** A band as one shape for every stretch that has values. */
function area({ x, low, high }, px, py) {
  const stretches = [[]];
  x.forEach((_, k) => (low[k] === null || high[k] === null ? stretches.push([]) : stretches.at(-1).push(k)));
  return stretches.filter((some) => some.length).map((some) => {
    const up = some.map((k) => `${px(x[k]).toFixed(1)} ${py(high[k]).toFixed(1)}`);
    const down = some.toReversed().map((k) => `${px(x[k]).toFixed(1)} ${py(low[k]).toFixed(1)}`);
    return `M${[...up, ...down].join("L")}Z`;
  }).join("");
}

function extent(values) {
  const [low, high] = values.reduce(([a, b], one) => (one === null ? [a, b] : [Math.min(a, one), Math.max(b, one)]), [Infinity, -Infinity]);
  return low > high ? [0, 1] : [low, high];
}

function padded([low, high]) {
  const room = 0.06 * (high - low || Math.abs(high) || 1);
  return [low - room, high + room];
}

/** Round numbers between two, about `many`. */
export function ticks(low, high, many) {
  const raw = (high - low || 1) / many;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((one) => one * power >= raw) * power;
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.max(Math.floor(high / step) - first + 1, 0) }, (_, k) => (first + k) * step);
}

const evenly = (low, high, many) => Array.from({ length: many }, (_, k) => low + ((high - low) * (k + 0.5)) / many);

function tick(value) {
  const size = Math.abs(value);
  if (size >= 1e4) return value.toLocaleString("en", { notation: "compact" });
  return String(Number(value.toPrecision(3)));
}

/** A time on an axis that spans so many milliseconds; files' clocks are read as they stand. */
function moment(x, span) {
  const day = 86_400_000;
  const clock = { hour: "2-digit", minute: "2-digit", hour12: false };
  const form = span > 300 * day ? { year: "numeric", month: "short" } : span > 3 * day ? { day: "numeric", month: "short" } : clock;
  return new Date(x).toLocaleString("en", { ...form, timeZone: "UTC" });
}
