// Pen: letters, as they are recognised while they are written, and which strokes each of them is.
import { h, field, choose, debounce, drawn, fit, hue, ink, percent } from "./ui.js";
import { reading } from "./api.js";
import { bench, first } from "./bench.js";
import { write } from "./hand.js";

const HEIGHT = 260, MARGIN = 24, EVERY_MS = 250; // between two requests while the pen moves

export function open(main, wanted) {
  const names = reading("ink"), own = bench(), state = { model: first(names, wanted), strokes: [], segments: [], asked: 0 };
  const paper = h("canvas", { class: "paper draws", role: "img" }), text = h("p", { class: "recognised", role: "status" }), others = h("ol", { "aria-label": "What else it might be" });
  const typed = h("input", { type: "text", spellcheck: false, autocapitalize: "none", autocomplete: "off", maxlength: "24" });

  // Each stroke, its points in the colours of the letters that they belong to.
  function draw() {
    const width = Math.max(240, paper.parentElement.clientWidth), context = fit(paper, width, HEIGHT);
    const most = Math.max(...state.strokes.flat().map(([x]) => x), 0), scale = Math.min(1, (width - MARGIN) / (most || 1));
    let count = 0;
    const letterOf = (i) => state.segments.findIndex((one) => i >= one.start && i < one.end);
    context.scale(scale, scale);
    context.lineWidth = 3.5;
    context.lineCap = context.lineJoin = "round";
    for (const stroke of state.strokes) {
      stroke.forEach(([x, y], i) => {
        const [fromX, fromY] = stroke[Math.max(0, i - 1)], letter = letterOf(count++);
        context.strokeStyle = letter < 0 ? ink("ink") : hue(letter);
        context.beginPath();
        context.moveTo(fromX, fromY);
        context.lineTo(x, y);
        context.stroke();
      });
    }
    paper.setAttribute("aria-label", state.strokes.length ? `${state.strokes.length} strokes` : "Write here with the mouse, a finger or a pen. By keyboard: the field below writes for you.");
  }

  function show(answer) {
    state.segments = answer.segments;
    text.replaceChildren(...answer.segments.map((one, i) => {
      const letter = h("span", {}, one.text);
      letter.style.color = hue(i);
      return letter;
    }), h("span", { class: "note" }, answer.text ? ` ${percent(Math.exp(answer.score))}` : "(nothing)"));
    others.replaceChildren(...answer.alternatives.map((one) => h("li", {}, one.text || "(nothing)", h("span", { class: "note" }, ` ${percent(Math.exp(one.score))}`))));
    draw();
  }

  async function read() {
    state.asked = performance.now();
    if (!state.strokes.length) return;
    const strokes = state.strokes.map((stroke) => stroke.map((point) => point.map((v) => Math.round(v))));
    const answer = await own.ask("/v1/transcribe", { model: state.model, strokes, n: 4 });
    if (answer) show(answer);
  }
  const later = debounce(120, read);

  function clear() {
    own.forget();
    state.strokes = [];
    state.segments = [];
    text.replaceChildren();
    others.replaceChildren();
    draw();
  }

  // The text in a plain hand, as large as it fits.
  function set(words) {
    clear();
    const strokes = write(words), right = Math.max(...strokes.flat().map(([x]) => x), 1), room = Math.max(240, paper.parentElement.clientWidth) - 2 * MARGIN;
    const unit = Math.min(16, room / right);
    state.strokes = strokes.map((stroke) => stroke.map(([x, y]) => [MARGIN + x * unit, HEIGHT / 2 + (y - 4.5) * unit]));
    draw();
    later();
  }

  drawn(paper, (place) => { state.strokes.push([place]); draw(); }, (place) => {
    state.strokes.at(-1).push(place);
    draw();
    if (performance.now() - state.asked > EVERY_MS) read();
  }, later);
  typed.addEventListener("input", () => set(typed.value));
  main.addEventListener("redraw", draw);
  own.place(main, "A pen, and the letters that it writes",
    "The network reads the path of the pen, there and back. Write a word: each letter gets a colour, and so do the strokes that it was recognised by.",
    [h("div", {}, paper), own.wrong, text, others,
      h("div", { class: "row" }, h("button", { type: "button", onclick: () => { typed.value = ""; clear(); } }, "Clear"),
        h("button", { type: "button", onclick: () => { state.strokes.pop(); state.segments = []; draw(); if (state.strokes.length) later(); else clear(); } }, "Take the last stroke back"), own.told),
      field("Or type letters from a to z, to have them written in a plain hand", typed)],
    [field("Model", choose(names, state.model, (name) => { state.model = name; read(); }))]);
  typed.value = "hello";
  set("hello");
  return () => main.removeEventListener("redraw", draw);
}
