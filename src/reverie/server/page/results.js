/** What a job gave: pictures as tiles, tables and series as what they are, and every file to be had. */
import { card } from "./api.js";
import { bytes, h, icon, put } from "./dom.js";
import { look } from "./look.js";
import { roving } from "./roving.js";
import { some } from "./rows.js";
import { seriesView } from "./series.js";
import { tableView } from "./table.js";
import { titleOf } from "./words.js";

export const ROWS = /\.(csv|parquet|xlsx)$/;
const SHEET = "sheet.png";
const SHOWN = ["image/png", "image/jpeg"]; // what the server sends as a picture; others, as films, are files to keep

/** The files of a job that another task can take: not the overview, nor settings. */
export const filesOf = (job) => job.artifacts.filter((file) => file.name !== SHEET && !file.name.endsWith(".json"));

/** The pictures of a job; those of tables and series are none, but overviews of what is shown better. */
export function picturesOf(job, kind) {
  return kind === "image" ? job.artifacts.filter((file) => SHOWN.includes(file.media) && file.name !== SHEET) : [];
}

export const tablesOf = (job) => job.artifacts.filter((file) => ROWS.test(file.name) && !file.name.endsWith("conditions.csv"));

/** Everything that came of a job that succeeded. */
export async function results(job) {
  const kind = (await card(job.model))?.kind ?? "image";
  const sheet = job.artifacts.find((file) => file.name === SHEET);
  const pictures = picturesOf(job, kind);
  const overview = kind === "image" && (Object.keys(job.inputs).length > 0 || !pictures.length) && sheet;
  const tables = tablesOf(job);
  return h("div", { class: "results" },
    overview && h("figure", { class: "overview" }, h("img", { src: sheet.url, alt: "The input, the draws and their mean", class: "sheet" })),
    pictures.length > 0 && tiles(pictures, job),
    tables.length > 0 && (await rowsOf(tables, kind === "series" && job.task !== "detect")),
    h("ul", { class: "lines" }, (job.result?.lines ?? []).map((line) => h("li", {}, line))),
    files(job));
}

/** Pictures beside each other; a click shows one large. */
function tiles(pictures, job) {
  const few = pictures.length <= 4 ? "tiles is-few" : "tiles";
  const list = h("ul", { class: few }, pictures.map((file, k) => h("li", {},
    h("button", { type: "button", class: "tile", onclick: () => look(pictures, k, job), "aria-label": `Show ${titleOf(file)} large` },
      h("img", { src: file.url, alt: titleOf(file), class: "pixels", loading: "lazy" })),
    ending(file) && h("span", { class: "quiet" }, ending(file)))));
  return roving(list, ".tile");
}

function ending(file) {
  const end = /-(\d{1,4}|mean)\.\w+$/.exec(file.name)?.[1];
  if (!end || /seed\d+-\d{5}\./.test(file.name)) return null;
  return end === "mean" ? "mean" : `draw ${end}`;
}

/** Tables or series: the first file shown, the others to be chosen. */
async function rowsOf(tables, drawn) {
  const main = tables.filter((file) => !/-(spread|draws)\.\w+$/.test(file.name));
  const spread = tables.find((file) => /-spread\.\w+$/.test(file.name)) ?? null;
  const place = h("div", { class: "rows-of" });
  const ways = drawn ? [["plot", "Plot"], ["table", "Numbers"]] : [["table", "Table"]];
  let way = ways[0][0];
  let file = main[0] ?? tables[0];
  const plotted = async () => (file === main[0] && spread ? seriesView(file, spread, await drawsOf(tables)) : seriesView(file));
  const show = async () => {
    const shown = way === "plot" ? plotted() : tableView(file);
    put(place, await shown.catch((error) => h("p", { class: "quiet" }, error.message)));
  };
  const tabs = ways.length > 1 && h("div", { class: "switch", role: "group", "aria-label": "Show as" }, ways.map(([name, label]) =>
    h("button", { type: "button", "data-way": name, "aria-pressed": String(name === way), onclick: (event) => {
      way = name;
      for (const one of event.target.parentElement.children) one.setAttribute("aria-pressed", String(one.dataset.way === way));
      show();
    } }, label)));
  const choice = tables.length > 1 && h("select", { class: "file-choice", "aria-label": "File", onchange: (event) => {
    file = tables[Number(event.target.value)];
    show();
  } }, tables.map((one, k) => h("option", { value: k, selected: one === file }, titleOf(one))));
  await show();
  return h("div", {}, (tabs || choice) && h("div", { class: "row" }, tabs, choice), place);
}

/** How many draws quantiles are of: the file of all draws has three columns before those of each. */
async function drawsOf(tables) {
  const file = tables.find((one) => /-draws\.\w+$/.test(one.name));
  return file ? (await some(file, 0, 1)).columns.length - 3 : null;
}

/** Every file, to be kept. */
function files(job) {
  return h("details", { class: "more" }, h("summary", {}, `Files (${job.artifacts.length})`),
    h("ul", { class: "files" }, job.artifacts.map((file) => h("li", {},
      h("a", { href: `${file.url}?download=1`, download: file.name.split("/").pop() }, icon("download"), file.name.replace(/^made\//, "")),
      h("span", { class: "quiet" }, bytes(file.size))))));
}
