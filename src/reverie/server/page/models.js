/** All models: to be searched, and chosen from. */
import { get, modelAt } from "./api.js";
import { count, h, icon, put, when } from "./dom.js";
import { to } from "./route.js";
import { roving } from "./roving.js";
import { kindIcon, kindName, runStates } from "./words.js";

const PART = 60;

export async function models(main, { query }) {
  const state = { text: query.get("q") ?? "", kind: query.get("kind") ?? "", finished: query.get("state") ?? "" };
  const { total, models: found } = await get("/v1/models?most=500");
  const grid = h("ul", { class: "cards" });
  const said = h("p", { class: "quiet", role: "status" });
  let room = PART;

  function show(further = 0) {
    room += further;
    const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = found.filter((one) => words.every((word) => one.name.toLowerCase().includes(word)) &&
      (!state.kind || one.kind === state.kind) && (!state.finished || one.state === state.finished));
    said.textContent = chosen.length === found.length ? `${count(total)} in all` : `${count(chosen.length)} of ${count(total)}`;
    put(grid, chosen.slice(0, room).map(cardOf), chosen.length > room &&
      h("li", {}, h("button", { type: "button", class: "button", onclick: () => show(PART) }, "Show more")));
    if (!chosen.length) put(grid, h("li", { class: "empty" }, "No model is called so. Take a word away."));
    roving(grid, ".card");
  }

  function choose(name, value) {
    state[name] = value;
    show();
  }

  const search = h("input", { type: "search", id: "search", placeholder: "Search models", value: state.text, "aria-label": "Search models",
    oninput: () => choose("text", search.value) });
  const pick = (name, label, options) => h("select", { "aria-label": label, value: state[name], onchange: (event) => choose(name, event.target.value) },
    options.map(([value, text]) => h("option", { value, selected: value === state[name] }, text)));
  const head = h("div", { class: "head" }, h("h1", {}, "Models"),
    h("a", { class: "button is-main", href: to(["train"]) }, icon("plus"), "Train a model"));
  if (!found.length) {
    put(main, head, h("div", { class: "empty" }, icon("model"), h("h2", {}, "No model yet"),
      h("p", {}, "Bring pictures, a table or time series, and train one here: two minutes are enough for a first look."),
      h("a", { class: "button is-main", href: to(["train"]) }, "Train your first model")));
    return;
  }
  put(main, head, h("div", { class: "filters" }, search,
    pick("kind", "Kind of data", [["", "Any data"], ["image", "Pictures"], ["table", "Tables"], ["series", "Time series"]]),
    pick("finished", "State", [["", "Any state"], ...Object.entries(runStates)]), said), grid);
  show();
}

function cardOf(one) {
  if (one.damaged) return damagedCard(one);
  const place = h("div", { class: "card-picture" }, icon(kindIcon(one.kind)));
  if (one.picture && one.kind === "image") put(place, h("img", { src: `${modelAt(one.name, ":picture")}?written=${one.written}`, alt: "", class: "pixels", loading: "lazy" }));
  return h("li", {}, h("a", { class: "card", href: one.kind ? to(["model", one.name]) : to(["run", one.name]) }, place,
    h("div", { class: "card-words" }, h("h2", {}, one.name),
      h("p", { class: "quiet" }, [one.kind && kindName(one.kind), when(one.written)].filter(Boolean).join(" · ")),
      h("p", { class: "marks" }, h("span", { class: one.state === "training" ? "mark is-going" : "mark" }, runStates[one.state]),
        one.loaded && h("span", { class: "mark" }, "In memory")))));
}

/** A model whose files cannot be read: why, and nothing to open. */
function damagedCard(one) {
  return h("li", {}, h("div", { class: "card" }, h("div", { class: "card-picture" }, icon(kindIcon(null))),
    h("div", { class: "card-words" }, h("h2", {}, one.name), h("p", { class: "quiet" }, one.damaged),
      h("p", { class: "marks" }, h("span", { class: "mark" }, "Damaged")))));
}
