// The frame: which parts there are, by what is served, and which one is shown.
import { h, debounce } from "./ui.js";
import { learn, ofTask, reading, served, useKey, Refusal } from "./api.js";
import * as text from "./text.js";
import * as series from "./series.js";
import * as labels from "./labels.js";
import * as translate from "./translate.js";
import * as pronounce from "./pronounce.js";
import * as answer from "./answer.js";
import * as captions from "./captions.js";
import * as pen from "./pen.js";
import * as voice from "./voice.js";
import * as music from "./music.js";
import * as pictures from "./pictures.js";
import * as handwriting from "./handwriting.js";
import * as inside from "./inside.js";
import * as models from "./models.js";

const parts = [
  { name: "text", title: "Text", module: text, route: "/v1/completions", models: () => ofTask("text-generation") },
  { name: "series", title: "Series", module: series, route: "/v1/forecast", models: () => ofTask("forecasting") },
  { name: "labels", title: "Labels", module: labels, route: "/v1/classify", models: () => ofTask(...labels.tasks) },
  { name: "translate", title: "Translation", module: translate, route: "/v1/translate", models: () => ofTask("translation") },
  { name: "pronounce", title: "Phonemes", module: pronounce, route: "/v1/pronounce", models: () => ofTask("pronunciation") },
  { name: "answer", title: "Questions", module: answer, route: "/v1/answer", models: () => ofTask("question-answering") },
  { name: "captions", title: "Captions", module: captions, route: "/v1/caption", models: () => ofTask("image-to-text") },
  { name: "pen", title: "Pen", module: pen, route: "/v1/transcribe", models: () => reading("ink") },
  { name: "voice", title: "Voice", module: voice, route: "/v1/audio/transcriptions", models: () => reading("sound") },
  { name: "music", title: "Music", module: music, route: "/v1/music", models: () => ofTask("music-generation") },
  { name: "pictures", title: "Pictures", module: pictures, route: "/v1/images/generations", models: () => ofTask("image-generation") },
  { name: "handwriting", title: "Handwriting", module: handwriting, route: "/v1/handwriting", models: () => ofTask("handwriting-generation") },
  { name: "inside", title: "Inside", module: inside, route: "/v1/explain", models: () => ofTask(...inside.tasks) },
  { name: "models", title: "Models", module: models, route: "/v1/models", models: null },
];
const main = document.getElementById("part"), status = document.getElementById("status"), key = document.getElementById("key");
let leave = null, known = null;

const available = () => parts.filter((part) => served.routes.has(part.route) && (!part.models || part.models().length));

function show() {
  const [, name, model] = location.hash.split("/").map(decodeURIComponent);
  const there = available(), part = there.find((one) => one.name === name) || there[0];
  leave?.();
  leave = null;
  document.getElementById("parts").replaceChildren(
    ...there.map((one) => h("a", { href: `#/${one.name}`, "aria-current": one === part ? "page" : null }, one.title)),
    h("a", { href: "/docs" }, "API"));
  document.title = `${part.title} · Carousel`;
  main.replaceChildren();
  leave = part.module.open(main, model) || null;
}

async function begin() {
  try {
    const loading = await learn();
    status.textContent = `${served.models.length} ${served.models.length === 1 ? "model" : "models"}${loading ? ", more are loading" : ""}`;
    const parts = available().map((one) => one.name).join();
    if (parts !== known) show();
    known = parts;
    if (loading) setTimeout(begin, 1000);
  } catch (error) {
    const locked = error instanceof Refusal && error.status === 401;
    main.replaceChildren(h("h1", {}, locked ? "This server asks for a key" : "The server does not answer"),
      h("p", { class: "lead" }, locked ? "Enter it above, under Key. It is kept in this page's memory only." : error.message),
      locked ? null : h("button", { type: "button", onclick: begin }, "Try again"));
    key.open = locked;
    if (locked) document.getElementById("key-input").focus();
  }
}

key.querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(document.getElementById("key-input").value);
  key.open = false;
  key.toggleAttribute("data-set", document.getElementById("key-input").value !== "");
  known = null;
  begin();
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape") key.open = false; });
addEventListener("hashchange", () => { show(); main.focus(); scrollTo(0, 0); });
addEventListener("resize", debounce(120, () => main.dispatchEvent(new Event("redraw"))));
begin();
