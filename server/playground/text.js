// Text: a stream of tokens, each with its probability, its alternatives, and a way to go on from there.
import { h, field, choose, range, visible, percent } from "./ui.js";
import { ofTask, served, stream, Refusal } from "./api.js";
import { requests } from "./requests.js";

const beginnings = {
  shakespeare: ["ROMEO:\n", "To be, or not to be", "First Citizen:\nWe are", "KING HENRY:\nMy lord,"],
  story: ["I grew up in France. The summers were long. I speak fluent", "Anna lived in Japan for twenty years. It often rained. She still dreams in"],
};

export function open(main, wanted) {
  const names = ofTask("text-generation");
  const state = { model: names.includes(wanted) ? wanted : names[0], temperature: 0.8, top_k: 0, max_tokens: 400, abort: null, id: null };
  const prompt = h("textarea", { id: "prompt", rows: "1", spellcheck: false, "aria-label": "Prompt", placeholder: "Begin a text …" });
  const written = h("div", { class: "written", "aria-live": "off" });
  const said = h("span", { class: "said", onclick: () => prompt.focus() });
  written.append(said);
  const told = h("p", { class: "note", role: "status" }), wrong = h("p", { class: "wrong", role: "alert" });
  const seed = h("input", { type: "number", min: "0", step: "1", placeholder: "drawn anew" });
  const go = h("button", { type: "button", class: "main", onclick: () => (state.abort ? state.abort.abort() : write(null)) }, "Write");
  const more = h("button", { type: "button", hidden: true, title: "From the state that the server has kept, without reading the text again", onclick: () => write(state.id) }, "Go on");
  const code = requests(), keeps = served.routes.has("/v1/sessions");
  let pop = null;

  // While the prompt is not being written, its last line stands before the first token instead, on the same line.
  function grow() {
    const height = (text) => {
      const value = prompt.value;
      prompt.value = text;
      prompt.style.height = "auto";
      const found = prompt.scrollHeight;
      prompt.value = value;
      return found;
    };
    const isRead = document.activeElement !== prompt && written.querySelector(".token"), cut = prompt.value.lastIndexOf("\n");
    said.textContent = isRead ? prompt.value.slice(cut + 1) : "";
    prompt.style.height = `${!isRead ? height(prompt.value) : cut < 0 ? 0 : height(prompt.value.slice(0, cut))}px`;
  }

  function closePop() {
    pop?.remove();
    pop = null;
  }

  // The text up to a token, as the server would see it.
  const textBefore = (span) => {
    let text = prompt.value;
    for (let at = said.nextSibling; at && at !== span; at = at.nextSibling) text += at.dataset.text;
    return text;
  };

  function explainToken(span) {
    closePop();
    const alternatives = Object.entries(span.alternatives).sort((a, b) => b[1] - a[1]);
    pop = h("div", { class: "pop", role: "dialog", "aria-label": "What else could stand here" },
      h("p", { class: "note" }, `${percent(Math.exp(span.logprob))} sure. Go on from here with:`),
      alternatives.map(([token, logprob]) => {
        const bar = h("i");
        bar.style.width = `${100 * Math.exp(logprob)}%`;
        return h("button", { type: "button", class: "choice", onclick: () => {
          const text = textBefore(span) + token;
          closePop();
          prompt.value = text;
          grow();
          write(null);
        } }, h("code", {}, visible(token)), h("span", { class: "bar" }, bar), h("span", {}, percent(Math.exp(logprob))));
      }));
    main.append(pop);
    const at = span.getBoundingClientRect(), within = document.documentElement.clientWidth;
    pop.style.left = `${Math.max(8, Math.min(at.left + scrollX, within - pop.offsetWidth - 8))}px`;
    pop.style.top = `${at.bottom + scrollY + 6}px`;
    pop.querySelector("button")?.focus({ preventScroll: true });
  }

  function addToken(token, logprob, alternatives) {
    const doubt = Math.min(1, -logprob / 4);
    const span = h("span", { class: "token", tabindex: "-1", role: "button", title: percent(Math.exp(logprob)) }, token);
    span.dataset.text = token;
    span.logprob = logprob;
    span.alternatives = { ...alternatives, [token]: logprob };
    span.style.boxShadow = doubt > 0.18 ? `inset 0 -2px 0 color-mix(in srgb, var(--warm) ${Math.round(doubt * 75)}%, transparent)` : "";
    written.append(span);
    if (span.previousSibling === said) grow();
  }

  function take(event, began, before) {
    const choice = event.choices?.[0], sure = choice?.logprobs;
    if (sure?.tokens) sure.tokens.forEach((token, i) => addToken(token, sure.token_logprobs[i] ?? 0, sure.top_logprobs?.[i] || {}));
    else if (choice?.text) addToken(choice.text, 0, {});
    const n = written.childElementCount - 1 - before, s = (performance.now() - began) / 1000;
    told.textContent = `${n} tokens, ${Math.round(n / Math.max(s, 0.001))} a second${event.seed !== undefined ? ` · seed ${event.seed}` : ""}`;
  }

  // Write from the prompt, or from the state that an answer left (docs/state.md).
  async function write(from) {
    state.abort?.abort();
    closePop();
    const start = from ? { previous_response_id: from } : { prompt: prompt.value };
    const body = { model: state.model, ...start, max_tokens: state.max_tokens, temperature: state.temperature };
    if (keeps) body.store = true;
    if (state.top_k) body.top_k = state.top_k;
    if (seed.value !== "") body.seed = Number(seed.value);
    code.show("/v1/completions", body);
    const abort = state.abort = new AbortController(), began = performance.now();
    if (!from) written.replaceChildren(said);
    if (document.activeElement === prompt) prompt.blur();
    written.classList.add("writing");
    wrong.textContent = "";
    more.hidden = true;
    state.id = null;
    const before = written.querySelectorAll(".token").length;
    go.textContent = "Stop";
    try {
      await stream("/v1/completions", { ...body, stream: true, logprobs: 5 }, (event) => {
        if (event.choices?.[0]?.finish_reason === "length") state.id = event.id;
        take(event, began, before);
      }, abort.signal);
    } catch (error) {
      if (error.name !== "AbortError") wrong.textContent = error instanceof Refusal ? error.message : "The connection was lost.";
    }
    if (state.abort !== abort) return;
    state.abort = null;
    written.classList.remove("writing");
    go.textContent = "Write";
    more.hidden = !keeps || !state.id;
    const first = written.querySelector(".token");
    if (first) first.tabIndex = 0;
  }

  written.addEventListener("click", (event) => { if (event.target.classList.contains("token")) explainToken(event.target); });
  written.addEventListener("keydown", (event) => {
    const at = event.target;
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); explainToken(at); }
    const next = event.key === "ArrowRight" ? at.nextElementSibling : event.key === "ArrowLeft" ? at.previousElementSibling : null;
    if (!next || next === said) return;
    event.preventDefault();
    at.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
  const outside = (event) => {
    if (event.type === "keydown" ? event.key === "Escape" : pop && !pop.contains(event.target) && !event.target.classList?.contains("token")) closePop();
  };
  document.addEventListener("pointerdown", outside);
  document.addEventListener("keydown", outside);
  for (const event of ["input", "focus", "blur"]) prompt.addEventListener(event, grow);
  prompt.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); write(null); }
  });

  const examples = (beginnings[state.model] || ["The "]).map((text) => h("button", { type: "button", class: "link",
    onclick: () => { prompt.value = text; grow(); write(null); } }, visible(text.trim())));
  main.append(h("h1", {}, "Text, a token at a time"),
    h("p", { class: "lead" }, "The model goes on with what you begin. Doubt is underlined: choose a token to see what else could stand there, and to go on from it."),
    h("div", { class: "bench" },
      h("div", {}, h("div", { class: "sheet" }, prompt, written), wrong,
        h("div", { class: "row" }, go, more, told), h("div", { class: "examples" }, examples)),
      h("div", { class: "settings" },
        field("Model", choose(names, state.model, (name) => { state.model = name; })),
        field("Temperature", range(0, 1.5, 0.05, state.temperature, (x) => { state.temperature = x; }), (x) => (x === "0" ? "greedy" : x)),
        field("Top k", range(0, 40, 1, 0, (x) => { state.top_k = x; }), (x) => (x === "0" ? "all" : x)),
        field("Length", range(50, 2000, 50, state.max_tokens, (x) => { state.max_tokens = x; }), (x) => `${x} tokens`),
        field("Seed", seed))), code);
  prompt.value = beginnings[state.model]?.[0] || "The ";
  grow();
  code.show("/v1/completions", { model: state.model, prompt: prompt.value, max_tokens: state.max_tokens, temperature: state.temperature });
  return () => {
    state.abort?.abort();
    document.removeEventListener("pointerdown", outside);
    document.removeEventListener("keydown", outside);
  };
}
