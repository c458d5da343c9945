// Translation: a text from a text, as it is typed, what the beam search weighed besides, and where it looked.
import { h, field, choose, range, debounce, percent } from "./ui.js";
import { ofTask } from "./api.js";
import { bench, first } from "./bench.js";
import { matrix, legend } from "./attention.js";

const examples = {
  "eng-fra": ["Where is the train station?", "I would like a cup of tea.", "She said that she would be late."],
  "fra-eng": ["Où est la gare ?", "Je voudrais une tasse de thé.", "Elle a dit qu'elle serait en retard."],
};

export function open(main, wanted) {
  const names = ofTask("translation"), own = bench(), state = { model: first(names, wanted), beams: 4 };
  const input = h("textarea", { id: "source", rows: "4", spellcheck: false });
  const result = h("div", { class: "translated", role: "status" }), looked = h("div");

  // Each target, and how probable a token of it is in the geometric mean.
  const line = (one, best) => h(best ? "p" : "li", {}, one.text || "(nothing)", h("span", { class: "note" }, ` ${percent(Math.exp(one.score))} a token`));

  async function translate() {
    if (!input.value.trim()) {
      own.forget();
      looked.replaceChildren();
      return result.replaceChildren();
    }
    const body = { model: state.model, input: input.value, num_beams: state.beams, alternatives: state.beams - 1, length_penalty: 1, return_attention: true };
    const answer = await own.ask("/v1/translate", body);
    if (!answer) return;
    const [best] = answer.translations, others = best.alternatives || [];
    result.replaceChildren(line(best, true), others.length ? h("ol", {}, others.map((one) => line(one, false))) : "");
    const seen = (best.sentences || [best]).filter((one) => one.attention).map((one) => matrix(one.attention));
    looked.replaceChildren(...(seen.length ? [h("h2", {}, "Where the network looked"), ...seen, legend()] : []));
  }
  const later = debounce(250, translate), list = h("div", { class: "row examples" });
  input.addEventListener("input", later);
  function change(name) {
    state.model = name;
    const texts = examples[name] || [];
    list.replaceChildren(...texts.map((text) => h("button", { type: "button", class: "link", onclick: () => { input.value = text; translate(); } }, text)));
    if (texts.length && (!input.value || Object.values(examples).flat().includes(input.value))) [input.value] = texts;
    translate();
  }
  own.place(main, "Translation, and what else was weighed",
    "An encoder reads the text, a decoder writes another one. The beam search keeps several beginnings at a time and takes the likeliest end.",
    [field("Text", input), list, own.wrong, result, own.told, looked],
    [field("Model", choose(names, state.model, change)),
      field("Beams", range(1, 8, 1, state.beams, (n) => { state.beams = n; later(); }), (n) => (n === "1" ? "greedy" : n))]);
  change(state.model);
}
