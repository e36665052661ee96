/** Names and values, as a list a person reads; and what two of them differ in. */
import { h } from "./dom.js";
import { written } from "./json.js";
import { fieldName } from "./words.js";

/** A list of facts; `marked` are names to point at. */
export function facts(values, marked = new Set()) {
  const told = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "");
  if (!told.length) return h("p", { class: "quiet" }, "Nothing but the defaults.");
  return h("dl", { class: "facts" }, told.map(([name, value]) => [
    h("dt", { class: marked.has(name) ? "is-marked" : null }, fieldName(name)),
    h("dd", { class: marked.has(name) ? "is-marked" : null }, textOf(value)),
  ]));
}

/** What made a job what it is: its model, task, inputs and parameters, the seed it really had among them. */
export function settingsOf(job) {
  const inputs = Object.fromEntries(Object.keys(job.inputs).map((name) => [name, job.files[name]?.name ?? "a file that is kept no longer"]));
  return { model: job.model, task: job.task, ...inputs, ...job.parameters, ...(job.result?.parameters ?? {}) };
}

/** Names whose values are not the same in both. */
export function differing(a, b) {
  return new Set([...Object.keys(a), ...Object.keys(b)].filter((name) => textOf(a[name]) !== textOf(b[name])));
}

function textOf(value) {
  if (value === undefined) return "";
  return typeof value === "object" ? written(value) : String(value);
}
