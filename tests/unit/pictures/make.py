#!/usr/bin/env python3
"""Makes the pictures of test_image.c, a few hundred bytes each, and what the front end `picture` makes of them.

    python3 tests/unit/pictures/make.py

Needs Pillow, which decodes the pictures here, and NumPy. rows.txt: a line
`file width height patch channels fit coordinates frames`, then the numbers of all rows, and an empty line.
"""
import pathlib

import numpy
from PIL import Image

HERE = pathlib.Path(__file__).parent


def make():
    random = numpy.random.default_rng(1)
    y, x = numpy.mgrid[0:9, 0:14]
    smooth = numpy.stack([18 * x, 28 * y, 255 - 9 * (x + y)], 2).clip(0, 255).astype(numpy.uint8)
    Image.fromarray(smooth).save(HERE / "smooth.png")
    Image.fromarray(smooth).save(HERE / "smooth.jpg", quality=90, subsampling=0)
    Image.fromarray(smooth).save(HERE / "progressive.jpg", quality=80, progressive=True)
    Image.fromarray(smooth).convert("L").save(HERE / "grey.jpg", quality=90)
    Image.fromarray(smooth).convert("CMYK").save(HERE / "print.jpg")
    clear = numpy.concatenate([smooth, random.integers(0, 256, (9, 14, 1), numpy.uint8)], 2)
    Image.fromarray(clear).save(HERE / "clear.png")
    Image.fromarray(smooth[:, :, 0]).save(HERE / "grey.png")
    Image.fromarray(smooth).quantize(7).save(HERE / "palette.png")
    frames = []
    for i in range(5):
        frame = numpy.full((6, 8, 3), (255, 255, 255), numpy.uint8)
        frame[2:4, i:i + 3] = (200, 0, 40)
        frames.append(Image.fromarray(frame))
    frames[0].save(HERE / "moving.gif", save_all=True, append_images=frames[1:], duration=100, loop=0)
    frames = []
    for i in range(3):
        frame = Image.new("P", (8, 6), 0)
        frame.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 255])
        frame.putpixel((2 * i, i), 1 + i % 2)
        frames.append(frame)
    frames[0].save(HERE / "disposed.gif", save_all=True, append_images=frames[1:], transparency=0, disposal=2)


def frames_of(file):
    """[frames, height, width, 3], composed on white."""
    image, out = Image.open(HERE / file), []
    for i in range(getattr(image, "n_frames", 1)):
        image.seek(i)
        rgba = numpy.asarray(image.convert("RGBA")).astype(float)
        share = rgba[:, :, 3:] / 255
        out.append(share * rgba[:, :, :3] + (1 - share) * 255)
    return numpy.stack(out) / 255


def shares(n, begin, size, cells):
    """[cells, n]: what share of each cell each of n pixels covers; the rest is beyond the picture."""
    out = numpy.zeros((cells, n))
    step = size / cells
    for i in range(cells):
        low, high = begin + i * step, begin + (i + 1) * step
        for k in range(n):
            out[i, k] = max(0, min(high, k + 1) - max(low, k)) / step
    return out


def rows(file, width, height, patch, channels, fit, coordinates, frames):
    pictures = frames_of(file)
    n, H, W, _ = pictures.shape
    scale = {"stretch": (W / width, H / height), "crop": (min(W / width, H / height),) * 2,
             "pad": (max(W / width, H / height),) * 2}[fit]
    w, h = scale[0] * width, scale[1] * height
    across, down = shares(W, (W - w) / 2, w, width), shares(H, (H - h) / 2, h, height)
    out = []
    for i in range(max(frames, 1)):
        picture = pictures[(2 * i + 1) * n // (2 * max(frames, 1))]
        small = 1 + numpy.einsum("ay,bx,yxc->abc", down, across, picture - 1)
        if channels == 1:
            small = small @ numpy.array([[0.299], [0.587], [0.114]])
        p, q = (patch, patch) if patch else (width, height)
        for v in range(height // q):
            for u in range(width // p):
                row = list(small[v * q:(v + 1) * q, u * p:(u + 1) * p].reshape(-1))
                if coordinates:
                    row += [(2 * u + 1) / (width // p) - 1, (2 * v + 1) / (height // q) - 1]
                out += row
    return out


CASES = [
    ("smooth.png", 14, 9, 0, 3, "stretch", 0, 0), ("smooth.png", 4, 4, 2, 3, "stretch", 1, 0),
    ("smooth.png", 6, 4, 2, 1, "crop", 1, 0), ("smooth.png", 6, 6, 3, 3, "pad", 1, 0),
    ("smooth.png", 20, 20, 10, 1, "pad", 0, 0), ("clear.png", 4, 2, 2, 3, "stretch", 0, 0),
    ("grey.png", 4, 2, 2, 3, "stretch", 0, 0), ("palette.png", 4, 2, 2, 3, "stretch", 0, 0),
    ("smooth.jpg", 4, 4, 2, 3, "stretch", 0, 0), ("progressive.jpg", 4, 4, 2, 3, "stretch", 0, 0),
    ("grey.jpg", 4, 4, 2, 3, "stretch", 0, 0), ("moving.gif", 8, 6, 0, 1, "stretch", 0, 5),
    ("moving.gif", 4, 3, 0, 3, "stretch", 0, 3), ("moving.gif", 4, 3, 0, 1, "crop", 1, 8),
    ("disposed.gif", 8, 6, 0, 3, "stretch", 0, 3), ("smooth.png", 3, 3, 0, 1, "crop", 0, 2),
]


def main():
    make()
    with open(HERE / "rows.txt", "w") as out:
        for case in CASES:
            numbers = rows(*case)
            out.write(" ".join(map(str, case)) + "\n" + " ".join(f"{v:.9g}" for v in numbers) + "\n\n")


if __name__ == "__main__":
    main()
