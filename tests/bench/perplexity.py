"""Perplexity of a served model on a held-out text, by /v1/score: to compare precisions.

    build/carousel serve --models zoo --port 8080 --set models.precision=int8 &
    python3 tests/bench/perplexity.py data/text/tinyshakespeare.txt [--url http://127.0.0.1:8080] [--model shakespeare]

The last 10 % of the text, in pieces of 20,000 characters, each read from a fresh state.
"""
import argparse
import json
import math
import pathlib
import urllib.request

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("text")
parser.add_argument("--url", default="http://127.0.0.1:8080")
parser.add_argument("--model", default="shakespeare")
args = parser.parse_args()

text = pathlib.Path(args.text).read_text(encoding="utf-8")
text = text[int(0.9 * len(text)):]
total = count = 0
for at in range(0, len(text), 20000):
    body = json.dumps({"model": args.model, "input": text[at:at + 20000]}).encode()
    request = urllib.request.Request(args.url + "/v1/score", body, {"Content-Type": "application/json"})
    answer = json.load(urllib.request.urlopen(request))
    result = answer["results"][0] if "results" in answer else answer
    tokens = len(text[at:at + 20000]) - 1
    total, count = total + result["log_likelihood"], count + tokens
print(f"{-total / count:.5f} nats a token, perplexity {math.exp(-total / count):.4f}, on {count} tokens")
