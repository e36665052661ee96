/** A dialog with what was made before, job by job, to take one file of it. */
import { card, get } from "./api.js";
import { count, h, icon, put, when } from "./dom.js";
import { filesOf } from "./results.js";
import { taskName } from "./words.js";

const JOBS = 60; // that are looked at, the newest
const AT_ONCE = 12; // files of a job that are shown before more are asked for

/** The artifact that a person picks, or null; fits(file, model): whether one is of use, by its job's model's card. */
export async function pickArtifact(fits) {
  const { jobs } = await get(`/v1/jobs?state=succeeded&most=${JOBS}`);
  const cards = new Map(await Promise.all([...new Set(jobs.map((job) => job.model))].map(async (name) => [name, await card(name)])));
  const found = jobs.map((job) => ({ job, files: filesOf(job).filter((file) => fits(file, cards.get(job.model))) })).filter(({ files }) => files.length);
  return new Promise((resolve) => {
    let picked = null;
    const choose = (file) => {
      picked = file;
      dialog.close();
    };
    const list = h("div", { class: "pick-jobs" });
    const search = h("input", { type: "search", placeholder: "Search by model, task or file", "aria-label": "Search results", oninput: () => show() });
    const show = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const shown = found
        .map(({ job, files }) => ({ job, files: files.filter((file) => words.every((word) => textOf(job, file).includes(word))) }))
        .filter(({ files }) => files.length);
      put(list, shown.map(({ job, files }) => groupOf(job, files, choose)), !shown.length && h("p", { class: "empty" }, "Nothing is called so. Take a word away."));
    };
    const empty = h("p", { class: "empty" }, "Nothing that fits here has been made yet. What is made is here to be used.");
    const dialog = h("dialog", { class: "dialog", "aria-label": "Take a result" },
      h("header", { class: "dialog-head" }, h("h2", {}, "Take a result"),
        h("button", { type: "button", class: "tool", "aria-label": "Close", onclick: () => dialog.close() }, icon("close"))),
      found.length ? [search, list] : empty);
    show();
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(picked);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

const textOf = (job, file) => `${job.model} ${taskName(job.task)} ${file.name}`.toLowerCase();

function groupOf(job, files, choose) {
  const place = h("ul", { class: "picks" });
  const show = (many) => put(place, files.slice(0, many).map((file) => tileOf(job, file, choose)), files.length > many && h("li", {},
    h("button", { type: "button", class: "button is-small", onclick: () => show(many + 8 * AT_ONCE) }, `Show more of ${count(files.length)}`)));
  show(AT_ONCE);
  return h("section", { class: "pick-job" }, h("h3", {}, `${taskName(job.task)}, ${job.model} `, h("span", { class: "quiet" }, when(job.created))), place);
}

function tileOf(job, file, choose) {
  const name = file.name.split("/").pop();
  return h("li", {}, h("button", { type: "button", class: "pick", onclick: () => choose(file), title: `${name}, of ${job.model}` },
    file.media === "image/png" ? h("img", { src: file.url, alt: "", class: "pixels", loading: "lazy" }) : icon("file"), h("span", { class: "quiet" }, name)));
}
