/** A job as it goes: waiting, denoising with a preview, and what came of it. */
import { ended, follow, post } from "./api.js";
import { announce, count, h, icon, lasting, put } from "./dom.js";
import { results } from "./results.js";

/** The element of a job, kept up to date until `signal`; onEnd(job) is told of its end. */
export function stageOf(job, signal, onEnd = () => {}) {
  const element = h("div", { class: "stage-in", "data-job": job.id });
  const image = h("img", { class: "pixels preview", alt: "How it looks so far", hidden: true });
  const bar = h("progress", { max: 1, "aria-label": "Progress" });
  const words = h("p", { class: "quiet", role: "status" });
  const cancel = h("button", { type: "button", class: "button", onclick: stop }, icon("stop"), "Cancel");
  let shown = null;

  async function stop() {
    cancel.disabled = true;
    put(cancel, icon("stop"), "Canceling ...");
    await post(`/v1/jobs/${job.id}:cancel`).catch((error) => (words.textContent = error.message));
  }

  function progress({ step, total, eta, preview }) {
    bar.max = total;
    bar.value = step;
    const left = eta === null || eta === undefined ? "" : `, ${lasting(eta)} left`;
    words.textContent = `step ${count(step)} of ${count(total)}${left}`;
    if (!preview) return;
    image.src = preview;
    image.hidden = false;
  }

  async function update(next) {
    job = next;
    if (ended(job)) return finish();
    if (shown !== "going") put(element, h("div", { class: "going" }, image, bar, h("div", { class: "row is-apart" }, words, cancel)));
    shown = "going";
    if (job.state === "starting") words.textContent = job.ahead ? `waiting: ${count(job.ahead)} before it` : "waiting for a worker";
    else if (job.progress) progress({ ...job.progress, preview: job.preview });
    else words.textContent = "loading the model";
  }

  async function finish() {
    if (shown === "ended") return;
    shown = "ended";
    if (job.state === "succeeded") {
      put(element, await results(job).catch((error) => trouble(error.message)));
      announce("Done.");
    } else if (job.state === "failed") put(element, trouble(job.error ?? "It failed."));
    else put(element, h("p", { class: "empty" }, "Canceled. Nothing was kept of it."));
    onEnd(job);
  }

  update(job);
  if (!ended(job)) follow(job.id, { onJob: update, onProgress: progress }, signal);
  return element;
}

/** What went wrong, as the server said it. */
export const trouble = (text) => h("div", { class: "trouble", role: "alert" }, icon("warn"), h("p", {}, text));
