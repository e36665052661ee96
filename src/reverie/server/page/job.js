/** One result, large: what came of it, how it was made, and what can be done with it. */
import { again, ended, get, remove } from "./api.js";
import { h, icon, lasting, put, when } from "./dom.js";
import { facts, settingsOf } from "./facts.js";
import { newSeed } from "./fields.js";
import { go, to } from "./route.js";
import { stageOf } from "./stage.js";
import { stateName, taskName } from "./words.js";

export async function job(main, { parts }, signal) {
  const found = await get(`/v1/jobs/${parts[1]}`);
  const side = h("aside", { class: "panel", "aria-label": "How it was made" });
  const stage = h("section", { class: "stage", "aria-label": "Result" }, stageOf(found, signal, aside));
  const place = found.task === "train" ? ["run", found.model] : ["model", found.model, found.task];
  put(main, h("header", { class: "model-head" }, h("div", {},
    h("p", { class: "crumbs" }, h("a", { href: to(["gallery"]) }, "Gallery"), " / ", h("a", { href: to(place) }, found.model)), h("h1", {}, taskName(found.task)))),
  h("div", { class: "bench is-turned" }, stage, side));
  aside(found);

  function aside(one) {
    const took = one.finished && one.started ? `took ${lasting(one.finished - one.started)}` : "";
    put(side, h("h2", {}, "How it was made"), facts(settingsOf(one)),
      h("p", { class: "quiet" }, [stateName(one.state), when(one.created), took].filter(Boolean).join(" · ")),
      one.task !== "train" && h("div", { class: "column" },
        h("a", { class: "button", href: to(place, { from: one.id }) }, icon("recall"), "Recall these settings"),
        "seed" in settingsOf(one) && h("button", { type: "button", class: "button", onclick: vary }, icon("dice"), "Again with another seed"),
        h("button", { type: "button", class: "button", onclick: compare }, icon("compare"), "Compare with the last one")),
      ended(one) && h("button", { type: "button", class: "button is-risky", onclick: away }, icon("trash"), "Delete"));
  }

  async function vary() {
    const made = await again(found, { seed: newSeed() });
    go(place, { job: made.id });
  }

  async function compare() {
    const asked = new URLSearchParams({ state: "succeeded", model: found.model, task: found.task, before: found.id, most: 1 });
    const { jobs } = await get(`/v1/jobs?${asked}`);
    if (jobs.length) go(["compare"], { a: jobs[0].id, b: found.id });
    else go(["gallery"]);
  }

  async function away() {
    const sure = h("button", { type: "button", class: "button is-risky is-main", onclick: async () => {
      await remove(`/v1/jobs/${found.id}`);
      go(["gallery"]);
    } }, "Delete it and its files for good");
    side.lastElementChild.replaceWith(sure);
    sure.focus();
  }
}
