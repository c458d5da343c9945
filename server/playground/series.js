// Series: paste, type or draw numbers; see them go on, with bands.
import { h, field, choose, range, debounce } from "./ui.js";
import { ask, ofTask, served } from "./api.js";
import { chart } from "./chart.js";
import { requests } from "./requests.js";

const seasonal = Array.from({ length: 72 }, (_, t) => Math.round(200 + 1.6 * t + 46 * Math.sin((t * Math.PI) / 6) + 17 * Math.cos((t * Math.PI) / 3) + 9 * Math.sin(t * t)));
const examples = {
  numbers: { doubling: [2, 4, 8, 16, 32], squares: [1, 4, 9, 16, 25, 36], alternating: [3, 8, 5, 10, 7, 12], Fibonacci: [1, 1, 2, 3, 5, 8, 13] },
  series: { "a season and a trend": seasonal, "with a gap": seasonal.map((v, t) => (t > 30 && t < 36 ? null : v)),
    "an odd value": seasonal.map((v, t) => (t === 59 ? v + 70 : v)),
    "a jump": Array.from({ length: 60 }, (_, t) => Math.round((t < 40 ? 40 : 75) + 6 * Math.sin(t * 2.1) + 3 * Math.cos(t * 5.3))),
    intermittent: Array.from({ length: 48 }, (_, t) => ((t * 7) % 5 === 0 ? 4 + (t % 3) : 0)) },
};
const fallback = { "straight on": [10, 12, 14, 16, 18, 20] };
const INNER = [0.1, 0.9], OUTER = [0.025, 0.975];

// The numbers of a text: a column of a CSV counts by its last number; what is no number is missing.
export function parse(text) {
  const lines = text.trim().split(/\n/);
  if (lines.length > 2) {
    const rows = lines.map((line) => line.split(/[,;\t]/).map((cell) => cell.trim()));
    const number = (cell) => (cell === "" || Number.isNaN(Number(cell)) ? null : Number(cell));
    const values = rows.map((cells) => number(cells.at(-1)));
    return values[0] === null && rows.length > 3 ? values.slice(1) : values;
  }
  return text.trim().split(/[\s,;]+/).filter(Boolean).map((word) => (Number.isNaN(Number(word)) ? null : Number(word)));
}

export function open(main, wanted) {
  const names = ofTask("forecasting"), state = { model: names.includes(wanted) ? wanted : names.includes("series") ? "series" : names[0], horizon: 24, season: "",
    history: [], mean: [], bands: [], odd: new Set(), draws: false };
  const values = h("textarea", { id: "values", rows: "4", spellcheck: false, class: "mono" });
  const place = h("div", { class: "plot", role: "img" }), told = h("p", { class: "note", role: "status" }), under = h("span", { class: "note push" });
  const wrong = h("p", { class: "wrong", role: "alert" }), code = requests(), list = h("div", { class: "examples" });
  const help = matchMedia("(pointer: coarse)").matches ? "Pinch to zoom, drag to move, tap twice for all." : "Drag to zoom, Shift and drag to move, double click for all; or + − ← → 0.";
  const plot = chart(place, (text) => { under.textContent = text ?? help; });
  const hasAnomalies = served.routes.has("/v1/anomalies");
  let latest = 0;

  function draw() {
    plot.draw({ history: state.history, mean: state.mean, bands: state.bands, odd: state.odd, range: state.range }).catch((error) => { wrong.textContent = error.message; });
    place.setAttribute("aria-label", `${state.history.length} values${state.odd.size ? `, ${state.odd.size} of them unusual` : ""}, and ${state.mean.length} more as they are forecast`);
  }

  async function forecast() {
    const turn = ++latest, history = state.history.slice(-4096);
    wrong.textContent = "";
    if (!history.some((v) => v !== null)) {
      state.mean = [];
      state.bands = [];
      return draw();
    }
    const body = { model: state.model, series: history, horizon: state.horizon, quantiles: [OUTER[0], INNER[0], 0.5, INNER[1], OUTER[1]] };
    if (state.season) body.season = Number(state.season);
    code.show("/v1/forecast", { ...body, quantiles: INNER });
    try {
      const answer = await ask("/v1/forecast", body), found = answer.forecasts[0];
      if (turn !== latest) return;
      if (found.error) throw new Error(found.error);
      state.mean = found.mean;
      state.bands = found.quantiles ? [OUTER, INNER].map((pair) => pair.map((level) => found.quantiles[level])) : [];
      told.textContent = `The next value: ${Number(found.mean[0].toPrecision(5))}${state.bands.length ? `, with 80 % between ${Number(state.bands[1][0][0].toPrecision(4))} and ${Number(state.bands[1][1][0].toPrecision(4))}` : ""}. Computed in ${answer.timings.compute_ms.toFixed(1)} ms.`;
      draw();
      if (hasAnomalies && history.length > 8) await mark(history, turn);
    } catch (error) {
      if (turn !== latest) return;
      wrong.textContent = error.message;
      told.textContent = "";
    }
  }

  async function mark(history, turn) {
    const answer = await ask("/v1/anomalies", { model: state.model, series: history }).catch(() => null);
    if (turn !== latest) return;
    state.odd = new Set((answer?.is_anomaly || []).flatMap((odd, i) => (odd ? [answer.first + i] : [])));
    draw();
  }
  const later = debounce(180, forecast);

  function use(numbers, keepText) {
    state.history = numbers;
    state.odd = new Set();
    state.mean = Array(state.horizon).fill(null); // the forecast of other values goes, its place stays
    state.bands = [];
    if (!keepText) values.value = numbers.map((v) => (v === null ? "" : String(Number(v.toPrecision(6))))).join(numbers.some((v) => v === null) ? "," : ", ");
    draw();
    later();
  }

  function choices() {
    const shown = examples[state.model] || fallback;
    list.replaceChildren(...Object.entries(shown).map(([name, numbers]) => h("button", { type: "button", class: "link", onclick: () => use(numbers) }, name)));
    return Object.values(shown)[0];
  }

  // Drawing: each step under the pointer takes the pointer's height; steps between are filled in.
  let before = null;
  function pen(event) {
    const at = plot.at(event), t = Math.max(0, Math.min(239, at.step)), value = at.value;
    const from = before ?? { t, value };
    for (let at = Math.min(from.t, t); at <= Math.max(from.t, t); at++) {
      const part = t === from.t ? 1 : (at - from.t) / (t - from.t);
      while (state.history.length <= at) state.history.push(null);
      state.history[at] = from.value + (value - from.value) * part;
    }
    before = { t, value };
    draw();
  }
  place.addEventListener("pointerdown", (event) => {
    if (!state.draws) return;
    place.setPointerCapture(event.pointerId);
    before = null;
    pen(event);
  });
  place.addEventListener("pointermove", (event) => { if (state.draws && before) pen(event); });
  place.addEventListener("pointerup", () => {
    if (!before) return;
    before = null;
    state.range = null;
    use(state.history.map((v) => (v === null ? null : Number(v.toPrecision(4)))));
    drawing(false);
  });
  const pencil = h("button", { type: "button", "aria-pressed": "false", onclick: () => drawing(!state.draws) }, "Draw");
  function drawing(on) {
    state.draws = on;
    pencil.setAttribute("aria-pressed", String(on));
    pencil.textContent = on ? "Draw a line from left to right" : "Draw";
    place.classList.toggle("draws", on);
    plot.lend(on);
    if (!on) return;
    state.history = [];
    state.mean = Array(48).fill(null);
    state.bands = [];
    state.range = [0, 100];
    draw();
  }

  values.addEventListener("input", () => use(parse(values.value), true));
  main.addEventListener("redraw", draw);
  main.append(h("h1", {}, "Series, and how they go on"),
    h("p", { class: "lead" }, "Paste a column from a spreadsheet, type numbers, or draw a line. The model reads them and says what comes next, and how sure it is."),
    h("div", { class: "bench" },
      h("div", {}, h("div", { class: "chart" }, place),
        h("p", { class: "legend" }, h("span", {}, h("i"), "values"), h("span", {}, h("i", { class: "mean" }), "mean"),
          h("span", {}, h("i", { class: "band" }), "80 % and 95 %"), hasAnomalies ? h("span", {}, h("i", { class: "odd" }), "unusual") : null, under),
        wrong, h("div", { class: "row" }, pencil, told),
        field("Values, with commas or one a line; an empty place is missing", values), h("div", { class: "row" }, list)),
      h("div", { class: "settings" },
        field("Model", choose(names, state.model, (name) => { state.model = name; use(choices()); })),
        field("Horizon", range(1, 96, 1, state.horizon, (x) => { state.horizon = x; later(); }), (x) => `${x} steps`),
        field("Season", h("input", { type: "number", min: "2", max: "1024", placeholder: "found in the values", oninput: (event) => { state.season = event.target.value; later(); } })),
        h("p", { class: "note" }, "Drawn by dygraphs (", h("a", { href: "/playground/dygraph.txt" }, "licence"), ")."))),
    code);
  if (state.model === "numbers") state.horizon = 5;
  under.textContent = help;
  use(choices());
  return () => { latest++; main.removeEventListener("redraw", draw); plot.close(); };
}
