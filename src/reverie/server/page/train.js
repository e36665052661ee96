/** A new training run: data, time, and the options that TrainSettings has. */
import { get, submit, tasks } from "./api.js";
import { h, put } from "./dom.js";
import { formOf } from "./form.js";
import { go } from "./route.js";

const BUDGETS = ["1m", "5m", "20m", "1h"];
const KINDS = ["image", "table", "series"];
const SIZES = ["tiny", "small", "base", "large", "auto"];
const NAME = /^[\p{L}\p{N}_][\p{L}\p{M}\p{N}_.+ -]{0,99}(?<![. ])(?:\/[\p{L}\p{N}_][\p{L}\p{M}\p{N}_.+ -]{0,99}(?<![. ])){0,3}$/u; // as the server's

export async function train(main, { query }) {
  const { train: task } = await tasks();
  const request = withChoices(task.request);
  const name = h("input", { id: "run-name", type: "text", required: true, placeholder: "flowers", autocomplete: "off", spellcheck: "false" });
  const wrong = h("p", { class: "wrong", role: "alert", hidden: true });
  const named = h("div", { class: "field" }, h("label", { class: "name", htmlFor: "run-name" }, "Name of the new model"), name, wrong);
  const form = formOf({ task: "train", request, model: null, label: "Start training", send, before: [named] });

  async function send(values) {
    const model = name.value.trim();
    wrong.hidden = NAME.test(model);
    if (!wrong.hidden) {
      wrong.textContent = "Give it a name of letters, digits and . _ + -, that begins with a letter or digit.";
      name.focus();
      return;
    }
    if (!values.inputs.data && !values.parameters.data && !values.parameters.resume) throw new Error("Give it data: choose a file, or write digits.");
    const job = await submit({ model, task: "train", ...values });
    go(["run", job.model], { job: job.id });
  }

  const budget = form.element.querySelector("[data-field=budget] input");
  const presets = h("div", { class: "chips" }, BUDGETS.map((one) => h("button", { type: "button", class: "chip-button", onclick: () => (budget.value = one) }, one)));
  budget.after(presets);
  if (query.has("from")) {
    const before = await get(`/v1/jobs/${query.get("from")}`);
    name.value = before.model;
    form.recall(before);
  }
  put(main, h("div", { class: "head" }, h("h1", {}, "Train a model")),
    h("div", { class: "bench is-turned" }, h("section", { class: "panel", "aria-label": "Settings" }, form.element), aside()));
}

/** The few words that two options know, as choices. */
function withChoices(request) {
  const made = structuredClone(request);
  const { properties } = made.$defs.TrainParameters;
  properties.kind = { ...properties.kind, anyOf: [{ type: "string", enum: KINDS }, { type: "null" }] };
  properties.size = { ...properties.size, enum: SIZES };
  return made;
}

function aside() {
  const one = (title, text) => [h("dt", {}, title), h("dd", {}, text)];
  return h("aside", { class: "panel is-plain" }, h("h2", {}, "What to bring"),
    h("dl", { class: "facts is-wide" }, one("Pictures", "a zip of them; folders in it become labels"), one("A table", ".csv, .parquet or .xlsx, a row for each record"),
      one("Time series", ".csv with a column of times, or one for each series"), one("Nothing yet", "write digits: 1,797 handwritten ones come along")),
    h("p", { class: "quiet" }, "A part of the data is kept out of training, so that the curve on the next page tells learning from ",
      "memorising. You can stop at any time; all that was learned is kept."));
}
