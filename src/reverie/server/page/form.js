/** The form of a task, made from its schema: what matters most in sight, the rest folded under More. */
import { conditionControls, labelControl } from "./conditions.js";
import { h } from "./dom.js";
import { controlOf } from "./fields.js";
import { fileControl } from "./files.js";
import { maskControl } from "./mask.js";
import { ROWS } from "./results.js";
import { fieldsOf } from "./schema.js";

/** {element, values, recall, problems}: a form that calls `send(values)`; model: its card, or null for training. */
export function formOf({ task, request, model, label, send, before = [] }) {
  const fields = fieldsOf(task, request, model);
  const controls = []; // filled as they are made: some ask for others
  const made = fields.map((field) => {
    const some = controlsOf(field, task, model, controls);
    controls.push(...some);
    return [field, some];
  });
  const part = (main) => made.filter(([field]) => field.main === main).flatMap(([, some]) => some.map((one) => one.element));
  const wrong = h("p", { class: "wrong whole", role: "alert", hidden: true });
  const button = h("button", { type: "submit", class: "button is-main" }, label);
  const rest = part(false);
  const more = h("details", { class: "more" }, h("summary", {}, "More"), h("div", { class: "fields" }, rest));
  const element = h("form", { class: "form", novalidate: true, onsubmit: submit }, before, h("div", { class: "fields" }, part(true)),
    rest.length > 0 && more, wrong, h("div", { class: "submit" }, button));

  async function submit(event) {
    event.preventDefault();
    problems(null);
    if (unfit()) return;
    button.disabled = true;
    try {
      await send(await values());
    } catch (error) {
      problems(error);
    } finally {
      button.disabled = false;
    }
  }

  /** Whether a field holds what cannot be sent; each says why, and nothing is asked of the server. */
  function unfit() {
    const wrong = controls.map((one) => [one, one.check?.()]).filter(([, why]) => why);
    for (const [one, why] of wrong) one.say(why);
    if (wrong.length) show();
    return wrong.length > 0;
  }

  async function values() {
    const sent = { parameters: {}, inputs: {} };
    for (const one of controls) {
      const value = await one.get();
      if (value === undefined) continue;
      if (one.place === "told") sent.inputs.told = { ...sent.inputs.told, [one.name]: value.id };
      else if (one.place === "parameters") sent.parameters[one.name] = value;
      else if (value.id) sent.inputs[one.name] = value.id;
      else sent.parameters[one.name] = value.word;
    }
    return sent;
  }

  /** Put in what a job was asked; resolved: its seed, where that was chosen by chance. */
  function recall(job, changes = {}) {
    const parameters = { ...job.parameters, ...(job.result?.parameters?.seed !== undefined && { seed: job.result.parameters.seed }), ...changes };
    for (const one of controls) {
      const name = one.place === "told" ? `told.${one.name}` : one.name;
      if (one.place === "parameters") one.set(parameters[one.name] ?? null);
      else if (job.inputs[name]) one.set(job.files[name] ?? { gone: true });
      else one.set(parameters[one.name] ? { word: parameters[one.name] } : null);
    }
  }

  /** Say what is wrong beside the fields that it is wrong with; the rest under the form. */
  function problems(error) {
    for (const one of controls) one.say(null);
    const left = [];
    for (const { where, what } of error?.problems ?? []) {
      const words = [...where.split("."), /(\w+) is (missing|given)/.exec(what)?.[1]];
      const one = controls.find((control) => words.includes(control.name));
      if (one) one.say(what);
      else left.push(`${where}: ${what}`);
    }
    const text = error?.problems?.length ? left.join(" ") : error?.message;
    wrong.textContent = text ?? "";
    wrong.hidden = !text;
    show(text ? button : null);
  }

  /** Bring the first field that is wrong before a person; without one, `other`. */
  function show(other = null) {
    const first = element.querySelector(".is-wrong");
    const folded = first?.closest("details");
    if (folded) folded.open = true;
    (first?.querySelector("input:not([type=range]), select, button") ?? other)?.focus();
  }

  listenForFiles(element, controls);
  return { element, values, recall, problems };
}

function controlsOf(field, task, model, controls) {
  const known = model?.conditions ?? {};
  if (field.name === "label" && known.label) return [labelControl(field, known.label)];
  if (field.name === "condition" && model) return conditionControls(field, known);
  if (field.type !== "file") return [controlOf(field)];
  const picture = model?.kind === "image";
  const word = wordFor(field.name, model?.kind);
  if (field.name === "mask" && picture) return [maskControl(field, word)];
  const size = () => (picture && field.name !== "latents" ? smaller(model.codec, task, controls) : null);
  const changed = (given) => {
    if (field.name === "items") controls.find((one) => one.name === "mask")?.show?.(given?.url);
  };
  return [fileControl(field, { size, changed, word, fits: (file, of) => taken(field, file, of?.kind) && (!model || of?.kind === model.kind) })];
}

/** What is said of a word that may stand in a file's place, where a person is likely to want one. */
function wordFor(name, kind) {
  if (name === "mask") return { series: "or a word, such as future:24", image: "or a word, such as right:0.5" }[kind] ?? "or names of columns";
  if (name === "a" || name === "b") return `or a word, such as seed:${name === "a" ? 1 : 2}`;
  return name === "data" ? "or digits, data that comes along" : "";
}

/** Whether a field can take a file that a job made, by what it is and the kind of data that its model is of. */
function taken(field, file, kind) {
  if (field.name === "latents") return file.name.endsWith("latents.npz");
  return kind === "image" ? file.media === "image/png" : ROWS.test(file.name);
}

/** The size that a picture must have: the model's, or for upscale a part of it. */
function smaller(codec, task, controls) {
  if (task !== "upscale") return codec;
  const factor = controls.find((one) => one.name === "factor").get() ?? 4;
  return { ...codec, width: codec.width / factor, height: codec.height / factor };
}

/** What is pasted, or dropped beside a place for it, goes to the first place that is empty. */
function listenForFiles(element, controls) {
  const take = (file) => {
    const free = controls.filter((one) => one.take);
    (free.find((one) => one.isEmpty()) ?? free[0])?.take(file);
  };
  const paste = (event) => {
    if (!element.isConnected) return document.removeEventListener("paste", paste);
    const file = event.clipboardData?.files[0];
    if (!file) return;
    event.preventDefault();
    take(file);
  };
  document.addEventListener("paste", paste);
  element.addEventListener("dragover", (event) => event.preventDefault());
  element.addEventListener("drop", (event) => {
    if (event.defaultPrevented || !event.dataTransfer.files[0]) return;
    event.preventDefault();
    take(event.dataTransfer.files[0]);
  });
}
