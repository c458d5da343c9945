// A plain hand: letters as strokes, for those who do not draw.

// Strokes with spaces between; a point is two digits, x and y. The tallest letters begin at y = 0 and stand at y = 7.
const letters = {
  a: "4433130406173745 4347", b: "0007 0413334446371706", c: "4433130406173746", d: "4433130406173746 4047", e: "05454433130406173746",
  f: "4030111217 0333", g: "4433130406173745 4348391908", h: "0007 0513334447", i: "1317 1011", j: "23281908 2021", k: "0007 430547", l: "101627",
  m: "0307 0413233437 3443536467", n: "0307 0413334447", o: "23130406173746443323", p: "0309 0413334446371706", q: "4433130406173746 4349", r: "0307 041333",
  s: "44331304153546371706", t: "20263746 0343", u: "030617374643 4347", v: "032743", w: "0317345763", x: "0347 4307", y: "0327 4309", z: "03430747",
};

// A curve through the points (Catmull-Rom), with three points between two of them.
function curve(points) {
  const found = [], at = (i) => points[Math.max(0, Math.min(points.length - 1, i))];
  for (let i = 0; i + 1 < points.length; i++) for (let t = 0; t < 1; t += 0.25)
    found.push([0, 1].map((axis) => {
      const [a, b, c, d] = [at(i - 1), at(i), at(i + 1), at(i + 2)].map((point) => point[axis]);
      return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)));
    }));
  return [...found, points.at(-1)];
}

// The strokes of a text, [[[x, y], ...], ...], letters 7 units high from (0, 0) on.
export function write(text) {
  const strokes = [];
  let left = 0;
  for (const letter of text.toLowerCase()) {
    const own = (letters[letter] || "").split(" ").filter(Boolean).map((stroke) => stroke.match(/../g).map(([x, y]) => [Number(x), Number(y)]));
    strokes.push(...own.map((points) => curve(points.map(([x, y]) => [left + x, y]))));
    left += 2 + (own.length ? Math.max(...own.flat().map(([x]) => x)) : 1);
  }
  return strokes;
}
