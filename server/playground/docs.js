// The API's description as a page, made from /openapi.json.
import { h } from "./ui.js";
import { ask } from "./api.js";

const main = document.getElementById("part");
let description;

const follow = (node) => (node?.$ref ? follow(node.$ref.slice(2).split("/").reduce((at, name) => at[name], description)) : node);

// What stands between backticks is code.
const words = (text) => text.split("`").map((part, i) => (i % 2 ? h("code", {}, part) : part));

function kind(schema) {
  const node = follow(schema);
  if (!node) return "";
  if (node.enum) return node.enum.map((value) => JSON.stringify(value)).join(", ");
  if ("const" in node) return JSON.stringify(node.const);
  const several = node.anyOf || node.oneOf;
  if (several) return [...new Set(several.map(kind))].filter((text) => text !== "null").join(" or ");
  const types = [].concat(node.type || []).filter((type) => type !== "null");
  return types.map((type) => (type === "array" ? `array of ${kind(node.items) || "values"}` : type)).join(" or ");
}

function limits(schema) {
  const node = follow(schema), parts = [];
  if (node.minimum !== undefined || node.maximum !== undefined) parts.push(`${node.minimum ?? "…"} to ${node.maximum ?? "…"}`);
  if (node.default !== undefined) parts.push(`default ${JSON.stringify(node.default)}`);
  return parts.join("; ");
}

function fields(schema) {
  const node = follow(schema);
  if (!node?.properties) return null;
  const needed = new Set(node.required || []);
  return h("div", { class: "wide" }, h("table", {}, h("thead", {}, h("tr", {}, ["field", "type", ""].map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, Object.entries(node.properties).map(([name, value]) => h("tr", {}, h("td", {}, h("code", {}, name), needed.has(name) ? " *" : ""), h("td", {}, kind(value)),
      h("td", {}, words([limits(value), follow(value).description].filter(Boolean).join(". "))))))));
}

function operation(method, path, one) {
  const content = follow(one.requestBody)?.content?.["application/json"], good = Object.entries(one.responses).find(([status]) => status.startsWith("2"));
  const answer = good && follow(good[1]).content?.["application/json"];
  const example = content?.example || Object.values(content?.examples || {})[0]?.value;
  const faults = Object.keys(one.responses).filter((status) => status >= "400").join(", ");
  return h("article", { id: one.operationId }, h("h3", {}, h("b", {}, method.toUpperCase()), path), h("p", {}, one.summary), one.description ? h("p", { class: "note" }, words(one.description)) : null,
    content ? h("details", {}, h("summary", {}, "Request"), fields(content.schema)) : null,
    answer ? h("details", {}, h("summary", {}, "Answer"), fields(answer.schema)) : null,
    example ? h("pre", { tabindex: "0" }, `curl ${location.origin}${path} -H 'Content-Type: application/json' \\\n     -d '${JSON.stringify(example).replace(/'/g, "'\\''")}'`) : null,
    faults ? h("p", { class: "note" }, `May also answer ${faults}.`) : null);
}

async function begin() {
  description = await ask("/openapi.json");
  const byTag = new Map(description.tags.map((tag) => [tag.name, []]));
  for (const [path, item] of Object.entries(description.paths))
    for (const [method, one] of Object.entries(item)) {
      if (["options", "parameters"].includes(method)) continue;
      const tag = one.tags?.[0] || "other";
      if (!byTag.has(tag)) byTag.set(tag, []);
      byTag.get(tag).push(operation(method, path, one));
    }
  main.replaceChildren(h("h1", {}, "The API"),
    h("p", { class: "lead" }, `Version ${description.info.version}. `, h("a", { href: "/openapi.json" }, "openapi.json"), " is the same for machines. A star marks what a request needs."),
    h("p", { class: "note" }, description.info.description),
    ...[...byTag].filter(([, list]) => list.length).flatMap(([tag, list]) => [h("h2", {}, tag), ...list]));
}

begin().catch((error) => main.replaceChildren(h("h1", {}, "The description cannot be read"), h("p", { class: "wrong" }, error.message)));
