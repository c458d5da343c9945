// Translation: a text from a text, as it is typed, and what the beam search weighed besides.
import { h, field, choose, range, debounce, percent } from "./ui.js";
import { ask, ofTask } from "./api.js";
import { requests } from "./requests.js";

export function open(main, wanted) {
  const names = ofTask("translation"), code = requests();
  const state = { model: names.includes(wanted) ? wanted : names[0], beams: 4 };
  const input = h("textarea", { id: "source", rows: "4", spellcheck: false }), result = h("div", { class: "translated", role: "status" });
  const wrong = h("p", { class: "wrong", role: "alert" }), told = h("p", { class: "note" });
  let latest = 0;

  // Each target, and how probable a token of it is in the geometric mean.
  const line = (one, first) => h(first ? "p" : "li", {}, one.text || "(nothing)", h("span", { class: "note" }, ` ${percent(Math.exp(one.score))} a token`));

  async function translate() {
    const turn = ++latest, body = { model: state.model, input: input.value, num_beams: state.beams, alternatives: state.beams - 1, length_penalty: 1 };
    wrong.textContent = "";
    if (!input.value.trim()) return result.replaceChildren();
    code.show("/v1/translate", body);
    try {
      const answer = await ask("/v1/translate", body), [best] = answer.translations;
      if (turn !== latest) return;
      const others = best.alternatives || [];
      result.replaceChildren(line(best, true), others.length ? h("ol", {}, others.map((one) => line(one, false))) : "");
      told.textContent = `Computed in ${answer.timings.compute_ms.toFixed(1)} ms.`;
    } catch (error) {
      if (turn === latest) wrong.textContent = error.message;
    }
  }
  const later = debounce(250, translate);
  input.addEventListener("input", later);
  main.append(h("h1", {}, "Translation, and what else was weighed"),
    h("p", { class: "lead" }, "An encoder reads the text, a decoder writes another one. The beam search keeps several beginnings at a time and takes the likeliest end."),
    h("div", { class: "bench" }, h("div", {}, field("Text", input), wrong, result, told),
      h("div", { class: "settings" }, field("Model", choose(names, state.model, (name) => { state.model = name; translate(); })),
        field("Beams", range(1, 8, 1, state.beams, (n) => { state.beams = n; later(); }), (n) => (n === "1" ? "greedy" : n)))), code);
}
