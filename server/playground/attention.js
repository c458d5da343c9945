// Where a decoder looked: a row for each token that was written, a column for each that was read.
import { h, diverging, onDiverging, visible } from "./ui.js";

const token = (text) => visible(text).replace("▁", "␣");

// attention: {source, target, weights}. Weights of 10 % and more are written out.
export function matrix({ source, target, weights }) {
  const isLong = source.some((text) => text.length > 4);
  const head = h("tr", {}, h("td"), source.map((text) => h("th", { scope: "col" }, h("span", {}, token(text)))));
  const rows = target.map((text, t) => h("tr", {}, h("th", { scope: "row" }, token(text)), weights[t].map((weight, s) => {
    const cell = h("td", { title: `${token(text)} from ${token(source[s])}: ${(100 * weight).toFixed(1)} %` }, weight >= 0.095 ? String(Math.round(100 * weight)) : "");
    cell.style.background = diverging(weight);
    cell.style.color = onDiverging(weight);
    return cell;
  })));
  return h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "The attention, in percent" },
    h("table", { class: isLong ? "matrix long" : "matrix" }, h("thead", {}, head), h("tbody", {}, rows)));
}

export const legend = () => h("p", { class: "note" }, "A row is a token that the network wrote, a column one that it read. The number is the attention that it gave it, in percent.");
