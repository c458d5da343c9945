// Debian's Firefox by its own remote control, Marionette: a line of "length:JSON" a message.
import { spawn } from "node:child_process";
import { connect } from "node:net";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function dial(port, patience) {
  for (let left = patience; ; left--) {
    try {
      return await new Promise((resolve, reject) => {
        const socket = connect(port, "127.0.0.1", () => resolve(socket));
        socket.on("error", reject);
      });
    } catch (error) {
      if (!left) throw error;
      await pause(500);
    }
  }
}

export async function firefox(port = 2929) {
  const profile = mkdtempSync(join(tmpdir(), "carousel-firefox-"));
  writeFileSync(join(profile, "user.js"), `user_pref("marionette.port", ${port});\n`);
  const child = spawn("firefox-esr", ["--headless", "--marionette", "--no-remote", "--profile", profile], { stdio: "ignore", env: { ...process.env, HOME: profile } });
  const socket = await dial(port, 120);
  let rest = Buffer.alloc(0), serial = 0;
  const waiting = new Map();
  socket.on("data", (bytes) => {
    rest = Buffer.concat([rest, bytes]);
    for (;;) {
      const colon = rest.indexOf(":"), n = Number(rest.subarray(0, colon));
      if (colon < 0 || rest.length < colon + 1 + n) return;
      const message = JSON.parse(rest.subarray(colon + 1, colon + 1 + n));
      rest = rest.subarray(colon + 1 + n);
      if (Array.isArray(message)) waiting.get(message[1])?.(message);
    }
  });
  async function send(name, parameters = {}) {
    const id = ++serial, text = JSON.stringify([0, id, name, parameters]);
    const answer = new Promise((resolve) => { waiting.set(id, resolve); });
    socket.write(`${Buffer.byteLength(text)}:${text}`);
    const [, , error, value] = await answer;
    if (error) throw new Error(`${name}: ${error.message}`);
    return value;
  }
  await send("WebDriver:NewSession", {});
  return {
    open: (url) => send("WebDriver:Navigate", { url }),
    run: async (script) => (await send("WebDriver:ExecuteScript", { script, args: [] })).value,
    async until(script, ms = 60000) {
      for (const end = Date.now() + ms; Date.now() < end; await pause(200)) {
        const value = (await send("WebDriver:ExecuteScript", { script, args: [] })).value;
        if (value) return value;
      }
      throw new Error(`Firefox: never true: ${script}`);
    },
    picture: async (path) => writeFileSync(path, Buffer.from((await send("WebDriver:TakeScreenshot", { full: true })).value, "base64")),
    async close() {
      await send("Marionette:Quit", { flags: ["eForceQuit"] }).catch(() => {});
      child.kill();
      await pause(500);
      rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 300 });
    },
  };
}
