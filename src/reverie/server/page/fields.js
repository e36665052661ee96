/**
 * The controls of a form. Each is {element, name, place, get, set, say}: get() is what is sent, undefined where the server's own
 * choice stands; set(value) recalls it; say(text) is what is wrong with it, beside it.
 */
import { h, icon } from "./dom.js";
import { whole } from "./json.js";
import { fieldName } from "./words.js";

let made = 0;

/** The control of a field of `schema.fieldsOf`. */
export function controlOf(field) {
  if (field.name === "seed") return number(field, dice);
  if (field.type === "boolean") return tick(field);
  if (field.type === "text") return field.choices ? choice(field) : text(field);
  return number(field);
}

/** A frame that all controls share: name, help, the control, and a place for what is wrong. */
export function framed(field, { id, controls, get, set, group = false, name = fieldName(field.name) }) {
  const help = h("p", { class: "help", id: `${id}-help` }, field.meaning);
  const wrong = h("p", { class: "wrong", id: `${id}-wrong`, role: "alert", hidden: true });
  const title = group
    ? h("legend", { class: "name" }, name)
    : h("label", { class: "name", htmlFor: id }, name);
  const more = h("button", { type: "button", class: "what", "aria-expanded": "false", "aria-controls": `${id}-help`,
    "aria-label": `What ${name} is`, onclick: () => more.setAttribute("aria-expanded", String(!(help.hidden = !help.hidden))) }, "?");
  help.hidden = true;
  const element = h(group ? "fieldset" : "div", { class: "field", "data-field": field.name },
    title, field.meaning && more, help, controls, wrong);
  const say = (told) => {
    wrong.textContent = told ?? "";
    wrong.hidden = !told;
    element.classList.toggle("is-wrong", Boolean(told));
  };
  return { element, name: field.name, place: field.place, get, set, say };
}

/** A name that no other control on the page has. */
export const newId = () => `c${++made}`;

function number(field, aside) {
  const id = newId();
  const step = field.type === "integer" ? 1 : "any";
  const box = h("input", { id, type: "number", class: "number", step, min: field.minimum, max: field.maximum,
    placeholder: "auto", inputmode: field.type === "integer" ? "numeric" : "decimal", "aria-describedby": `${id}-help ${id}-wrong` });
  const rail = field.slider && h("input", { type: "range", class: "rail", min: field.slider.low, max: field.slider.high,
    step: field.slider.step, "aria-label": fieldName(field.name), tabIndex: 0 });
  const show = () => {
    if (!rail) return;
    const value = box.value === "" ? (field.initial ?? field.slider.low) : Number(box.value);
    rail.value = value;
    const share = (Math.min(value, field.slider.high) - field.slider.low) / (field.slider.high - field.slider.low);
    rail.style.setProperty("--share", Math.max(share, 0));
  };
  const set = (value) => {
    box.value = value ?? field.initial ?? "";
    show();
  };
  box.addEventListener("input", show);
  rail?.addEventListener("input", () => {
    box.value = rail.value;
    show();
  });
  set(null);
  const get = () => {
    if (box.value === "" || Number(box.value) === field.initial) return undefined;
    return whole(box.value);
  };
  const controls = h("div", { class: "row" }, rail, box, aside?.(set));
  return { ...framed(field, { id, controls, get, set }), check: () => wrongOf(box, field) };
}

/** What is wrong with a number as it stands; null where nothing is. */
function wrongOf(box, { type, minimum, maximum }) {
  const { valid, badInput, stepMismatch, rangeUnderflow, rangeOverflow } = box.validity;
  if (valid) return null;
  if (badInput) return "Give a number.";
  if (rangeUnderflow || rangeOverflow) return `Give a number ${[minimum !== null && `from ${minimum}`, maximum !== null && `to ${maximum}`].filter(Boolean).join(" ")}.`;
  return stepMismatch && type === "integer" ? "Give a whole number." : null;
}

/** A button that throws a new seed. */
function dice(set) {
  const roll = () => set(newSeed());
  return h("button", { type: "button", class: "tool", "aria-label": "Another seed by chance", title: "Another seed", onclick: roll },
    icon("dice"));
}

/** A seed by chance, short enough to be said aloud. */
export const newSeed = () => crypto.getRandomValues(new Uint32Array(1))[0] % 10_000;

function tick(field) {
  const id = newId();
  const box = h("input", { id, type: "checkbox", "aria-describedby": `${id}-help` });
  const set = (value) => (box.checked = value ?? field.initial ?? false);
  set(null);
  const get = () => (box.checked === (field.initial ?? false) ? undefined : box.checked);
  return framed(field, { id, controls: h("div", { class: "row" }, box), get, set });
}

function text(field) {
  const id = newId();
  const hint = field.initial === null ? hintOf(field.meaning) : "";
  const list = field.examples && h("datalist", { id: `${id}-list` }, field.examples.map((one) => h("option", { value: one })));
  const box = h("input", { id, type: "text", placeholder: hint, autocomplete: "off", spellcheck: "false", list: list && list.id,
    "aria-describedby": `${id}-help ${id}-wrong` });
  const set = (value) => (box.value = value ?? field.initial ?? "");
  set(null);
  const get = () => (box.value.trim() === "" || box.value === field.initial ? undefined : box.value.trim());
  return framed(field, { id, controls: list ? h("div", {}, box, list) : box, get, set });
}

function choice(field) {
  const id = newId();
  const box = h("select", { id }, field.initial === null && h("option", { value: "" }, "auto"), field.choices.map((one) => h("option", { value: one }, one)));
  const set = (value) => (box.value = value ?? field.initial ?? "");
  set(null);
  const get = () => (box.value === "" || box.value === field.initial ? undefined : box.value);
  return framed(field, { id, controls: box, get, set });
}

/** What the meaning gives as an example or says of the default, for an empty box. */
function hintOf(meaning) {
  return (/'([^']{3,40})'/.exec(meaning) ?? /Default:? ([^.;]{1,40})/.exec(meaning))?.[1] ?? "";
}
