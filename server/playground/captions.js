// Captions: a picture that is put together, drawn or chosen, what the network says of it, and where it looks at each word.
import { h, field, choose, segments, debounce, percent } from "./ui.js";
import { detail, ofTask, reading } from "./api.js";
import { bench, first } from "./bench.js";
import { colours, draw, names as things } from "./things.js";

const LEAST = 192; // pixels of the picture that is sent, at least
const sizes = { small: 0.11, large: 0.21 }; // the radius, as a part of the picture
const scenes = {
  "a circle above a seven": [["circle", "red", 0.45, 0.3, 0.21], ["7", "blue", 0.52, 0.76, 0.11]],
  "a star beside a ring": [["star", "purple", 0.3, 0.5, 0.22], ["ring", "green", 0.78, 0.45, 0.11]],
  "a three alone": [["3", "orange", 0.5, 0.2, 0.12]],
  "a diamond and a cross": [["diamond", "pink", 0.73, 0.6, 0.21], ["cross", "blue", 0.22, 0.52, 0.11]],
};

export function open(main, wanted) {
  // What is put together here is a still picture: models that read one come first.
  const still = new Set(reading("picture")), names = ofTask("image-to-text").sort((a, b) => still.has(b) - still.has(a)), own = bench();
  const state = { model: first(names, wanted), info: null, thing: "circle", colour: "red", size: "large", at: [0.5, 0.5], file: null, word: -1, chosen: -1, best: null };
  const picture = h("canvas", { class: "shot", role: "img", tabindex: "0" });
  const over = h("canvas", { class: "over", "aria-hidden": "true" }), list = h("div", { role: "status" }), frames = h("p", { class: "note" });
  const paint = picture.getContext("2d", { willReadFrequently: true });

  // ---- what is answered ----

  // How much the word looked at each patch of the picture: rows of columns; null if the encoder reads something else.
  function patches() {
    const { picture_width: width, picture_height: height, picture_frames: frames } = state.info, row = state.best?.attention?.weights[state.word];
    if (!row || row.length % frames) return null;
    const n = row.length / frames, side = Math.sqrt((width * height) / n), across = width / side;
    if (!Number.isInteger(across) || !Number.isInteger(height / side)) return null;
    const sums = Array.from({ length: n }, (_, i) => Array.from({ length: frames }, (__, f) => row[f * n + i]).reduce((a, b) => a + b));
    return Array.from({ length: n / across }, (_, y) => sums.slice(y * across, (y + 1) * across));
  }

  function drawOver() {
    const context = over.getContext("2d"), rows = patches();
    over.width = picture.width;
    over.height = picture.height;
    if (rows) {
      const most = Math.max(...rows.flat()), h1 = over.height / rows.length, w1 = over.width / rows[0].length;
      rows.forEach((row, y) => row.forEach((weight, x) => {
        context.fillStyle = `rgba(20, 20, 20, ${(0.78 * (1 - weight / most)).toFixed(3)})`;
        context.fillRect(x * w1, y * h1, w1, h1);
      }));
    } else if (document.activeElement === picture && picture.matches(":focus-visible")) {
      const [x, y] = [state.at[0] * over.width, state.at[1] * over.height];
      context.strokeStyle = "#1f6267";
      context.lineWidth = over.width / 128;
      context.strokeRect(x - 6, y - 6, 12, 12);
    }
  }

  // Show where the network looked at a word, or at none (-1).
  function point(word) {
    state.word = word;
    drawOver();
  }

  // The word that is shown while the mouse is over no other one.
  function choice(word) {
    state.chosen = word;
    [...list.querySelectorAll("button")].forEach((button, i) => button.setAttribute("aria-pressed", String(i === word)));
    point(word);
  }

  function show(captions) {
    const [best, ...others] = captions, attention = best.attention;
    state.best = best;
    const words = attention ? attention.target.slice(0, -1) : [];
    const sentence = words.length ? words.flatMap((word, i) => [h("button", { type: "button", "aria-pressed": "false", onclick: () => choice(state.chosen === i ? -1 : i),
      onpointerenter: (event) => { if (event.pointerType === "mouse") point(i); } }, word), " "]) : best.text;
    list.replaceChildren(h("p", { class: "sentence", onpointerleave: () => point(state.chosen) }, sentence, h("span", { class: "note" }, `${words.length ? "" : " "}${percent(Math.exp(best.log_probability))}`)),
      words.length ? h("p", { class: "note" }, "Choose a word to see where the network looked when it wrote it.") : "",
      h("ol", { "aria-label": "What else it might say" }, others.map((one) => h("li", {}, one.text, h("span", { class: "note" }, ` ${percent(Math.exp(one.log_probability))}`)))));
    choice(-1);
  }

  async function tell() {
    const image = state.file || picture.toDataURL("image/png"), body = { model: state.model, image, n: 3, return_attention: true };
    state.word = -1;
    drawOver();
    const answer = await own.ask("/v1/caption", body);
    if (answer) show(answer.captions);
  }
  const later = debounce(150, tell);

  // ---- the picture ----

  function blank() {
    paint.fillStyle = "#ffffff";
    paint.fillRect(0, 0, picture.width, picture.height);
  }

  function clear() {
    state.file = null;
    file.value = "";
    blank();
  }

  function put(thing, colour, x, y, size) {
    state.file = null;
    const unit = Math.min(picture.width, picture.height);
    draw(paint, thing, colours[colour], x * picture.width, y * picture.height, size * unit);
  }

  function set(scene) {
    clear();
    scene.forEach((one) => put(...one));
    tell();
  }

  // The chosen file as the server would fit it, with white beside it. An animation is sent as it is.
  async function take(chosen) {
    try {
      const bitmap = await createImageBitmap(chosen), scale = Math.min(picture.width / bitmap.width, picture.height / bitmap.height);
      const [width, height] = [bitmap.width * scale, bitmap.height * scale];
      blank();
      paint.imageSmoothingQuality = "high";
      paint.drawImage(bitmap, (picture.width - width) / 2, (picture.height - height) / 2, width, height);
    } catch {
      own.say(`“${chosen.name}” is no picture that this browser can read.`);
      return;
    }
    const reader = new FileReader();
    reader.onload = () => {
      state.file = chosen.type === "image/gif" ? reader.result : picture.toDataURL("image/jpeg", 0.92);
      tell();
    };
    reader.readAsDataURL(chosen);
  }

  function stamp() {
    put(state.thing, state.colour, ...state.at, sizes[state.size]);
    later();
  }
  picture.addEventListener("pointerdown", (event) => {
    const box = picture.getBoundingClientRect();
    state.at = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    stamp();
  });
  picture.addEventListener("keydown", (event) => {
    const [dx, dy] = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key] || [0, 0];
    if (!dx && !dy && event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    if (!dx && !dy) stamp();
    state.at = state.at.map((v, i) => Math.max(0, Math.min(1, v + [dx, dy][i] / 24)));
    state.word = -1;
    drawOver();
  });
  for (const event of ["focus", "blur"]) picture.addEventListener(event, drawOver);
  const drop = h("div", { class: "stack", ondragover: (event) => event.preventDefault(),
    ondrop: (event) => { event.preventDefault(); if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]); } }, picture, over);
  const file = h("input", { type: "file", accept: "image/png,image/jpeg,image/gif", onchange: () => { if (file.files[0]) take(file.files[0]); } });

  async function change(model) {
    state.model = model;
    const info = await detail(model).catch((error) => { own.say(error.message); });
    if (!info || state.model !== model) return;
    state.info = info;
    frames.textContent = info.picture_frames > 1 ? `${model} reads ${info.picture_frames} frames: choose an animated GIF. A still picture counts as so many equal frames.` : "";
    if (!info.picture_width) {
      own.say(`${model} reads rows of numbers, not pictures: it is asked with “features”.`);
      return;
    }
    const times = Math.ceil(LEAST / Math.min(info.picture_width, info.picture_height));
    picture.width = info.picture_width * times;
    picture.height = info.picture_height * times;
    picture.setAttribute("aria-label", "The picture. By keyboard: arrow keys move the place, Enter puts the thing there.");
    set(scenes[Object.keys(scenes)[0]]);
  }

  own.place(main, "A picture, and what is said of it",
    "An encoder reads the picture patch by patch, a decoder writes a sentence. Put things into the picture, or choose one of your own.",
    [h("div", { class: "captions" }, h("div", {}, drop,
      h("div", { class: "row" }, h("button", { type: "button", onclick: () => { clear(); later(); } }, "Clear"),
        h("div", { class: "grow" }, field("A file, PNG, JPEG or GIF", file)))), h("div", {}, own.wrong, frames, list, own.told,
      h("span", { class: "label" }, "Scenes to begin with"), h("div", { class: "examples" }, Object.entries(scenes).map(([title, scene]) => h("button", { type: "button", class: "link", onclick: () => set(scene) }, title)))))],
    [field("Model", choose(names, state.model, change)),
      field("Thing", choose(things, state.thing, (thing) => { state.thing = thing; })),
      field("Colour", choose(Object.keys(colours), state.colour, (colour) => { state.colour = colour; })),
      h("div", {}, h("span", { class: "label" }, "Size"), segments("Size", Object.keys(sizes).map((size) => ({ value: size, text: size })), state.size, (size) => { state.size = size; }))]);
  change(state.model);
}
