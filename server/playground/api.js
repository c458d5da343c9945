// The server: requests with the key, which lives in this module and nowhere else, and what is served.

let key = "";
export const served = { models: [], routes: new Set() };

export function useKey(text) { key = text.trim(); }
export const hasKey = () => key !== "";

export class Refusal extends Error {
  constructor(status, error) {
    super(error?.message || `the server answered ${status}`);
    this.status = status;
    this.code = error?.code;
  }
}

async function refuse(response) {
  let error = null;
  try { error = (await response.json()).error; } catch { /* not JSON: the status must do */ }
  return new Refusal(response.status, error);
}

function send(path, body, signal) {
  const headers = {}, isForm = body instanceof FormData;
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body && !isForm) headers["Content-Type"] = "application/json";
  return fetch(path, { method: body ? "POST" : "GET", headers, body: isForm ? body : body && JSON.stringify(body), signal });
}

async function answered(path, body, signal) {
  const response = await send(path, body, signal);
  if (!response.ok) throw await refuse(response);
  return response;
}

// A body is an object, which is sent as JSON, or a form.
export const ask = async (path, body, signal) => (await answered(path, body, signal)).json();
export const askText = async (path) => (await answered(path)).text();
export const askFile = async (path, body) => (await answered(path, body)).blob();

// Server-sent events: calls `take` with each event's JSON until [DONE].
export async function stream(path, body, take, signal) {
  const response = await answered(path, body, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Refusal(0, { message: "the stream broke off" });
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const data = event.split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("\n");
      if (data === "[DONE]") return;
      if (!data) continue;
      const json = JSON.parse(data);
      if (json.error) throw new Refusal(0, json.error);
      take(json);
    }
  }
}

// Tasks whose models read different things.
const readers = new Set(["transcription", "image-to-text"]);

// Learn what is served; whether more is being loaded.
export async function learn() {
  const [models, description, info] = await Promise.all([ask("/v1/models"), ask("/openapi.json"), ask("/v1/info")]);
  const byName = new Map(models.data.map((model) => [model.id, model]));
  served.models = [...byName.values()].filter((model) => !model.id.includes(":"));
  served.routes = new Set(Object.keys(description.paths));
  await Promise.all(served.models.filter((model) => readers.has(model.task)).map(async (model) => {
    const info = await detail(model.id).catch(() => ({})); // a model that was unloaded meanwhile has no part
    model.reads = info.picture_frames ? (info.picture_frames > 1 ? "animation" : "picture") : info.sampling_rate ? "sound" : info.front_end;
  }));
  return info.status === "loading";
}

const details = new Map();
// What GET /v1/models/{id} says, asked once.
export function detail(name) {
  if (!details.has(name)) details.set(name, ask(`/v1/models/${encodeURIComponent(name)}`).catch((error) => {
    details.delete(name);
    throw error;
  }));
  return details.get(name);
}

// Models by what they read: "ink", "sound", "picture" or "animation".
export const reading = (what) => served.models.filter((model) => model.reads === what).map((model) => model.id);
export const ofTask = (...tasks) => served.models.filter((model) => tasks.includes(model.task)).map((model) => model.id);
