/** One picture, large, with the settings it was made with. */
import { get } from "./api.js";
import { h, icon, put } from "./dom.js";
import { go } from "./route.js";
import { facts } from "./facts.js";
import { titleOf } from "./words.js";

/** Show pictures of a job in a dialog, from the k-th on. */
export function look(pictures, k, job) {
  const image = h("img", { class: "pixels large", alt: "" });
  const title = h("h2", {});
  const about = h("div", { class: "look-facts" });
  const keep = h("a", { class: "button" }, icon("download"), "Download");
  const step = (by) => show((k + by + pictures.length) % pictures.length);
  const recall = h("button", { type: "button", class: "button", onclick: () => (dialog.close(), go(["model", job.model, job.task], { from: job.id })) },
    icon("recall"), "Recall settings");
  const dialog = h("dialog", { class: "dialog look", "aria-label": "Result",
    onkeydown: (event) => {
      if (event.key === "ArrowRight") step(1);
      if (event.key === "ArrowLeft") step(-1);
    } },
  h("header", { class: "dialog-head" }, title,
    h("button", { type: "button", class: "tool", "aria-label": "Close", onclick: () => dialog.close() }, icon("close"))),
  h("div", { class: "look-body" }, h("div", { class: "look-picture" }, image), h("div", {}, about, h("div", { class: "row" }, keep, recall))),
  pictures.length > 1 && h("div", { class: "row look-steps" },
    h("button", { type: "button", class: "tool", "aria-label": "Picture before", onclick: () => step(-1) }, icon("left")),
    h("button", { type: "button", class: "tool", "aria-label": "Picture after", onclick: () => step(1) }, icon("right"))));

  async function show(at) {
    k = at;
    const file = pictures[k];
    image.src = file.url;
    image.alt = titleOf(file);
    title.textContent = titleOf(file);
    keep.href = `${file.url}?download=1`;
    keep.setAttribute("download", file.name.split("/").pop());
    put(about, facts(await get(`${file.url}:settings`).catch(() => job.parameters)));
  }
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  show(k);
}
