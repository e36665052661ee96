/** What the page asks of the server, and how the server's refusals come back. */

import { parsed, written } from "./json.js";

/** An answer that is no yes: `problems` name the fields that are at fault. */
export class Refusal extends Error {
  constructor(status, body) {
    super(body.error ?? `The server answered with ${status}.`);
    this.status = status;
    this.problems = body.problems ?? [];
  }
}

const LOOK = 1000; // milliseconds between two looks at a job that tells no events

let signIn = null;

/** Who asks a person for their token, once a request is answered with 401; a promise of when it may be asked again. */
export function onUnknown(ask) {
  signIn = ask;
}

export const get = (path) => call("GET", path);
export const remove = (path) => call("DELETE", path);
export const post = (path, body = {}, headers = {}) =>
  call("POST", path, written(body), { "content-type": "application/json", ...headers });

/** A file or blob, put on the server under a name that it makes up itself. */
export function upload(file, name = file.name) {
  return call("POST", `/v1/uploads?name=${encodeURIComponent(name)}`, file, { "content-type": "application/octet-stream" });
}

/** A new job; asked for twice over a bad line it is still one. */
export function submit(job) {
  const key = Array.from(crypto.getRandomValues(new Uint8Array(16)), (one) => one.toString(16).padStart(2, "0")).join("");
  return post("/v1/jobs", job, { "idempotency-key": key });
}

/** The same job once more, some of its parameters changed. */
export function again(job, changes) {
  const inputs = {};
  for (const [name, id] of Object.entries(job.inputs)) {
    if (name.startsWith("told.")) inputs.told = { ...inputs.told, [name.slice(5)]: id };
    else inputs[name] = id;
  }
  return submit({ model: job.model, task: job.task, parameters: { ...job.parameters, ...changes }, inputs });
}

/** Is a job over? */
export const ended = (job) => ["succeeded", "failed", "canceled"].includes(job.state);

/** A model's address, whatever its name holds. */
export const modelAt = (name, of = "") => `/v1/models/${name.split("/").map(encodeURIComponent).join("/")}${of}`;

/** Tell of a job as it goes, until it has ended or `signal` says that nobody looks. */
export function follow(id, { onJob, onProgress }, signal) {
  if (signal.aborted) return;
  const source = new EventSource(`/v1/jobs/${id}/events`);
  const stop = () => source.close();
  signal.addEventListener("abort", stop);
  source.addEventListener("job", (event) => {
    const job = parsed(event.data);
    if (ended(job)) stop();
    onJob(job);
  });
  source.addEventListener("progress", (event) => {
    const told = parsed(event.data);
    if (told.total) onProgress(told); // before its first step there is nothing to say
  });
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED && !signal.aborted) look(id, { onJob, onProgress }, signal);
  });
}

/** Where events are not to be had, as when too many watch: the job is asked for again and again. */
async function look(id, { onJob, onProgress }, signal) {
  while (!signal.aborted) {
    const job = await get(`/v1/jobs/${id}`).catch(() => null);
    if (job) onJob(job);
    if (job && ended(job)) return;
    if (job?.progress) onProgress({ ...job.progress, preview: job.preview });
    await new Promise((resolve) => setTimeout(resolve, LOOK));
  }
}

const cards = new Map();

/** A model's card, asked for once in a while; null where there is none yet. */
export async function card(name) {
  const known = cards.get(name);
  if (known && known.until > Date.now()) return known.promise;
  const promise = get(modelAt(name)).catch((error) => {
    if (error.status === 404) return null;
    throw error;
  });
  cards.set(name, { promise, until: Date.now() + 20_000 });
  return promise;
}

let known = null;

/** Every task and what can be asked of it. */
export function tasks() {
  known ??= get("/v1/tasks").catch((error) => {
    known = null;
    throw error;
  });
  return known;
}

async function call(method, path, body, headers = {}) {
  let answer;
  try {
    answer = await fetch(path, { method, body, headers, credentials: "same-origin" });
  } catch {
    throw new Refusal(0, { error: "The server cannot be reached. Is it still running?" });
  }
  if (answer.status === 401 && signIn && path !== "/v1/session") {
    await signIn();
    return call(method, path, body, headers);
  }
  if (answer.status === 204) return null;
  const told = await answer.text().then(parsed).catch(() => ({}));
  if (!answer.ok) throw new Refusal(answer.status, told);
  return told;
}
