// Music: a tune, or voices below a melody of yours, as notes over time; played here, or taken away as a file.
import { h, field, choose, range, debounce, fit, hue, ink } from "./ui.js";
import { askFile, detail, ofTask } from "./api.js";
import { bench, first } from "./bench.js";
import { audio } from "./sound.js";

const SEMITONES = { C: 0, D: 2, E: 4, F: 5, G: 7, A: 9, B: 11 }, SHARPS = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"];
const melodies = {
  "Ode to Joy": "B4 B4 C5 D5 D5 C5 B4 A4 G4 G4 A4 B4 B4 A4 A4 .",
  "Brother John": "G4 A4 B4 G4 G4 A4 B4 G4 B4 C5 D5 D5 B4 C5 D5 D5",
  "a scale": "C4 D4 E4 F4 G4 A4 B4 C5",
};
const keys = ["", "C", "G", "D", "A", "F", "Bb", "Eb", "Am", "Em", "Bm", "Dm", "Gm", "Cm", "Ador", "Edor", "Dmix", "Amix"];
const metres = ["", "6/8", "9/8", "2/2", "4/4", "2/4", "3/4"];
const LEFT = 40, TOP = 8, ROW = 9;

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
  const state = { model: first(names, wanted), info: null, melody: [], key: "", metre: "", bars: 8, temperature: 1, tune: null, body: null, sounding: null };
  const roll = h("canvas", { class: "roll", role: "img" }), summary = h("p", { class: "note", role: "status" });
  const melody = h("textarea", { rows: "2", class: "mono", spellcheck: false }), seed = h("input", { type: "number", min: "0", step: "1", placeholder: "drawn anew" });
  const player = h("button", { type: "button", disabled: true, onclick: () => (state.sounding ? quiet() : listen()) }, "Play");
  const files = h("span", { class: "examples" });

  // ---- the notes ----

  const perQuarter = () => state.info.steps_per_quarter;
  const isStaff = () => state.info?.tonic !== undefined; // one voice with bars and repeats, and no melody to harmonise
  const given = () => (isStaff() ? [] : state.melody);

  function draw() {
    if (!state.info) return;
    const notes = state.tune?.notes || [], pitches = [...notes.map((note) => note.pitch), ...given().filter((pitch) => pitch !== null)];
    const low = Math.min(...pitches, 57) - 2, high = Math.max(...pitches, 74) + 2, beats = Math.max(state.tune?.duration || 0, given().length / perQuarter(), 16);
    const width = Math.max(240, roll.parentElement.clientWidth), height = 2 * TOP + (high - low + 1) * ROW, context = fit(roll, width, height);
    const x = (beat) => LEFT + (beat / beats) * (width - LEFT - 8), y = (pitch) => TOP + (high - pitch) * ROW;
    context.font = `11px ${ink("sans")}`;
    context.textBaseline = "middle";
    for (let pitch = low; pitch <= high; pitch++) {
      context.fillStyle = ink("faint");
      if (SHARPS[pitch % 12].length > 1) context.fillRect(LEFT, y(pitch), width - LEFT - 8, ROW);
      context.fillStyle = ink("soft");
      if (pitch % 12 === 0) context.fillText(nameOf(pitch), 8, y(pitch) + ROW / 2);
    }
    context.fillStyle = ink("line");
    for (let beat = 0; beat <= beats; beat += 4) context.fillRect(x(beat), TOP, 1, height - 2 * TOP);
    for (const note of notes.toSorted((a, b) => b.voice - a.voice)) { // the melody above voices in unison with it
      context.fillStyle = hue(note.voice);
      context.fillRect(x(note.start) + 1, y(note.pitch), Math.max(2, x(note.start + note.duration) - x(note.start) - 2), ROW - 1);
    }
    context.strokeStyle = ink("ink");
    given().forEach((pitch, i) => {
      if (pitch !== null) context.strokeRect(x(i / perQuarter()) + 1, y(pitch), x(1 / perQuarter()) - x(0) - 2, ROW - 1);
    });
    if (state.sounding) {
      context.fillStyle = ink("accent");
      context.fillRect(x(Math.max(0, Math.min(beats, state.sounding.beats()))), TOP, 2, height - 2 * TOP);
    }
    roll.map = { step: (px) => Math.floor(((px - LEFT) / (width - LEFT - 8)) * beats * perQuarter()), pitch: (py) => high - Math.floor((py - TOP) / ROW) };
    roll.setAttribute("aria-label", `${notes.length} notes over ${beats} quarter notes. The field below holds the melody.`);
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
      draw();
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
  async function save(format, end) {
    const file = await askFile("/v1/music", { ...state.body, format }).catch((error) => { own.say(error.message); });
    if (!file) return;
    const link = h("a", { href: URL.createObjectURL(file), download: `${state.model}-${state.body.seed}.${end}` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

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
  roll.addEventListener("pointerup", (event) => {
    const box = roll.getBoundingClientRect(), step = roll.map.step(event.clientX - box.left), pitch = roll.map.pitch(event.clientY - box.top);
    if (isStaff() || step < 0 || step > 255) return;
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
    metre.hidden = !isStaff();
    grid.textContent = `${isStaff() ? "The model writes one voice, with bars and repeats, and has no melody to harmonise." : `A step is ${note}.`} The model knows the notes from ${nameOf(info.lowest_note)} to ${nameOf(info.highest_note)}.`;
    read();
  }

  const tune = field("Melody: a note a step, “.” for silence; or click into the picture", melody);
  const examples = h("div", {}, h("div", { class: "row examples" }, [...Object.entries(melodies), ["no melody", ""]].map(([title, text]) => h("button", { type: "button", class: "link", onclick: () => sing(text) }, title))));
  const metre = field("Metre", choose(metres.map((one) => ({ value: one, text: one || "the model's choice" })), "", (one) => { state.metre = one; later(); }));
  const grid = h("p", { class: "note" }), bars = field("Length", range(1, 32, 1, state.bars, (n) => { state.bars = n; later(); }), (n) => `${n} bars`);
  main.addEventListener("redraw", draw);
  own.place(main, "Music, a note at a time",
    "The network goes on with the notes that it has read. Give it a melody, a step a note, and it finds the voices below; or give it none, and it makes a tune.",
    [h("div", {}, roll), h("div", { class: "row" }, h("button", { type: "button", class: "main", onclick: write }, "Write anew"), player, files), own.wrong, summary,
      tune, examples, grid],
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
