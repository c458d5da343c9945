// The page in Chromium (and once in Firefox): each part is used as a person would, nothing is said on the console,
// nothing is asked of another host, axe-core finds no serious fault, and there is a screenshot at three widths.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { join } from "node:path";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import { serve } from "./server.mjs";
import { firefox } from "./firefox.mjs";

const [program, folder, mode] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PATIENCE = 60000, LARGEST = 150 * 1024;
let checks = 0, failures = 0;

function check(good, what) {
  checks++;
  if (good) return;
  failures++;
  console.error(`FAILED: ${what}`);
}

// Random models: their answers are short, and the zoo has no handwriting and no gru.
const random = ["ink", "speech", "speech-live", "music", "staff", "drawing", "handwriting"].flatMap((name) => ["--model", `tiny-${name}=tests/unit/bundles/tiny-${name}`])
  .concat("--model", "gates=tests/http/predict/gates", "--model", "places=tests/http/answering/places");
const server = await serve(program, ...(mode === "--pictures" ? [] : random));
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"] }); // a microphone that beeps

async function newPage(width, scheme = "light", scale = 1) {
  const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme: scheme, deviceScaleFactor: scale });
  page.setDefaultTimeout(PATIENCE);
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) check(false, `console: ${message.text()}`); });
  page.on("pageerror", (error) => check(false, `script: ${error.message}`));
  page.on("request", (request) => { if (!request.url().startsWith(server.url) && !request.url().startsWith("data:")) check(false, `asked another host: ${request.url()}`); });
  return page;
}

// The request as curl says it, in a part that has asked.
async function code(page, expected) {
  const shown = page.locator("details.code pre");
  for (const [language, words] of [["Python", "import requests"], ["JavaScript", "await fetch"], ["curl", "curl http"]]) {
    if (!(await shown.isVisible())) await page.getByText("This as a request").click();
    await page.getByRole("button", { name: language, exact: true }).click();
    check((await shown.textContent()).includes(words), `the request in ${language}`);
  }
  check(expected.test(await shown.textContent()), `the request is ${expected}`);
  await page.getByText("This as a request").click();
}

// How far down the patch lies that a caption's word looked at most, from 0 to 1.
function lightest(page) {
  return page.evaluate(() => {
    const canvas = document.querySelector(".over"), { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let best = 0;
    for (let i = 0; i < data.length / 4; i++) if (data[4 * i + 3] < data[4 * best + 3]) best = i;
    return Math.floor(best / canvas.width) / canvas.height;
  });
}

// The file that a link saves.
async function saved(page, title, end) {
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: `Save as ${title}` }).click()]);
  check(download.suggestedFilename().endsWith(`.${end}`), `the file's name ends as ${end}`);
  return readFileSync(await download.path());
}

// A second of a rising tone, as a WAV file.
function rising(rate = 8000) {
  const file = Buffer.alloc(44 + 2 * rate);
  file.write("RIFF", 0);
  file.writeUInt32LE(36 + 2 * rate, 4);
  file.write("WAVEfmt ", 8);
  [[16, 16], [24, rate], [28, 2 * rate], [40, 2 * rate]].forEach(([at, value]) => file.writeUInt32LE(value, at));
  [[20, 1], [22, 1], [32, 2], [34, 16]].forEach(([at, value]) => file.writeUInt16LE(value, at));
  file.write("data", 36);
  for (let i = 0; i < rate; i++) file.writeInt16LE(Math.round(9000 * Math.sin((i * (900 + i / 4)) / rate)), 44 + 2 * i);
  return file;
}

// Each part, and how it is used; what must then be seen.
const parts = {
  async text(page) {
    await page.getByRole("button", { name: "Write", exact: true }).click();
    await page.waitForFunction(() => document.querySelectorAll(".token").length >= 400);
    await page.locator(".token", { hasText: /\w/ }).nth(20).click(); // the end of a line cannot be clicked on
    await page.locator(".pop .choice").nth(1).waitFor();
    check(await page.locator(".pop .choice").count() >= 5, "a token has alternatives");
    const before = await page.locator("#prompt").inputValue();
    await page.locator(".pop .choice").nth(1).click();
    await page.waitForFunction(() => document.querySelectorAll(".token").length >= 300);
    check((await page.locator("#prompt").inputValue()).length >= before.length + 20, "the text goes on from the chosen token");
    await page.waitForFunction(() => !document.querySelector(".writing"));
    const n = await page.locator(".token").count();
    await page.getByRole("button", { name: "Go on" }).click();
    await page.waitForFunction((least) => document.querySelectorAll(".token").length >= least, n + 300);
    await page.waitForFunction(() => !document.querySelector(".writing"));
  },
  async series(page) {
    await page.getByText(/The next value: 3\d\d/).waitFor();
    await page.getByRole("button", { name: "with a gap" }).click();
    await page.getByText(/with 80 % between/).waitFor();
    await page.getByRole("button", { name: "an odd value" }).click();
    await page.getByRole("img", { name: /72 values, [1-4] of them unusual/ }).waitFor();
    await page.locator("#values").fill("1\n2\n3\n4\n5\n6\n7\n8");
    await page.getByText(/The next value: [89]/).waitFor();
    await page.getByRole("button", { name: "Draw" }).click();
    const box = await page.locator("div.plot").boundingBox();
    await page.mouse.move(box.x + 70, box.y + 200);
    await page.mouse.down();
    for (let i = 0; i <= 20; i++) await page.mouse.move(box.x + 70 + (i * (box.width - 120)) / 20, box.y + 170 + 80 * Math.sin(i));
    await page.mouse.up();
    await page.waitForFunction(() => document.querySelector("#values").value.split(",").length > 30);
    const ticks = () => page.locator(".dygraph-axis-label-x").allTextContents().then((all) => all.filter(Boolean).map(Number));
    check((await ticks())[0] === 1, "a line that is drawn does not zoom");
    await page.getByRole("button", { name: "a season and a trend" }).click();
    await page.getByText(/The next value: 3\d\d/).waitFor();
    // A value is told, and the plot is zoomed by the keyboard and by the mouse, and shows all again.
    const last = async () => Math.max(...(await ticks()));
    const whole = await last();
    await page.mouse.move(box.x + box.width / 3, box.y + 150);
    await page.getByText(/^Step \d+: \d+/).waitFor();
    await page.locator("div.plot").focus();
    for (let i = 0; i < 4; i++) await page.keyboard.press("+");
    check((await last()) < whole, "the keyboard zooms");
    await page.keyboard.press("0");
    await page.waitForFunction((most) => Math.max(...[...document.querySelectorAll(".dygraph-axis-label-x")].map((one) => Number(one.textContent))) >= most, whole);
    await page.mouse.move(box.x + 90, box.y + 150);
    await page.mouse.down();
    await page.mouse.move(box.x + 190, box.y + 160, { steps: 5 });
    await page.mouse.up();
    check((await last()) < whole, "the mouse zooms");
    await page.mouse.dblclick(box.x + 150, box.y + 150);
    await page.waitForFunction((most) => Math.max(...[...document.querySelectorAll(".dygraph-axis-label-x")].map((one) => Number(one.textContent))) >= most, whole);
  },
  async labels(page) {
    await page.locator("#text").fill("not good at all , a waste of time");
    await page.waitForFunction(() => document.querySelector(".labels > div")?.textContent.startsWith("negative"));
    await page.waitForFunction(() => document.querySelectorAll(".why span").length >= 9);
  },
  async "labels/splice"(page) {
    await page.waitForFunction(() => document.querySelector(".labels > div")?.textContent.startsWith("EI"));
    await page.waitForFunction(() => document.querySelectorAll(".why span").length === 60);
  },
  async "labels/slots"(page) {
    await page.locator("#text").fill("book a table for four in Oslo tomorrow");
    await page.locator(".entity", { hasText: "Oslo" }).waitFor();
    check((await page.locator(".entity").allTextContents()).length >= 3, "entities are marked in the text");
  },
  async "labels/digits"(page) {
    for (const digit of ["8", "3"]) {
      await page.locator(".pad").press(digit);
      await page.waitForFunction((text) => document.querySelector(".labels > div")?.textContent.startsWith(text), digit);
    }
    const box = await page.locator(".pad").boundingBox();
    await page.getByRole("button", { name: "Clear" }).click();
    await page.mouse.move(box.x + box.width / 2, box.y + 30);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width / 2 - 8, box.y + box.height - 30, { steps: 12 });
    await page.mouse.up();
    await page.waitForFunction(() => document.querySelector(".labels > div")?.textContent.startsWith("1"));
    await page.locator(".pad").press("3");
    await page.waitForFunction(() => document.querySelector(".labels > div")?.textContent.startsWith("3"));
  },
  async translate(page) {
    await page.getByLabel("Model").selectOption("fra-eng");
    await page.getByRole("button", { name: "Où est la gare ?" }).waitFor();
    await page.getByLabel("Model").selectOption("eng-fra");
    await page.locator("#source").fill("It's raining.");
    await page.locator(".translated p", { hasText: "Il pleut" }).waitFor();
    await page.locator(".translated li").nth(2).waitFor();
    check((await page.locator(".translated p").textContent()).includes("a token"), "a translation with its score");
    await page.locator(".matrix tbody tr").nth(1).waitFor();
    check(await page.locator(".matrix thead th").count() === 5, "a column of attention for each token of the source and its ends");
  },
  async pronounce(page) {
    await page.locator("#words").fill("thoughtful knight");
    await page.locator(".word").nth(1).waitFor();
    check(await page.locator(".word").nth(1).locator("rt").allTextContents().then((found) => found.join("|")) === "|n|aɪ|||t", "phonemes stand over their letters");
    await page.getByRole("group", { name: "Word" }).getByRole("button", { name: "knight" }).click();
    check(Number(await page.locator(".matrix tbody tr").nth(2).locator("td").nth(6).textContent()) > 50, "the last phoneme looked at the last letter");
    await page.getByRole("button", { name: "ARPAbet" }).click();
    await page.getByText("N AY1 T", { exact: true }).waitFor();
    await code(page, /"input":\["thoughtful","knight"\].*"alphabet":"arpabet"/);
  },
  async "answer/babi"(page) {
    await page.waitForFunction(() => document.querySelector(".labels > div")?.textContent.startsWith("garden"));
    check((await page.locator("mark").allTextContents()).join("|") === "Mary took the football.|Mary went to the garden.", "both sentences are marked that the answer rests on");
    await page.locator("#question").fill("Is Sandra in the garden?");
    await page.waitForFunction(() => document.querySelector(".labels > div")?.textContent.startsWith("no"));
  },
  async "answer/places"(page) {
    await page.locator("#context").fill("Ann went to the garden. Bob went to the office. Ann went to the kitchen.");
    await page.locator("#question").fill("Where is Ann?");
    await page.waitForFunction(() => document.querySelector(".labels > div")?.textContent.startsWith("kitchen"));
    check((await page.locator("mark").allTextContents()).join() === "Ann went to the kitchen.", "the sentence is marked that the answer rests on");
    await page.locator("#question").fill("Where is Bob?");
    await page.waitForFunction(() => document.querySelector(".labels > div")?.textContent.startsWith("office"));
    await code(page, /"question":"Where is Bob\?"/);
  },
  async captions(page) {
    await page.locator(".sentence", { hasText: "a large red circle above a small blue seven" }).waitFor();
    await page.locator(".sentence button").nth(3).focus();
    await page.keyboard.press("Enter");
    check(await lightest(page) < 0.45, "the word “circle” looks at the circle, in the upper half");
    await page.getByRole("button", { name: "Clear" }).click();
    await page.getByLabel("Thing", { exact: true }).selectOption("star");
    await page.getByLabel("Colour").selectOption("blue");
    const box = await page.locator(".shot").boundingBox();
    await page.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
    await page.locator(".sentence", { hasText: "a large blue star in the middle" }).waitFor();
    await page.getByLabel("Thing", { exact: true }).selectOption("ring");
    await page.getByRole("button", { name: "small" }).click();
    await page.locator(".shot").focus();
    for (let i = 0; i < 9; i++) await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.locator(".sentence", { hasText: "a large blue star above a small blue ring" }).waitFor();
    await page.locator("input[type=file]").setInputFiles("tests/unit/pictures/smooth.jpg");
    await page.locator(".sentence").waitFor();
    await page.getByRole("button", { name: "a circle above a seven" }).click();
    await page.locator(".sentence", { hasText: "a large red circle above a small blue seven" }).waitFor();
    await page.locator(".sentence button").nth(3).click();
    await code(page, /"image":"data:image\/png;base64,/);
  },
  async "captions/clips"(page) {
    await page.locator(".note", { hasText: "clips reads 16 frames" }).waitFor();
    await page.locator(".sentence").waitFor();
    await code(page, /"model":"clips"/);
  },
  async "pen/tiny-ink"(page) {
    await page.locator(".recognised span").first().waitFor();
    check(await page.locator("canvas.paper").getAttribute("aria-label") === "6 strokes", "a typed word is written");
    await page.getByRole("button", { name: "Clear" }).click();
    const box = await page.locator("canvas.paper").boundingBox();
    for (const at of [60, 160]) {
      await page.mouse.move(box.x + at, box.y + 60);
      await page.mouse.down();
      await page.mouse.move(box.x + at + 40, box.y + 180, { steps: 8 });
      await page.mouse.move(box.x + at + 80, box.y + 60, { steps: 8 });
      await page.mouse.up();
    }
    await page.locator(".recognised span").first().waitFor();
    await code(page, /"strokes":\[\[\[60,60\],.*\[160,60\]/);
    await page.getByRole("button", { name: "Take the last stroke back" }).click();
    check(await page.locator("canvas.paper").getAttribute("aria-label") === "1 strokes", "a stroke is taken back");
    await page.getByLabel("Or type letters").fill("carousel");
    await page.locator(".recognised span").nth(2).waitFor();
  },
  async "voice/tiny-speech"(page) {
    await page.locator("input[type=file]").setInputFiles({ name: "rising.wav", mimeType: "audio/wav", buffer: rising() });
    await page.locator(".units button").first().waitFor();
    await code(page, /-F 'file=@rising\.wav' -F 'model=tiny-speech'/);
    await page.locator("input[type=file]").setInputFiles({ name: "no.wav", mimeType: "audio/wav", buffer: Buffer.from("RIFF") });
    await page.getByText("“no.wav” is no sound").waitFor();
    await page.getByRole("button", { name: "Record" }).click();
    await page.getByText(/^1\.\d s, of 15 at most/).waitFor();
    await page.getByRole("button", { name: "Stop recording" }).click();
    await page.getByText(/^\d\.\d s of sound/).waitFor();
    await page.getByRole("button", { name: "Play", exact: true }).click();
    await page.getByRole("button", { name: "Stop", exact: true }).click();
    await page.getByRole("button", { name: "Play", exact: true }).waitFor();
  },
  async "voice/tiny-speech-live"(page) {
    await page.getByRole("button", { name: "Record" }).click();
    await page.waitForFunction(() => /[abc]/.test(document.querySelector(".recognised").textContent));
    check(await page.getByRole("button", { name: "Stop recording" }).isVisible(), "it writes while it is recorded");
    await page.getByRole("button", { name: "Stop recording" }).click();
    await page.getByText(/^\d\.\d s of sound/).waitFor();
  },
  async "music/tiny-music"(page) {
    const playing = page.getByRole("button", { name: "Play", exact: true }), melody = page.locator("textarea");
    await page.locator("button:text-is('Play'):enabled").waitFor();
    await playing.click();
    await page.getByRole("button", { name: "Stop", exact: true }).click();
    check(await saved(page, "MIDI", "mid").then((file) => file.subarray(0, 4).toString()) === "MThd", "a tune is saved as MIDI");
    check((await saved(page, "ABC", "abc")).toString().startsWith("X:1"), "and as ABC");
    await code(page, /"melody":\[71,71,72,74,/);
    await page.getByRole("button", { name: "a scale" }).click();
    await page.getByText(/in 4 voices, 8 quarter notes/).waitFor();
    const bars = await page.locator(".bench ol li").allTextContents();
    check(bars.length === 4 && /^([A-G][♯♭]?[345] quarter(, |;)){4}/.test(bars[0]) && bars[3] === "empty", `the melody stands on the staff: ${bars[0]}`);
    const box = await page.locator(".score canvas").boundingBox();
    await page.mouse.click(box.x + 76, box.y + 60);
    check(/^[A-G]#?[34] D4 E4 F4 G4 A4 B4 C5$/.test(await melody.inputValue()), `a click changes the melody: ${await melody.inputValue()}`);
    await melody.fill("C5 H4");
    await page.getByText("“H4” is no note").waitFor();
    await page.getByRole("button", { name: "no melody" }).click();
    await page.getByLabel("Length").fill("3");
    await page.getByText(/in 4 voices, 12 quarter notes/).waitFor();
    await code(page, /"bars":3/);
  },
  async "music/tiny-staff"(page) {
    await page.locator("button:text-is('Play'):enabled").waitFor();
    check(!(await page.locator("textarea").isVisible()), "one voice has no melody to harmonise");
    await page.getByLabel("Metre").selectOption("6/8");
    // The tune before may have been in 6/8 too.
    await page.waitForFunction(() => document.querySelector("details.code pre").textContent.includes('"metre":"6/8"'));
    await page.getByText(/notes in 6\/8 and D/).waitFor();
    await page.getByRole("img", { name: /notes in 6\/8 and D/ }).waitFor();
    await page.getByText("The notes as words").click();
    check(/^(repeat from here: )?([A-G][♯♭]?[345]|rest) (dotted |double-dotted )?[a-z-]+/.test(await page.locator(".bench ol li").first().textContent()), "a bar as words");
    check(/\nM:6\/8\n/.test((await saved(page, "ABC", "abc")).toString()), "a tune on a staff is saved as ABC");
    await code(page, /"metre":"6\/8"/);
  },
  async "pictures/tiny-drawing"(page) {
    await page.locator(".gallery canvas").nth(7).waitFor();
    // Whether all pictures of class b have one upper half.
    const isOne = () => new Set([...document.querySelectorAll(".gallery canvas[aria-label^=b]")]
      .map((one) => one.getContext("2d").getImageData(0, 0, one.width, Math.floor(one.height * 0.4)).data.join())).size === 1;
    await page.getByRole("group", { name: "What is drawn" }).getByRole("button", { name: "b", exact: true }).click();
    await page.locator(".gallery canvas[aria-label^=b]").nth(7).waitFor();
    check(!await page.evaluate(isOne), "the pictures of a class differ");
    await page.locator(".gallery button").nth(1).click();
    await page.getByText("The upper half is kept").waitFor();
    await page.waitForFunction(() => document.querySelector("details.code pre").textContent.includes('"complete":[['));
    await page.waitForFunction(isOne);
    await code(page, /"prompt":"b".*"complete":\[\[/);
    await page.getByRole("button", { name: "Draw whole pictures again" }).click();
    await page.getByText("Choose a picture").waitFor();
  },
  async "handwriting/tiny-handwriting"(page) {
    const paper = page.locator("canvas.paper"), again = page.locator("button:text-is('Play again'):enabled");
    // How many pixels of the paper are inked: all, as the pen begins again, and after "Show the whole".
    const inked = () => page.evaluate(() => {
      const one = document.querySelector("canvas.paper"), player = [...document.querySelectorAll("button")].find((button) => button.textContent === "Play again");
      const copy = new OffscreenCanvas(one.width, one.height).getContext("2d", { willReadFrequently: true });
      const count = () => {
        copy.clearRect(0, 0, one.width, one.height);
        copy.drawImage(one, 0, 0);
        return copy.getImageData(0, 0, one.width, one.height).data.filter((v, i) => i % 4 === 3 && v > 0).length;
      };
      return [() => {}, () => player.click(), () => player.click()].map((act) => { act(); return count(); });
    });
    await again.waitFor();
    check(/^“abc” by hand, in \d+ strokes?$/.test(await paper.getAttribute("aria-label")), "the paper says what is written on it");
    const [all, begun, whole] = await inked();
    check(all > 100 && begun === 0 && whole === all, `the pen draws, begins again, and shows the whole: ${[all, begun, whole]} pixels`);
    await page.getByRole("button", { name: "Another hand" }).click();
    await page.getByText(/ · seed (?!1\.)\d+\./).waitFor();
    await again.waitFor();
    check((await inked())[0] !== all, "another seed is another hand");
    await page.getByLabel("Bias").fill("1.5");
    await page.getByLabel("Size").fill("80");
    await page.getByLabel("Align").selectOption("center");
    await page.getByLabel("Seed").fill("7");
    await page.getByLabel("Text").fill("abc dab");
    await page.getByRole("img", { name: /^“abc dab” by hand/ }).waitFor();
    await code(page, /"input":"abc dab","bias":1.5,.*"size":80,"align":"center","seed":7/);
    await page.getByRole("spinbutton", { name: "Hand" }).fill("3");
    await page.waitForFunction(() => document.querySelector("details.code pre").textContent.includes('"style":3'));
    await code(page, /"seed":7,"style":3/);
    await again.waitFor();
    check((await saved(page, "SVG", "svg")).toString().includes("<svg"), "saved as SVG");
    check((await saved(page, "PNG", "png")).toString("latin1", 1, 4) === "PNG", "and as PNG");
    check(/^G21$/m.test((await saved(page, "G-code", "gcode")).toString()), "and as G-code");
    await page.getByRole("button", { name: "Read it back" }).click();
    await page.locator(".recognised", { hasText: /as \S*ink reads it/ }).waitFor();
    await code(page, /v1\/transcribe.*"strokes":\[\[\[/s);
    await again.waitFor();
    await page.emulateMedia({ reducedMotion: "reduce" });
    await page.getByLabel("Seed").fill("8");
    await page.getByText(/ · seed 8\./).waitFor();
    check(await again.isVisible(), "the whole is shown if motion is to be reduced");
    await page.emulateMedia({ reducedMotion: null });
  },
  async inside(page) {
    await page.locator(".heat canvas").waitFor();
    await page.getByRole("button", { name: "place in the line" }).click();
    await page.getByText(/follows it best, with r = /).waitFor();
    const found = await page.getByText(/follows it best/).textContent();
    check(Math.abs(Number(found.match(/r = (-?\d\.\d+)/)[1])) > 0.6, `a unit follows the place in the line: ${found}`);
    await page.locator(".heat canvas").press("ArrowLeft");
    await page.locator(".heat canvas").press("ArrowDown");
    await page.getByRole("button", { name: "forget gate" }).click();
    await page.getByRole("button", { name: "cell", exact: true }).click();
    const step = page.getByLabel("Step", { exact: true }), before = await step.inputValue();
    await page.getByRole("button", { name: "Play" }).click();
    await page.waitForFunction((value) => document.querySelector("input[aria-label=Step]").value !== value, before);
    await step.press("Home");
    await page.getByRole("button", { name: "Play" }).waitFor();
    check(await step.inputValue() === "0", "the slider stops what is played");
    await page.locator(".heat canvas").press("ArrowUp");
  },
  async "inside/babi"(page) {
    await page.getByText(/How much each step counts for the label garden/).waitFor();
    await page.getByLabel("Question").fill("Where is John?");
    await page.getByText(/How much each step counts for the label office/).waitFor();
  },
  async "inside/g2p"(page) {
    await page.getByText(/in the encoder, at step/).waitFor();
    await page.getByRole("button", { name: "K", exact: true }).click();
    await page.getByText(/“K” being written/).waitFor();
    await page.getByLabel("Layer", { exact: true }).selectOption({ label: "4 of 4" });
    await page.getByText(/in the decoder, at step/).waitFor();
  },
  async "inside/ink"(page) {
    await page.getByLabel("The letter whose way is shown").fill("h");
    await page.getByText(/the label h .* at its spike, step \d+/).waitFor();
    await page.getByRole("button", { name: "stroke 1", exact: true }).click();
    await page.getByText(/“stroke 1”: unit \d+ of layer \d follows it best/).waitFor();
  },
  async "inside/chorales"(page) {
    await page.getByText(/the next token being/).waitFor();
  },
  async "inside/digits"(page) {
    await page.locator(".heat canvas").waitFor();
    await page.getByText(/the label 3/).waitFor();
    await page.getByLabel("… or the steps from").fill("10");
    await page.getByLabel("to", { exact: true }).fill("14");
    await page.getByRole("button", { name: "Find these steps" }).click();
    await page.getByText(/“steps 10 to 14”: unit \d+ of layer \d follows it best/).waitFor();
  },
  async "inside/gates"(page) {
    await page.getByRole("button", { name: "update gate" }).click();
    await page.getByText(/r 0\.\d\d\s+z 0\.\d\d\s+n -?0\.\d\d\s+h -?0\.\d\d/).waitFor();
    await page.getByText(/It forgets half of what it holds in/).waitFor();
    await page.getByLabel("Layer", { exact: true }).selectOption({ label: "2 of 2" });
    await page.getByText("It has no gates.").waitFor();
    check(await page.getByRole("button", { name: "update gate" }).count() === 0, "an rnn has no gates");
  },
  async models(page) {
    await page.locator(".model dl").nth(4).waitFor();
    await page.waitForFunction(() => document.querySelector(".load b").textContent !== "–");
  },
};

// PARTS, an environment variable: only these parts, with spaces between.
const used = Object.entries(parts).filter(([name]) => !process.env.PARTS || process.env.PARTS.split(" ").includes(name.split("/")[0]));

async function judge(page, name) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const serious = found.violations.filter((one) => ["serious", "critical"].includes(one.impact));
  check(!serious.length, `${name}: ${serious.map((one) => `${one.id} (${one.nodes.map((node) => node.target.join(" ")).slice(0, 3).join(", ")})`).join("; ")}`);
}

async function open(page, name) {
  await page.goto(`${server.url}/#/${name}`);
  await page.reload();
  await page.locator("h1").waitFor();
}

async function fits(page, name) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  check(over <= 0, `${name} is ${over} pixels wider than the window`);
}

async function everyPart() {
  const page = await newPage(1280);
  for (const [name, use] of used) {
    await open(page, name);
    await use(page);
    check(true, name);
    await judge(page, name);
    await page.screenshot({ path: join(folder, `${name.replace("/", "-")}-1280.png`), fullPage: true });
  }
  await page.goto(`${server.url}/docs`);
  await page.locator("article").nth(10).waitFor();
  await page.getByText("Request", { exact: true }).first().click();
  await judge(page, "docs");
  await page.screenshot({ path: join(folder, "docs-1280.png") });
  await page.close();
}

// What a part shows by itself, as soon as its first answer is there.
const answers = { labels: ".labels > div", inside: ".heat canvas", pronounce: ".matrix", captions: ".sentence", pen: ".recognised span", music: "button:text-is('Play'):enabled", pictures: ".gallery canvas", handwriting: "button:text-is('Play again'):enabled" };

async function everyWidth() {
  for (const [width, scheme] of [[390, "dark"], [820, "light"]]) {
    const page = await newPage(width, scheme);
    for (const [name] of used) {
      await open(page, name);
      const answer = answers[name.split("/")[0]];
      if (answer) await page.locator(answer).first().waitFor();
      await fits(page, `${name} at ${width}`);
      await judge(page, `${name} at ${width}, ${scheme}`);
      await page.screenshot({ path: join(folder, `${name.replace("/", "-")}-${width}.png`), fullPage: true });
    }
    await page.close();
  }
}

// What is on the wire: the policy, the tags, the size.
async function wire() {
  const assets = readFileSync("server/playground/assets.def", "utf8");
  const files = ["/", "/docs", ...[...assets.matchAll(/"([a-z.]+)", "(?:server\/playground|\/usr)/g)].map(([, name]) => `/playground/${name}`).filter((name) => !name.endsWith(".html"))];
  let sum = 0, plots = 0;
  for (const file of files) {
    const response = await fetch(server.url + file), bytes = Buffer.from(await response.arrayBuffer());
    sum += gzipSync(bytes).length;
    if (file.includes("dygraph")) plots += gzipSync(bytes).length;
    check((response.headers.get("content-security-policy") || "").startsWith("default-src 'none'; script-src 'self'"), `${file} has a policy`);
    const again = await fetch(server.url + file, { headers: { "If-None-Match": response.headers.get("etag") } });
    check(again.status === 304, `${file} is not sent twice: ${again.status}`);
  }
  console.log(`page: ${files.length} files, ${(sum / 1024).toFixed(1)} KiB compressed, of which dygraphs' are ${(plots / 1024).toFixed(1)} KiB`);
  check(sum < LARGEST, `the page has ${sum} bytes compressed`);
}

// A server with keys: the page asks for one, uses it, and has forgotten it when it is opened again.
async function withKey() {
  const file = join(folder, "keys"), hash = createHash("sha256").update("ck_page").digest("hex");
  writeFileSync(file, `page sha256:${hash} scopes=infer\n`);
  const guarded = await serve(program, "--keys", file), page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE);
  await page.goto(guarded.url);
  await page.getByText("This server asks for a key").waitFor();
  await page.getByLabel("API key").fill("ck_page");
  await page.getByRole("button", { name: "Use it" }).click();
  await page.getByRole("link", { name: "Labels" }).click();
  await page.locator(".labels > div").first().waitFor();
  await page.getByRole("link", { name: "Models" }).click();
  await page.getByText("this key may not read /metrics").waitFor();
  check(await page.evaluate(() => localStorage.length + sessionStorage.length + document.cookie.length) === 0, "the key is kept nowhere");
  await page.reload();
  await page.getByText("This server asks for a key").waitFor();
  check(true, "a key");
  await page.close();
  guarded.stop();
}

async function inFirefox() {
  const fox = await firefox();
  try {
    await fox.open(`${server.url}/#/labels`);
    await fox.until("return document.querySelector('.labels > div')?.textContent.startsWith('positive')");
    await fox.until("return document.querySelectorAll('.why span').length >= 8");
    await fox.open(`${server.url}/#/inside`);
    await fox.until("return document.querySelector('.heat canvas')?.width > 100");
    await fox.picture(join(folder, "firefox.png"));
    await fox.open(`${server.url}/#/captions`);
    await fox.until("return document.querySelector('.sentence')?.textContent.startsWith('a large red circle above')");
    await fox.open(`${server.url}/#/pen/tiny-ink`);
    await fox.until("return document.querySelectorAll('.recognised span').length > 2");
    await fox.open(`${server.url}/#/music/tiny-music`);
    await fox.until("return [...document.querySelectorAll('button')].some((one) => one.textContent === 'Play' && !one.disabled)");
    await fox.open(`${server.url}/#/pictures/tiny-drawing`);
    await fox.until("return document.querySelectorAll('.gallery canvas').length === 8");
    await fox.open(`${server.url}/#/handwriting/tiny-handwriting`);
    await fox.until("return document.querySelector('canvas.paper')?.getAttribute('aria-label').startsWith('“abc” by hand')");
    check(true, "Firefox");
  } finally {
    await fox.close();
  }
}

// The pictures of README.md and the manuals.
async function pictures() {
  const page = await newPage(1160, "light", 1.5), to = (name) => join("docs/images", name);
  await open(page, "inside/ink");
  await page.getByLabel("The letter whose way is shown").fill("e");
  await page.getByText(/the label e .* at its spike/).waitFor();
  await page.locator("figure canvas.plot").first().screenshot({ path: to("strokes.png") });
  await open(page, "series");
  await page.getByText(/The next value: 3\d\d/).waitFor();
  await page.locator(".chart").screenshot({ path: to("forecast.png") });
  await open(page, "inside");
  await parts.inside(page);
  await page.evaluate(() => document.activeElement.blur());
  await page.locator(".heat").screenshot({ path: to("cells.png") });
  await page.locator(".coloured").first().screenshot({ path: to("unit.png") });
  await open(page, "captions");
  await page.locator(".sentence button").nth(8).click();
  await page.mouse.move(0, 0);
  await page.locator(".captions").screenshot({ path: to("caption.png") });
  await open(page, "text");
  await page.locator("input[type=number]").fill("7");
  await page.getByRole("button", { name: "Write", exact: true }).click();
  await page.waitForFunction(() => document.querySelectorAll(".token").length >= 400 && !document.querySelector(".writing"));
  await page.locator(".token").nth(40).click();
  await page.locator(".pop").waitFor();
  await page.screenshot({ path: to("page.png"), clip: { x: 0, y: 0, width: 1160, height: 760 } });
  await page.close();
}

try {
  if (mode === "--pictures") await pictures();
  else {
    await wire();
    await everyPart();
    await everyWidth();
    await withKey();
    await inFirefox();
  }
} catch (error) {
  check(false, error.stack);
}
await browser.close();
server.stop();
console.log(`page: ${Math.round((100 * (checks - failures)) / Math.max(checks, 1))}%: Checks: ${checks}, Failures: ${failures}, Errors: 0`);
process.exit(failures ? 1 : 0);
