/** A mask painted over a picture: brush, eraser, rectangle, by pointer or by keys; white is what to fill. */
import { upload } from "./api.js";
import { announce, count, h, icon, put } from "./dom.js";
import { fileControl } from "./files.js";
import { framed, newId } from "./fields.js";
import { MaskLayer } from "./mask_layer.js";
import { png } from "./png.js";

const SIDE = 416; // of the canvas on the screen, in CSS pixels, at most
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** The control of `mask` for a model of pictures: painted, or a file or a word as for any other. `show(url)` gives the picture. */
export function maskControl(field, word) {
  const other = fileControl(field, { word });
  let painter = null;
  const place = h("div", { class: "painter-place" }, hint());
  const controls = h("div", {}, place, h("details", { class: "more" }, h("summary", {}, "Or give the mask as a file or a word"),
    other.element));
  const control = framed(field, { id: newId(), controls, get, set, group: true });

  async function get() {
    const given = other.get();
    if (given || !painter || painter.layer.share === 0) return given;
    const { layer } = painter;
    const blob = await png(layer.pixels.map((one) => 255 * one), layer.width, layer.height, 1);
    return { id: (await upload(blob, "mask.png")).id };
  }

  function set(value) {
    other.set(value);
    painter?.reset();
  }

  function show(url) {
    painter = null;
    put(place, hint());
    if (!url) return;
    const image = h("img", { src: url, alt: "" });
    image.addEventListener("load", () => {
      painter = paintOver(image);
      put(place, painter.element);
    });
  }

  return { ...control, show };
}

const hint = () => h("p", { class: "quiet" }, "Give a picture above, and paint here what the model is to fill in.");

function paintOver(image) {
  const [width, height] = [image.naturalWidth, image.naturalHeight];
  const layer = new MaskLayer(width, height);
  const scale = Math.max(Math.min(SIDE / width, SIDE / height), 0.05);
  const zoom = scale > 1 ? Math.floor(scale) : 1;
  const canvas = h("canvas", { class: "paint", tabIndex: 0, role: "application", width: width * zoom, height: height * zoom,
    vars: { "--shape": `${width} / ${height}`, "--wide": `${Math.round(width * scale)}px` },
    "aria-label": "Mask: arrow keys move, space paints, R takes a rectangle, plus and minus change the size, Control Z undoes" });
  const pen = canvas.getContext("2d");
  const state = { tool: "brush", size: Math.max(1, Math.round(Math.min(width, height) / 6)), at: null, cursor: null, corner: null, keys: false };
  const covered = h("p", { class: "quiet", "aria-live": "polite" });

  const draw = () => {
    pen.imageSmoothingEnabled = false;
    pen.drawImage(image, 0, 0, width * zoom, height * zoom);
    paintLayer(pen, layer, zoom);
    if (state.corner && state.cursor) outline(pen, corners(state.corner, state.cursor), zoom);
    else if (state.keys && state.cursor) outline(pen, [state.cursor.x, state.cursor.y, 1, 1], zoom);
    const share = layer.share;
    const marked = Math.round(share * width * height);
    covered.textContent = marked ? `${count(marked)} of ${count(width * height)} pixels are to be filled in.` : "Nothing is marked yet.";
  };
  const change = (what) => {
    layer.begin();
    what();
    draw();
  };
  const value = () => (state.tool === "eraser" ? 0 : 1);
  const where = (event) => {
    const box = canvas.getBoundingClientRect();
    const clip = (one, most) => Math.min(Math.max(Math.floor(one), 0), most - 1);
    return { x: clip(((event.clientX - box.left) / box.width) * width, width),
      y: clip(((event.clientY - box.top) / box.height) * height, height) };
  };

  canvas.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    state.keys = false;
    state.at = state.cursor = where(event);
    layer.begin();
    if (state.tool === "rectangle") state.corner = state.at;
    else layer.dab(state.at.x, state.at.y, state.size, value());
    draw();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!state.at) return;
    const next = where(event);
    state.cursor = next;
    if (!state.corner) layer.stroke(state.at, next, state.size, value());
    state.at = next;
    draw();
  });
  canvas.addEventListener("pointerup", () => {
    if (state.at && state.corner) layer.rectangle(state.corner, state.at, 1);
    state.at = state.corner = null;
    draw();
  });
  canvas.addEventListener("keydown", (event) => {
    const what = deedOf(event);
    if (!what) return;
    event.preventDefault();
    what();
  });

  /** What a key does, if it does anything here. */
  function deedOf({ key, ctrlKey, metaKey, shiftKey }) {
    const letter = key.toLowerCase();
    if (ctrlKey || metaKey) return letter === "z" ? () => back(shiftKey) : null;
    if (ARROWS[key]) return () => move(ARROWS[key], shiftKey ? 5 : 1);
    return {
      " ": press, enter: press, "+": () => resize(state.size + 1), "-": () => resize(state.size - 1), b: () => choose("brush"),
      e: () => choose("eraser"), r: () => choose("rectangle"), i: () => change(() => layer.invert()),
    }[letter] ?? null;
  }

  function back(again) {
    if (again) layer.redo();
    else layer.undo();
    draw();
  }

  function move([dx, dy], by) {
    state.keys = true;
    const from = state.cursor ?? { x: Math.floor(width / 2), y: Math.floor(height / 2) };
    state.cursor = { x: Math.min(Math.max(from.x + dx * by, 0), width - 1), y: Math.min(Math.max(from.y + dy * by, 0), height - 1) };
    announce(`column ${state.cursor.x + 1}, row ${state.cursor.y + 1}`);
    draw();
  }

  function press() {
    const { cursor, corner } = state;
    if (!cursor) move([0, 0], 0);
    else if (state.tool !== "rectangle") change(() => layer.dab(cursor.x, cursor.y, state.size, value()));
    else if (corner) {
      state.corner = null;
      change(() => layer.rectangle(corner, cursor, 1));
    } else {
      state.corner = cursor;
      announce("first corner");
      draw();
    }
  }

  function resize(size) {
    state.size = Math.min(Math.max(size, 1), Number(rail.max));
    rail.value = state.size;
    rail.style.setProperty("--share", (state.size - 1) / (rail.max - 1));
  }
  const rail = h("input", { type: "range", class: "rail", min: 1, max: Math.max(2, Math.round(Math.min(width, height) / 2)),
    value: state.size, "aria-label": "Size of the brush in pixels", oninput: () => resize(Number(rail.value)) });
  const tools = ["brush", "eraser", "rectangle"].map((tool) => h("button", { type: "button", class: "tool", "aria-pressed": String(tool === state.tool),
    "aria-label": tool.charAt(0).toUpperCase() + tool.slice(1), title: tool, "data-tool": tool, onclick: () => choose(tool) }, icon(tool)));
  const deed = (name, label, what) => h("button", { type: "button", class: "tool", "aria-label": label, title: label, onclick: what }, icon(name));
  function choose(tool) {
    state.tool = tool;
    state.corner = null;
    for (const one of tools) one.setAttribute("aria-pressed", String(one.dataset.tool === tool));
    announce(tool);
    draw();
  }
  const reset = () => change(() => layer.clear());
  const bar = h("div", { class: "tools", role: "toolbar", "aria-label": "Mask tools" }, tools,
    deed("invert", "Swap what is filled and what is kept", () => change(() => layer.invert())),
    deed("undo", "Undo", () => back(false)), deed("redo", "Redo", () => back(true)), deed("close", "Clear", reset), h("label", {}, "Size", rail));
  resize(state.size);
  draw();
  return { element: h("div", { class: "painter" }, bar, canvas, covered), layer, reset };
}

/** What is to be filled, in a colour that is in no picture by chance. */
function paintLayer(pen, layer, zoom) {
  pen.fillStyle = "rgb(255 0 170 / 62%)";
  for (let y = 0; y < layer.height; y++) {
    for (let x = 0, run = 0; x <= layer.width; x++) {
      if (x < layer.width && layer.pixels[y * layer.width + x]) run++;
      else if (run) {
        pen.fillRect((x - run) * zoom, y * zoom, run * zoom, zoom);
        run = 0;
      }
    }
  }
}

function outline(pen, [x, y, w, h_], zoom) {
  for (const [style, width] of [["#fff", 3], ["#5a48c9", 1.5]]) {
    pen.strokeStyle = style;
    pen.lineWidth = width;
    pen.strokeRect(x * zoom + 1, y * zoom + 1, w * zoom - 2, h_ * zoom - 2);
  }
}

const corners = (a, b) => [Math.min(a.x, b.x), Math.min(a.y, b.y), Math.abs(a.x - b.x) + 1, Math.abs(a.y - b.y) + 1];
