// Things to put into a picture: shapes, and digits of 5 x 7 squares, as zoo/scenes draws them.

const digits = ["01110 00100 01110 11110 00010 11111 00110 11111 01110 01110", "10001 01100 10001 00001 00110 10000 01000 00001 10001 10001",
  "10011 00100 00001 00001 01010 11110 10000 00010 10001 10001", "10101 00100 00110 01110 10010 00001 11110 00010 01110 01111",
  "11001 00100 01000 00001 11111 00001 10001 00100 10001 00001", "10001 00100 10000 00001 00010 10001 10001 00100 10001 00010",
  "01110 01110 11111 11110 00010 01110 01110 00100 01110 01100"].map((row) => row.split(" "));

const circle = (path, radius) => {
  path.moveTo(radius, 0);
  path.arc(0, 0, radius, 0, 2 * Math.PI);
};
const polygon = (path, points) => {
  points.forEach(([x, y], i) => (i ? path.lineTo(x, y) : path.moveTo(x, y)));
  path.closePath();
};

// Each draws into a path around (0, 0), of radius 1.
const shapes = {
  circle: (path) => circle(path, 1),
  square: (path) => path.rect(-0.88, -0.88, 1.76, 1.76),
  triangle: (path) => polygon(path, [[0, -0.85], [0.944, 0.85], [-0.944, 0.85]]),
  diamond: (path) => polygon(path, [[0, -1], [0.8, 0], [0, 1], [-0.8, 0]]),
  star: (path) => polygon(path, Array.from({ length: 10 }, (_, i) => {
    const radius = i % 2 ? 0.42 : 1, angle = (i * Math.PI) / 5;
    return [radius * Math.sin(angle), -radius * Math.cos(angle)];
  })),
  cross: (path) => polygon(path, [[-0.32, -1], [0.32, -1], [0.32, -0.32], [1, -0.32], [1, 0.32], [0.32, 0.32], [0.32, 1], [-0.32, 1], [-0.32, 0.32], [-1, 0.32], [-1, -0.32], [-0.32, -0.32]]),
  ring: (path) => {
    circle(path, 1);
    circle(path, 0.52);
  },
};

export const names = [...Object.keys(shapes), ..."0123456789"];
export const colours = { red: "#e02020", orange: "#f59a14", yellow: "#f2dc1e", green: "#2a9a3c", blue: "#2a62d6", purple: "#8a2fa8", pink: "#f58fc0", black: "#111111" };

export function draw(context, name, colour, x, y, radius) {
  const path = new Path2D();
  if (shapes[name]) shapes[name](path);
  else digits.forEach((row, v) => [...row[name]].forEach((bit, u) => { if (bit === "1") path.rect((u - 2.5) * (2 / 7), (v - 3.5) * (2 / 7), 0.29, 0.29); }));
  const placed = new Path2D();
  placed.addPath(path, new DOMMatrix([radius, 0, 0, radius, x, y]));
  context.fillStyle = colour;
  context.fill(placed, name === "ring" ? "evenodd" : "nonzero");
}
