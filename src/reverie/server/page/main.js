/** The page: which view is shown where, what is on every page, and what is remembered. */
import { get, onUnknown, remove } from "./api.js";
import { announce, h, put } from "./dom.js";
import { compare } from "./compare.js";
import { gallery } from "./gallery.js";
import { job } from "./job.js";
import { model } from "./model.js";
import { models } from "./models.js";
import { queue } from "./queue.js";
import { here, to } from "./route.js";
import { run } from "./run.js";
import { askForToken } from "./signin.js";
import { trouble } from "./stage.js";
import { train } from "./train.js";

const VIEWS = { models, model, gallery, job, compare, train, run, queue };
const SECTION = { model: "models", run: "train", job: "gallery", compare: "gallery" };
const WATCH = 4000; // milliseconds between two looks at how many wait

const main = document.querySelector("main");
let leaving = new AbortController();

async function show() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const place = here();
  const name = place.parts[0] in VIEWS ? place.parts[0] : "models";
  for (const link of document.querySelectorAll(".bar nav a")) {
    if (link.dataset.view === (SECTION[name] ?? name)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const next = h("div", { class: `view is-${name}` });
  main.setAttribute("aria-busy", "true");
  try {
    const shown = VIEWS[name](next, place, signal);
    // a view that goes on watching is shown as soon as it has drawn itself
    await Promise.race([shown, drawn(next)]);
    shown.catch((error) => !signal.aborted && put(next, trouble(error.message)));
  } catch (error) {
    put(next, trouble(error.message), h("a", { class: "button", href: to(["models"]) }, "All models"));
  }
  if (signal.aborted) return;
  put(main, next);
  main.removeAttribute("aria-busy");
  document.title = [next.querySelector("h1")?.textContent, "Reverie"].filter(Boolean).join(" · ");
  announce(document.title);
  scrollTo(0, 0);
}

const drawn = (element) => new Promise((resolve) => new MutationObserver(resolve).observe(element, { childList: true }));

function theme() {
  const choice = document.getElementById("theme");
  choice.value = document.documentElement.dataset.theme;
  choice.addEventListener("change", () => {
    document.documentElement.dataset.theme = choice.value;
    try {
      localStorage.setItem("reverie-theme", choice.value);
    } catch {
      // chosen for this visit alone
    }
  });
}

async function person() {
  const me = await get("/v1/me").catch(() => null);
  const out = document.getElementById("out");
  out.hidden = !me?.tokens;
  out.title = me ? `Signed in as ${me.owner}` : "";
  out.addEventListener("click", async () => {
    await remove("/v1/session");
    location.reload();
  });
}

async function depth() {
  const badge = document.getElementById("depth");
  if (!document.hidden) {
    const lists = await Promise.all(["starting", "processing"].map((state) => get(`/v1/jobs?state=${state}&most=50`))).catch(() => []);
    const many = lists.reduce((sum, { jobs }) => sum + jobs.length, 0);
    badge.textContent = many ? String(many) : "";
    badge.hidden = !many;
    badge.setAttribute("aria-label", `${many} waiting or running`);
  }
  setTimeout(depth, WATCH);
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address after # is where a person is
  main.focus();
});
onUnknown(askForToken);
theme();
addEventListener("hashchange", show);
await person();
show();
depth();
