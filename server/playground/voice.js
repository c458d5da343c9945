// Voice: what was spoken, in a file or into the microphone, and when each word was.
import { h, field, choose, fit, hue, ink } from "./ui.js";
import { ask, detail, reading, served } from "./api.js";
import { bench, first } from "./bench.js";
import { audio, canRecord, decode, join, play, record, resample, wav } from "./sound.js";

const HEIGHT = 150, LONGEST_S = 15, PIECE_S = 0.2, EDGE_S = 0.01; // more sound may change the edge of what is resampled

export function open(main, wanted) {
  const names = reading("sound"), own = bench();
  const state = { model: first(names, wanted), samples: new Float32Array(0), rate: 16000, file: null, words: [], stop: null, stopRecording: null, hasLeft: false };
  const wave = h("canvas", { class: "paper", role: "img" }), text = h("p", { class: "recognised", role: "status" }), list = h("div", { class: "units" });
  const recorder = h("button", { type: "button", class: "main", onclick: () => (state.stopRecording ? finish() : begin()) }, "Record");
  const player = h("button", { type: "button", disabled: true, onclick: () => listen(0, state.samples.length / state.rate) }, "Play");
  const file = h("input", { type: "file", accept: "audio/*", onchange: () => { if (file.files[0]) take(file.files[0]); } });

  // The loudest sample of each pixel, in the colour of the word that it belongs to.
  function draw() {
    const width = Math.max(240, wave.parentElement.clientWidth), context = fit(wave, width, HEIGHT), { samples, rate, words } = state;
    const each = Math.max(1, samples.length / width), middle = HEIGHT / 2 - 8;
    for (let x = 0; x < width && samples.length; x++) {
      let most = 0;
      for (let i = Math.floor(x * each); i < (x + 1) * each && i < samples.length; i++) most = Math.max(most, Math.abs(samples[i]));
      const word = words.findIndex((one) => x * each >= one.start * rate && x * each < one.end * rate);
      context.fillStyle = word < 0 ? ink("soft") : hue(word);
      context.fillRect(x, middle - most * (middle - 6), 1, Math.max(1, 2 * most * (middle - 6)));
    }
    context.font = `14px ${ink("serif")}`;
    context.fillStyle = ink("soft");
    if (!samples.length) context.fillText("No sound yet", 16, middle);
    words.forEach((one, i) => {
      context.fillStyle = hue(i);
      context.fillText(one.word, (one.start * rate) / each, HEIGHT - 6);
    });
    wave.setAttribute("aria-label", samples.length ? `${(samples.length / rate).toFixed(1)} seconds of sound` : "No sound yet");
  }

  function show(answer) {
    state.words = answer.words || [];
    text.textContent = answer.text || "(nothing)";
    list.replaceChildren(...state.words.map((one) => h("button", { type: "button", title: "Listen to it", onclick: () => listen(one.start, one.end) },
      one.word, h("span", { class: "note" }, ` ${one.start.toFixed(2)}–${one.end.toFixed(2)} s`))));
    own.told.textContent = `${answer.duration.toFixed(1)} s of sound.`;
    draw();
  }

  function asked(sound) {
    const form = new FormData();
    form.append("file", sound);
    form.append("model", state.model);
    form.append("response_format", "verbose_json");
    form.append("timestamp_granularities[]", "word");
    return form;
  }

  async function transcribe() {
    const answer = state.file && await own.ask("/v1/audio/transcriptions", asked(state.file));
    if (answer) show(answer);
  }

  function use(samples, rate, sent) {
    Object.assign(state, { samples, rate, file: sent, words: [] });
    player.disabled = !samples.length;
    list.replaceChildren();
    text.textContent = "";
    draw();
    transcribe();
  }

  // A WAV file is sent as it is; any other is made one.
  async function take(chosen) {
    try {
      const { samples, rate } = await decode(chosen);
      use(samples, rate, /\.wav$/i.test(chosen.name) ? chosen : wav(samples, rate));
    } catch {
      own.forget();
      own.say(`“${chosen.name}” is no sound that this browser can play.`);
    }
  }

  function quiet() {
    state.stop?.();
    state.stop = null;
    player.textContent = "Play";
  }

  function listen(start, end) {
    const wasPlaying = state.stop !== null;
    quiet();
    if (wasPlaying && start === 0) return;
    const stop = play(state.samples, state.rate, start, end, () => { if (state.stop === stop) quiet(); });
    state.stop = stop;
    player.textContent = "Stop";
  }

  // What a model that reads in one direction has heard so far: what is new goes to a session. The whole is asked for at the end
  // anyway, with the places of the words, so that a piece that fails is no loss.
  async function follow(recording) {
    const { model } = state, { whole_sequences: isWhole, sampling_rate: rate } = await detail(model);
    if (isWhole || !served.routes.has("/v1/sessions")) return;
    const session = (await ask("/v1/sessions", { model, ttl_s: 60 })).id;
    for (let sent = 0; state.stopRecording === recording;) {
      const { samples } = state, heard = samples.length ? await resample(samples, state.rate, rate) : samples, end = heard.length - Math.round(EDGE_S * rate);
      if (end - sent >= PIECE_S * rate) {
        const answer = await ask("/v1/transcribe", { session, samples: Array.from(heard.subarray(sent, end)) });
        if (state.stopRecording === recording) text.textContent = answer.text;
        sent = end;
      } else await new Promise((resolve) => { setTimeout(resolve, 50); });
    }
  }

  async function begin() {
    quiet();
    own.forget();
    recorder.disabled = true;
    file.value = "";
    try {
      const rate = state.rate = audio().sampleRate;
      const stop = await record((blocks) => {
        if (blocks.length % 16) return; // 128 samples each
        state.samples = join(blocks);
        own.told.textContent = `${(state.samples.length / rate).toFixed(1)} s, of ${LONGEST_S} at most`;
        draw();
        if (state.samples.length > LONGEST_S * rate && state.stopRecording) finish();
      });
      if (state.hasLeft) stop();
      else state.stopRecording = stop;
      Object.assign(state, { samples: new Float32Array(0), words: [] });
      list.replaceChildren();
      text.textContent = "";
      recorder.textContent = "Stop recording";
      if (state.stopRecording) follow(stop).catch(() => {});
    } catch (error) {
      own.say(error.name === "NotAllowedError" ? "The browser was not allowed to use the microphone." : `There is no microphone to record with: ${error.message}`);
    }
    recorder.disabled = false;
  }

  function finish() {
    const stop = state.stopRecording;
    state.stopRecording = null;
    recorder.textContent = "Record";
    const { samples, rate } = stop();
    use(samples, rate, wav(samples, rate));
  }

  main.addEventListener("redraw", draw);
  own.place(main, "A voice, and what it said",
    "The network hears the sound in small steps, and writes down what was said and when. Record yourself, or choose a file.",
    [h("div", {}, wave), h("div", { class: "row" }, canRecord() ? recorder : null, player, own.told),
      canRecord() ? null : h("p", { class: "note" }, "Browsers lend the microphone to pages of https and of this machine only, so there is no recording here."),
      own.wrong, text, list, field("A file, WAV or what else this browser plays", file)],
    [field("Model", choose(names, state.model, (name) => { state.model = name; transcribe(); }))]);
  draw();
  own.code.show("/v1/audio/transcriptions", asked(new File([], "sound.wav")));
  return () => {
    quiet();
    state.hasLeft = true;
    state.stopRecording?.();
    main.removeEventListener("redraw", draw);
  };
}
