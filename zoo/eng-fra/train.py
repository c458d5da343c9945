"""eng-fra: English to French, and, with --reverse, fra-eng: French to English.

Data: --data is a gzipped file of tab-separated pairs, English first: Tatoeba's sentences by way of
manythings.org/anki (CC BY 2.0 FR, both to be named). Your own: any such file, gzipped or not, of any two
languages; a column beyond the second is not read.

One English sentence in fifty, by a hash of its letters in small, is held out with all its translations; pairs of which
a side has the same letters as one of those are left out of training too. A tenth of the held-out sentences is looked at during training, the others
only by --evaluate, which prints BLEU and chrF (metrics.py) with all translations of a sentence as its references, and with the
first one alone; and how many of the answers of 20 words and more repeat four words.

Tatoeba has sentences and few single words. So everyday.tsv, beside this file, adds greetings, numbers and the like,
written for it and held out by the same rule. Short pairs come in several spellings, with and without a full stop and
a capital letter. Targets have plain spaces, for which French has four.

BPE of 4,000 pieces for both languages, one embedding for source, target and output; the network is in
zoo/seq2seq.py. With --checkpoint a training that was ended goes on where it was. --bfloat16 multiplies in bfloat16 while
it trains. --start FOLDER begins with the pieces and the weights of a bundle that this recipe wrote, also one of the other
direction: both directions hold out the same pairs.
"""

import collections
import gzip
import hashlib
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import bpe
import metrics
import recipe
import seq2seq

PIECES, SIZES, DROPOUT, RATE, BATCH = 4000, (192, 192, 192, 384), 0.3, "2e-3", 128
TATOEBA = "eng-fra.tatoeba.tsv.gz"
EVERYDAY, EVERYDAY_TIMES, SHORT_WORDS = pathlib.Path(__file__).resolve().parent / "everyday.tsv", 8, 2
BEAMS, MAX_TOKENS, PENALTY, LONGEST = 4, 200, 1.0, 60


def read_pairs(path, reverse):
    raw = pathlib.Path(path).read_bytes()
    text = (gzip.decompress(raw) if str(path).endswith(".gz") else raw).decode("utf-8")
    pairs = [tuple(side.strip() for side in line.split("\t")[:2]) for line in text.splitlines()]
    return [(b, a) if reverse else (a, b) for a, b in dict.fromkeys(pairs)]


def letters(text):
    return "".join(c for c in text.lower() if c.isalnum())


def is_held(text):
    return int(hashlib.sha256(letters(text).encode()).hexdigest(), 16) % 50 == 0


def split(pairs, reverse):
    """(training pairs, held-out sentences with their translations)."""
    english = 1 if reverse else 0
    held = collections.defaultdict(list)
    for pair in pairs:
        if is_held(pair[english]):
            held[pair[0]].append(pair[1])
    seen = {letters(text) for source, translations in held.items() for text in (source, *translations)}
    return [p for p in pairs if not is_held(p[english]) and not any(letters(side) in seen for side in p)], dict(held)


def spellings(pair):
    """A short pair as people type it: without its full stop, with another one, in small letters."""
    source, target = (re.sub(r"\s*[.!]+$", "", side) for side in pair)
    if source == pair[0] or target == pair[1]:  # a question, or no sentence
        return [pair]
    exclaimed = pair[1] if pair[1].endswith("!") else target + "."
    return [pair, (source, target), (source.lower(), target), (source + ".", target + "."), (source + "!", exclaimed),
            (source + " !", exclaimed)]


def with_spellings(pairs, held, args):
    """Training pairs: all, the short ones and everyday.tsv in their spellings, targets with plain spaces."""
    everyday = []
    if pathlib.Path(args.data).name == TATOEBA:
        seen = {letters(text) for source, translations in held.items() for text in (source, *translations)}
        everyday = [p for p in read_pairs(EVERYDAY, args.reverse)
                    if not is_held(p[1 if args.reverse else 0]) and not any(letters(side) in seen for side in p)]
    short = [p for p in pairs if min(len(side.split()) for side in p) <= SHORT_WORDS]
    extra = [s for p in short for s in spellings(p)[1:]] + [s for p in everyday for s in spellings(p)] * EVERYDAY_TIMES
    return [(source, re.sub("[\u202f\u00a0\u2009]", " ", target)) for source, target in pairs + extra]


def parts(held):
    """(those that are looked at during training, those that only --evaluate reads)."""
    watched = {t: held[t] for t in list(held)[::10]}
    return watched, {t: held[t] for t in held if t not in watched}


def translate(model, tokenizer, texts, beams):
    ids = [[seq2seq.BOS, *tokenizer.encode(text), seq2seq.EOS] for text in texts]
    results = seq2seq.search_all(model, ids, beams, MAX_TOKENS, PENALTY, 64)
    return [tokenizer.decode(result[0][1]) if result else "" for result in results]


def repeats(text):
    """Whether four words come again in a row somewhere."""
    words = text.split()
    return any(words[i:i + 4] == words[i + k:i + k + 4] for k in (1, 2, 3, 4) for i in range(len(words) - 4 - k + 1))


def evaluate(model, tokenizer, held):
    texts = list(held)
    answers = translate(model, tokenizer, texts, BEAMS)
    for name, references in (("all translations", list(held.values())),
                             ("the first translation", [t[:1] for t in held.values()])):
        print(f"held out: {len(texts)} sentences against {name}: BLEU {metrics.bleu(answers, references):.2f}, "
              f"chrF {metrics.chrf(answers, references):.4f}", flush=True)
    long = [a for t, a in zip(texts, answers) if len(t.split()) >= 20]
    print(f"of {len(long)} sentences of 20 words and more, {sum(map(repeats, long))} answers repeat four words")
    for text, answer in list(zip(texts, answers))[::max(1, len(texts) // 20)]:
        print(f"  {text}\n    {answer}")


def description(args):
    """What config.json says of the bundle; little if the pairs are those of a stranger. zoo/precisions.py measures what the
    precision costs."""
    if pathlib.Path(args.data).name != TATOEBA:
        return {"description": "Translates a sentence."}, {}
    names, codes = (("French", "English"), ("fr", "en")) if args.reverse else (("English", "French"), ("en", "fr"))
    return {
        "description": "Translates {} into {}.".format(*names),
        "precision": "int8",
        "license": "CC-BY-2.0-FR",
        "training_data": "sentence pairs of Tatoeba (tatoeba.org, CC BY 2.0 FR) by way of manythings.org/anki",
    }, {"source": codes[0], "target": codes[1]}


def config(model, about, languages):
    return {
        "task": "translation",
        **about,
        "network": model.network(),
        "tokenizer": {"type": "bpe", "vocabulary": "vocab.txt", "merges": "merges.txt", "bos_token": "<s>",
                      "eos_token": "</s>", "unknown": "fold"},
        "translation": {"num_beams": BEAMS, "max_tokens": MAX_TOKENS, "length_penalty": PENALTY,
                        "split_sentences": True, **languages},
    }


def begin(args, out, pairs):
    """The tokenizer and the model: those of --out or of --start, or new ones."""
    pieces = next((path for path in (out, args.start) if path and (pathlib.Path(path) / "merges.txt").exists()), None)
    if pieces:
        tokenizer = bpe.read(pieces)
    else:
        tokenizer = bpe.Tokenizer(*bpe.learn([side for pair in pairs for side in pair], PIECES))
    if pieces != out:
        tokenizer.write(out)
    n = len(tokenizer.vocabulary)
    model = seq2seq.Model(n, n, SIZES, DROPOUT, tied=True)
    weights = out if args.evaluate else args.start
    return tokenizer, recipe.load_bundle(model, weights) if weights else model


def main():
    args = recipe.arguments(__doc__, f"data/translation/{TATOEBA}", epochs=8, flags=("reverse", "bfloat16"), start="",
                            rate=RATE)
    args.out = args.out or (pathlib.Path(__file__).resolve().parent.parent / ("fra-eng" if args.reverse else "eng-fra"))
    out = recipe.folder(args, __file__)
    pairs, held = split(read_pairs(args.data, args.reverse), args.reverse)
    watched, judged = parts(held)
    tokenizer, model = begin(args, out, pairs)
    print(f"{len(pairs)} pairs, {len(held)} sentences held out, {len(tokenizer.vocabulary)} pieces", flush=True)
    if not args.evaluate:
        def note(average):
            answers = translate(average, tokenizer, watched, 1)
            return f"watched sentences, greedy: BLEU {metrics.bleu(answers, watched.values()):.2f}"
        ids = [([seq2seq.BOS, *a, seq2seq.EOS], b) for a, b in
               ((tokenizer.encode(a), tokenizer.encode(b)) for a, b in with_spellings(pairs, held, args))
               if len(a) < LONGEST and len(b) < LONGEST]
        seq2seq.train(model, ids, args, float(args.rate), BATCH, note)
        texts = list(held)[:4]
        cases = [(text, [seq2seq.BOS, *tokenizer.encode(text), seq2seq.EOS],
                  [seq2seq.BOS, *tokenizer.encode(held[text][0])[:i]]) for i, text in enumerate(texts)]
        recipe.write_bundle(out, model, config(model, *description(args)), cases)
    evaluate(model.eval(), tokenizer, judged)


if __name__ == "__main__":
    main()
