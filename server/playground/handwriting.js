// Handwriting: a text as the strokes of a pen, drawn as the pen moved, and taken away as a file or read back.
import { h, field, choose, range, debounce, fit, ink } from "./ui.js";
import { detail, ofTask, reading } from "./api.js";
import { bench, first } from "./bench.js";

const THICKNESS = 0.035; // of the pen, by the height of a line, as in the files
const POINT_MS = 11, LIFT_MS = 60, MOST_MS = 12000; // of the pen's movement; a long text is written faster
const SEEDS = 10000, MOST_BIAS = 3;
const examples = ["as it is written", "a seed is a hand", "the pen moves on"];

const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

// The pen's line as pieces, in the order of writing: {at, from, point, to}. A piece goes from the middle before a
// point to the middle behind it, and is there `at` ms after the beginning.
function piecesOf(strokes) {
  const pieces = [], middle = (a, b) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
  let at = 0;
  for (const points of strokes) {
    points.forEach((point, i) => {
      const from = i ? middle(points[i - 1], point) : point, to = i + 1 < points.length ? middle(point, points[i + 1]) : point;
      pieces.push({ at: at += POINT_MS, from, point, to });
    });
    at += LIFT_MS;
  }
  const faster = Math.max(1, at / MOST_MS);
  for (const piece of pieces) piece.at /= faster;
  return pieces;
}

export function open(main, wanted) {
  const names = ofTask("handwriting-generation"), readers = reading("ink"), own = bench();
  const state = { model: first(names, wanted), bias: null, size: 56, align: "left", page: null, body: null, pieces: [], n: 0, frame: 0, context: null };
  const paper = h("canvas", { class: "paper", role: "img", "aria-label": "Nothing is written yet." }), summary = h("p", { class: "note", role: "status" });
  const text = h("input", { type: "text", spellcheck: false, autocomplete: "off" });
  const seed = h("input", { type: "number", min: "0", step: "1", value: "1" });
  const hand = h("input", { type: "number", min: "0", step: "1", placeholder: "by the seed" });
  const player = h("button", { type: "button", disabled: true, onclick: () => (state.frame ? whole() : play()) }, "Play again");
  const files = h("div", { class: "row examples" }), read = h("p", { class: "recognised", role: "status" });
  const reader = h("button", { type: "button", disabled: true, onclick: () => readBack() }, "Read it back");
  const room = () => Math.max(240, paper.parentElement.clientWidth);

  // ---- the strokes ----

  // An empty page. Its strokes keep their place in a window of another width.
  function blank() {
    const { width, height } = state.page, scale = room() / width;
    state.context = fit(paper, room(), Math.ceil(height * scale));
    state.context.scale(scale, scale);
    state.context.strokeStyle = ink("ink");
    state.context.lineWidth = Math.max(1, THICKNESS * state.body.size);
    state.context.lineCap = state.context.lineJoin = "round";
    state.n = 0;
  }

  // Draw on, up to what is written `now` ms after the beginning.
  function drawTo(now) {
    while (state.n < state.pieces.length && state.pieces[state.n].at <= now) {
      const { from, point, to } = state.pieces[state.n++];
      state.context.beginPath();
      state.context.moveTo(...from);
      state.context.quadraticCurveTo(...point, ...to);
      state.context.stroke();
    }
  }

  function rest() {
    cancelAnimationFrame(state.frame);
    state.frame = 0;
    player.textContent = "Play again";
  }

  function whole() {
    rest();
    if (!state.page) return;
    blank();
    drawTo(Infinity);
  }

  function play() {
    rest();
    blank();
    player.textContent = "Show the whole";
    const begin = performance.now();
    const go = (now) => {
      drawTo(now - begin);
      if (state.n < state.pieces.length) state.frame = requestAnimationFrame(go);
      else rest();
    };
    state.frame = requestAnimationFrame(go);
  }

  // ---- what is asked ----

  async function write() {
    if (!text.value.trim()) {
      own.forget();
      return;
    }
    const body = { model: state.model, input: text.value, bias: state.bias, width: room(), size: state.size, align: state.align };
    if (seed.value !== "") body.seed = Number(seed.value);
    if (hand.value !== "") body.style = Number(hand.value);
    reader.disabled = true; // only the latest answer counts
    const page = await own.ask("/v1/handwriting", body);
    reader.disabled = !(page || state.page)?.strokes.length;
    if (!page) return;
    state.page = page;
    state.body = { ...body, seed: page.seed };
    state.pieces = piecesOf(page.strokes);
    const n = page.strokes.length, cut = page.finish_reason === "length" ? " The hand was cut off, after the most points that the model allows." : "";
    paper.setAttribute("aria-label", `“${body.input}” by hand, in ${n} ${n === 1 ? "stroke" : "strokes"}`);
    summary.textContent = `${n} ${n === 1 ? "stroke" : "strokes"} through ${state.pieces.length} points · seed ${page.seed}.${cut}`;
    read.replaceChildren();
    player.disabled = !n;
    files.replaceChildren(...[["SVG", "svg"], ["PNG", "png"], ["G-code", "gcode"]].map(([title, format]) =>
      h("button", { type: "button", class: "link", onclick: () => own.save("/v1/handwriting", { ...state.body, format }, `handwriting-${page.seed}.${format}`) }, `Save as ${title}`)));
    if (calm()) whole();
    else play();
  }
  const later = debounce(300, write);

  async function readBack() {
    const [model] = readers, answer = await own.ask("/v1/transcribe", { model, strokes: state.page.strokes });
    if (answer) read.replaceChildren(answer.text || "(nothing)", h("span", { class: "note" }, ` as ${model} reads it`));
  }

  async function change(name) {
    state.model = name;
    const info = await detail(name).catch((error) => { own.say(error.message); });
    if (!info || state.model !== name) return;
    state.bias = Math.min(info.bias, MOST_BIAS);
    bias.value = state.bias;
    bias.dispatchEvent(new Event("input"));
    text.maxLength = info.max_characters - 1; // its end is one
    const texts = info.vocabulary_size > 26 ? examples : ["abc"]; // a small alphabet has no words
    list.replaceChildren(...texts.map((one) => h("button", { type: "button", class: "link", onclick: () => { text.value = one; write(); } }, one)));
    if (!text.value) [text.value] = texts;
    later();
  }

  const bias = range(0, MOST_BIAS, 0.05, 0.5, (x) => { state.bias = x; later(); });
  const list = h("div", { class: "row examples" });
  const another = h("button", { type: "button", class: "main", onclick: () => {
    const number = hand.value === "" ? seed : hand;
    number.value = (Number(number.value) + 1 + Math.floor(Math.random() * (SEEDS - 1))) % SEEDS;
    write();
  } }, "Another hand");
  for (const control of [text, seed, hand]) control.addEventListener("input", later);
  main.addEventListener("redraw", whole);
  own.place(main, "A text, written by hand",
    "The network moves a pen, point by point, and looks at the letter that it writes. Each seed is another hand, unless a number chooses the hand.",
    [field("Text", text), list, h("div", {}, paper), h("div", { class: "row" }, another, player, readers.length ? reader : null, own.told), own.wrong, summary, files, read],
    [field("Model", choose(names, state.model, change)),
      field("Bias", bias, (x) => (x === "0" ? "as people vary" : x)),
      field("Size", range(16, 160, 4, state.size, (size) => { state.size = size; later(); }), (size) => `${size} pixels`),
      field("Align", choose([{ value: "left", text: "left" }, { value: "center", text: "centre" }, { value: "right", text: "right" }], state.align, (one) => { state.align = one; later(); })),
      field("Hand", hand), field("Seed", seed)]);
  change(state.model);
  return () => {
    rest();
    main.removeEventListener("redraw", whole);
  };
}
