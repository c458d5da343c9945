// The frame that parts share: a heading, the work beside its settings, the last request. And asking, where only
// the latest answer counts.
import { h } from "./ui.js";
import { ask, askFile } from "./api.js";
import { requests } from "./requests.js";

export function bench() {
  const wrong = h("p", { class: "wrong", role: "alert" }), told = h("p", { class: "note", role: "status" }), code = requests();
  let latest = 0;
  const own = {
    wrong, told, code,
    // Return the answer; null if it failed, or if another request was begun meanwhile.
    async ask(path, body) {
      const turn = ++latest;
      own.say("");
      code.show(path, body);
      try {
        const answer = await ask(path, body);
        if (turn !== latest) return null;
        if (answer.timings) told.textContent = `Computed in ${answer.timings.compute_ms.toFixed(1)} ms.`;
        return answer;
      } catch (error) {
        if (turn === latest) own.say(error.message);
        return null;
      }
    },
    // What is asked, as a file of that name.
    async save(path, body, name) {
      const file = await askFile(path, body).catch((error) => { own.say(error.message); });
      if (!file) return;
      const link = h("a", { href: URL.createObjectURL(file), download: name });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    },
    // What went wrong; "" if nothing did.
    say(text) { wrong.textContent = text; },
    // An answer that is still to come counts no more.
    forget() {
      latest++;
      told.textContent = "";
      own.say("");
    },
    place(main, title, lead, work, settings) {
      main.append(h("h1", {}, title), h("p", { class: "lead" }, lead),
        h("div", { class: "bench" }, h("div", {}, work), h("div", { class: "settings" }, settings)), code);
    },
  };
  return own;
}

// The model that a part begins with.
export const first = (names, wanted) => (names.includes(wanted) ? wanted : names[0]);
