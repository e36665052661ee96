/** A model: what it is, and a bench for every task it can do. */
import { card, get, modelAt, post, submit, tasks } from "./api.js";
import { count, h, icon, put } from "./dom.js";
import { newSeed } from "./fields.js";
import { formOf } from "./form.js";
import { recent } from "./gallery.js";
import { markdown } from "./markdown.js";
import { remember, to } from "./route.js";
import { stageOf, trouble } from "./stage.js";
import { deedOf, kindName, runStates, taskName, tasksFor } from "./words.js";

const USE = /^## Use\n[^]*?(?=^## )/m; // of the card: how a shell and Python use the model, which is done here by the page

export async function model(main, { parts, query }, signal) {
  const name = parts[1];
  const [about, all] = await Promise.all([card(name), tasks()]);
  if (!about) {
    put(main, trouble(`There is no model ${name} yet. If it has just begun to train, watch it until its first checkpoint.`),
      h("a", { class: "button", href: to(["run", name]) }, "Watch the run"));
    return;
  }
  const names = tasksFor(all, about.kind);
  const task = names.includes(parts[2]) ? parts[2] : names[0];
  const tabs = h("nav", { class: "tabs", "aria-label": "Tasks" }, names.map((one) =>
    h("a", { href: to(["model", name, one]), "aria-current": one === task ? "page" : null }, taskName(one))));
  put(main, headOf(name, about), tabs, await bench({ name, about, task, meaning: all[task].meaning, request: all[task].request, query, signal }));
}

function headOf(name, about) {
  const told = Object.keys(about.conditions);
  const marks = [kindName(about.kind), runStates[about.state].toLowerCase(), about.parameters && `${count(about.parameters)} parameters`,
    told.length > 0 && `told ${told.join(", ")}`].filter(Boolean);
  const load = h("button", { type: "button", class: "button is-small", onclick: toggle }, about.loaded ? "Unload" : "Load");
  async function toggle() {
    load.disabled = true;
    await post(modelAt(name, about.loaded ? ":unload" : ":load")).catch((error) => (load.title = error.message));
    about.loaded = !about.loaded;
    load.textContent = about.loaded ? "Unload" : "Load";
    load.disabled = false;
  }
  return h("header", { class: "model-head" },
    h("div", {}, h("p", { class: "crumbs" }, h("a", { href: to(["models"]) }, "Models"), " / "), h("h1", {}, name), h("p", { class: "quiet" }, marks.join(" · "))),
    h("details", { class: "about" }, h("summary", {}, "About this model"),
      h("div", { class: "about-in" },
        about.picture && about.kind === "image" && h("figure", {}, h("img", { src: modelAt(name, ":picture"), alt: "Samples drawn while it was trained", class: "pixels" }),
          h("figcaption", {}, "Samples drawn while it was trained")),
        h("div", { class: "prose" }, markdown(about.card.replace(USE, ""))),
        h("div", { class: "row" }, h("a", { class: "button is-small", href: to(["run", name]) }, "How it was trained"), load))));
}

async function bench({ name, about, task, meaning, request, query, signal }) {
  const stage = h("section", { class: "stage", "aria-label": "Result" });
  const before = h("section", { class: "recent" });
  const form = formOf({ task, request, model: about, label: taskName(task), send });
  let watching = new AbortController();
  signal.addEventListener("abort", () => watching.abort());

  async function send(values) {
    show(await submit({ model: name, task, ...values }));
  }

  function show(job) {
    watching.abort();
    watching = new AbortController();
    remember(["model", name, task], { job: job.id });
    const again = h("button", { type: "button", class: "button is-small", onclick: () => vary(job) }, icon("dice"), "Another seed");
    const large = h("a", { class: "button is-small", href: to(["job", job.id]) }, icon("expand"), "Open");
    const bar = h("div", { class: "stage-bar" }, h("h2", {}, taskName(task)), h("div", { class: "row" }, again, large));
    put(stage, bar, stageOf(job, watching.signal, () => {
      refresh();
      bring();
    }));
    bring();
  }

  /** On a phone the result lies below the form. */
  function bring() {
    if (stage.getBoundingClientRect().top > 0.6 * innerHeight) stage.scrollIntoView({ block: "start" });
  }

  async function vary(job) {
    form.recall(job, { seed: newSeed() });
    form.element.requestSubmit();
  }

  async function refresh() {
    put(before, await recent({ model: name, task }));
  }

  const from = query.get("job") ?? query.get("from");
  if (from) {
    const job = await get(`/v1/jobs/${from}`).catch(() => null);
    if (job?.task === task) form.recall(job, query.has("vary") ? { seed: newSeed() } : {});
    if (job && query.has("job")) show(job);
  }
  if (!stage.children.length) {
    put(stage, h("div", { class: "empty" }, icon("spark"), h("h2", {}, taskName(task)), h("p", {}, deedOf(task, meaning))));
  }
  refresh().catch(() => {});
  return h("div", { class: "bench" }, h("section", { class: "panel", "aria-label": "Settings" }, form.element), h("div", { class: "bench-right" }, stage, before));
}
