// Music: a tune, or voices below a melody of yours, on staves; played here, or taken away as a file.
import { h, field, choose, range, debounce } from "./ui.js";
import { detail, ofTask } from "./api.js";
import { bench, first } from "./bench.js";
import { audio } from "./sound.js";
import { arrange, clicked, fifthsOf, paint, pitchAt, words } from "./staff.js";

const SEMITONES = { C: 0, D: 2, E: 4, F: 5, G: 7, A: 9, B: 11 }, SHARPS = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"];
const melodies = {
  "Ode to Joy": "B4 B4 C5 D5 D5 C5 B4 A4 G4 G4 A4 B4 B4 A4 A4 .",
  "Brother John": "G4 A4 B4 G4 G4 A4 B4 G4 B4 C5 D5 D5 B4 C5 D5 D5",
  "a scale": "C4 D4 E4 F4 G4 A4 B4 C5",
};
const keys = ["", "C", "G", "D", "A", "F", "Bb", "Eb", "Am", "Em", "Bm", "Dm", "Gm", "Cm", "Ador", "Edor", "Dmix", "Amix"];
const metres = ["", "6/8", "9/8", "2/2", "4/4", "2/4", "3/4"];

const nameOf = (pitch) => (pitch === null ? "." : `${SHARPS[pitch % 12]}${Math.floor(pitch / 12) - 1}`);

// The MIDI number of a name such as F#4 or Bb3, or of a number; null if it is silence, undefined if it is neither.
function pitchOf(word) {
  if (word === ".") return null;
  if (/^\d+$/.test(word)) return Number(word);
  const found = word.match(/^([A-Ga-g])([#b]?)(-?\d)$/);
  return found ? SEMITONES[found[1].toUpperCase()] + { "": 0, "#": 1, b: -1 }[found[2]] + 12 * (Number(found[3]) + 1) : undefined;
}

// Play notes from now on; returns what stops them.
function sound(notes, tempo, done) {
  const own = audio(), out = own.createGain(), beat = 60 / tempo, begin = own.currentTime + 0.08;
  out.gain.value = 0.16;
  out.connect(own.destination);
  for (const note of notes) {
    const tone = own.createOscillator(), loudness = own.createGain(), from = begin + note.start * beat, to = from + note.duration * beat;
    tone.type = "triangle";
    tone.frequency.value = 440 * 2 ** ((note.pitch - 69) / 12);
    loudness.gain.setValueAtTime(0, from);
    loudness.gain.linearRampToValueAtTime(1, from + 0.02);
    loudness.gain.linearRampToValueAtTime(0.6, Math.max(from + 0.02, to - 0.06));
    loudness.gain.linearRampToValueAtTime(0, to);
    tone.connect(loudness).connect(out);
    tone.start(from);
    tone.stop(to);
  }
  const timer = setTimeout(done, 1000 * (0.2 + beat * Math.max(...notes.map((note) => note.start + note.duration), 0)));
  return { beats: () => (own.currentTime - begin) / beat, stop: () => { clearTimeout(timer); out.disconnect(); } };
}

export function open(main, wanted) {
  const names = ofTask("music-generation"), own = bench();
  const state = { model: first(names, wanted), info: null, melody: [], key: "", metre: "", bars: 8, temperature: 1, tune: null, layout: null, body: null, sounding: null };
  const staff = h("canvas", { role: "img" }), said = h("ol", { class: "note" }), summary = h("p", { class: "note", role: "status" });
  const melody = h("textarea", { rows: "2", class: "mono", spellcheck: false }), seed = h("input", { type: "number", min: "0", step: "1", placeholder: "drawn anew" });
  const player = h("button", { type: "button", disabled: true, onclick: () => (state.sounding ? quiet() : listen()) }, "Play");
  const files = h("span", { class: "examples" });

  // ---- the notes ----

  const perQuarter = () => state.info.steps_per_quarter;
  const isStaff = () => state.info?.tonic !== undefined; // one voice with bars and repeats, and no melody to harmonise
  const given = () => (isStaff() ? [] : state.melody);

  // What is written: the tune, or the melody as long as there is none. Voices have empty bars to click into.
  function written() {
    const notes = state.tune?.notes || given().map((pitch, i) => ({ pitch, start: i / perQuarter(), duration: 1 / perQuarter(), voice: 0 })).filter((note) => note.pitch !== null);
    const metre = state.tune?.metre || state.metre || "4/4", [beats, unit] = metre.split("/"), bar = (4 * beats) / unit;
    const end = state.tune?.duration ?? given().length / perQuarter(), n = Math.ceil(Math.max(end, 16) / bar);
    const parts = state.tune?.parts || [{ start: 0, bars: Array.from({ length: n - 1 }, (_, i) => (i + 1) * bar), end: n * bar, repeated: false }];
    return { notes, parts, metre, end, key: state.tune?.key || state.key || "C", voices: state.tune?.voices || state.info.voices };
  }

  // The moment that is played, as it is written: a repeat has one place.
  function moment() {
    if (!state.sounding) return null;
    const now = Math.max(0, state.sounding.beats()), part = state.tune.parts?.findLast((one) => one.start <= now);
    return part?.repeated && now >= part.end ? now - (part.end - part.start) : now;
  }

  function draw() {
    if (!state.info) return;
    const tune = written();
    state.layout = arrange(tune, Math.max(240, staff.parentElement.clientWidth));
    paint(staff, state.layout, moment());
    staff.setAttribute("aria-label", `${tune.notes.length} notes in ${tune.metre} and ${tune.key}, ${state.layout.bars.length} bars. They are written as words below.`);
    said.replaceChildren(...words(state.layout).map((bar) => h("li", {}, bar)));
  }

  function quiet() {
    state.sounding?.stop();
    state.sounding = null;
    player.textContent = "Play";
    draw();
  }

  function listen() {
    state.sounding = sound(state.tune.notes, state.tune.tempo, quiet);
    player.textContent = "Stop";
    const follow = () => {
      if (!state.sounding) return;
      paint(staff, state.layout, moment());
      requestAnimationFrame(follow);
    };
    follow();
  }

  // ---- what is asked ----

  function asked() {
    const body = { model: state.model, temperature: state.temperature };
    if (!isStaff()) body.hold = true;
    if (given().length) body.melody = state.melody;
    else if (!isStaff()) body.bars = state.bars;
    if (isStaff() && state.metre) body.metre = state.metre;
    if (state.key) body.key = state.key;
    if (seed.value !== "") body.seed = Number(seed.value);
    return body;
  }

  async function write() {
    quiet();
    const body = asked(), answer = await own.ask("/v1/music", body);
    if (!answer) return;
    state.tune = answer;
    state.body = { ...body, seed: answer.seed };
    player.disabled = !answer.notes.length;
    const what = isStaff() ? `in ${answer.metre} and ${answer.key}` : `in ${answer.voices} voices`;
    summary.textContent = `${answer.notes.length} notes ${what}, ${answer.duration} quarter notes at ${answer.tempo} a minute · seed ${answer.seed}`;
    offer();
    draw();
  }

  // The same tune as a file: the request again, with the seed that was drawn.
  const save = (format, end) => own.save("/v1/music", { ...state.body, format }, `${state.model}-${state.body.seed}.${end}`);

  function offer() {
    files.replaceChildren(...[["MIDI", "midi", "mid"], ["ABC", "abc", "abc"]].map(([title, format, end]) =>
      h("button", { type: "button", class: "link", onclick: () => save(format, end) }, `Save as ${title}`)));
  }

  const later = debounce(300, write);

  function read() {
    const found = melody.value.split(/[\s,|]+/).filter(Boolean), pitches = found.map(pitchOf), unknown = found.find((_, i) => pitches[i] === undefined);
    if (unknown !== undefined) return own.say(`“${unknown}” is no note: expected a name such as F#4 or Bb3, a MIDI number, or a full stop for silence.`);
    own.say("");
    state.melody = pitches;
    state.tune = null;
    bars.hidden = isStaff() || pitches.length > 0;
    draw();
    return later();
  }

  function sing(text) {
    melody.value = text;
    read();
  }

  // A click puts a note of the melody there, or takes it away.
  staff.addEventListener("click", (event) => {
    const box = staff.getBoundingClientRect(), at = isStaff() ? null : clicked(state.layout, event.clientX - box.left, event.clientY - box.top);
    const step = at ? Math.floor(at.time * perQuarter() + 0.01) : 256;
    if (step > 255) return;
    const pitch = pitchAt(at.place, fifthsOf(state.tune?.key || state.key));
    while (state.melody.length <= step) state.melody.push(null);
    state.melody[step] = state.melody[step] === pitch ? null : pitch;
    sing(state.melody.map(nameOf).join(" "));
  });

  async function change(name) {
    quiet();
    state.model = name;
    const info = await detail(name).catch((error) => { own.say(error.message); });
    if (!info || state.model !== name) return;
    state.info = info;
    const note = info.steps_per_quarter === 1 ? "a quarter note" : `1/${4 * info.steps_per_quarter} note`;
    for (const part of [tune, examples]) part.hidden = isStaff();
    staff.classList.toggle("draws", !isStaff());
    metre.hidden = !isStaff();
    grid.textContent = `${isStaff() ? "The model writes one voice, with bars and repeats, and has no melody to harmonise." : `A step is ${note}.`} The model knows the notes from ${nameOf(info.lowest_note)} to ${nameOf(info.highest_note)}.`;
    read();
  }

  const tune = field("Melody: a note a step, “.” for silence; or click into the upper staff", melody);
  const examples = h("div", {}, h("div", { class: "row examples" }, [...Object.entries(melodies), ["no melody", ""]].map(([title, text]) => h("button", { type: "button", class: "link", onclick: () => sing(text) }, title))));
  const metre = field("Metre", choose(metres.map((one) => ({ value: one, text: one || "the model's choice" })), "", (one) => { state.metre = one; later(); }));
  const grid = h("p", { class: "note" }), bars = field("Length", range(1, 32, 1, state.bars, (n) => { state.bars = n; later(); }), (n) => `${n} bars`);
  main.addEventListener("redraw", draw);
  own.place(main, "Music, a note at a time",
    "The network goes on with the notes that it has read. Give it a melody, a step a note, and it finds the voices below; or give it none, and it makes a tune.",
    [h("div", { class: "score" }, h("div", {}, staff)), h("div", { class: "row" }, h("button", { type: "button", class: "main", onclick: write }, "Write anew"), player, files), own.wrong, summary,
      tune, examples, grid, h("details", {}, h("summary", { class: "note" }, "The notes as words, a line a bar"), said)],
    [field("Model", choose(names, state.model, change)),
      field("Key", choose(keys.map((key) => ({ value: key, text: key || "found in the notes" })), "", (key) => { state.key = key; later(); })), metre, bars,
      field("Temperature", range(0, 1.5, 0.05, state.temperature, (x) => { state.temperature = x; later(); }), (x) => (x === "0" ? "greedy" : x)),
      field("Seed", seed)]);
  melody.value = melodies["Ode to Joy"];
  melody.addEventListener("input", read);
  seed.addEventListener("input", later);
  change(state.model);
  return () => {
    quiet();
    main.removeEventListener("redraw", draw);
  };
}
