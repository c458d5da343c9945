// Labels: texts and drawings, judged as they come, and what the judgement rests on.
import { h, field, choose, debounce, percent, diverging, onDiverging, fit, ink, hue, drawn, visible } from "./ui.js";
import { ask, detail, ofTask, served } from "./api.js";
import { requests } from "./requests.js";

export const tasks = ["text-classification", "sequence-classification", "token-classification"];
const examples = {
  sentiment: ["A film to fall in love with.", "Two hours of my life are gone.", "not bad at all", "it tries hard, and it is dull"],
  slots: ["Will it rain in Lisbon tomorrow?", "add Blue in Green to my Late Night Jazz playlist", "book a table for four at a sushi bar in Oslo", "rate The Left Hand of Darkness five out of 6"],
  splice: ["CCAGCTGCATCACAGGAGGCCAGCGAGCAGGTCTGTTCCAAGGGCCTTCGAGCCAGTCTG", "catctttgttgtctctttccatctcaacagctcctgggaaatgtgctggtgaccgttttg"],
  splice: ["CCAGCTGCATCACAGGAGGCCAGCGAGCAGGTCTGTTCCAAGGGCCTTCGAGCCAGTCTG", "GCACCCATGACCTGGCTCTCCCCCTTCCAGGAGGCTGTGAAGAGCGGCATTCACCGTACT", "ATTCAGGATTATGAAGTTTTTCGATGCGAAGATTCACTGGACGAAAGAAAGATAAAAGGG"],
  intents: ["play some jazz by miles davis", "will it rain in Paris tomorrow", "book a table for four at eight", "rate this book five stars"],
};
const SIZE = 28;

// Labels and their scores; `show` takes others.
export function bars(list) {
  const element = h("div", { class: "labels" });
  element.show = (results) => element.replaceChildren(...results.map(({ label, score }) => {
    const bar = h("i");
    bar.style.width = `${100 * score}%`;
    return h("div", {}, h("span", {}, label), h("span", { class: "bar" }, bar), h("span", {}, percent(score)));
  }));
  if (list) element.show(list);
  return element;
}

// Entities of a tagged text, where the server marks them.
function entities(text, found) {
  const kinds = [...new Set(found.map((one) => one.label))];
  const parts = [];
  let at = 0;
  for (const one of found) {
    const from = one.start_utf16 ?? one.start, to = one.end_utf16 ?? one.end;
    parts.push(text.slice(at, from));
    const mark = h("span", { class: "entity", title: percent(one.score ?? 1) }, text.slice(from, to));
    mark.style.borderColor = hue(kinds.indexOf(one.label));
    parts.push(mark, h("small", { class: "note" }, ` ${one.label} `));
    at = to;
  }
  return h("p", { class: "why" }, ...parts, text.slice(at));
}

// The steps of a text with their part in the score.
function why(answer) {
  const most = Math.max(...answer.gradients.map(Math.abs), 1e-12);
  return answer.steps.map((step, t) => {
    const x = answer.gradients[t] / most;
    const span = h("span", { title: answer.gradients[t].toPrecision(2) }, visible(step));
    span.style.background = diverging(x * 0.9);
    span.style.color = onDiverging(x * 0.9);
    return [span, " "];
  }).flat();
}

function textPart(area, state) {
  const input = h("textarea", { id: "text", rows: "3", spellcheck: false });
  const shown = bars(), reasons = h("p", { class: "why" }), wrong = h("p", { class: "wrong", role: "alert" });
  const told = h("p", { class: "note" }), tagged = h("div");
  const rests = h("div", { hidden: true }, h("h2", {}, "What it rests on"), reasons,
    h("p", { class: "note" }, "Orange words speak for the first label, blue ones against it: the gradient of its score by each word, times the word."));
  let latest = 0;
  async function judge() {
    const turn = ++latest, text = input.value, body = { model: state.model, input: text, top_k: 8 };
    wrong.textContent = "";
    if (!text.trim()) return;
    state.code.show("/v1/classify", body);
    try {
      const answer = await ask("/v1/classify", body), first = answer.results[0];
      if (turn !== latest) return;
      if (Array.isArray(first)) shown.show(first);
      else {
        shown.show(first.intent ? [first.intent] : []);
        tagged.replaceChildren(entities(text, first.entities || []));
      }
      told.textContent = `Computed in ${answer.timings.compute_ms.toFixed(1)} ms.`;
      if (!served.routes.has("/v1/explain") || !Array.isArray(first)) return;
      const reason = await ask("/v1/explain", { model: state.model, input: text, what: ["gradients"], target: { label: first[0].label } });
      if (turn !== latest) return;
      reasons.replaceChildren(...why(reason));
      rests.hidden = false;
    } catch (error) {
      if (turn === latest) wrong.textContent = error.message;
    }
  }
  const later = debounce(140, judge);
  const list = (examples[state.model] || ["This is a sentence."]);
  input.addEventListener("input", later);
  input.value = list[0];
  area.append(field("Text", input),
    h("div", { class: "row" }, h("div", { class: "examples" }, list.map((text) => h("button", { type: "button", class: "link",
      onclick: () => { input.value = text; judge(); } }, text)))),
    wrong, shown, tagged, told, rests);
  judge();
}

// The ink of a drawing as the digits' model was taught: in a box of 20, centred by its mass in 28.
function shrink(source) {
  const from = source.getContext("2d").getImageData(0, 0, source.width, source.height).data;
  let left = source.width, right = -1, top = source.height, bottom = -1;
  for (let y = 0; y < source.height; y++) for (let x = 0; x < source.width; x++) if (from[4 * (y * source.width + x) + 3] > 20) {
    left = Math.min(left, x); right = Math.max(right, x); top = Math.min(top, y); bottom = Math.max(bottom, y);
  }
  if (right < 0) return null;
  const w = right - left + 1, hgt = bottom - top + 1, scale = 20 / Math.max(w, hgt);
  const draw = (dx, dy) => {
    const small = h("canvas", { width: SIZE, height: SIZE }), context = small.getContext("2d", { willReadFrequently: true });
    context.imageSmoothingQuality = "high";
    context.drawImage(source, left, top, w, hgt, dx, dy, w * scale, hgt * scale);
    const data = context.getImageData(0, 0, SIZE, SIZE).data;
    return Array.from({ length: SIZE * SIZE }, (_, i) => data[4 * i + 3] / 255);
  };
  const first = draw((SIZE - w * scale) / 2, (SIZE - hgt * scale) / 2);
  let mass = 0, mx = 0, my = 0;
  first.forEach((v, i) => { mass += v; mx += v * (i % SIZE); my += v * Math.floor(i / SIZE); });
  const pixels = draw((SIZE - w * scale) / 2 + 13.5 - mx / mass, (SIZE - hgt * scale) / 2 + 13.5 - my / mass);
  return Array.from({ length: SIZE }, (_, row) => pixels.slice(row * SIZE, row * SIZE + SIZE).map((v) => Number(v.toFixed(3))));
}

// A pad to draw on; calls `changed(rows)` with 28 rows of 28, or null. `sample()` draws a three.
export function pad(changed) {
  const SCALE = 10, canvas = h("canvas", { class: "pad", width: SIZE * SCALE, height: SIZE * SCALE, role: "img", tabindex: "0",
    "aria-label": "Draw a digit here. By keyboard: the keys 0 to 9 draw one." });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const tell = debounce(60, () => changed(shrink(canvas)));
  let last = null;
  const scaled = ([x, y]) => { const scale = canvas.width / canvas.clientWidth; return [x * scale, y * scale]; };
  function stroke(from, to) {
    context.strokeStyle = ink("ink");
    context.lineWidth = 2.1 * SCALE;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...to);
    context.stroke();
  }
  const go = (place) => {
    const to = scaled(place);
    stroke(last || to, to);
    last = to;
  };
  drawn(canvas, (place) => { last = null; go(place); }, (place) => { go(place); tell(); }, tell);
  canvas.clear = () => { context.clearRect(0, 0, canvas.width, canvas.height); changed(null); };
  canvas.addEventListener("keydown", (event) => { if (/^[0-9]$/.test(event.key)) canvas.digit(event.key); });
  canvas.digit = (text) => {
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.font = `500 ${21 * SCALE}px ${ink("sans")}`;
    context.fillStyle = context.strokeStyle = ink("ink");
    context.lineWidth = 5;
    context.lineJoin = "round";
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText(text, canvas.width / 2, canvas.height / 2);
    context.strokeText(text, canvas.width / 2, canvas.height / 2);
    tell();
  };
  return canvas;
}

// 28 x 28 numbers as a picture; `sign` by the diverging colours, else ink on paper.
export function picture(canvas, rows, most) {
  const size = 280, context = fit(canvas, size, size), cell = size / SIZE;
  canvas.style.width = canvas.style.height = ""; // the style sheet's
  rows.forEach((row, y) => row.forEach((v, x) => {
    context.fillStyle = most ? diverging(v / most) : `color-mix(in srgb, ${ink("ink")} ${Math.round(100 * v)}%, transparent)`;
    context.fillRect(x * cell, y * cell, cell + 0.5, cell + 0.5);
  }));
}

function drawingPart(area, state) {
  const shown = bars(), wrong = h("p", { class: "wrong", role: "alert" }), told = h("p", { class: "note", role: "status" });
  const seen = h("canvas", { class: "seen", role: "img", "aria-label": "What the model sees: 28 rows of 28" });
  const rests = h("canvas", { class: "seen", role: "img", "aria-label": "The gradient of the first label's score by each pixel" });
  let latest = 0;
  async function judge(rows) {
    const turn = ++latest;
    wrong.textContent = "";
    if (!rows) {
      told.textContent = "";
      shown.replaceChildren();
      for (const canvas of [seen, rests]) picture(canvas, []);
      return;
    }
    picture(seen, rows);
    const body = { model: state.model, input: rows, top_k: 10 };
    state.code.show("/v1/classify", body);
    try {
      const answer = await ask("/v1/classify", body);
      if (turn !== latest) return;
      shown.show(answer.results[0].slice(0, 5));
      told.textContent = `Computed in ${answer.timings.compute_ms.toFixed(1)} ms.`;
      if (!served.routes.has("/v1/explain")) return;
      const reason = await ask("/v1/explain", { model: state.model, input: rows, what: ["gradients"], target: { label: answer.results[0][0].label } });
      if (turn === latest) picture(rests, reason.gradients, Math.max(...reason.gradients.flat().map(Math.abs), 1e-12));
    } catch (error) {
      if (turn === latest) wrong.textContent = error.message;
    }
  }
  const board = pad(judge);
  area.append(h("div", { class: "drawing" },
    h("figure", {}, board, h("figcaption", {}, "Draw a digit, or press its key. ", h("button", { type: "button", class: "link", onclick: () => board.clear() }, "Clear"))),
    h("figure", {}, seen, h("figcaption", {}, "What the model reads, row by row")),
    served.routes.has("/v1/explain") ? h("figure", {}, rests, h("figcaption", {}, "What more ink would do: for it in orange, against it in blue")) : "",
    h("div", {}, wrong, shown, told)));
  for (const canvas of [seen, rests]) picture(canvas, []);
  board.digit("3");
}

function numbersPart(area, state, info) {
  const input = h("textarea", { rows: "8", class: "mono", spellcheck: false }), shown = bars(), wrong = h("p", { class: "wrong", role: "alert" });
  const judge = debounce(200, async () => {
    wrong.textContent = "";
    try {
      const body = { model: state.model, input: JSON.parse(input.value), top_k: 8 };
      state.code.show("/v1/classify", body);
      shown.show((await ask("/v1/classify", body)).results[0]);
    } catch (error) {
      wrong.textContent = error.message;
    }
  });
  input.addEventListener("input", judge);
  input.value = JSON.stringify(Array.from({ length: 4 }, (_, t) => Array.from({ length: info.input_size }, (_, i) => ((t + i) % 3) / 2)));
  area.append(field(`Steps, each an array of ${info.input_size} numbers`, input), wrong, shown);
  judge();
}

export function open(main, wanted) {
  const names = ofTask(...tasks), code = requests(), area = h("div");
  const state = { model: names.includes(wanted) ? wanted : names.includes("sentiment") ? "sentiment" : names[0], code };
  async function change(name) {
    state.model = name;
    area.replaceChildren();
    try {
      const info = await detail(name);
      if (state.model !== name) return;
      if (info.vocabulary_size) textPart(area, state);
      else if (info.input_size === SIZE) drawingPart(area, state);
      else numbersPart(area, state, info);
    } catch (error) {
      area.replaceChildren(h("p", { class: "wrong" }, error.message));
    }
  }
  main.append(h("h1", {}, "Labels, as you type or draw"),
    h("p", { class: "lead" }, "The model reads the whole input and says which label fits, how sure it is, and what that rests on."),
    h("div", { class: "bench" }, area, h("div", { class: "settings" }, field("Model", choose(names, state.model, change)))), code);
  change(state.model);
}
