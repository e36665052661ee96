/** What tasks and states are called, and which tasks are for which kind of data. */

const NAMES = {
  sample: "Sample", complete: "Complete", denoise: "Denoise", restyle: "Restyle", upscale: "Upscale", interpolate: "Interpolate",
  detect: "Detect", augment: "Augment", encode: "Encode", decode: "Decode", train: "Train",
};
const DEEDS = {
  sample: "New items from noise. Choose what they are to be, and a seed; the same seed gives the same items again.",
  complete: "What is missing is filled in; what is known stays exactly as it is. Paint a mask over a picture, or forecast the future of a series.",
  denoise: "Takes noise off: the mean of what each item may have been, and draws of it.",
  restyle: "Goes part of the way to noise and back: a sketch to a picture, one class to another.",
  upscale: "Large pictures that the small one may have come from.",
  interpolate: "Frames on the way from one item to another.",
  detect: "Finds items that are not like those the model learned from.",
  augment: "Variations of a data set, ready to be trained on.",
  encode: "Items to latents, along the flow that has no randomness.",
  decode: "Latents back to items.",
};
const ONLY = {
  denoise: ["image", "series"], restyle: ["image", "series"], upscale: ["image"], interpolate: ["image", "series"],
  encode: ["image", "series"], decode: ["image", "series"],
};
const STATES = { starting: "Waiting", processing: "Running", succeeded: "Done", failed: "Failed", canceled: "Canceled" };
const KINDS = { image: "Pictures", table: "Table", series: "Time series" };

/** A task by the name a person reads. */
export const taskName = (task) => NAMES[task] ?? task.charAt(0).toUpperCase() + task.slice(1).replaceAll("-", " ");

/** What a task does, in a sentence for a person; of a new one, its own. */
export const deedOf = (task, meaning) => DEEDS[task] ?? meaning;

/** What a run is, of which its model is made. */
export const runStates = { finished: "Finished", training: "In training", waiting: "Waiting to train", stopped: "Not finished" };

export const stateName = (state) => STATES[state] ?? state;
export const kindName = (kind) => KINDS[kind] ?? kind ?? "Unknown";

/** The tasks that a kind of data is known to have, in a useful order; new ones come last. */
export function tasksFor(all, kind) {
  const order = Object.keys(NAMES);
  const place = (name) => (order.indexOf(name) + 1 || order.length + 1);
  return Object.keys(all)
    .filter((name) => name !== "train" && (ONLY[name]?.includes(kind) ?? true))
    .sort((a, b) => place(a) - place(b));
}

/** A parameter by the name a person reads. */
export function fieldName(name) {
  const known = {
    n: "How many", fpr: "False-positive rate", items: "Input", samples: "Draws", a: "From", b: "To", like: "Draw again",
    data: "Data", lr: "Learning rate", ema: "Weight averaging", init_from: "Start from",
  };
  const words = name.replaceAll("_", " ");
  return known[name] ?? words.charAt(0).toUpperCase() + words.slice(1);
}

/** What a kind of data looks like, as a word for its icon. */
export const kindIcon = (kind) => ({ image: "image", table: "table", series: "series" })[kind] ?? "model";

/** What a result is, by its file's name. */
export const titleOf = (file) => file.name.replace(/^made\//, "").replace(/\.\w+$/, "").replaceAll("/", ", ");
