/** A file for a task: dropped, chosen, pasted, taken from the gallery; or a word in its place. */
import { upload } from "./api.js";
import { bytes, h, icon, put } from "./dom.js";
import { framed, newId } from "./fields.js";
import { pickArtifact } from "./pick.js";
import { headerOf } from "./header.js";
import { fitted, png } from "./png.js";
import { fieldName } from "./words.js";

const HEAD = 1 << 18; // bytes in which a picture says what it is, behind what a camera wrote before
const COLOURS = { 1: "grey", 2: "grey with transparency", 3: "colour", 4: "colour with transparency" };
const PICTURE = /\.(png|jpe?g|webp|gif|bmp)$/i;

/**
 * The control of a file. size(): {width, height, channels, dtype} that a picture must have, or null where it does not matter.
 * changed(given): called when what is given is another. word: what the box says where a word may stand in its place; without,
 * there is a box only where such a word is recalled. fits(file, model): whether what a job of a model made can be taken.
 */
export function fileControl(field, { size = () => null, changed = () => {}, word = "", fits = () => true } = {}) {
  const id = newId();
  let given = null; // {id, name, size, url, head}
  const chooser = h("input", { id, type: "file", class: "unseen", "aria-describedby": `${id}-help ${id}-wrong`,
    onchange: () => chooser.files[0] && take(chooser.files[0]) });
  const place = h("div", { class: "drop", "data-drop": field.name });
  const words = !field.word ? null :
    h("input", { type: "text", class: "word", placeholder: word, hidden: !word, autocomplete: "off", spellcheck: "false",
      "aria-label": `${fieldName(field.name)} as a word`, oninput: () => words.value && give(null) });
  const control = framed(field, { id, controls: h("div", { class: "given" }, place, chooser, words),
    get: () => (given ? { id: given.id } : words?.value.trim() ? { word: words.value.trim() } : undefined), set });

  async function take(file) {
    put(place, h("p", { class: "quiet" }, `Sending ${file.name} ...`));
    try {
      const sent = await upload(file, file.name);
      const url = PICTURE.test(file.name) ? URL.createObjectURL(file) : null;
      give({ id: sent.id, name: sent.name, size: sent.size, url, head: url && headerOf(new Uint8Array(await file.slice(0, HEAD).arrayBuffer())) });
    } catch (error) {
      give(null);
      control.say(error.message);
    }
  }

  function give(one) {
    if (given?.url?.startsWith("blob:") && given !== one) URL.revokeObjectURL(given.url);
    given = one;
    control.say(null);
    if (one && words) words.value = "";
    put(place, ...(one ? shown(one) : empty()));
    place.classList.toggle("is-full", Boolean(one));
    chooser.value = "";
    changed(one);
  }

  function empty() {
    return [
      icon("upload"),
      h("p", {}, h("label", { htmlFor: id, class: "link", tabIndex: 0, role: "button", onkeydown: pressed }, "Choose a file"),
        ", drop or paste it here, or ", h("button", { type: "button", class: "link", onclick: fromGallery }, "take a result")),
    ];
  }

  function pressed(event) {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    chooser.click();
  }

  async function fromGallery() {
    const found = await pickArtifact(fits);
    if (found) give({ id: found.id, name: found.name.split("/").pop(), size: found.size, url: found.media === "image/png" ? found.url : null });
  }

  function shown(one) {
    const image = one.url && h("img", { src: one.url, alt: "", class: "pixels" });
    const note = h("p", { class: "quiet", hidden: true });
    image?.addEventListener("load", () => fitNote(image, note));
    const away = h("button", { type: "button", class: "tool", "aria-label": `Remove ${one.name}`, onclick: () => give(null) }, icon("close"));
    return [image || icon("file"), h("div", { class: "facts-of" }, h("b", {}, one.name), h("span", { class: "quiet" }, bytes(one.size)), note), away];
  }

  /** The server resizes nothing; a person may ask the page to. */
  function fitNote(image, note) {
    const wanted = size();
    if (!wanted) return;
    const [is, asked] = [[], []];
    if (image.naturalWidth !== wanted.width || image.naturalHeight !== wanted.height) {
      is.push(`${image.naturalWidth} x ${image.naturalHeight}`);
      asked.push(`${wanted.width} x ${wanted.height}`);
    }
    const { channels, bits } = given.head ?? {};
    if (channels && channels !== wanted.channels) {
      is.push(COLOURS[channels]);
      asked.push(COLOURS[wanted.channels]);
    } else if (bits && bits !== 8 && wanted.dtype === "uint8") {
      is.push(`${bits} bits`);
      asked.push("8 bits");
    }
    if (!is.length) return;
    note.hidden = false;
    const differs = `This is ${is.join(", ")}; the model's are ${asked.join(", ")}. `;
    const able = wanted.dtype === "uint8" && [1, 3, 4].includes(wanted.channels);
    put(note, differs, able && h("button", { type: "button", class: "link", onclick: () => fit(image, wanted) }, "Make it fit"));
  }

  async function fit(image, { width, height, channels }) {
    const blob = await png(fitted(image, width, height, channels), width, height, channels);
    const stem = given.name.replace(/\.[^.]*$/, "");
    take(new File([blob], `${stem}-${width}x${height}.png`, { type: "image/png" }));
  }

  function set(value) {
    if (words) {
      words.value = value?.word ?? "";
      words.hidden = !word && !words.value;
    }
    give(value?.id ? { ...value, url: PICTURE.test(value.name) ? value.url : null } : null);
    if (value?.gone) control.say("The file that was given is kept no longer; give it again.");
  }

  for (const kind of ["dragover", "dragenter"]) {
    place.addEventListener(kind, (event) => {
      event.preventDefault();
      place.classList.add("is-over");
    });
  }
  place.addEventListener("dragleave", () => place.classList.remove("is-over"));
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    place.classList.remove("is-over");
    if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
  });
  set(null);
  const isEmpty = () => given === null && !words?.value;
  const check = () => (field.needed && isEmpty() ? `Choose a file${word ? ", or write a word" : ""}.` : null);
  return { ...control, take, isEmpty, check };
}
