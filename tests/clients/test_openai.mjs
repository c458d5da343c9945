// OpenAI's own JavaScript client against the server: node test_openai.mjs BASE_URL
// Run from the folder that holds node_modules.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(pathToFileURL(process.cwd() + "/"));
const OpenAI = require("openai");
const client = new OpenAI({ baseURL: process.argv[2], apiKey: "none", maxRetries: 0, timeout: 30000 });
const model = "tiny-characters";

const tests = {
  async "lists models"() {
    const ids = [];
    for await (const found of client.models.list()) ids.push(found.id);
    assert.equal(ids.length, 8);
    assert.ok(ids.includes(model));
  },
  async "retrieves a model"() {
    assert.equal((await client.models.retrieve(model)).id, model);
  },
  async "misses a model"() {
    await assert.rejects(client.models.retrieve("nobody"), (error) =>
      error instanceof OpenAI.NotFoundError && error.code === "model_not_found");
  },
  async "completes"() {
    const answer = await client.completions.create({ model, prompt: "ab", max_tokens: 20, seed: 1, logprobs: 2 });
    assert.equal(answer.object, "text_completion");
    assert.equal([...answer.choices[0].text].length, 20);
    assert.equal(answer.choices[0].finish_reason, "length");
    assert.equal(answer.choices[0].logprobs.tokens.length, 20);
    assert.deepEqual([answer.usage.prompt_tokens, answer.usage.completion_tokens], [2, 20]);
  },
  async "completes several prompts"() {
    const answer = await client.completions.create({ model, prompt: ["a", "b"], n: 2, max_tokens: 5, stop: "zz" });
    assert.deepEqual(answer.choices.map((choice) => choice.index), [0, 1, 2, 3]);
  },
  async "streams"() {
    const request = { model, prompt: "ab", max_tokens: 500, seed: 3 };
    const whole = await client.completions.create(request);
    let text = "", finish = null;
    for await (const event of await client.completions.create({ ...request, stream: true }))
      for (const choice of event.choices) {
        text += choice.text;
        finish = choice.finish_reason ?? finish;
      }
    assert.equal(text, whole.choices[0].text);
    assert.equal(finish, "length");
  },
  async "streams usage"() {
    let last;
    for await (const event of await client.completions.create({
      model, prompt: "ab", max_tokens: 50, stream: true, stream_options: { include_usage: true } })) last = event;
    assert.deepEqual(last.choices, []);
    assert.equal(last.usage.completion_tokens, 50);
  },
  async "leaves a stream"() {
    const stream = await client.completions.create({ model, prompt: "ab", max_tokens: 16000, stream: true });
    for await (const event of stream) break;
    stream.controller.abort();
  },
  async "streams side by side"() {
    const one = async (seed) => {
      let text = "";
      for await (const event of await client.completions.create({
        model, prompt: "ab", max_tokens: 200, seed, stream: true })) text += event.choices[0]?.text ?? "";
      return text;
    };
    const texts = await Promise.all(Array.from({ length: 16 }, (_, i) => one(i % 4)));
    assert.ok(texts.every((text, i) => [...text].length === 200 && text === texts[i % 4]));
    assert.equal(new Set(texts).size, 4);
  },
  async "transcribes sound"() {
    const samples = Int16Array.from({ length: 5000 }, (_, i) => ((i * i) % 251) * 100);
    const head = Buffer.alloc(44);
    head.write("RIFF", 0);
    head.writeUInt32LE(36 + samples.byteLength, 4);
    head.write("WAVEfmt ", 8);
    [[16, 16], [20, 1 | (1 << 16)], [24, 16000], [28, 32000], [32, 2 | (16 << 16)]].forEach(([at, n]) => head.writeUInt32LE(n, at));
    head.write("data", 36);
    head.writeUInt32LE(samples.byteLength, 40);
    const bytes = Buffer.concat([head, Buffer.from(samples.buffer)]);
    const ask = async (more) => client.audio.transcriptions.create({
      model: "tiny-speech", file: await OpenAI.toFile(bytes, "sound.wav"), ...more });
    const { text } = await ask({});
    assert.ok(text.length > 0);
    assert.equal((await ask({ response_format: "text" })).trimEnd(), text);
    assert.ok((await ask({ response_format: "vtt" })).startsWith("WEBVTT"));
    const answer = await ask({ response_format: "verbose_json", timestamp_granularities: ["word"] });
    assert.ok(Math.abs(answer.duration - 0.3125) < 0.01 && answer.words.length > 0);
    await assert.rejects(ask({ prompt: "digits" }), (error) => error.param === "prompt");
  },
  async "draws pictures"() {
    const [prompt] = (await client.models.retrieve("tiny-drawing")).labels;
    const answer = await client.images.generate({ model: "tiny-drawing", prompt, n: 2, response_format: "b64_json" });
    assert.equal(answer.data.length, 2);
    assert.ok(answer.data.every((one) => Buffer.from(one.b64_json, "base64").subarray(1, 4).toString() === "PNG"));
  },
  async "embeds"() {
    const answer = await client.embeddings.create({ model, input: ["ab", "hello"] });
    assert.equal(answer.data.length, 2);
    assert.equal(answer.data[0].embedding.length, 16);
  },
  async "tells what is wrong"() {
    await assert.rejects(client.completions.create({ model, prompt: "ab", max_tokens: -1 }), (error) =>
      error instanceof OpenAI.BadRequestError && error.code === "invalid_value" && error.param === "max_tokens");
    await assert.rejects(client.completions.create({ model: "nobody", prompt: "ab" }), OpenAI.NotFoundError);
    await assert.rejects(client.completions.create({ model: "tiny-series", prompt: "ab" }),
      OpenAI.UnprocessableEntityError);
  },
};

let failures = 0;
for (const [name, test] of Object.entries(tests)) {
  try {
    await test();
  } catch (error) {
    failures++;
    console.log(`FAILED: ${name}\n${error.stack ?? error}`);
  }
}
const count = Object.keys(tests).length;
const { VERSION } = require("openai/version");
console.log(`openai for JavaScript ${VERSION}: ${Math.floor((100 * (count - failures)) / count)}%: ` +
  `Checks: ${count}, Failures: ${failures}, Errors: 0`);
process.exit(failures > 0 ? 1 : 0);
