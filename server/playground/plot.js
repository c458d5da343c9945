// A chart of one series and its forecast: history, mean, bands. Drawn on a canvas, so that it can be drawn on, too.
import { fit, ink } from "./ui.js";

const LEFT = 52, RIGHT = 14, TOP = 14, BOTTOM = 26;

// Round values for about n ticks.
function ticks(low, high, n) {
  const raw = (high - low) / n || 1, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((x) => x * power).find((x) => x >= raw);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) found.push(Math.abs(at) < step * 1e-9 ? 0 : at);
  return found;
}

const label = (x) => (Math.abs(x) >= 1e5 || (x && Math.abs(x) < 1e-3) ? x.toExponential(1) : String(Number(x.toPrecision(5))));

// data: {history: [number or null], mean, bands: [[low, high]], odd: Set of indices}. Returns the map between
// values and pixels, for what is drawn with the mouse.
export function plot(canvas, data, height = 340) {
  const width = Math.max(240, canvas.parentElement.clientWidth), context = fit(canvas, width, height);
  const n = data.history.length, horizon = data.mean?.length || 0, total = Math.max(n + horizon, 2);
  const values = [...data.history, ...(data.mean || []), ...(data.bands || []).flat(2)].filter((x) => Number.isFinite(x));
  let low = values.length ? Math.min(...values) : 0, high = values.length ? Math.max(...values) : 1;
  if (data.range) [low, high] = data.range;
  const pad = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
  low -= pad;
  high += pad;
  const x = (t) => LEFT + (t / (total - 1)) * (width - LEFT - RIGHT);
  const y = (v) => TOP + ((high - v) / (high - low)) * (height - TOP - BOTTOM);
  context.font = `12px ${ink("sans")}`;
  context.lineWidth = 1;
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const tick of ticks(low, high, height / 70)) {
    context.strokeStyle = ink("faint");
    line(context, [[LEFT, y(tick)], [width - RIGHT, y(tick)]]);
    context.fillStyle = ink("soft");
    context.fillText(label(tick), LEFT - 8, y(tick));
  }
  context.textAlign = "center";
  context.textBaseline = "top";
  for (const tick of ticks(0, total - 1, width / 90)) if (Number.isInteger(tick)) context.fillText(String(tick + 1), x(tick), height - BOTTOM + 8);
  const last = lastValue(data.history);
  for (const [lower, upper] of data.bands || []) {
    context.fillStyle = ink("band");
    context.beginPath();
    if (last) context.moveTo(x(last.at), y(last.value));
    upper.forEach((v, i) => context.lineTo(x(n + i), y(v)));
    for (let i = horizon - 1; i >= 0; i--) context.lineTo(x(n + i), y(lower[i]));
    context.fill();
  }
  context.lineJoin = "round";
  context.lineWidth = 1.75;
  context.strokeStyle = ink("ink");
  const pieces = data.history.reduce((all, v, t) => {
    if (v === null || !Number.isFinite(v)) all.push([]);
    else all.at(-1).push([x(t), y(v)]);
    return all;
  }, [[]]);
  for (const piece of pieces) {
    line(context, piece);
    context.fillStyle = ink("ink");
    if (n <= 40 || piece.length === 1) for (const at of piece) dot(context, at, 2.4);
  }
  if (horizon) {
    context.strokeStyle = context.fillStyle = ink("accent");
    context.lineWidth = 2;
    line(context, [...(last ? [[x(last.at), y(last.value)]] : []), ...data.mean.map((v, i) => [x(n + i), y(v)])]);
    if (horizon <= 40) data.mean.forEach((v, i) => dot(context, [x(n + i), y(v)], 2.4));
    context.strokeStyle = ink("line");
    context.lineWidth = 1;
    context.setLineDash([3, 3]);
    line(context, [[x(n - 0.5), TOP], [x(n - 0.5), height - BOTTOM]]);
    context.setLineDash([]);
  }
  for (const t of data.odd || []) {
    context.fillStyle = ink("warm");
    dot(context, [x(t), y(data.history[t])], 4.5);
  }
  return { step: (px) => Math.round(((px - LEFT) / (width - LEFT - RIGHT)) * (total - 1)), value: (py) => high - ((py - TOP) / (height - TOP - BOTTOM)) * (high - low) };
}

function lastValue(history) {
  for (let at = history.length - 1; at >= 0; at--) if (Number.isFinite(history[at])) return { at, value: history[at] };
  return null;
}

function line(context, points) {
  context.beginPath();
  points.forEach(([px, py], i) => (i ? context.lineTo(px, py) : context.moveTo(px, py)));
  context.stroke();
}

function dot(context, [px, py], radius) {
  context.beginPath();
  context.arc(px, py, radius, 0, 2 * Math.PI);
  context.fill();
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
