// A series and its forecast: history, mean and bands, by dygraphs (Debian's libjs-dygraphs), which zooms and moves.
import { h, ink } from "./ui.js";

const nothing = [NaN, NaN, NaN];
const label = (x) => (Math.abs(x) >= 1e6 || (x && Math.abs(x) < 1e-3) ? x.toExponential(2) : String(Number(x.toPrecision(5))));

let library;
// dygraphs, read when the first chart is wanted. It is a plain script that leaves window.Dygraph. Its legend sets an inline style, which the
// policy of the page forbids, and stays out.
function load() {
  library ||= new Promise((resolve, reject) => document.head.append(
    h("link", { rel: "stylesheet", href: "/playground/dygraph.css" }),
    h("script", { src: "/playground/dygraph.js", onload: () => {
      const Dygraph = window.Dygraph;
      Dygraph.PLUGINS = Dygraph.PLUGINS.filter((plugin) => plugin !== Dygraph.Plugins.Legend);
      resolve(Dygraph);
    }, onerror: () => reject(new Error("dygraphs was not loaded")) })));
  return library;
}

// Rows of dygraphs: the step, then the history, the wide band with the mean, and the narrow one with it; a band is low, middle, high.
function rows(data) {
  const n = data.history.length, horizon = data.mean?.length || 0;
  let last = n - 1;
  while (last >= 0 && !Number.isFinite(data.history[last])) last--;
  const found = data.history.map((v, t) => [t, Number.isFinite(v) ? [v, v, v] : nothing, nothing, nothing]);
  if (horizon && last >= 0) found[last][2] = found[last][3] = found[last][1];
  for (let i = 0; i < horizon; i++) {
    const mean = data.mean[i] ?? NaN, [wide, narrow] = [0, 1].map((k) => data.bands?.[k]);
    found.push([n + i, nothing, [wide ? wide[0][i] : mean, mean, wide ? wide[1][i] : mean], [narrow ? narrow[0][i] : mean, mean, narrow ? narrow[1][i] : mean]]);
  }
  return found.length > 1 ? found : [...found, [found.length, nothing, nothing, nothing]];
}

// The dots: each value of a short series, and each unusual one.
function dots(data) {
  return (graph, name, context, x, y, colour, size, at) => {
    const odd = name === "values" && data.odd?.has(at);
    if (!odd && (data.history.length > 40 || name === "95 %")) return;
    context.fillStyle = odd ? ink("warm") : colour;
    context.beginPath();
    context.arc(x, y, odd ? 4.5 : 2.4, 0, 2 * Math.PI);
    context.fill();
  };
}

// Where the history ends and the forecast begins.
function border(data) {
  return (context, area, graph) => {
    if (!data.mean?.length) return;
    const x = graph.toDomXCoord(data.history.length - 0.5);
    context.strokeStyle = ink("line");
    context.setLineDash([3, 3]);
    context.beginPath();
    context.moveTo(x, area.y);
    context.lineTo(x, area.y + area.h);
    context.stroke();
    context.setLineDash([]);
  };
}

function options(data) {
  const all = data.history.length + (data.mean?.length || 0);
  return {
    file: rows(data), labels: ["step", "values", "95 %", "80 %"], customBars: true, connectSeparatedPoints: false,
    series: { values: { color: ink("ink"), strokeWidth: 1.75 }, "95 %": { color: ink("accent"), strokeWidth: 0 }, "80 %": { color: ink("accent"), strokeWidth: 2 } },
    fillAlpha: 0.16, drawPoints: true, drawPointCallback: dots(data), drawHighlightPointCallback: dots(data), highlightCircleSize: 3, underlayCallback: border(data),
    axisLineColor: ink("line"), gridLineColor: ink("faint"), axisLabelFontSize: 12, xRangePad: 6, yRangePad: 14, valueRange: data.range || null,
    axes: { x: { axisLabelFormatter: (t) => (Number.isInteger(t) && t >= 0 && t < all ? String(t + 1) : ""), pixelsPerLabel: 70 }, y: { axisLabelFormatter: label, axisLabelWidth: 52 } },
  };
}

// A chart in `place`, which gets the focus: + and − zoom, arrows move, 0 shows all. `tell` is called with what lies under the pointer.
export function chart(place, tell) {
  let graph = null, data = null, lent = false, gone = false;
  place.classList.add("dygraph");
  place.tabIndex = 0;
  const span = () => graph.xAxisExtremes();
  const zoom = (factor, by = 0) => {
    const [low, high] = graph.xAxisRange(), [first, last] = span(), middle = (low + high) / 2 + by * (high - low), half = Math.min(last - first, (high - low) * factor) / 2;
    const centre = Math.max(first + half, Math.min(last - half, middle));
    graph.updateOptions({ dateWindow: [centre - half, centre + half] });
  };
  place.addEventListener("keydown", (event) => {
    const act = { "+": () => zoom(0.7), "=": () => zoom(0.7), "-": () => zoom(1 / 0.7), ArrowLeft: () => zoom(1, -0.1), ArrowRight: () => zoom(1, 0.1), 0: () => graph.resetZoom(), Escape: () => graph.resetZoom() }[event.key];
    if (!act || !graph || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  });

  // dygraphs reads its interaction model once, when a graph begins, so each handler asks.
  const unlessLent = (model) => Object.fromEntries(Object.entries(model).map(([name, act]) => [name, typeof act === "function" ? (...all) => lent || act(...all) : act]));

  function point(event, x, points) {
    const at = Math.round(x), value = points.find((one) => one.name === "values" && Number.isFinite(one.yval)), mean = points.find((one) => one.name === "80 %" && Number.isFinite(one.yval));
    if (value) return tell(`Step ${at + 1}: ${label(value.yval)}${data.odd?.has(at) ? ", unusual" : ""}`);
    const i = at - data.history.length, narrow = data.bands?.[1];
    if (mean) tell(`Step ${at + 1}: ${label(mean.yval)}${narrow && i >= 0 ? `, with 80 % between ${label(narrow[0][i])} and ${label(narrow[1][i])}` : ""}`);
  }

  return {
    // data: {history: [number or null], mean, bands: [[low, high], ...] from the wide one on, odd: Set of indices, range}.
    async draw(next) {
      const Dygraph = await load(), length = data && data.history.length + (data.mean?.length || 0);
      data = next;
      if (gone) return;
      if (!graph) {
        const { file, ...rest } = options(data);
        graph = new Dygraph(place, file, { ...rest, interactionModel: unlessLent(Dygraph.defaultInteractionModel), highlightCallback: point, unhighlightCallback: () => tell(null) });
      } else graph.updateOptions({ ...options(data), ...(length === data.history.length + (data.mean?.length || 0) ? {} : { dateWindow: null }) });
    },
    // Leave the pointer to the caller, who draws with it; or take it back.
    lend(on) {
      lent = on;
    },
    // The step and the value at a place of the page.
    at(event) {
      const box = place.getBoundingClientRect();
      return { step: Math.round(graph.toDataXCoord(event.clientX - box.left)), value: graph.toDataYCoord(event.clientY - box.top) };
    },
    close() {
      gone = true;
      graph?.destroy();
    },
  };
}
