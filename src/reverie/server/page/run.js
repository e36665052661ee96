/** A training run as it goes: loss beside that on held-out data, samples as they get better; stop it, go on with it. */
import { ended, follow, get, modelAt, post, submit } from "./api.js";
import { count, h, icon, lasting, put } from "./dom.js";
import { chart } from "./plot.js";
import { to } from "./route.js";
import { trouble } from "./stage.js";
import { stateName } from "./words.js";

const PAUSE = 1500; // milliseconds between two looks at the log
const AVERAGED = 0.9; // of the loss of each step, of which the single one says little

export async function run(main, { parts }, signal) {
  const name = parts[1];
  const state = { job: await newest(name), events: [], next: 0 };
  const status = h("section", { class: "panel", "aria-label": "State" });
  const curve = h("section", { class: "stage", "aria-label": "Loss" });
  const samples = h("section", { class: "stage", "aria-label": "Samples" });
  put(main, h("header", { class: "model-head" }, h("div", {},
    h("p", { class: "crumbs" }, h("a", { href: to(["models"]) }, "Models"), " / "), h("h1", {}, name), h("p", { class: "quiet" }, "How it was trained"))),
  status, curve, samples);

  function draw() {
    put(status, statusOf(state, name, { stop, goOn }));
    put(curve, h("h2", {}, "Loss"), lossOf(state.events));
    put(samples, h("h2", {}, "Samples as it learned"), samplesOf(state.events, state.job && !ended(state.job)));
    curve.hidden = samples.hidden = state.job?.state === "failed" && !state.events.length;
  }

  async function look() {
    const found = await get(modelAt(name, `:history?after=${state.next}`)).catch(() => ({ events: [], next: state.next }));
    const fresh = found.events.length > 0;
    state.events.push(...found.events);
    state.next = found.next;
    return fresh;
  }

  async function watch() {
    while (!signal.aborted) {
      const fresh = await look();
      if (fresh || !state.events.length) draw();
      if (!state.job || ended(state.job)) break;
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }

  function heed(job) {
    state.job = job;
    draw();
    if (ended(job)) look().then(draw);
  }

  async function stop(button) {
    button.disabled = true;
    await post(`/v1/jobs/${state.job.id}:cancel`);
  }

  async function goOn(button) {
    button.disabled = true;
    const { id } = state.job ?? {};
    const job = await submit({ model: name, task: "train", parameters: { resume: true }, inputs: id ? dataOf(state.job) : {} });
    begin(job);
  }

  function begin(job) {
    state.job = job;
    if (!ended(job)) {
      follow(job.id, { onJob: heed, onProgress: (progress) => {
        state.job = { ...state.job, progress };
        put(status, statusOf(state, name, { stop, goOn }));
      } }, signal);
    }
    watch();
  }

  await look();
  draw();
  if (state.job) begin(state.job);
}

const dataOf = (job) => (job.inputs.data ? { data: job.inputs.data } : {});

async function newest(name) {
  const asked = new URLSearchParams({ model: name, task: "train", most: 1 });
  return (await get(`/v1/jobs?${asked}`)).jobs[0] ?? null;
}

function statusOf({ job, events }, name, { stop, goOn }) {
  const done = events.some((event) => event.event === "done");
  const going = job && !ended(job);
  const progress = job?.progress;
  const learned = done || events.some((event) => event.event === "checkpoint");
  const words = going ? goingWords(job, progress) : endedWords(job, done, learned);
  const use = h("a", { class: "button", href: to(["model", name]) }, "Use the model");
  const halt = going && h("button", { type: "button", class: "button", onclick: (event) => stop(event.currentTarget) }, icon("stop"), "Stop");
  const again = !going && !learned && job &&
    h("a", { class: "button is-main", href: to(["train"], { from: job.id }) }, icon("recall"), "Change and try again");
  const on = !going && !done && learned && h("button", { type: "button", class: "button is-main", onclick: (event) => goOn(event.currentTarget) }, icon("play"), "Go on");
  return [
    going && h("progress", { max: progress?.total ?? 1, value: progress?.step ?? 0, "aria-label": "Training" }),
    h("div", { class: "row is-apart" }, h("p", { role: "status" }, words), h("div", { class: "row" }, halt, on, again, learned && use)),
    job?.state === "failed" && trouble(job.error ?? "It failed."),
  ];
}

function endedWords(job, done, learned) {
  if (done) return "Finished.";
  if (learned) return "Stopped. All that was learned is kept.";
  return job ? `${stateName(job.state)}, before it had learned anything.` : "There is no log of its training here.";
}

function goingWords(job, progress) {
  if (job.state === "starting") return job.ahead ? `Waiting: ${count(job.ahead)} before it.` : "Waiting for a worker.";
  if (!progress) return "Reading the data.";
  const left = progress.eta === null || progress.eta === undefined ? "" : `, ${lasting(progress.eta)} left`;
  return `step ${count(progress.step)} of ${count(progress.total)}${left}`;
}

/** Training loss, averaged over steps, and what was measured on items that were kept out. */
function lossOf(events) {
  const steps = events.filter((event) => event.event === "step" && Number.isFinite(event.loss));
  const looks = events.filter((event) => event.event === "validation");
  if (!steps.length && !looks.length) return h("p", { class: "empty" }, "The first steps are still to come.");
  let mean = null;
  const smooth = steps.map(({ loss }) => (mean = mean === null ? loss : AVERAGED * mean + (1 - AVERAGED) * loss));
  const line = (name, kind, key) => ({ name, kind, x: looks.map(({ step }) => step), y: looks.map((one) => one[key] ?? null) });
  const last = looks.at(-1);
  const lines = [{ name: "training, averaged", kind: "is-quiet", x: steps.map(({ step }) => step), y: smooth },
    line("training items", "is-second", "train"), line("held-out items", "", "held_out")];
  const figure = chart({ title: "Loss by step", lines, tall: 260 });
  figure.append(h("figcaption", { class: "legend" }, h("i", { class: "key-line" }), "held-out items", h("i", { class: "key-second" }), "training items",
    h("i", { class: "key-quiet" }), "each step, averaged"));
  const said = last && `At step ${count(last.step)}: ${last.held_out.toFixed(4)} on held-out items, ${last.train.toFixed(4)} on ` +
    "training items. Lower is better; when the two part, it learns by heart.";
  return [figure, said && h("p", { class: "quiet" }, said)];
}

function samplesOf(events, going) {
  const drawn = events.filter((event) => event.event === "samples");
  if (!drawn.length) {
    return h("p", { class: "empty" }, going ? "Samples are drawn two or three times in a run, in a short one at its end; none yet." : "It ended before any were drawn.");
  }
  return h("ul", { class: "learned" }, drawn.toReversed().map((event) => h("li", {},
    h("figure", {}, h("img", { src: event.ema, alt: `Samples at step ${event.step}`, class: "pixels", loading: "lazy" }), h("figcaption", {}, `step ${count(event.step)}`)))));
}
