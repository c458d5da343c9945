// Pronunciation: the phonemes of words as they are typed, and from which letters they come.
import { h, field, choose, segments, debounce, percent } from "./ui.js";
import { ofTask } from "./api.js";
import { bench, first } from "./bench.js";
import { matrix, legend } from "./attention.js";

const examples = ["knight", "thoughtful daughters", "through tough dough", "pneumonia", "queue"];

// The word with its phonemes over the letters that they come from.
function letters(input, alignment) {
  const over = Array.from(input, () => []);
  for (const { phoneme, start } of alignment) over[start]?.push(phoneme);
  return h("ruby", { class: "letters" }, Array.from(input, (letter, i) => [letter, h("rt", {}, over[i].join(" "))]).flat());
}

export function open(main, wanted) {
  const names = ofTask("pronunciation"), own = bench(), list = h("div", { class: "words" }), looked = h("div");
  const state = { model: first(names, wanted), alphabet: "ipa" };
  const input = h("input", { type: "text", id: "words", spellcheck: false, autocapitalize: "none", autocomplete: "off" });

  function word(one) {
    const others = (one.alternatives || []).map((other) => h("li", {}, other.phonemes, h("span", { class: "note" }, ` ${percent(Math.exp(other.log_probability))}`)));
    return h("article", { class: "word" }, letters(one.input, one.alignment), h("p", {}, h("b", {}, one.phonemes), h("span", { class: "note" }, ` ${percent(Math.exp(one.log_probability))}`)),
      others.length ? h("ol", { "aria-label": `Other pronunciations of ${one.input}` }, others) : null);
  }

  function look(words, at) {
    const attention = words[at].attention;
    looked.replaceChildren(...(attention ? [h("h2", {}, "Where the network looked"),
      words.length > 1 ? segments("Word", words.map((one, i) => ({ value: i, text: one.input })), at, (i) => look(words, i)) : "", matrix(attention), legend()] : []));
  }

  async function pronounce() {
    const words = input.value.split(/[^\p{L}\p{M}'’]+/u).filter(Boolean);
    if (!words.length) {
      own.forget();
      return;
    }
    const body = { model: state.model, input: words, alphabet: state.alphabet, n: 3, alignment: true, return_attention: true };
    const answer = await own.ask("/v1/pronounce", body);
    if (!answer) return;
    list.replaceChildren(...answer.pronunciations.map(word));
    look(answer.pronunciations, 0);
  }
  const later = debounce(200, pronounce);
  input.addEventListener("input", later);
  input.value = examples[0];
  own.place(main, "Pronunciation, letter by letter",
    "An encoder reads the letters, a decoder writes phonemes. Each phoneme stands over the letter that the network looked at when it wrote it; a silent letter has none.",
    [field("Words", input), h("div", { class: "row examples" }, examples.map((text) => h("button", { type: "button", class: "link", onclick: () => { input.value = text; pronounce(); } }, text))),
      own.wrong, list, own.told, looked],
    [field("Model", choose(names, state.model, (name) => { state.model = name; pronounce(); })),
      h("div", {}, h("span", { class: "label" }, "Alphabet"), segments("Alphabet", [{ value: "ipa", text: "IPA" }, { value: "arpabet", text: "ARPAbet" }], state.alphabet,
        (alphabet) => { state.alphabet = alphabet; pronounce(); }))]);
  pronounce();
}
