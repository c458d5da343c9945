// Inside: cells and gates of a layer over time, step by step, and the units that follow a pattern.
import { h, field, choose, segments, range, debounce, diverging, onDiverging, fit, ink, visible, percent } from "./ui.js";
import { ask, detail, ofTask, reading, served } from "./api.js";
import { write } from "./hand.js";
import { lines } from "./plot.js";
import { pad, picture } from "./labels.js";
import { parse } from "./series.js";
import { requests } from "./requests.js";

export const tasks = ["text-generation", "text-classification", "sequence-classification", "forecasting", "token-classification", "sequence-prediction",
  "question-answering", "pronunciation", "translation", "transcription", "music-generation"];
const texts = {
  shakespeare: "KING HENRY:\nWhat news, my lord?\n\nGLOUCESTER:\nThe king is come; deal mildly with his youth;\nFor young hot colts being raged do rage the more.\n\nQUEEN:\nHow fares our noble uncle?\n",
  sentiment: "it starts slowly , but the last half hour is a film to fall in love with .",
  slots: "Book a table for two at a sushi bar in San Francisco tomorrow evening",
  splice: "CCAGCTGCATCACAGGAGGCCAGCGAGCAGGTCTGTTCCAAGGGCCTTCGAGCCAGTCTG",
  folk: "6x8 major [ n12 69 b0 74 73 74 76 74 76 b1 n24 78 n12 74 n24 74",
  chorales: "67 62 59 43 69 62 57 50 71 62 59 43 67 62 59 43",
  g2p: "carousel",
  intents: "could you play some jazz by miles davis from the sixties please",
};
const kinds = [
  { value: "c", text: "cell", title: "c, what is remembered, as tanh(c)" }, { value: "h", text: "output", title: "h, what is shown" },
  { value: "i", text: "input gate", title: "i, how much of the new is let in" }, { value: "f", text: "forget gate", title: "f, how much of the old is kept" },
  { value: "o", text: "output gate", title: "o, how much is shown" }, { value: "g", text: "new", title: "g, the new" },
  { value: "r", text: "reset gate", title: "r, how much of the old goes into the new" }, { value: "z", text: "update gate", title: "z, how much of the old is kept" },
  { value: "n", text: "new", title: "n, the new" },
];
const story = { question: "Where is the football?", context: "Mary took the football. John went to the office. Mary went to the garden." };
const signed = "chgn"; // the others lie between 0 and 1
// What a decoder writes for an input: the route that is asked, and where its text stands in the answer.
const writers = {
  pronunciation: ["/v1/pronounce", (input) => ({ input: [input] }), (answer) => answer.pronunciations[0].phonemes],
  translation: ["/v1/translate", (input) => ({ input }), (answer) => answer.translations[0].text],
};
// What a unit may follow: a number a step.
const patterns = {
  "place in the line": (steps) => { let n = 0; return steps.map((s) => (s.includes("\n") ? (n = 0) : ++n)); },
  "place in the word": (steps) => { let n = 0; return steps.map((s) => (/\w/.test(s) ? ++n : (n = 0))); },
  "inside quotes": (steps) => { let on = 0; return steps.map((s) => { const was = on; if (s.includes("\"")) on = 1 - on; return was; }); },
  "capital letters": (steps) => steps.map((s) => Number(/[A-Z]/.test(s))),
  "a speaker's name": (steps) => { const text = steps.join(""), on = new Set(); for (const match of text.matchAll(/^[A-Z][A-Z ]+:/gm)) for (let i = 0; i < match[0].length; i++) on.add(match.index + i);
    let at = 0; return steps.map((s) => { const is = on.has(at); at += s.length; return Number(is); }); },
  "vowels": (steps) => steps.map((s) => Number(/^[aeiou]$/i.test(s))),
};

// z is the new of an slstm, which has a forget gate, and the update gate of a gru.
const isSigned = (kind, cell) => signed.includes(kind) || (kind === "z" && Boolean(cell.f));
const shade = (kind, v, cell) => (kind === "c" ? Math.tanh(v) : isSigned(kind, cell) ? v : 2 * v - 1);

export function open(main, wanted) {
  const sound = new Set(reading("sound")), names = ofTask(...tasks).filter((name) => !sound.has(name));
  const state = { model: names.includes(wanted) ? wanted : ofTask("text-generation")[0] || names[0], layer: 0, layers: 1, units: 24, kind: "c", answer: null, row: 0, now: 0, direction: 0, timer: 0, input: null, output: null, target: null, writer: null };
  const entry = h("div"), result = h("div"), wrong = h("p", { class: "wrong", role: "alert" }), code = requests();
  const layerPlace = h("div");
  let latest = 0;

  const play = h("button", { type: "button", onclick: () => (state.timer ? stopPlaying() : startPlaying()) }, "Play");
  function stopPlaying() {
    clearInterval(state.timer);
    state.timer = 0;
    play.textContent = "Play";
  }
  function startPlaying() {
    const last = state.answer.T - 1;
    if (state.now >= last) state.now = -1;
    play.textContent = "Pause";
    state.timer = setInterval(() => (state.now >= last ? stopPlaying() : move(state.now + 1, state.row)), Math.max(40, Math.min(400, 9000 / (last + 1))));
  }
  const body = (more) => ({ model: state.model, input: state.input, ...(state.writer ? { output: state.output } : {}), layer: state.layer, units: state.units, ...(state.target ? { target: state.target } : {}), ...more });
  const isEmpty = (input) => !input || (Array.isArray(input) || typeof input === "string" ? !input.length : !input.question || !input.context);

  async function explain(more = {}) {
    const turn = ++latest;
    stopPlaying();
    if (isEmpty(state.input) || (state.writer && state.output === null)) return null;
    const request = body(more);
    if (!state.answer) result.replaceChildren(h("p", { class: "note", role: "status" }, "Looking inside …"));
    code.show("/v1/explain", request);
    try {
      const answer = await ask("/v1/explain", request);
      if (turn !== latest) return null;
      wrong.textContent = "";
      state.answer = answer;
      answer.shown = answer.part === "decoder" ? answer.output_steps : answer.steps;
      answer.T = answer.shown?.length ?? answer.n_steps;
      if (state.layers !== answer.layers) { state.layers = answer.layers; layerChoice(); }
      state.row = 0;
      state.now = Math.min(state.now || answer.T - 1, answer.T - 1);
      state.direction = Math.min(state.direction, answer.cells.length - 1);
      show();
      return answer;
    } catch (error) {
      if (turn === latest) wrong.textContent = error.message;
      if (turn === latest && !state.answer) result.replaceChildren();
      return null;
    }
  }
  // Of a model with a decoder: what it writes is asked first.
  async function again() {
    if (!state.writer || isEmpty(state.input)) return explain();
    const [path, make, read] = state.writer, { model, input } = state;
    state.target = null;
    try {
      const answer = await ask(path, { model, ...make(input) });
      if (state.model !== model || state.input !== input) return null;
      state.output = read(answer);
      return explain();
    } catch (error) {
      wrong.textContent = error.message;
      return null;
    }
  }
  const later = debounce(220, again);

  // ---- what is shown ----

  const cells = () => state.answer.cells[state.direction];
  const rowValues = (row = state.row, kind = state.kind) => cells()[kind][row];
  // An lstm holds c; a gru and an rnn hold what they show.
  const held = () => (cells().c ? "c" : "h");
  const name = (row) => `unit ${cells().units[row]}`;
  let heat, text, chart, slider, told, unitList, stepCount, ends, heading, seen;

  function drawHeat() {
    const answer = state.answer, cell = cells(), n = cell.units.length, T = answer.T, left = 40;
    const right = cell.half_life ? 66 : 4, room = Math.max(180, heat.parentElement.clientWidth - 34 - left - right), w = Math.max(3.2, Math.min(34, room / T)), rowHeight = n > 32 ? 9 : 13;
    const letters = answer.shown && w >= 7.5, top = 20, edge = left + w * T;
    const context = fit(heat, edge + right + 2, top + n * rowHeight + 4);
    context.font = `11px ${ink("mono")}`;
    context.textBaseline = "middle";
    if (letters) {
      context.textAlign = "center";
      context.fillStyle = ink("soft");
      answer.shown.forEach((step, t) => context.fillText(step.length > 1 ? "" : visible(step), left + (t + 0.5) * w, 10));
    }
    context.textAlign = "right";
    context.fillStyle = ink("soft");
    context.fillText("unit", left - 8, 10);
    if (cell.half_life) context.fillText("half-life", edge + right, 10);
    cell.units.forEach((unit, row) => {
      const y = top + row * rowHeight, life = cell.half_life?.[row];
      context.fillStyle = row === state.row ? ink("accent") : ink("soft");
      context.fillText(String(unit), left - 8, y + rowHeight / 2);
      if (cell.half_life) context.fillText(life === null || life >= 1e4 ? "∞" : life < 10 ? life.toFixed(1) : String(Math.round(life)), edge + right - 2, y + rowHeight / 2);
      rowValues(row).forEach((v, t) => {
        context.fillStyle = diverging(shade(state.kind, v, cell));
        context.fillRect(left + t * w, y, w > 8 ? w - 0.6 : w + 0.4, rowHeight - 0.8);
      });
    });
    context.strokeStyle = ink("accent");
    context.lineWidth = 1.5;
    context.strokeRect(left + state.now * w, top - 1, w, n * rowHeight + 1);
    context.strokeRect(left - 0.5, top + state.row * rowHeight - 1, w * T + 1, rowHeight);
    heat.map = { left, top, w, rowHeight };
    heat.setAttribute("aria-label", `${n} units over ${T} steps. Arrow keys move the step and the unit.`);
  }

  function drawText() {
    const answer = state.answer;
    text.hidden = !answer.shown;
    if (!answer.shown) return;
    const values = rowValues();
    const spaced = answer.shown.some((step) => step.length > 1);
    text.replaceChildren(...answer.shown.flatMap((step, t) => {
      const x = shade(state.kind, values[t], cells()), span = h("span", { title: values[t].toPrecision(3), class: t === state.now ? "now" : null }, step === "\n" ? "⏎\n" : step);
      span.style.background = diverging(x);
      span.style.color = onDiverging(x);
      return spaced ? [span, " "] : [span];
    }));
  }

  function drawChart() {
    const cell = cells(), keeps = cell.f || cell.z, lets = cell.i || cell.r, own = rowValues(state.row, held());
    lines(chart, [...(keeps ? [{ values: keeps[state.row], colour: ink("line"), wide: true }, { values: lets[state.row], colour: diverging(0.55) }] : []),
      ...(`${held()}ifrz`.includes(state.kind) ? [] : [{ values: rowValues(), colour: ink("accent") }]),
      { values: cell.c ? own.map(Math.tanh) : own, colour: ink("ink"), wide: true }], -1, 1, state.now);
  }

  function tell() {
    const answer = state.answer, cell = cells(), life = cell.half_life?.[state.row];
    const step = answer.shown ? ` (${visible(answer.shown[state.now])})` : "";
    const correlation = cell.correlation ? ` Follows the pattern with r = ${cell.correlation[state.row].toFixed(2)}.` : "";
    const gates = ["c", "i", "f", "g", "o", "r", "z", "n", "h"].filter((kind) => cell[kind]).map((kind) => `${kind} ${rowValues(state.row, kind)[state.now].toFixed(2)}`).join("   ");
    told.replaceChildren(h("b", {}, `Unit ${cell.units[state.row]}`), ` of layer ${answer.layer + 1}${answer.part ? `, in the ${answer.part},` : ""} at step ${state.now + 1}${step}: `, h("span", { class: "mono" }, gates),
      h("br"), cell.half_life ? `It forgets half of what it holds in ${life === null ? "no time that can be told" : life < 100 ? `${life.toFixed(1)} steps` : `${Math.round(life)} steps`}.` : "It has no gates.", correlation);
    heading.textContent = answer.shown ? `The text, as ${name(state.row)} sees it` : `What ${name(state.row)} does`;
    ends.textContent = isSigned(state.kind, cell) ? "−1" : "0";
    stepCount.textContent = `${state.now + 1} / ${answer.T}`;
    slider.value = state.now;
  }

  function redraw() {
    if (!state.answer || !heat) return;
    drawHeat();
    drawText();
    drawChart();
    drawSeen();
    tell();
    [...unitList.children].forEach((button, row) => button.setAttribute("aria-pressed", String(row === state.row)));
  }

  function move(step, row) {
    state.now = Math.max(0, Math.min(state.answer.T - 1, step));
    state.row = Math.max(0, Math.min(cells().units.length - 1, row));
    redraw();
  }

  // A digit's rows as they are read, and the gradient by each pixel.
  function digit(answer) {
    seen = h("canvas", { class: "seen", role: "img", "aria-label": "The digit, with the row that is read" });
    const rests = h("canvas", { class: "seen", role: "img", "aria-label": "The gradient by each pixel" });
    picture(rests, answer.gradients, Math.max(...answer.gradients.flat().map(Math.abs), 1e-12));
    return h("div", { class: "drawing" }, h("figure", {}, seen, h("figcaption", {}, "The row that is read at this step")),
      h("figure", {}, rests, h("figcaption", {}, "More ink here speaks for it in orange, against it in blue")));
  }

  // The strokes as they were written, each point in the colour of its step's gradient; and the steps so far.
  function written(answer, sizes, most) {
    const draw = (canvas, colour) => {
      const points = state.input.flat(), right = Math.max(...points.map(([x]) => x)), low = Math.max(...points.map(([, y]) => y)), top = Math.min(...points.map(([, y]) => y));
      const width = Math.max(220, Math.min(680, result.clientWidth - 40)), scale = Math.min(2.4, (width - 24) / (right || 1)), context = fit(canvas, width, (low - top) * scale + 24);
      context.lineWidth = 4;
      context.lineCap = "round";
      let at = 0, step = 0;
      for (const stroke of state.input) stroke.forEach(([x, y], i) => {
        while (step + 1 < answer.n_steps && answer.origin[step + 1] <= at) step++;
        const [fromX, fromY] = stroke[Math.max(0, i - 1)];
        context.strokeStyle = colour(step);
        context.beginPath();
        context.moveTo(12 + fromX * scale, 12 + (fromY - top) * scale);
        context.lineTo(12 + x * scale, 12 + (y - top) * scale);
        context.stroke();
        at++;
      });
    };
    const rests = h("canvas", { class: "plot", role: "img", "aria-label": "The strokes, coloured by how much each step counts" });
    seen = h("canvas", { class: "plot", role: "img", "aria-label": "The strokes that have been read at this step" });
    seen.draw = () => draw(seen, (step) => ink(step <= state.now ? "ink" : "line"));
    rests.draw = () => draw(rests, (step) => diverging(0.12 + 0.88 * Math.sqrt(sizes[step] / most)));
    seen.others = [rests];
    return h("div", { class: "chart" }, h("figure", {}, rests, h("figcaption", {}, "What counts for it is orange")), h("figure", {}, seen, h("figcaption", {}, "What has been read at this step")));
  }

  function drawSeen() {
    if (!seen) return;
    if (seen.draw) {
      seen.draw();
      for (const other of seen.others) other.draw();
      return;
    }
    picture(seen, state.input);
    const context = seen.getContext("2d");
    context.strokeStyle = ink("accent");
    context.lineWidth = 2;
    context.strokeRect(1, state.now * 10, 278, 10);
  }

  function gradients(answer) {
    if (!answer.gradients) return null;
    const sizes = answer.steps ? answer.gradients : answer.gradients.map((row) => Math.sqrt(row.reduce((sum, v) => sum + v * v, 0)));
    const most = Math.max(...sizes.map(Math.abs), 1e-12), target = answer.target;
    const what = answer.output_steps ? `“${visible(target.token)}” being written (${percent(Math.exp(target.logprob))})` : target.token !== undefined ? `the next token being “${visible(target.token)}” (${percent(Math.exp(target.logprob))})`
      : target.label !== undefined ? `the label ${target.label}${target.score !== undefined ? ` (${percent(target.score)})` : ""}${state.task === "transcription" ? ` at its spike, step ${target.step + 1}` : ""}` : "the network's first output";
    const isPicture = state.input.length === 28 && state.input[0].length === 28 && !answer.steps;
    const shown = isPicture ? digit(answer) : answer.origin ? written(answer, sizes, most) : h("div", { class: "coloured" }, sizes.flatMap((v, t) => {
      const x = Math.sign(v) * Math.sqrt(Math.abs(v) / most), span = h("span", { title: v.toPrecision(3) }, answer.steps ? (answer.steps[t] === "\n" ? "⏎\n" : answer.steps[t]) : String(t + 1));
      span.style.background = diverging(answer.steps ? x : Math.abs(x));
      span.style.color = onDiverging(answer.steps ? x : Math.abs(x));
      return answer.steps && !answer.steps.some((step) => step.length > 1) ? [span] : [span, " "];
    }));
    return h("section", {}, h("h2", {}, "The way back to the input"),
      h("p", { class: "note" }, `How much each step counts for ${what}: the exact gradient, through all steps${answer.steps ? ", times the input" : isPicture ? "" : ", its length"}.${isPicture ? "" : " The colours go by its square root."}`),
      answer.output_steps ? h("div", { class: "units", role: "group", "aria-label": "The token whose way is shown" }, answer.output_steps.map((step, at) => h("button", { type: "button", "aria-pressed": String(at === target.step),
        onclick: () => { state.target = { step: at }; explain(); } }, visible(step)))) : null, shown);
  }

  function legend() {
    const [own, lets, keeps] = cells().c ? ["cell, as tanh(c)", "input gate", "forget gate"] : cells().z ? ["output", "reset gate", "update gate"] : cells().f ? ["output", "input gate", "forget gate"] : ["output"];
    return h("p", { class: "legend" }, h("span", {}, h("i"), own), lets ? [h("span", {}, h("i", { class: "gate-i" }), lets), h("span", {}, h("i", { class: "gate-f" }), keeps)] : null);
  }

  function show() {
    const answer = state.answer;
    if (!cells()[state.kind]) state.kind = held();
    seen = null;
    heat = h("canvas", { tabindex: "0", role: "img" });
    text = h("div", { class: "coloured", "aria-hidden": "true" });
    chart = h("canvas", { class: "plot", role: "img", "aria-label": "The cell and the gates of the chosen unit over the steps" });
    slider = range(0, answer.T - 1, 1, state.now, (t) => { stopPlaying(); move(t, state.row); });
    slider.setAttribute("aria-label", "Step");
    told = h("p", { class: "note" });
    heading = h("h2");
    stepCount = h("span", { class: "note" });
    unitList = h("div", { class: "units" }, cells().units.slice(0, 12).map((unit, row) => h("button", { type: "button", "aria-pressed": "false", onclick: () => move(state.now, row) },
      `unit ${unit}${cells().correlation ? ` · r ${cells().correlation[row].toFixed(2)}` : ""}`)));
    const point = (event) => {
      const box = heat.getBoundingClientRect(), { left, top, w, rowHeight } = heat.map;
      stopPlaying();
      move(Math.floor((event.clientX - box.left - left) / w), Math.floor((event.clientY - box.top - top) / rowHeight));
    };
    heat.addEventListener("pointerdown", point);
    heat.addEventListener("pointermove", (event) => { if (event.buttons && event.pointerType === "mouse") point(event); });
    heat.addEventListener("keydown", (event) => {
      const [dt, dr] = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key] || [0, 0];
      if (!dt && !dr) return;
      event.preventDefault();
      move(state.now + dt, state.row + dr);
    });
    ends = h("span");
    const bar = h("canvas", { class: "scale", "aria-hidden": "true" });
    result.replaceChildren(
      h("div", { class: "row" }, segments("What is shown", kinds.filter((kind) => cells()[kind.value]).map((kind) => (kind.value === "z" && cells().f ? { value: "z", text: "new", title: "z, the new" } : kind)), state.kind, (kind) => { state.kind = kind; redraw(); }),
        answer.cells.length > 1 ? segments("Direction", answer.cells.map((one, i) => ({ value: i, text: one.direction })), state.direction, (i) => { state.direction = i; show(); }) : null,
        h("span", { class: "note push" }, ends, bar, "1")),
      h("div", { class: "heat" }, heat), h("div", { class: "row" }, play, h("div", { class: "grow" }, slider), stepCount), told,
      h("section", {}, heading, unitList, text,
        h("div", { class: "chart" }, chart), legend()),
      ...[answer.part !== "decoder" && answer.T > 1 ? search() : null, gradients(answer)].filter(Boolean));
    const context = fit(bar, 112, 10);
    for (let x = 0; x < 112; x++) { context.fillStyle = diverging((x - 56) / 56); context.fillRect(x, 0, 1.2, 10); }
    redraw();
  }

  // ---- the unit that follows a pattern ----

  // What can be chosen: a title and a number a step. Of strokes each is a pattern: 1 while it is drawn.
  function choices() {
    const { steps, origin, T } = state.answer;
    if (steps) return Object.entries(patterns).map(([title, make]) => [title, make(steps)]);
    if (state.task !== "transcription" || !origin) return [];
    let end = 0;
    return state.input.map((stroke, i) => {
      const begin = end;
      end += stroke.length;
      return [`stroke ${i + 1}`, Array.from({ length: T }, (_, t) => Number(origin[t] >= begin && origin[t] < end))];
    });
  }

  function search() {
    const found = h("p", { class: "note", role: "status" }), pattern = h("input", { type: "text", placeholder: "a regular expression, such as  [,;.]", spellcheck: false });
    async function look(title, follow) {
      found.textContent = `Comparing all units with “${title}” …`;
      try {
        const answers = await Promise.all(Array.from({ length: state.layers }, (_, layer) => ask("/v1/explain", { ...body(), layer, units: 1, what: ["cells"], follow }).catch(() => null)));
        const marks = answers.filter(Boolean).flatMap((answer) => answer.cells.map((cell, direction) => ({ layer: answer.layer, direction, r: cell.correlation[0], unit: cell.units[0] })));
        const best = marks.sort((a, b) => Math.abs(b.r) - Math.abs(a.r))[0];
        if (!best) throw new Error("No layer has as many steps as the input.");
        state.layer = best.layer;
        state.direction = best.direction;
        layerChoice();
        await explain({ follow });
        result.querySelector("section .note[role=status]").textContent = `“${title}”: unit ${best.unit} of layer ${best.layer + 1} follows it best, with r = ${best.r.toFixed(2)}.`;
      } catch (error) {
        found.textContent = error.message;
      }
    }
    const steps = state.answer.steps;
    const own = () => {
      try {
        const expression = new RegExp(pattern.value, "g"), joined = steps.some((s) => s.length > 1) ? null : steps.join("");
        const on = new Set(joined ? [...joined.matchAll(expression)].flatMap((match) => Array.from(match[0], (_, i) => match.index + i)) : []);
        look(pattern.value, steps.map((step, t) => Number(joined ? on.has(t) : step.search(expression) >= 0)));
      } catch {
        found.textContent = `“${pattern.value}” is no regular expression.`;
      }
    };
    const { T } = state.answer, end = (value) => h("input", { type: "number", min: "1", max: String(T), required: true, value: String(value) });
    const first = end(1), last = end(Math.ceil(T / 4));
    const marked = () => {
      const [from, to] = [Number(first.value), Number(last.value)];
      if (from <= to && to - from + 1 < T) look(`steps ${from} to ${to}`, Array.from({ length: T }, (_, t) => Number(t + 1 >= from && t + 1 <= to)));
      else found.textContent = `Mark some of the steps 1 to ${T}, not all of them.`;
    };
    return h("section", {}, h("h2", {}, "Find the unit that follows …"),
      h("div", { class: "units" }, choices().filter(([, follow]) => new Set(follow).size > 1).map(([title, follow]) => h("button", { type: "button", onclick: () => look(title, follow) }, title))),
      steps ? h("form", { class: "row", onsubmit: (event) => { event.preventDefault(); if (pattern.value) own(); } },
        h("div", { class: "grow" }, field("… or what this matches in the text", pattern)), h("button", { type: "submit" }, "Find")) : "",
      h("form", { class: "row", onsubmit: (event) => { event.preventDefault(); marked(); } },
        field("… or the steps from", first), field("to", last), h("button", { type: "submit" }, "Find these steps")), found);
  }

  // ---- what goes in ----

  function layerChoice() {
    layerPlace.replaceChildren(state.layers > 1 ? field("Layer", choose(Array.from({ length: state.layers }, (_, i) => ({ value: String(i), text: `${i + 1} of ${state.layers}` })),
      String(state.layer), (value) => { state.layer = Number(value); explain(); })) : "");
  }

  async function change(model) {
    state.model = model;
    state.answer = null;
    state.layer = 0;
    state.now = 0;
    state.input = state.output = state.target = null;
    result.replaceChildren();
    entry.replaceChildren();
    wrong.textContent = "";
    const info = await detail(model);
    if (state.model !== model) return;
    state.task = info.task;
    state.writer = writers[info.task] || null;
    if (info.task === "question-answering") {
      const parts = Object.keys(story).map((name) => {
        const input = h(name === "context" ? "textarea" : "input", { ...(name === "context" ? { rows: "3" } : { type: "text" }), spellcheck: false, oninput: () => { state.input = { ...state.input, [name]: input.value }; later(); } });
        input.value = story[name];
        return input;
      });
      state.input = { ...story };
      entry.append(h("div", { class: "stacked" }, field("Question", parts[0]), field("Text", parts[1])));
      explain();
    } else if (info.task === "transcription" && info.front_end) {
      // The strokes in a plain hand, as the part with the pen writes them.
      const set = () => { state.input = write(input.value).map((stroke) => stroke.map(([x, y]) => [Math.round(16 * x), Math.round(16 * y)])); };
      const input = h("input", { type: "text", spellcheck: false, autocapitalize: "none", maxlength: "24", oninput: () => { set(); later(); } });
      const label = h("input", { type: "text", maxlength: "16", placeholder: "the highest spike", spellcheck: false, autocapitalize: "none", oninput: () => { state.target = label.value ? { label: label.value } : null; later(); } });
      input.value = "hello";
      set();
      entry.append(h("div", { class: "stacked" }, field("Letters from a to z, written in a plain hand", input), field("The letter whose way is shown", label)));
      explain();
    } else if (info.vocabulary_size) {
      const input = h("textarea", { rows: "4", spellcheck: false, class: "mono", oninput: () => { state.input = input.value; later(); } });
      input.value = state.input = texts[model] || "The quick brown fox jumps over the lazy dog.";
      const grow = served.routes.has("/v1/completions") && info.task === "text-generation" ? h("button", { type: "button", onclick: async () => {
        const answer = await ask("/v1/completions", { model, prompt: input.value, max_tokens: 60, temperature: 0.7 }).catch((error) => { wrong.textContent = error.message; });
        if (!answer) return;
        state.now = input.value.length;
        input.value = state.input = input.value + answer.choices[0].text;
        await explain();
        startPlaying();
      } }, "Let it write on, and watch") : null;
      entry.append(field(info.task === "music-generation" ? "Tokens: notes as MIDI numbers, the voices of a step from the highest on" : "Text", input), h("div", { class: "row" }, grow));
      again();
    } else if (info.task === "forecasting") {
      const input = h("input", { type: "text", class: "mono", oninput: () => { state.input = parse(input.value); later(); } });
      input.value = model === "numbers" ? "2, 4, 8, 16, 32, 64" : Array.from({ length: 36 }, (_, t) => Math.round(50 + 20 * Math.sin(t / 1.9) + t)).join(", ");
      state.input = parse(input.value);
      entry.append(field("Values", input));
      explain();
    } else if (info.input_size === 28) {
      const board = pad((rows) => { if (rows) { state.input = rows; explain(); } });
      entry.append(h("div", { class: "pads" }, h("figure", {}, board, h("figcaption", {}, "Draw a digit, or press its key: a step is a row of pixels. ",
        h("button", { type: "button", class: "link", onclick: () => board.clear() }, "Clear")))));
      board.digit("3");
    } else {
      state.input = Array.from({ length: 12 }, (_, t) => Array.from({ length: info.input_size }, (_, i) => Math.sin(t + i)));
      explain();
    }
  }

  main.addEventListener("redraw", redraw);
  main.append(h("h1", {}, "Inside the network"),
    h("p", { class: "lead" }, "Each row is a unit, each column a step. The cell carries what is remembered; the gates decide what is let in, kept and shown."),
    h("div", { class: "bench" }, h("div", {}, entry, wrong, result),
      h("div", { class: "settings" }, field("Model", choose(names, state.model, change)), layerPlace,
        field("Units, the most active", range(4, 64, 4, state.units, (n) => { state.units = n; later(); }), (n) => n))), code);
  change(state.model);
  return () => { stopPlaying(); latest++; main.removeEventListener("redraw", redraw); };
}
