// Sound in the browser: one audio context, the microphone, WAV files.

let context = null;
// The page's audio context; made when it is first needed, which must be in answer to a click.
export function audio() {
  context ??= new AudioContext();
  if (context.state === "suspended") context.resume();
  return context;
}

export const canRecord = () => Boolean(navigator.mediaDevices?.getUserMedia && globalThis.AudioWorkletNode);

// Begin to record. `take` gets all blocks so far. Returns a function that stops and returns {samples, rate}.
export async function record(take) {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } }), own = audio();
  await own.audioWorklet.addModule("/playground/recorder.js");
  const source = own.createMediaStreamSource(stream), node = new AudioWorkletNode(own, "recorder", { numberOfOutputs: 0 }), blocks = [];
  node.port.onmessage = ({ data }) => {
    blocks.push(data);
    take(blocks);
  };
  source.connect(node);
  return () => {
    source.disconnect();
    node.port.onmessage = null;
    for (const track of stream.getTracks()) track.stop();
    return { samples: join(blocks), rate: own.sampleRate };
  };
}

export function join(blocks) {
  const samples = new Float32Array(blocks.reduce((sum, block) => sum + block.length, 0));
  let at = 0;
  for (const block of blocks) {
    samples.set(block, at);
    at += block.length;
  }
  return samples;
}

// One channel of 16-bit PCM as a WAV file.
export function wav(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const put = (at, text) => [...text].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  put(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  put(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // channels
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  put(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((v, i) => view.setInt16(44 + 2 * i, Math.round(32767 * Math.max(-1, Math.min(1, v))), true));
  return new File([view], "sound.wav", { type: "audio/wav" });
}

// The samples of any file that the browser can play, its channels averaged.
export async function decode(file) {
  const buffer = await new OfflineAudioContext(1, 1, 48000).decodeAudioData(await file.arrayBuffer()), samples = new Float32Array(buffer.length);
  for (let c = 0; c < buffer.numberOfChannels; c++) buffer.getChannelData(c).forEach((v, i) => { samples[i] += v / buffer.numberOfChannels; });
  return { samples, rate: buffer.sampleRate };
}

// The samples at another rate.
export async function resample(samples, from, to) {
  return (await new OfflineAudioContext(1, 1, to).decodeAudioData(await wav(samples, from).arrayBuffer())).getChannelData(0);
}

// Play samples from `start` to `end`, in seconds. Returns what stops them; `done` is called at their end.
export function play(samples, rate, start, end, done) {
  const own = audio(), buffer = own.createBuffer(1, samples.length, rate), source = own.createBufferSource();
  buffer.copyToChannel(samples, 0);
  source.buffer = buffer;
  source.connect(own.destination);
  source.onended = done;
  source.start(0, start, end - start);
  return () => source.stop();
}
