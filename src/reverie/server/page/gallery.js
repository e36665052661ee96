/** What was made, the newest first: to be looked at again, recalled, compared. */
import { card, get } from "./api.js";
import { h, icon, put, when } from "./dom.js";
import { chart } from "./plot.js";
import { picturesOf, tablesOf } from "./results.js";
import { to } from "./route.js";
import { roving } from "./roving.js";
import { cellText, some } from "./rows.js";
import { firstLine } from "./series.js";
import { stateName, taskName } from "./words.js";

const PART = 24;

export async function gallery(main, { query }, signal) {
  const chosen = new Set();
  const grid = h("ul", { class: "shots" });
  const more = h("button", { type: "button", class: "button", hidden: true, onclick: () => show() }, "Show older ones");
  const bar = h("div", { class: "compare-bar", hidden: true });
  let before = null;

  function choose(job, box) {
    if (box.checked) chosen.add(job.id);
    else chosen.delete(job.id);
    const [a, b] = chosen;
    bar.hidden = !chosen.size;
    put(bar, b ? h("a", { class: "button is-main", href: to(["compare"], { a, b }) }, "Compare these two") : h("span", {}, "Choose one more to compare"));
    for (const other of grid.querySelectorAll("input")) other.disabled = chosen.size === 2 && !other.checked;
  }

  async function show() {
    const asked = new URLSearchParams({ state: "succeeded", most: PART, ...Object.fromEntries(query) });
    if (before) asked.set("before", before);
    const { jobs, next } = await get(`/v1/jobs?${asked}`);
    before = next;
    more.hidden = !next;
    grid.append(...jobs.filter((job) => job.task !== "train").map((job) => shot(job, signal, choose)));
    if (grid.children.length) roving(grid, ".shot");
  }

  await show();
  const filtered = query.get("model") && h("p", { class: "quiet" }, `Of ${query.get("model")}. `, h("a", { href: to(["gallery"]) }, "Show all"));
  put(main, h("div", { class: "head" }, h("h1", {}, "Gallery")), filtered,
    grid.children.length ? [grid, more, bar] : h("div", { class: "empty" }, icon("gallery"), h("h2", {}, "Nothing here yet"),
      h("p", {}, "Whatever you make is kept here, with the settings it was made with."), h("a", { class: "button is-main", href: to(["models"]) }, "Choose a model")));
}

/** The last few of a model's task, in a row. */
export async function recent({ model, task }) {
  const asked = new URLSearchParams({ state: "succeeded", model, task, most: 6 });
  const { jobs } = await get(`/v1/jobs?${asked}`);
  if (!jobs.length) return [];
  const list = h("ul", { class: "shots is-small" }, jobs.map((job) => shot(job, null, null)));
  return [h("div", { class: "row is-apart" }, h("h2", {}, "Recent"), h("a", { href: to(["gallery"], { model }) }, "All of this model")), roving(list, ".shot")];
}

function shot(job, signal, choose) {
  const place = h("div", { class: "shot-picture" });
  const box = choose && h("input", { type: "checkbox", "aria-label": `Compare ${taskName(job.task)} of ${when(job.created)}`, onchange: () => choose(job, box) });
  const seed = job.result?.parameters?.seed;
  const said = [job.model, seed !== undefined && `seed ${seed}`, when(job.created)].filter(Boolean).join(" · ");
  new IntersectionObserver(([entry], observer) => {
    if (!entry.isIntersecting) return;
    observer.disconnect();
    small(job).then((element) => put(place, element)).catch(() => put(place, icon("file")));
  }).observe(place);
  return h("li", {}, h("a", { class: "shot", href: to(["job", job.id]) }, place,
    h("span", { class: "shot-words" }, h("b", {}, taskName(job.task)), h("span", { class: "quiet" }, job.state === "succeeded" ? said : stateName(job.state)))),
  box && h("label", { class: "compare" }, box, "compare"));
}

/** A small picture of a result, of the kind it is of. */
async function small(job) {
  const kind = (await card(job.model))?.kind ?? "image";
  const pictures = picturesOf(job, kind);
  if (pictures.length) return h("span", { class: `quads of-${Math.min(pictures.length, 4)}` }, pictures.slice(0, 4).map((file) => h("img", { src: file.url, alt: "", class: "pixels" })));
  const [table] = tablesOf(job);
  if (!table) return icon("file");
  if (kind === "series" && job.task !== "detect") {
    const line = firstLine(await some(table, 0, 200));
    if (line) return chart({ title: "", lines: [{ name: "", ...line }], tall: 100, bare: true });
  }
  const { columns, rows } = await some(table, 0, 5);
  return h("table", { class: "tiny" }, [columns, ...rows].map((row, k) => h("tr", {}, row.slice(0, 3).map((cell) => h(k ? "td" : "th", {}, cellText(cell))))));
}
