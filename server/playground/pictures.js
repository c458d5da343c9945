// Pictures: drawn pixel by pixel from a class; or from the upper half of one of them.
import { h, field, choose, segments, range, debounce } from "./ui.js";
import { detail, ofTask } from "./api.js";
import { bench, first } from "./bench.js";

const MOST = 280; // pixels of a picture's longer side, about

// The file in a base64 text as a canvas. A canvas needs no data: URL, which the page's policy forbids.
async function decode(text, name) {
  const bitmap = await createImageBitmap(new Blob([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], { type: "image/png" }));
  const canvas = h("canvas", { width: bitmap.width, height: bitmap.height, role: "img", "aria-label": name });
  canvas.getContext("2d", { willReadFrequently: true }).drawImage(bitmap, 0, 0);
  return canvas;
}

export function open(main, wanted) {
  const names = ofTask("image-generation"), own = bench();
  const state = { model: first(names, wanted), info: null, label: null, n: 8, temperature: 1, complete: null };
  const grid = h("div", { class: "gallery" }), classes = h("div", { class: "row" }), kept = h("p", { class: "note" });
  const seed = h("input", { type: "number", min: "0", step: "1", placeholder: "drawn anew" });
  const times = () => Math.max(1, Math.floor(MOST / Math.max(state.info.width, state.info.height)));

  // The rows of the upper half of a picture, 1 for ink.
  function upper(canvas) {
    const { width, height } = state.info, scale = times(), context = canvas.getContext("2d");
    return Array.from({ length: Math.floor(height / 2) }, (_, y) => Array.from({ length: width }, (__, x) => Number(context.getImageData(x * scale, y * scale, 1, 1).data[0] < 128)));
  }

  async function paint() {
    const { width, height } = state.info, size = `${width * times()}x${height * times()}`;
    const body = { model: state.model, prompt: state.label, n: state.n, size, temperature: state.temperature };
    if (state.complete) body.complete = state.complete;
    if (seed.value !== "") body.seed = Number(seed.value);
    const answer = await own.ask("/v1/images/generations", body);
    if (!answer) return;
    own.told.textContent += ` Seed ${answer.seed}.`;
    const canvases = await Promise.all(answer.data.map((one, i) => decode(one.b64_json, `${state.label}, picture ${i + 1}`)));
    grid.replaceChildren(...canvases.map((canvas, i) => h("button", { type: "button", title: "Keep its upper half, and draw the lower half anew", onclick: () => keep(upper(canvas)) },
      canvas, h("span", { class: "note" }, `${answer.data[i].log_probability.toFixed(0).replace("-", "−")} nats`))));
  }
  const later = debounce(250, paint);

  function keep(rows) {
    state.complete = rows;
    kept.replaceChildren(...(rows ? ["The upper half is kept, and the lower half is drawn anew. ", h("button", { type: "button", class: "link", onclick: () => keep(null) }, "Draw whole pictures again")]
      : ["Choose a picture to keep its upper half, and to see how else it could end."]));
    paint();
  }

  async function change(name) {
    state.model = name;
    const info = await detail(name).catch((error) => { own.say(error.message); });
    if (!info || state.model !== name) return;
    state.info = info;
    [state.label] = info.labels;
    const pick = (label) => { state.label = label; later(); };
    classes.replaceChildren(info.labels.length <= 12 ? segments("What is drawn", info.labels.map((label) => ({ value: label, text: label })), state.label, pick)
      : field("What is drawn", choose(info.labels, state.label, pick)));
    keep(null);
  }

  own.place(main, "Pictures, a pixel at a time",
    "The network draws from the upper left to the lower right, and sees what it has drawn so far. Each pixel is a throw of dice that it has loaded.",
    [classes, own.wrong, grid, kept, h("div", { class: "row" }, h("button", { type: "button", class: "main", onclick: paint }, "Draw anew"), own.told)],
    [field("Model", choose(names, state.model, change)),
      field("Pictures", range(1, 16, 1, state.n, (n) => { state.n = n; later(); }), (n) => n),
      field("Temperature", range(0, 1.5, 0.05, state.temperature, (x) => { state.temperature = x; later(); }), (x) => (x === "0" ? "likelier than not" : x)),
      field("Seed", seed)]);
  seed.addEventListener("input", later);
  change(state.model);
}
