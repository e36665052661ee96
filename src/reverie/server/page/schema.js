/** From a task's JSON Schema to the fields of its form. */

const MAIN = [
  "data", "items", "a", "b", "latents", "mask", "label", "condition", "given", "n", "samples", "frames", "times", "factor",
  "strength", "sigma", "fpr", "normal", "seed", "steps", "guidance", "temperature", "budget", "kind", "size",
];
const TRAIN_MAIN = ["data", "budget", "kind", "size", "seed"];
const SLIDERS = {
  seed: [0, 9999, 1], steps: [1, 100, 1], guidance: [0, 8, 0.1], temperature: [0, 1.5, 0.05], n: [1, 64, 1], samples: [1, 32, 1],
  frames: [2, 64, 1], times: [1, 16, 1], strength: [0, 1, 0.01], fpr: [0.001, 0.2, 0.001], factor: [2, 8, 1],
};
const MODELS_OWN = { steps: "steps", guidance: "guidance", temperature: "temperature", sampler: "sampler", time_grid: "grid" };

/**
 * The fields of a task: {name, place, type, meaning, initial, minimum, maximum, slider, word, main, examples, needed}.
 * initial: what happens where nothing is sent. examples: words that a text knows. needed: whether it must be given. word: whether a file's place may be taken by a word such as right:0.5.
 */
export function fieldsOf(task, request, model) {
  const [parameters, inputs] = ["parameters", "inputs"].map((part) => partOf(request, part));
  const files = Object.entries(inputs)
    .filter(([name]) => name !== "told")
    .map(([name, one]) => ({ ...about(name, one), place: "inputs", type: "file", word: name in parameters }));
  const others = Object.entries(parameters)
    .filter(([name]) => !(name in inputs))
    .map(([name, one]) => ({ ...about(name, one), place: "parameters", ...kindOf(one) }));
  const main = task === "train" ? TRAIN_MAIN : MAIN;
  const order = (field) => (main.indexOf(field.name) + 1 || main.length + 1);
  return [...files, ...others]
    .filter((field) => fits(field, model))
    .map((field) => ({
      ...field,
      main: main.includes(field.name),
      initial: initialOf(field, task, model),
      slider: sliderOf(field, task),
    }))
    .sort((x, y) => order(x) - order(y));
}

function partOf(request, part) {
  const reference = request.properties[part].$ref ?? request.properties[part].allOf?.[0].$ref;
  return request.$defs[reference.split("/").pop()].properties ?? {};
}

function about(name, one) {
  const some = one.anyOf?.find((kind) => kind.type !== "null") ?? one;
  return {
    name,
    meaning: (one.description ?? "").replace(/ Here a word; files are inputs\.$/, ""),
    given: one.default ?? null,
    minimum: some.minimum ?? null,
    maximum: some.maximum ?? null,
    choices: some.enum ?? null,
    examples: one.examples ?? null,
    needed: one.needed ?? false,
  };
}

function kindOf(one) {
  const type = (one.anyOf?.find((kind) => kind.type !== "null") ?? one).type;
  return { type: { integer: "integer", number: "number", boolean: "boolean" }[type] ?? "text" };
}

/** Whether a field can matter to a model: what it is not told needs no box to tell it in. */
function fits(field, model) {
  if (!model) return true;
  const told = Object.keys(model.conditions);
  if (field.name === "label") return told.includes("label");
  if (field.name === "condition") return told.some((name) => name !== "label");
  if (["guidance", "interval", "condition_from", "label_from"].includes(field.name)) return told.length > 0;
  if (field.name === "given") return model.kind === "table";
  if (field.name === "factor") return model.kind === "image";
  return true;
}

/** What a field stands at: its default, what its meaning says of it, or what the model does by itself. */
function initialOf(field, task, model) {
  if (field.given !== null) return field.given;
  const said = /Default:? (-?\d+(?:\.\d+)?)(?:[ ,.]|$)/.exec(field.meaning);
  if (said && ["integer", "number"].includes(field.type)) return Number(said[1]);
  const own = MODELS_OWN[field.name];
  return (task !== "train" && own && /model's|Scale/.test(field.meaning) && model?.defaults[own]) || null;
}

function sliderOf(field, task) {
  const range = SLIDERS[field.name];
  if (!range || !["integer", "number"].includes(field.type) || (task === "train" && field.name !== "seed")) return null;
  const [low, high, step] = range;
  return { low: Math.max(low, field.minimum ?? low), high: Math.min(high, field.maximum ?? high), step };
}
