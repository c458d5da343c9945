// Notes on staves. arrange() finds where each sign stands, paint() draws it, as often as the tune is played. Lengths are in
// spaces between two lines, times in quarter notes, and a place counts the lines and spaces upward: C0 is 0, C4 is 28.
import { fit, hue, ink } from "./ui.js";

const LETTERS = "CDEFGAB", NATURAL = [0, 2, 4, 5, 7, 9, 11], FIFTHS = [0, 2, 4, -1, 1, 3, 5], MODES = { m: 3, dor: 2, mix: 1 };
const CLEFS = { treble: { lowest: 30, at: 2, sharps: [38, 35, 39, 36, 33, 37, 34], flats: [34, 37, 33, 36, 32, 35, 31] },
  bass: { lowest: 18, at: 6, sharps: [24, 21, 25, 22, 19, 23, 20], flats: [20, 23, 19, 22, 18, 21, 17] } };
const NEAR = 1e-3, STEM = 3.4, HEAD = 0.6, WORDS = ["whole", "half", "quarter", "eighth", "sixteenth", "thirty-second"];

// Signs as lines and areas around the place where they stand.
const SIGNS = {
  treble: [[0.2, "M-.35 .45C-.75 .1-.6-.75 .15-.75C1-.75 1.25 .1 1.05 .45C.8 .95 .3 1.05-.05 1.02C-.95 .98-1.5 .3-1.4-.5C-1.3-1.6 .5-2.1 .65-3.5C.72-4.2 .5-4.75 .25-4.75C-.1-4.75-.35-4-.25-3.3L.45 1.7C.6 2.5 .1 2.75-.25 2.7C-.5 2.65-.65 2.45-.6 2.2"],
    [0.42, "M-1.36-.4C-1.2-1.3-.2-1.9 .25-2.5"], [0, "M-.7 2.15a.32 .32 0 1 0 .64 0a.32 .32 0 1 0-.64 0"]],
  bass: [[0.2, "M-1.05-.15C-1-.75-.6-1-.05-1C.6-1 .9-.5 .9 .1C.9 1.1 .1 2-1.05 2.6"], [0.42, "M.6-.6C.95-.1 .8 .7 .45 1.2"],
    [0, "M-1.15 0a.32 .32 0 1 0 .64 0a.32 .32 0 1 0-.64 0M1.3-.5a.2 .2 0 1 0 .4 0a.2 .2 0 1 0-.4 0M1.3 .5a.2 .2 0 1 0 .4 0a.2 .2 0 1 0-.4 0"]],
  "1": [[0.13, "M-.2-1.2V1.35M.2-1.35V1.2"], [0.3, "M-.45-.3L.45-.55M-.45 .55L.45 .3"]],
  "0": [[0.13, "M-.28-1.4V.65M.28-.65V1.4"], [0.28, "M-.28-.4L.28-.58M-.28 .58L.28 .4"]],
  "-1": [[0.14, "M-.35-1.8V.65"], [0.22, "M-.35 .6C.2 .3 .5 0 .4-.3C.25-.65-.2-.45-.35-.1"]],
  quarter: [[0.22, "M-.3-1.4L.25-.7C-.15-.3-.15-.1 .35 .5"], [0.4, "M.15-.75C-.1-.4-.15-.2 .1 .1"], [0.22, "M.35 .5C-.3 .2-.55 .65 .05 1.3"]],
  flag: [[0.2, "M0 0C.1 .9 1.2 1.1 .75 2.4"]],
};
const paths = new Map(Object.values(SIGNS).flat().map(([, path]) => [path, new Path2D(path)]));

// The lengths that one note has, longest first; a triplet's sounds two thirds as long.
const LENGTHS = WORDS.flatMap((_, level) => [...[0, 1, 2].map((dots) => ({ level, dots, isTriplet: false, length: (4 / 2 ** level) * (2 - 2 ** -dots) })),
  { level, dots: 0, isTriplet: true, length: (8 / 3) / 2 ** level }]).toSorted((a, b) => b.length - a.length);

// A length as those of notes that are tied.
function lengths(whole) {
  const one = LENGTHS.find((found) => Math.abs(found.length - whole) < NEAR);
  if (one) return [one];
  const most = LENGTHS.find((found) => !found.isTriplet && found.dots < 2 && found.length < whole);
  return most ? [most, ...lengths(whole - most.length)] : [];
}

// The sharps of a key such as Bb, F#m or Ador, below 0 its flats.
export function fifthsOf(key) {
  const [, letter, sign, mode] = key.match(/^([A-G])([#b]?)(m|dor|mix)?$/) || ["", "C", ""];
  return FIFTHS[LETTERS.indexOf(letter)] + { "": 0, "#": 7, b: -7 }[sign] - (MODES[mode] || 0);
}

// What the key makes of a letter: 1 sharp, -1 flat.
const signOf = (letter, fifths) => (FIFTHS[letter] < fifths - 1 ? 1 : FIFTHS[letter] > fifths + 5 ? -1 : 0);

// Of all spellings of a pitch the one that lies nearest to the key on the line of fifths.
function spell(pitch, fifths) {
  let best = null;
  for (let letter = 0; letter < 7; letter++)
    for (const sign of [-1, 0, 1]) {
      const distance = Math.abs(FIFTHS[letter] + 7 * sign - fifths - 2);
      if ((NATURAL[letter] + sign - pitch) % 12 === 0 && (!best || distance < best.distance)) best = { letter, sign, distance };
    }
  return { place: 7 * (Math.floor((pitch - best.sign) / 12) - 1) + best.letter, sign: best.sign };
}

// The pitch of a place in a key.
export const pitchAt = (place, fifths) => 12 * (Math.floor(place / 7) + 1) + NATURAL[place % 7] + signOf(place % 7, fifths);

const nameAt = ({ place, sign }) => `${LETTERS[place % 7]}${["♭", "", "♯"][sign + 1]}${Math.floor(place / 7)}`;

// ---- bars, and what stands in them ----

function barsOf(parts, length) {
  return parts.flatMap((part) => {
    const lines = [part.start, ...part.bars.filter((at) => at > part.start + NEAR && at < part.end - NEAR), part.end];
    return lines.slice(1).map((to, i) => ({ from: lines[i], to, opens: part.repeated && i === 0, closes: part.repeated && i === lines.length - 2,
      ends: i === lines.length - 2, beats: i === 0 && to - lines[i] < length - NEAR ? to - length : lines[i] }));
  });
}

// The notes and rests of one voice in a bar, cut to lengths that can be written.
function piecesOf(bar, notes, voice, end) {
  const pieces = [];
  let now = bar.from;
  const put = (to, note) => {
    for (const value of to - now > NEAR ? lengths(to - now) : []) {
      pieces.push({ at: now, value, note, voice, before: note?.last });
      if (note) note.last = pieces.at(-1);
      now += value.length;
    }
    now = to;
  };
  for (const note of notes) {
    if (note.voice !== voice || note.start >= bar.to - NEAR || note.end <= bar.from + NEAR) continue;
    put(Math.max(now, note.start), null);
    put(Math.min(bar.to, note.end), note);
  }
  put(Math.min(bar.to, end), null);
  return pieces;
}

// Which of a voice's notes share a beam, which way their stems go, and where a triplet is marked.
function joinBeams(pieces, bar, beam, middle, way) {
  const beat = (piece) => Math.floor((piece.at - bar.beats + NEAR) / beam);
  let group = [], triplet = [];
  const close = () => {
    const mean = group.reduce((sum, piece) => sum + piece.place, 0) / group.length;
    for (const piece of group) piece.up = way ?? mean < middle;
    if (group.length > 1) for (const piece of group) piece.group = group;
    group = [];
  };
  for (const piece of pieces) {
    const isFlagged = piece.note && piece.value.level > 2;
    if (group.length && (!isFlagged || beat(piece) !== beat(group[0]))) close();
    if (isFlagged) group.push(piece);
    else piece.up = way ?? (piece.note ? piece.place < middle : true);
    triplet = piece.value.isTriplet ? [...triplet, piece] : [];
    if (triplet.length === 3) {
      triplet[1].three = true;
      triplet = [];
    }
  }
  if (group.length) close();
}

// Accidentals where they are needed, and heads beside each other where two voices would cover each other.
function markSigns(pieces, fifths) {
  const now = new Map();
  pieces.sort((a, b) => a.at - b.at || a.voice - b.voice);
  pieces.forEach((piece, i) => {
    if (!piece.note) return;
    const other = pieces[i - 1]?.note && Math.abs(pieces[i - 1].at - piece.at) < NEAR ? pieces[i - 1] : null;
    const gap = other ? Math.abs(other.place - piece.place) : 9;
    if (gap === 1 || (gap === 0 && other.value.level !== piece.value.level)) piece.aside = 2 * HEAD + 0.1;
    const held = now.get(piece.place) ?? signOf(piece.place % 7, fifths);
    if (held === piece.sign || piece.before) return;
    piece.shows = true;
    piece.signAside = other?.shows && gap < 6 ? 1 : 0;
    now.set(piece.place, piece.sign);
  });
}

// ---- where it stands ----

// The columns of a bar: a moment each, and the room that it asks for.
function columnsOf(bar) {
  const all = bar.pieces.flat(), times = [...new Set([bar.from, ...all.map((piece) => piece.at)].map((at) => Math.round(at * 96) / 96))].sort((a, b) => a - b);
  if (!all.length) for (let at = bar.from + 1; at < bar.to - NEAR; at++) times.push(at);
  let x = 1.1 + (bar.opens ? 1.4 : 0);
  bar.columns = times.map((time, i) => {
    const here = all.filter((piece) => Math.abs(piece.at - time) < 0.01), gap = (times[i + 1] ?? bar.to) - time;
    x += Math.max(0, ...here.map((piece) => (piece.shows ? 1.2 + piece.signAside : 0)));
    const column = { time, x: x + HEAD };
    for (const piece of here) piece.column = column;
    x += 2.3 + 1.25 * Math.max(0, Math.log2(gap / 0.25)) + Math.max(0, ...here.map((piece) => (piece.aside || 0) + 0.4 * piece.value.dots));
    return column;
  });
  bar.width = x + (bar.closes ? 1 : 0);
}

// Bars into lines that fill the width.
function wrap(bars, width, head, first) {
  const systems = [];
  let row = null, used = 0;
  for (const bar of bars) {
    if (!row || used + bar.width > width - head) {
      row = { bars: [], head: head + (systems.length ? 0 : first) };
      used = row.head - head;
      systems.push(row);
    }
    row.bars.push(bar);
    used += bar.width;
  }
  systems.forEach((system, i) => {
    const natural = system.bars.reduce((sum, bar) => sum + bar.width, 0), room = width - system.head;
    const stretch = i === systems.length - 1 && i > 0 ? Math.min(room / natural, 1.25) : Math.min(room / natural, 2.5);
    let x = system.head;
    for (const bar of system.bars) {
      bar.x = x;
      for (const column of bar.columns) column.x = x + column.x * stretch;
      x += bar.width * stretch;
      bar.right = x;
    }
    system.right = x;
  });
  return systems;
}

function stavesOf(voices, notes) {
  const middle = notes.map((note) => note.pitch).sort((a, b) => a - b)[notes.length >> 1] ?? 67;
  if (voices === 1) return [{ clef: middle < 55 ? CLEFS.bass : CLEFS.treble, sign: middle < 55 ? "bass" : "treble", voices: [0] }];
  const all = Array.from({ length: voices }, (_, voice) => voice), isHigh = (voice) => 2 * voice + 2 <= voices;
  return [{ clef: CLEFS.treble, sign: "treble", voices: all.filter(isHigh) }, { clef: CLEFS.bass, sign: "bass", voices: all.filter((voice) => !isHigh(voice)) }];
}

// tune: {notes, parts, key, metre, voices, end}; end is where rests end. Bars after it are empty.
export function arrange(tune, pixels) {
  const space = pixels < 500 ? 6.5 : 8, [beats, unit] = tune.metre.split("/").map(Number), length = (4 * beats) / unit, fifths = fifthsOf(tune.key);
  const beam = length / (unit === 8 && beats % 3 === 0 ? beats / 3 : beats === 4 ? 2 : beats), staves = stavesOf(tune.voices, tune.notes);
  const notes = tune.notes.map((note) => ({ ...note, end: note.start + note.duration, ...spell(note.pitch, fifths) })), bars = barsOf(tune.parts, length);
  for (const staff of staves) [staff.high, staff.low] = [10, -3];
  for (const bar of bars) {
    bar.pieces = staves.map(({ clef, voices }) => {
      const found = voices.map((voice, i) => {
        const pieces = piecesOf(bar, notes, voice, tune.end);
        for (const piece of pieces) [piece.place, piece.sign] = piece.note ? [piece.note.place, piece.note.sign] : [clef.lowest + 4 + (voices.length > 1 ? 4 - 8 * (i % 2) : 0), 0];
        joinBeams(pieces, bar, beam, clef.lowest + 4, voices.length > 1 ? i % 2 === 0 : undefined);
        return pieces;
      }).flat();
      markSigns(found, fifths);
      return found;
    });
    bar.pieces.forEach((pieces, i) => {
      for (const { place, up } of pieces) {
        staves[i].high = Math.max(staves[i].high, place - staves[i].clef.lowest + (up ? 9 : 2));
        staves[i].low = Math.min(staves[i].low, place - staves[i].clef.lowest - (up ? 2 : 9));
      }
    });
    columnsOf(bar);
  }
  const head = 3.9 + Math.abs(fifths), systems = wrap(bars, pixels / space - 2, head, 2.4);
  let y = 0.5;
  for (const system of systems) {
    system.top = y;
    system.lines = staves.map((staff) => { // where the lowest line of each staff is
      const line = y + staff.high / 2;
      y = line - staff.low / 2;
      return line;
    });
    system.bottom = y;
    y += 0.8;
  }
  return { space, beats, unit, fifths, staves, systems, bars, pixels, height: (y + 0.3) * space };
}

// ---- time and place ----

// Where a moment is, of those that are written.
function spot({ systems }, time) {
  for (const system of systems)
    for (const bar of system.bars) {
      if (time < bar.from - NEAR || time >= bar.to) continue;
      const i = bar.columns.findLastIndex((column) => column.time <= time + NEAR), here = bar.columns[Math.max(i, 0)], next = bar.columns[i + 1] || { time: bar.to, x: bar.right };
      return { system, x: here.x + ((next.x - here.x) * Math.max(0, time - here.time)) / (next.time - here.time) };
    }
  return null;
}

// The moment and the place on the upper staff that a click means.
export function clicked(layout, px, py) {
  const x = px / layout.space - 1, y = py / layout.space, system = layout.systems.find((one) => y < one.bottom) || layout.systems.at(-1);
  const bar = system.bars.find((one) => x >= one.x && x < one.right);
  if (!bar) return null;
  const i = bar.columns.findLastIndex((column) => column.x <= x + 1.2), here = bar.columns[Math.max(i, 0)], next = bar.columns[i + 1] || { time: bar.to, x: bar.right };
  const part = Math.max(0, Math.min(0.99, (x - here.x) / (next.x - here.x)));
  return { time: here.time + part * (next.time - here.time), place: Math.round(layout.staves[0].clef.lowest + 2 * (system.lines[0] - y)) };
}

// ---- paint ----

function pen(context, colour) {
  context.strokeStyle = context.fillStyle = colour;
  const line = (width, ...points) => {
    context.lineWidth = width;
    context.beginPath();
    points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.stroke();
  };
  const sign = (name, x, y, flip = 1) => {
    context.save();
    context.translate(x, y);
    context.scale(1, flip);
    for (const [width, path] of SIGNS[name]) {
      context.lineWidth = width;
      if (width) context.stroke(paths.get(path));
      else context.fill(paths.get(path));
    }
    context.restore();
  };
  const dot = (x, y, radius = 0.2) => {
    context.beginPath();
    context.arc(x, y, radius, 0, 7);
    context.fill();
  };
  return { context, line, sign, dot };
}

function paintLines(own, layout, system, isFirst, isLast) {
  const { context, line, sign, dot } = own, top = system.lines[0] - 4, bottom = system.lines.at(-1);
  system.lines.forEach((y, i) => {
    const { clef, sign: name } = layout.staves[i], marks = layout.fifths > 0 ? clef.sharps : clef.flats;
    for (let k = 0; k < 5; k++) line(0.1, [0, y - k], [system.right, y - k]);
    sign(name, 1.9, y - clef.at / 2);
    for (let k = 0; k < Math.abs(layout.fifths); k++) sign(String(Math.sign(layout.fifths)), 4 + k, y - (marks[k] - clef.lowest) / 2);
    if (!isFirst) return;
    context.font = `700 2.5px ${ink("serif")}`;
    context.textAlign = "center";
    context.textBaseline = "alphabetic";
    [layout.beats, layout.unit].forEach((n, k) => context.fillText(n, system.head - 1.2, y - 2.13 + 2 * k));
  });
  if (system.lines.length > 1) line(0.15, [0, top], [0, bottom]);
  const dots = (x) => system.lines.forEach((y) => { dot(x, y - 1.5); dot(x, y - 2.5); });
  for (const bar of system.bars) {
    const isEnd = isLast && bar === system.bars.at(-1), x = bar.right;
    if (bar.opens) {
      const at = bar.x + (bar === system.bars[0] ? 0.3 : 0);
      line(0.45, [at + 0.2, top], [at + 0.2, bottom]);
      line(0.15, [at + 0.7, top], [at + 0.7, bottom]);
      dots(at + 1.2);
    }
    if (bar.closes) dots(x - 1.2);
    if (bar.closes || isEnd) line(0.45, [x - 0.2, top], [x - 0.2, bottom]);
    line(0.15, [x - (bar.closes || isEnd ? 0.7 : 0), top], [x - (bar.closes || isEnd ? 0.7 : 0), bottom]);
    if (bar.ends && !bar.closes && !isEnd) line(0.15, [x - 0.5, top], [x - 0.5, bottom]);
  }
}

function paintRest({ context, line, sign, dot }, piece, x, y) {
  const { level, dots } = piece.value;
  if (level < 2) context.fillRect(x - 0.6, level ? y - 0.5 : y - 1, 1.2, 0.5);
  else if (level === 2) sign("quarter", x, y);
  else {
    const n = level - 2, lean = (k) => 0.4 - 0.12 * k;
    line(0.15, [x + 0.45, y - 0.9], [x + 0.45 - 0.12 * (n + 1.5), y - 0.9 + n + 1]);
    for (let k = 0; k < n; k++) {
      dot(x - 0.35 - 0.12 * k, y - 0.6 + k, 0.24);
      line(0.15, [x - 0.3 - 0.12 * k, y - 0.45 + k], [x + lean(k), y - 0.6 + k]);
    }
  }
  for (let k = 0; k < dots; k++) dot(x + 1 + 0.5 * k, y - 0.5);
}

const headX = (piece) => piece.column.x + (piece.aside || 0);
const stemX = (piece) => headX(piece) + (piece.up ? HEAD - 0.05 : 0.05 - HEAD);

// Where each stem of a group ends: on one line that leans little, and leaves each stem long enough.
function beamLine(group, yOf) {
  const [a, b] = [group[0], group.at(-1)], way = a.up ? -1 : 1, width = stemX(b) - stemX(a);
  const lean = Math.max(-1, Math.min(1, yOf(b) - yOf(a))) / width, from = Math.max(...group.map((piece) => way * (yOf(piece) - lean * (stemX(piece) - stemX(a)))));
  return (x) => way * (from + STEM - 0.4) + lean * (x - stemX(a));
}

function paintBeams({ line }, group, end) {
  const way = group[0].up ? 1 : -1, most = Math.max(...group.map((piece) => piece.value.level));
  for (let level = 3; level <= most; level++) {
    const y = (x) => end(x) + way * 0.75 * (level - 3), has = (piece) => piece?.value.level >= level;
    group.forEach((piece, i) => {
      const x = stemX(piece);
      if (!has(piece)) return;
      if (has(group[i + 1])) line(0.5, [x, y(x)], [stemX(group[i + 1]), y(stemX(group[i + 1]))]);
      else if (!has(group[i - 1])) line(0.5, [x, y(x)], [x + (i ? -1 : 1), y(x + (i ? -1 : 1))]);
    });
  }
}

function paintHead({ context, line, sign, dot }, piece, y, clef, bottom) {
  const x = headX(piece), { level, dots } = piece.value, step = piece.place - clef.lowest;
  for (let k = 10; k <= step; k += 2) line(0.12, [x - 1, bottom - k / 2], [x + 1, bottom - k / 2]);
  for (let k = -2; k >= step; k -= 2) line(0.12, [x - 1, bottom - k / 2], [x + 1, bottom - k / 2]);
  if (piece.shows) sign(String(piece.sign), piece.column.x - 1.3 - piece.signAside, y);
  for (let k = 0; k < dots; k++) dot(x + 1.1 + 0.5 * k, step % 2 ? y : y - 0.5);
  context.beginPath();
  context.lineWidth = 0.2;
  context.ellipse(x, y, level ? HEAD - 0.02 : 0.75, level > 1 ? 0.45 : 0.37, level ? -0.35 : 0, 0, 7);
  if (level > 1) context.fill();
  context.stroke();
}

function paintPiece(own, piece, layout, system, staff) {
  const { context, line, sign } = own, { clef } = layout.staves[staff], bottom = system.lines[staff], yOf = (one) => bottom - (one.place - clef.lowest) / 2;
  const y = yOf(piece), x = stemX(piece), way = piece.up ? -1 : 1, { level } = piece.value;
  let end = y + way * (STEM + 0.4 * Math.max(0, level - 4));
  if (piece.note) {
    paintHead(own, piece, y, clef, bottom);
    if (piece.group) end = beamLine(piece.group, yOf)(x);
    else if (Math.abs(piece.place - clef.lowest - 4) > 7 && way * (y - bottom + 2) < 0) end = bottom - 2; // to the middle line
    if (level) line(0.14, [x, y], [x, end]);
    if (piece.group?.[0] === piece) paintBeams(own, piece.group, beamLine(piece.group, yOf));
    for (let k = 0; !piece.group && k < level - 2; k++) sign("flag", x, end - way * 0.75 * k, -way);
  } else paintRest(own, piece, headX(piece), y);
  if (!piece.three) return;
  context.font = `italic 600 1.5px ${ink("serif")}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText("3", piece.note ? (x + headX(piece)) / 2 : x, end + way * 0.9);
}

// The tie from what is held to the piece; a line that ends between has both its halves.
function paintTie({ context }, piece, layout, system, staff) {
  const { clef, voices } = layout.staves[staff], way = piece.up === (voices.length === 1) ? 1 : -1, isHere = system.bars.some((bar) => bar.pieces[staff].includes(piece.before));
  const tie = (from, to, bottom) => {
    const y = bottom - (piece.place - clef.lowest) / 2 + way * 0.7;
    context.lineWidth = 0.18;
    context.beginPath();
    context.moveTo(from, y);
    context.quadraticCurveTo((from + to) / 2, y + way * 0.9, to, y);
    context.stroke();
  };
  const from = headX(piece.before) + 0.4, to = headX(piece) - 0.4, other = layout.systems[layout.systems.indexOf(system) - 1];
  if (isHere) return tie(from, to, system.lines[staff]);
  tie(to - 2, to, system.lines[staff]);
  return tie(from, other.right + 0.6, other.lines[staff]);
}

// now: the moment that is played, or null.
export function paint(canvas, layout, now) {
  const context = fit(canvas, layout.pixels, layout.height);
  context.scale(layout.space, layout.space);
  context.translate(1, 0);
  context.lineJoin = "round";
  layout.systems.forEach((system, i) => {
    paintLines(pen(context, ink("ink")), layout, system, i === 0, i === layout.systems.length - 1);
    for (const bar of system.bars)
      bar.pieces.forEach((pieces, staff) => {
        for (const piece of pieces.toReversed()) { // the melody above voices in unison with it
          const own = pen(context, piece.voice ? hue(piece.voice) : ink("ink"));
          paintPiece(own, piece, layout, system, staff);
          if (piece.before) paintTie(own, piece, layout, system, staff);
        }
      });
  });
  const at = now === null ? null : spot(layout, now);
  if (at) pen(context, ink("accent")).line(0.25, [at.x, at.system.top], [at.x, at.system.bottom]);
}

// The same for the ear: a line a bar, a voice after the other.
export function words(layout) {
  const said = ({ value, note }) => `${note ? nameAt(note) : "rest"} ${["", "dotted ", "double-dotted "][value.dots]}${WORDS[value.level]}${value.isTriplet ? " of a triplet" : ""}`;
  return layout.bars.map((bar) => {
    const all = bar.pieces.flat(), voices = [...new Set(all.map((piece) => piece.voice))].sort((a, b) => a - b);
    const text = voices.map((voice) => all.filter((piece) => piece.voice === voice).map(said).join(", ")).join("; ");
    return `${bar.opens ? "repeat from here: " : ""}${text || "empty"}${bar.closes ? " (repeat)" : ""}`;
  });
}
