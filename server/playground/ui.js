// Small makers of elements. Texts are always set as text, never as markup.

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

let serial = 0;

// A labelled control; `shown` makes the text beside the label.
export function field(text, control, shown) {
  control.id = control.id || `f${++serial}`;
  const output = shown ? h("output", { for: control.id }) : null;
  const show = () => { if (output) output.textContent = shown(control.value); };
  if (output) control.addEventListener("input", show);
  show();
  return h("div", {}, h("label", { for: control.id }, text, output), control);
}

export function choose(options, value, onchange) {
  const select = h("select", { onchange: () => onchange(select.value) },
    options.map((option) => h("option", { value: option.value ?? option }, option.text ?? option)));
  if (value !== undefined) select.value = value;
  return select;
}

export function range(minimum, maximum, step, value, oninput) {
  const input = h("input", { type: "range", min: String(minimum), max: String(maximum), step: String(step) });
  input.value = value;
  input.addEventListener("input", () => oninput?.(Number(input.value)));
  return input;
}

// Buttons of which one is pressed.
export function segments(name, options, value, onchange) {
  const buttons = options.map((option) => h("button", { type: "button", "aria-pressed": String(option.value === value),
    title: option.title, onclick: () => press(option.value) }, option.text));
  function press(chosen) {
    options.forEach((option, i) => buttons[i].setAttribute("aria-pressed", String(option.value === chosen)));
    onchange(chosen);
  }
  return h("div", { class: "segments", role: "group", "aria-label": name }, buttons);
}

export function debounce(ms, call) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...values), ms);
  };
}

export const percent = (x) => (x >= 0.9995 ? "100\u00a0%" : `${(100 * x).toFixed(x >= 0.0995 ? 0 : 1)}\u00a0%`);

export function count(n) {
  return n >= 1e6 ? `${(n / 1e6).toFixed(1)} M` : n >= 1e4 ? `${(n / 1e3).toFixed(0)} k` : String(n);
}

export const bytes = (n) => (n >= 1 << 20 ? `${(n / 1048576).toFixed(1)} MiB` : `${Math.round(n / 1024)} KiB`);

// White space that can be seen.
export const visible = (text) => text.replace(/\n/g, "⏎").replace(/\t/g, "⇥").replace(/^ | $/g, "␣");

// A variable of the style sheet, for canvases.
export const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

export const isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dispatchEvent(new Event("resize")));

// The colour of -1 (blue), 0 (paper) to 1 (orange), as red, green and blue.
function mix(x) {
  const ends = isDark() ? [[92, 155, 213], [30, 30, 28], [226, 138, 84]] : [[52, 108, 166], [252, 251, 247], [199, 91, 32]];
  const t = Math.max(-1, Math.min(1, x)), end = t < 0 ? ends[0] : ends[2], part = Math.abs(t) ** 0.8;
  return ends[1].map((from, i) => Math.round(from + (end[i] - from) * part));
}

export const diverging = (x) => `rgb(${mix(x).join(",")})`;

// Black or white, whichever can be read on diverging(x): the contrast of WCAG 2.
export function onDiverging(x) {
  const [r, g, b] = mix(x).map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";
}

// Colours that can be told apart, on paper and at night.
export const hue = (i) => `hsl(${(i * 137.5 + 184) % 360} 48% ${isDark() ? 66 : 36}%)`;

// Call `begin`, `go` and `end` with places on the canvas, in its CSS pixels, as the mouse, a finger or a pen draws on it.
export function drawn(canvas, begin, go, end) {
  let isDown = false;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    isDown = true;
    begin(place(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!isDown) return;
    const events = event.getCoalescedEvents?.() || [];
    for (const one of events.length ? events : [event]) go(place(one));
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { if (isDown) end(); isDown = false; });
}

// A canvas of `width` x `height` CSS pixels, sharp on any screen.
export function fit(canvas, width, height) {
  const ratio = Math.min(devicePixelRatio || 1, 3);
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}
