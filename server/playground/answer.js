// Questions about a text: the answer, how sure it is, and the sentences that it rests on.
import { h, field, choose, debounce } from "./ui.js";
import { ofTask } from "./api.js";
import { bench, first } from "./bench.js";
import { bars } from "./labels.js";

const story = "Mary took the football.\nJohn went to the office.\nMary went to the garden.\nSandra went to the kitchen.";
const examples = ["Where is the football?", "Where is John?", "Is Sandra in the garden?"];
// Models of other stories know other words, and refuse these.
const knowsIt = (name) => /babi|stories/.test(name);

export function open(main, wanted) {
  const names = ofTask("question-answering"), own = bench(), state = { model: first(names, wanted) };
  const context = h("textarea", { id: "context", rows: "7", spellcheck: false }), question = h("input", { type: "text", id: "question", spellcheck: false });
  const shown = bars(), rests = h("div"), list = h("div", { class: "row examples" });

  // The text, with the sentences marked that the answer rests on.
  function because(text, sentences, supporting) {
    const parts = [];
    let at = 0;
    sentences.forEach((one, i) => {
      const words = text.slice(one.start_utf16, one.end_utf16);
      parts.push(text.slice(at, one.start_utf16), supporting.includes(i) ? h("mark", {}, words) : words);
      at = one.end_utf16;
    });
    return [h("h2", {}, "What it rests on"), h("p", { class: "why context" }, ...parts, text.slice(at))];
  }

  async function answer() {
    if (!context.value.trim() || !question.value.trim()) {
      own.forget();
      return;
    }
    const text = context.value, found = await own.ask("/v1/answer", { model: state.model, context: text, question: question.value, n: 5 });
    if (!found) return;
    const [best] = found.answers;
    shown.show([best, ...(best.alternatives || [])].map(({ answer: label, score }) => ({ label, score })));
    rests.replaceChildren(...(best.supporting ? because(text, found.sentences, best.supporting) : []));
  }
  const later = debounce(250, answer);

  function change(name) {
    state.model = name;
    list.replaceChildren(...(knowsIt(name) ? examples : []).map((text) => h("button", { type: "button", class: "link", onclick: () => { question.value = text; answer(); } }, text)));
    if (knowsIt(name) && !context.value) {
      context.value = story;
      [question.value] = examples;
    }
    answer();
  }

  for (const entry of [context, question]) entry.addEventListener("input", later);
  own.place(main, "Questions about a text",
    "The network reads the question, then the text, and says which answer fits, and which sentences it rests on.",
    [h("div", { class: "stacked" }, field("Text", context), field("Question", question)), list, own.wrong, shown, own.told, rests],
    [field("Model", choose(names, state.model, change))]);
  change(state.model);
}
