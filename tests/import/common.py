"""What the makers of tests/import/files share."""
import json
import pathlib

FILES = pathlib.Path(__file__).parent / "files"
LETTERS = list("abcdefgh ,.") + ["é"]
TEXTS = ["a", "bad cab", "face, a.", "hedé. cafe each bead"]


def write_golden(name, cases):
    (FILES / f"{name}.golden.json").write_text(json.dumps({"cases": cases}, ensure_ascii=False))


def text_cases(run, texts=TEXTS):
    cases = []
    for text in texts:
        tokens = [LETTERS.index(c) for c in text]
        cases.append({"input": text, "tokens": tokens, "output": [float(x) for x in run(tokens)]})
    return cases


def row_cases(run, width, flat=False):
    cases = []
    for n in (1, 4, 9):
        rows = [[round(((7 * t + 3 * i + n) % 11) / 5 - 1, 3) for i in range(width)] for t in range(n)]
        given = [row[0] for row in rows] if flat else rows
        cases.append({"input": given, "features": rows, "output": [float(x) for x in run(rows)]})
    return cases
