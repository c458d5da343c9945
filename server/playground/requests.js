// The last request of a part, to copy: curl, Python, JavaScript.
import { h, segments } from "./ui.js";
import { hasKey } from "./api.js";

function python(value, indent = "") {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map((item) => python(item, indent)).join(", ")}]`;
  if (typeof value === "object")
    return `{${Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${python(item, indent)}`).join(", ")}}`;
  return JSON.stringify(value);
}

// The fields of a form: [name, text, the name of a file].
const fields = (form) => [...form].map(([name, value]) => (value instanceof File ? [name, null, value.name] : [name, value]));
const quote = (text) => `'${text.replace(/'/g, "'\\''")}'`;

const forms = {
  curl(path, form) {
    const keyed = hasKey() ? " \\\n     -H \"Authorization: Bearer $CAROUSEL_KEY\"" : "";
    return `curl ${location.origin}${path}${keyed} \\\n     ${fields(form).map(([name, text, file]) => `-F ${quote(file ? `${name}=@${file}` : `${name}=${text}`)}`).join(" ")}`;
  },
  Python(path, form) {
    const keyed = hasKey() ? ",\n    headers={\"Authorization\": \"Bearer \" + key}" : "", all = fields(form);
    const files = all.filter(([, , file]) => file).map(([name, , file]) => `${JSON.stringify(name)}: open(${JSON.stringify(file)}, "rb")`);
    const data = all.filter(([, , file]) => !file).map(([name, text]) => `${JSON.stringify(name)}: ${JSON.stringify(text)}`);
    return `import requests\n\nanswer = requests.post("${location.origin}${path}"${keyed},\n    files={${files.join(", ")}},\n    data={${data.join(", ")}})\nprint(answer.json())`;
  },
  JavaScript(path, form) {
    const keyed = hasKey() ? ",\n  headers: { Authorization: `Bearer ${key}` }" : "";
    const lines = fields(form).map(([name, text, file]) => `form.append(${JSON.stringify(name)}, ${file ? "file" : JSON.stringify(text)});`);
    return `const [file] = document.querySelector("input[type=file]").files;\nconst form = new FormData();\n${lines.join("\n")}\n` +
      `const response = await fetch("${location.origin}${path}", { method: "POST", body: form${keyed} });\nconsole.log(await response.json());`;
  },
};

const languages = {
  curl(path, body) {
    const quoted = JSON.stringify(body).replace(/'/g, "'\\''");
    const keyed = hasKey() ? " \\\n     -H \"Authorization: Bearer $CAROUSEL_KEY\"" : "";
    return `curl ${location.origin}${path} -H 'Content-Type: application/json'${keyed} \\\n     -d '${quoted}'`;
  },
  Python(path, body) {
    const keyed = hasKey() ? ",\n    headers={\"Authorization\": \"Bearer \" + key}" : "";
    return `import requests\n\nanswer = requests.post("${location.origin}${path}"${keyed}, json=${python(body)})\nprint(answer.json())`;
  },
  JavaScript(path, body) {
    const keyed = hasKey() ? ", Authorization: `Bearer ${key}`" : "";
    return `const response = await fetch("${location.origin}${path}", {\n  method: "POST",\n  headers: { "Content-Type": "application/json"${keyed} },\n` +
      `  body: JSON.stringify(${JSON.stringify(body)}),\n});\nconsole.log(await response.json());`;
  },
};

// An element with `show(path, body)`; the body is an object or a form.
export function requests() {
  let path = "", body = {}, language = "curl";
  const text = h("pre", { tabindex: "0", "aria-label": "The request" });
  const copy = h("button", { type: "button", class: "push", onclick: async () => {
    await navigator.clipboard.writeText(text.textContent);
    copy.textContent = "Copied";
    setTimeout(() => { copy.textContent = "Copy"; }, 1200);
  } }, "Copy");
  const draw = () => { text.textContent = path ? (body instanceof FormData ? forms : languages)[language](path, body) : ""; };
  const element = h("details", { class: "code" }, h("summary", {}, "This as a request"),
    h("div", { class: "row" }, segments("Language", Object.keys(languages).map((name) => ({ value: name, text: name })), language,
      (name) => { language = name; draw(); }), copy), text);
  element.show = (newPath, newBody) => {
    path = newPath;
    body = newBody;
    draw();
  };
  return element;
}
