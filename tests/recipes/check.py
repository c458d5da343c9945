#!/usr/bin/env python3
"""check.py CAROUSEL FOLDER: trains each recipe for strangers' data (docs/train-your-own.md) on small files, serves the
bundles that come out, and asks them; the scripts of docs/translation.md and docs/handwriting.md too. Ends with a line
like the one that check prints."""

import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SEASIDE = "the sea and the sky are blue when a ship sails home to port under stars".split()
LABELS = {"cold": "ice snow frost", "warm": "sun sand heat", "wet": "rain fog flood"}


PLACES = ["new york", "rome", "rio de janeiro", "paris", "Oslo", "Lima"]
NUMBERS = [("one two three four five six".split(), " and "), ("un deux trois quatre cinq six".split(), " et ")]
DAYS = ["monday", "next friday", "sunday"]


def dna(draw, has_site):
    """Eleven bases, in whose middle GT stands or stands not."""
    bases = [draw.choice("ACGTN") for _ in range(11)]
    bases[5:7] = "GT" if has_site else draw.choice(["CA", "AG", "TT", "CC"])
    return "".join(bases)


def tune(draw, i):
    """A jig whose notes go up and down the scale."""
    at, bars = draw.randrange(7), []
    for _ in range(8):
        notes = []
        for _ in range(6):
            notes.append("DEFGABcdefga"[at])
            at = min(11, max(0, at + draw.choice((-1, 1))))
        bars.append("".join(notes[:3]) + " " + "".join(notes[3:]))
    return f"X:{i}\nT:{i}\nM:6/8\nL:1/8\nK:D\n|: {' | '.join(bars[:4])} :|\n|: {' | '.join(bars[4:])} :|\n"


def write_data(folder):
    draw = random.Random(1)
    lines = [" ".join(draw.choice(SEASIDE) for _ in range(8)) for _ in range(600)]
    (folder / "text.txt").write_text("\n".join(lines) + "\n")
    texts = [f"{label}\t{draw.choice(SEASIDE)} {draw.choice(words.split())} {draw.choice(SEASIDE)} {i}"
             for label, words in LABELS.items() for i in range(300)]
    (folder / "labels.tsv").write_text("\n".join(texts) + "\n")
    marked = [f"go\tfly to [{draw.choice(PLACES)}](city) on [{draw.choice(DAYS)}](day) {i % 9}" if i % 2 else
              f"rain\twill it rain in [{draw.choice(PLACES)}](city) {draw.choice(SEASIDE)}" for i in range(600)]
    (folder / "marked.tsv").write_text("\n".join(marked) + "\n")
    (folder / "letters.csv").write_text("".join(f"{'gt' if i % 2 else 'other'},{i},{dna(draw, i % 2)}\n" for i in range(500)))
    asked = [f"The {draw.choice(SEASIDE)} is {colour}. It {draw.choice(SEASIDE)} {i}.\tWhat colour is it?\t{colour}"
             for i in range(200) for colour in ("green", "red", "white")]
    (folder / "answers.tsv").write_text("\n".join(asked) + "\n")
    pairs = [[draw.randrange(6) for _ in range(draw.randint(1, 4))] for _ in range(1500)]
    (folder / "pairs.tsv").write_text("".join("\t".join(and_.join(words[i] for i in pair) for words, and_ in NUMBERS) + "\n"
                                              for pair in pairs))
    (folder / "tunes.abc").write_text("\n".join(tune(draw, i) for i in range(120)))
    rows = [f"{100 + t + 10 * (t % 7)},{50 - 3 * (t % 4)}" for t in range(120)]
    (folder / "series.csv").write_text("\n".join(["a,b", *rows]) + "\n")


# What is trained, and a figure of the held-out part that a model which has learnt nothing does not reach.
RECIPES = [
    ("my-text", "shakespeare", "text.txt", ["--epochs", "10"], r"held out: ([\d.]+) nats", lambda x: x < 2.2),
    ("my-labels", "sentiment", "labels.tsv", ["--epochs", "12"], r"held out: accuracy ([\d.]+)", lambda x: x > 0.9),
    ("my-slots", "slots", "marked.tsv", ["--epochs", "10"], r"held out: slot F1 ([\d.]+)", lambda x: x > 0.9),
    ("my-sites", "splice", "letters.csv", ["--epochs", "15"], r"held out: accuracy ([\d.]+)", lambda x: x > 0.9),
    ("my-answers", "babi", "answers.tsv", ["--epochs", "6"], r"held out: .*\(([\d.]+) %\)", lambda x: x > 90),
    ("my-tunes", "folk", ".", ["--any", "--epochs", "12"], r"held out: .* ([\d.]+) bits a word", lambda x: x < 2.5),
    ("my-words", "story", "text.txt", ["--book", "none", "--minutes", "1"], r"perplexity on held-out sentences: ([\d.]+)",
     lambda x: x < 30),
    ("my-pairs", "eng-fra", "pairs.tsv", ["--epochs", "30"], r"all translations: BLEU ([\d.]+)", lambda x: x > 50),
    ("my-pairs-back", "eng-fra", "pairs.tsv", ["--reverse", "--start", "my-pairs", "--epochs", "20"],
     r"all translations: BLEU ([\d.]+)", lambda x: x > 50),
    ("my-series", "series", "series.csv", ["--start", ROOT / "zoo/series", "--epochs", "1"],
     r"your .*: 1, ([\d.]+), [\d.]+,", lambda x: x < 1),
    ("my-xlstm", "series/xlstm.py", "series.csv", ["--small", "--epochs", "3"], r"held out: mean MASE ([\d.]+)",
     lambda x: x < 3),
]

GRADIENTS = ["handwriting/recurrence.py", "series/slstm.py"]  # written by hand, compared with autograd's

REQUESTS = [
    ("completions", {"model": "my-text", "prompt": "the sea", "max_tokens": 20, "seed": 1},
     lambda a: len(a["choices"][0]["text"]) == 20),
    ("classify", {"model": "my-labels", "input": "home ice sky 1"}, lambda a: a["results"][0][0]["label"] == "cold"),
    ("classify", {"model": "my-slots", "input": "fly to rio de janeiro on sunday 1"},
     lambda a: [e["value"] for e in a["results"][0]["entities"]] == ["rio de janeiro", "sunday"]),
    ("classify", {"model": "my-sites", "input": "aacraGTcnac"}, lambda a: a["results"][0][0]["label"] == "gt"),
    ("answer", {"context": "The ship is red. It sails.", "question": "What colour is it?"},
     lambda a: a["answers"][0]["answer"] == "red"),
    ("music", {"model": "my-tunes", "key": "G", "bars": 4, "seed": 1}, lambda a: a["metre"] == "6/8" and a["key"] == "G"),
    ("completions", {"model": "my-words", "prompt": "the sea", "max_tokens": 5, "seed": 1},
     lambda a: a["usage"]["completion_tokens"] == 5),
    ("translate", {"model": "my-pairs", "input": "two and six"}, lambda a: a["translations"][0]["text"] == "deux et six"),
    ("translate", {"model": "my-pairs-back", "input": "deux et six"}, lambda a: a["translations"][0]["text"] == "two and six"),
    ("translate", {"model": "my-translator", "input": "three and one and two"}, lambda a: a["translations"][0]["text"] == "trois et un et deux"),
    ("forecast", {"model": "my-series", "series": [1, 2, 3, 4, 5, 6], "horizon": 3},
     lambda a: len(a["forecasts"][0]["mean"]) == 3),
    ("forecast", {"model": "my-xlstm", "series": [1, 2, None, 4, 5, 6] * 5, "horizon": 30, "quantiles": [0.1, 0.9]},
     lambda a: all(low < high for low, high in zip(*(a["forecasts"][0]["quantiles"][q] for q in ("0.1", "0.9"))))),
]


def ask(url, route, body):
    request = urllib.request.Request(f"{url}/v1/{route}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def run_script(page, name, folder, program, failures, **environment):
    """Run the script of a page that begins with a comment of its name, with the program on the path."""
    text = (ROOT / page).read_text(encoding="utf-8")
    script = text[text.index(f"# {name}"):]
    path = f"{pathlib.Path(program).resolve().parent}:{os.environ['PATH']}"
    done = subprocess.run([sys.executable, "-c", script[:script.index("```")]], cwd=folder, text=True,
                          env={**os.environ, "PATH": path, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        failures.append(f"{name} of {page} ended with {done.returncode}:\n{done.stdout[-1500:]}")


def main():
    program, folder = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
    (folder / "bundles").mkdir(parents=True, exist_ok=True)
    write_data(folder)
    failures = []
    for name, recipe, data, more, figure, is_good in RECIPES:
        script = recipe if recipe.endswith(".py") else f"{recipe}/train.py"
        command = [sys.executable, ROOT / "zoo" / script, "--data", folder / data, "--out",
                   folder / "bundles" / name, *more]
        done = subprocess.run(command, cwd=folder / "bundles", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        found = re.search(figure, done.stdout)
        if done.returncode != 0 or not found or not is_good(float(found[1])):
            failures.append(f"{recipe} on {data} ended with {done.returncode}:\n{done.stdout[-1500:]}")
    for gradient in GRADIENTS:
        done = subprocess.run([sys.executable, ROOT / "zoo" / gradient], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            failures.append(f"{gradient}:\n{done.stdout[-1500:]}")
    run_script("docs/translation.md", "translator.py", folder / "bundles", program, failures)
    shutil.rmtree(folder / "bundles" / "pen", ignore_errors=True)
    run_script("docs/handwriting.md", "pen.py", folder, program, failures)
    server = subprocess.Popen([program, "serve", "--port", "0", "--models", folder / "bundles"],
                              stdout=subprocess.PIPE, text=True)
    url = server.stdout.readline().rpartition(" ")[2].strip()
    run_script("docs/handwriting.md", "draw.py", folder, program, failures, CAROUSEL=url.rpartition("/")[2])
    for route, body, is_good in REQUESTS:
        try:
            answer = ask(url, route, body)
            if not is_good(answer):
                failures.append(f"/v1/{route}: {answer}")
        except (OSError, ValueError) as error:
            failures.append(f"/v1/{route}: {error}")
    server.terminate()
    server.wait()
    print("\n".join(failures))
    n = len(RECIPES) + len(GRADIENTS) + 3 + len(REQUESTS)
    print(f"recipes: {100 * (n - len(failures)) // n}%: Checks: {n}, Failures: {len(failures)}, Errors: 0")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
