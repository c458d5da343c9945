// Models: what each is, and how busy the server is.
import { h, count, bytes } from "./ui.js";
import { ask, askText, detail, served } from "./api.js";
import { spark } from "./plot.js";

const partOf = { "text-generation": "text", forecasting: "series", "text-classification": "labels", "sequence-classification": "labels", "token-classification": "labels", translation: "translate", pronunciation: "pronounce", "image-to-text": "captions", "question-answering": "answer", "music-generation": "music", "image-generation": "pictures", "handwriting-generation": "handwriting", ink: "pen", sound: "voice" };

function describe(info) {
  const layers = info.layers.map((layer) => `${layer.type} ${layer.input_size} → ${layer.output_size}`).join(", ");
  const rows = [["Layers", layers], ["Weights", `${bytes(info.memory_bytes)} in ${info.precision}`],
    ["State", info.state_bytes ? `${bytes(info.state_bytes)} a sequence` : null], ["Vocabulary", info.vocabulary_size ? `${count(info.vocabulary_size)} ${info.tokenizer}` : null],
    ["Labels", info.labels ? info.labels.slice(0, 12).join(", ") + (info.labels.length > 12 ? " …" : "") : null],
    ["Proved by", `${info.golden_cases} golden cases, within ${info.golden_error.toPrecision(2)}`], ["Version", info.version]];
  return h("dl", {}, rows.filter(([, value]) => value).flatMap(([term, value]) => [h("dt", {}, term), h("dd", {}, value)]));
}

// The sum of a metric over its labels.
function metric(text, name) {
  let sum = 0;
  for (const line of text.split("\n")) if (line.startsWith(`${name} `) || line.startsWith(`${name}{`)) sum += Number(line.slice(line.lastIndexOf(" ")));
  return sum;
}

export function open(main) {
  const list = h("div"), load = h("div", { class: "load" }), past = new Map();
  const rows = ["Tokens and steps a second", "In the queue", "Sequences aboard", "Rows a turn"];
  const shown = rows.map((title) => ({ title, value: h("b", {}, "–"), canvas: h("canvas", { "aria-hidden": "true" }) }));
  let before = null;
  load.append(...shown.map((one) => h("div", {}, h("span", { class: "label" }, one.title), one.value, one.canvas)));
  main.append(h("h1", {}, "Models"), h("p", { class: "lead" }, "What is served here, and how busy it is."), load, list);

  async function look() {
    try {
      const text = await askText("/metrics"), at = performance.now() / 1000;
      const now = { at, steps: metric(text, "carousel_steps_total"), turns: metric(text, "carousel_turns_total"), rows: metric(text, "carousel_rows_total") };
      if (before) {
        const s = now.at - before.at, turns = now.turns - before.turns;
        const values = [(now.steps - before.steps) / s, metric(text, "carousel_queue_depth"), metric(text, "carousel_sequences_active"), turns ? (now.rows - before.rows) / turns : 0];
        shown.forEach((one, i) => {
          const history = past.get(i) || [];
          history.push(values[i]);
          past.set(i, history.slice(-60));
          one.value.textContent = values[i] >= 100 ? count(Math.round(values[i])) : String(Number(values[i].toFixed(1)));
          spark(one.canvas, past.get(i));
        });
      }
      before = now;
    } catch {
      load.replaceChildren(h("p", { class: "note" }, "The load is not shown: this key may not read /metrics."));
      clearInterval(timer);
    }
  }
  const timer = setInterval(look, 1500);
  look();

  for (const model of served.models) {
    const place = h("div"), about = h("p", { class: "note" }), part = partOf[model.reads || model.task];
    list.append(h("article", { class: "model" }, h("div", {}, h("h2", {}, model.id), h("p", {}, model.description),
      h("p", { class: "note" }, model.task, part ? " · " : "", part ? h("a", { href: `#/${part}/${encodeURIComponent(model.id)}` }, "try it") : "",
        served.routes.has("/v1/explain") ? " · " : "", served.routes.has("/v1/explain") ? h("a", { href: `#/inside/${encodeURIComponent(model.id)}` }, "look inside") : ""), about), place));
    detail(model.id).then((info) => {
      place.replaceChildren(describe(info));
      about.textContent = [info.training_data ? `Trained on ${info.training_data}.` : "", info.license ? `Licence: ${info.license}.` : ""].join(" ");
    }, (error) => place.replaceChildren(h("p", { class: "wrong" }, error.message)));
  }
  return () => clearInterval(timer);
}
