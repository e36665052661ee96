/** What a model can be told, as choices: classes are chips, numbers sliders, pictures files. */
import { h } from "./dom.js";
import { framed, newId } from "./fields.js";
import { fileControl } from "./files.js";
import { fieldName } from "./words.js";

const CHIPS = 24;

/** The control of `label`: any number of a model's classes, drawn in turn. */
export function labelControl(field, known) {
  const classes = chooser(known.classes);
  const set = (value) => classes.set(value ? value.split(",").map((one) => one.trim()) : []);
  const get = () => classes.get().join(",") || undefined;
  return framed({ ...field, meaning: field.meaning }, { id: classes.id, controls: classes.element, get, set, group: classes.group });
}

/** The controls of everything else that a model is told; together they are the text of `condition`, and files by name. */
export function conditionControls(field, conditions) {
  const parts = Object.entries(conditions)
    .filter(([name]) => name !== "label")
    .map(([name, known]) => MAKERS[known.kind](name, known));
  const words = parts.filter((part) => part.place !== "told");
  const get = () =>
    words.map((part) => [part.name, part.get()]).filter(([, value]) => value !== undefined).map(([name, value]) => `${name}=${value}`)
      .join(",") || undefined;
  const set = (value) => {
    const told = Object.fromEntries((value ?? "").split(/,(?=[^,=]+=)/).filter(Boolean).map((one) => {
      const [name, ...rest] = one.split("=");
      return [name.trim(), rest.join("=")];
    }));
    for (const part of words) part.set(told[part.name] ?? null);
  };
  const element = h("div", { class: "fields" }, words.map((part) => part.element));
  const say = (text) => words[0]?.say(text);
  return [{ element, name: field.name, place: field.place, get, set, say }, ...parts.filter((part) => part.place === "told")];
}

const MAKERS = { label: told, number: amount, start: moment, image: picture };

function told(name, known) {
  const classes = chooser(known.classes);
  const set = (value) => classes.set(value ? value.split("|") : []);
  const field = { name, place: "words", meaning: "What the model is told; several are drawn in turn, none leaves it to chance." };
  return framed(field, { id: classes.id, controls: classes.element, get: () => classes.get().join("|") || undefined, set,
    group: classes.group });
}

function amount(name, known) {
  const id = newId();
  const span = known.high - known.low;
  const box = h("input", { id, type: "number", class: "number", step: "any", placeholder: "any" });
  const rail = h("input", { type: "range", class: "rail", min: known.low, max: known.high, step: span / 200 || 1,
    "aria-label": fieldName(name) });
  const show = () => rail.style.setProperty("--share", span ? (Number(rail.value) - known.low) / span : 0);
  const set = (value) => {
    box.value = value ?? "";
    rail.value = value ?? (known.low + known.high) / 2;
    show();
  };
  box.addEventListener("input", () => (rail.value = box.value, show()));
  rail.addEventListener("input", () => (box.value = Number(Number(rail.value).toPrecision(4)), show()));
  set(null);
  const field = { name, place: "words", meaning: `From ${short(known.low)} to ${short(known.high)} in training; empty leaves it to chance.` };
  return framed(field, { id, controls: h("div", { class: "row" }, rail, box), get: () => box.value || undefined, set });
}

function moment(name, known) {
  const id = newId();
  const [low, high] = [known.low, known.high].map((one) => new Date(one * 1000).toISOString().slice(0, 16));
  const box = h("input", { id, type: "datetime-local", step: 60 });
  const set = (value) => (box.value = value ? value.replace(" ", "T").slice(0, 16) : "");
  const field = { name, place: "words", meaning: `When it begins: training saw ${low.replace("T", " ")} to ${high.replace("T", " ")}.` };
  return framed(field, { id, controls: box, get: () => box.value || undefined, set });
}

function picture(name, known) {
  const field = { name, place: "told", word: false, meaning: `A picture, ${known.codec.width} x ${known.codec.height}.` };
  return fileControl(field, { size: () => known.codec });
}

/** Several of many words: chips where they are few, a list to search where they are not. */
function chooser(classes) {
  const id = newId();
  if (classes.length > CHIPS) {
    const list = `${id}-list`;
    const box = h("input", { id, type: "text", list, placeholder: "any", autocomplete: "off" });
    const element = h("div", {}, box, h("datalist", { id: list }, classes.map((one) => h("option", { value: one }))));
    const get = () => box.value.split(/[,|]/).map((one) => one.trim()).filter(Boolean);
    return { id, element, get, set: (values) => (box.value = values.join(", ")), group: false };
  }
  const boxes = classes.map((one) => h("input", { type: "checkbox", value: one, class: "unseen" }));
  const element = h("div", { class: "chips" }, boxes.map((box, k) => h("label", { class: "chip-choice" }, box, h("span", {}, classes[k]))));
  const get = () => boxes.filter((box) => box.checked).map((box) => box.value);
  const set = (values) => boxes.forEach((box) => (box.checked = values.includes(box.value)));
  return { id, element, get, set, group: true };
}

const short = (number) => Number(number.toPrecision(4)).toLocaleString("en");
