/** What waits, runs, and failed, and why. */
import { ended, get, post } from "./api.js";
import { written } from "./json.js";
import { count, h, icon, lasting, put, when } from "./dom.js";
import { to } from "./route.js";
import { stateName, taskName } from "./words.js";

const PAUSE = 2000;

export async function queue(main, _, signal) {
  const place = h("div", {});
  const server = await get("/v1/server").catch(() => null);
  const said = server && `${count(server.workers.length)} worker${server.workers.length === 1 ? "" : "s"}, Reverie ${server.version}`;
  put(main, h("div", { class: "head" }, h("h1", {}, "Queue"), h("p", { class: "quiet" }, said)), place);
  let seen = "";
  while (!signal.aborted) {
    const { jobs } = await get("/v1/jobs?most=100");
    const text = written(jobs);
    if (text !== seen) put(place, parts(jobs));
    seen = text;
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}

function parts(jobs) {
  const of = (...states) => jobs.filter((job) => states.includes(job.state));
  const groups = [["Running", of("processing")], ["Waiting", of("starting").toReversed()], ["Failed", of("failed")],
    ["Done", of("succeeded", "canceled").slice(0, 20)]];
  if (!jobs.length) {
    return h("div", { class: "empty" }, icon("queue"), h("h2", {}, "Nothing waits"), h("p", {}, "Jobs that wait, run or failed are listed here."),
      h("a", { class: "button is-main", href: to(["models"]) }, "Choose a model"));
  }
  return groups.filter(([, some]) => some.length).map(([name, some]) => h("section", { class: "group" },
    h("h2", {}, name, " ", h("span", { class: "quiet" }, count(some.length))), h("ul", { class: "jobs" }, some.map(rowOf))));
}

function rowOf(job) {
  const { step, total, eta } = job.progress ?? {};
  const going = job.state === "processing";
  const facts = [going && total ? `step ${count(step)} of ${count(total)}` : null, going && eta ? `${lasting(eta)} left` : null,
    job.state === "starting" ? `${count(job.ahead ?? 0)} before it` : null, job.attempts > 1 ? `attempt ${job.attempts}` : null,
    ended(job) && job.started && job.finished ? `took ${lasting(job.finished - job.started)}` : null, when(job.created)].filter(Boolean);
  const place = job.task === "train" ? to(["run", job.model]) : to(["job", job.id]);
  const cancel = h("button", { type: "button", class: "button is-small", disabled: job.cancel, onclick: () => {
    cancel.disabled = true;
    post(`/v1/jobs/${job.id}:cancel`).catch(() => (cancel.disabled = false));
  } }, job.cancel ? "Canceling ..." : "Cancel");
  return h("li", { class: `job is-${job.state}` }, h("span", { class: "dot", title: stateName(job.state) }),
    h("div", { class: "job-words" }, h("a", { href: place }, h("b", {}, taskName(job.task)), `, ${job.model}`), h("span", { class: "quiet" }, facts.join(" · ")),
      job.error && h("p", { class: "wrong" }, job.error), going && total && h("progress", { max: total, value: step, "aria-label": `${taskName(job.task)}, ${job.model}` })),
    !ended(job) && cancel);
}
