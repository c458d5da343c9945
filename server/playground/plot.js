// Small lines by step, drawn on a canvas: of a unit, and of the server's load. A series and its forecast is chart.js'.
import { fit, ink } from "./ui.js";

// Round values for about n ticks.
function ticks(low, high, n) {
  const raw = (high - low) / n || 1, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((x) => x * power).find((x) => x >= raw);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) found.push(Math.abs(at) < step * 1e-9 ? 0 : at);
  return found;
}

const label = (x) => (Math.abs(x) >= 1e5 || (x && Math.abs(x) < 1e-3) ? x.toExponential(1) : String(Number(x.toPrecision(5))));

function line(context, points) {
  context.beginPath();
  points.forEach(([px, py], i) => (i ? context.lineTo(px, py) : context.moveTo(px, py)));
  context.stroke();
}

// A small line without axes.
export function spark(canvas, values) {
  const width = canvas.parentElement.clientWidth, context = fit(canvas, width, 34), most = Math.max(...values, 1e-9);
  context.strokeStyle = ink("accent");
  context.lineWidth = 1.5;
  line(context, values.map((v, i) => [(i / Math.max(1, values.length - 1)) * width, 32 - (v / most) * 30]));
}

// Several lines on one axis, by step: [{values, colour}], between low and high.
export function lines(canvas, rows, low, high, now, height = 120) {
  const width = Math.max(240, canvas.parentElement.clientWidth), context = fit(canvas, width, height);
  const n = rows[0].values.length, x = (t) => 34 + (t / Math.max(1, n - 1)) * (width - 40), y = (v) => 8 + ((high - v) / (high - low || 1)) * (height - 16);
  context.font = `11px ${ink("sans")}`;
  context.fillStyle = ink("soft");
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const tick of ticks(low, high, 3)) {
    context.strokeStyle = ink("faint");
    line(context, [[34, y(tick)], [width - 6, y(tick)]]);
    context.fillText(label(tick), 28, y(tick));
  }
  for (const row of rows) {
    context.strokeStyle = row.colour;
    context.lineWidth = row.wide ? 2 : 1.25;
    line(context, row.values.map((v, t) => [x(t), y(v)]));
  }
  context.strokeStyle = ink("accent");
  context.lineWidth = 1;
  if (now !== null) line(context, [[x(now), 0], [x(now), height]]);
}
