// A server of the zoo on a free port, for as long as the check runs.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

export function serve(program, ...more) {
  const child = spawn(program, ["serve", "--port", "0", "--models", "zoo", ...more], { stdio: ["ignore", "pipe", "ignore"] });
  const lines = createInterface({ input: child.stdout });
  return new Promise((resolve, reject) => {
    child.on("exit", (code) => reject(new Error(`the server ended with code ${code}`)));
    lines.on("line", (line) => {
      const found = line.match(/listening on (http:\S+)/);
      if (found) resolve({ url: found[1], stop: () => child.kill("SIGTERM") });
    });
  });
}
