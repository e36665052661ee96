/** Two results side by side, and what they were not asked alike. */
import { get } from "./api.js";
import { h, put } from "./dom.js";
import { differing, facts, settingsOf } from "./facts.js";
import { to } from "./route.js";
import { stageOf } from "./stage.js";
import { fieldName, taskName } from "./words.js";

export async function compare(main, { query }, signal) {
  const two = await Promise.all(["a", "b"].map((name) => get(`/v1/jobs/${query.get(name)}`)));
  const [a, b] = alike(two.map(settingsOf));
  const marked = differing(a, b);
  const said = marked.size ? `They differ in ${[...marked].map(fieldName).join(", ")}.` : "They were asked for alike.";
  put(main, h("div", { class: "head" }, h("h1", {}, "Side by side"), h("p", { class: "quiet" }, said)),
    h("div", { class: "sides" }, two.map((job, k) => h("section", { class: "stage", "aria-label": k ? "Right" : "Left" },
      h("div", { class: "stage-bar" }, h("h2", {}, h("a", { href: to(["job", job.id]) }, `${taskName(job.task)}, ${job.model}`))),
      stageOf(job, signal), facts([a, b][k], marked)))));
}

/** Both with the same names: what one of them was not asked, it chose by itself. */
function alike(two) {
  const names = new Set(two.flatMap(Object.keys));
  return two.map((one) => Object.fromEntries([...names].map((name) => [name, one[name] ?? "not given"])));
}
