"""g2p: how is an English word pronounced? Letters to ARPAbet phonemes with stress.

Data: --data is the training part of the split of CMUdict on which papers report (cmudict_g014b2b, 106,837
words, 39 phonemes without stress): word, tab, phonemes. --test lists its 12,000 test words, which are left out.
--stress is the CMUdict of NLTK (a zip file), which says where the stress lies. Both are unrestricted.
Another language or dictionary: --data my.tsv --stress "" --test "". One word in fifty, by a hash, is held out.

The split has an older idea of unstressed vowels than NLTK's file: often AH where that says IH (1 word in 14). So
--evaluate prints three figures: of the held-out words, in the split's own spelling; of the test words, whose
pronunciations are those of NLTK's file, as they are; and of the test words with unstressed IH taken for AH.
A word is right if it is one of its pronunciations. Phoneme errors: edits to the nearest one, per its phonemes.
"""

import collections
import gzip
import hashlib
import pathlib
import re
import sys
import zipfile

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import recipe
import seq2seq

SIZES, DROPOUT, RATE, BATCH = (64, 160, 128, 224), 0.25, 3e-3, 256
BEAMS, MAX_TOKENS, PENALTY = 4, 40, 0.0
LETTERS = ["<s>", "</s>", "'"] + [chr(ord("a") + i) for i in range(26)]


def read_lines(path):
    raw = pathlib.Path(path).read_bytes()
    return (gzip.decompress(raw) if str(path).endswith(".gz") else raw).decode("utf-8").splitlines()


def read_pairs(path):
    """Words in small letters, each with its pronunciations."""
    words = collections.defaultdict(list)
    for line in read_lines(path):
        word, phonemes = line.split("\t")[:2]
        if phonemes.split() not in words[word.lower()]:
            words[word.lower()].append(phonemes.split())
    return dict(words)


def read_stressed(path):
    """The same of NLTK's file; its lines are: word, number, phonemes with stress."""
    words = collections.defaultdict(list)
    text = zipfile.ZipFile(path).read("cmudict/cmudict").decode("latin-1")
    for parts in map(str.split, text.split("\n")):
        if len(parts) > 2:
            words[parts[0].lower()].append([p + "0" if p == "UW" else p for p in parts[2:]])
    return dict(words)


def plain(phonemes):
    return [re.sub(r"\d", "", p) for p in phonemes]


def edits(a, b):
    """Levenshtein's distance."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def with_stress(phonemes, stressed):
    """The phonemes, with the stress of the most similar of `stressed` whose vowels are as many; or None."""
    vowels = [i for i, p in enumerate(phonemes) if p[0] in "AEIOU"]
    marks = [(edits(phonemes, plain(s)), [p[-1] for p in s if p[-1].isdigit()]) for s in stressed]
    marks = [m for m in marks if len(m[1]) == len(vowels)]
    if not marks:
        return None
    out = list(phonemes)
    for i, mark in zip(vowels, min(marks)[1]):
        out[i] += mark
    return out


def read(args):
    """(training pairs, held-out words, test words): words with their pronunciations."""
    words = read_pairs(args.data)
    stressed = read_stressed(args.stress) if args.stress else {}
    test = {w.lower() for w in read_lines(args.test)} if args.test else set()
    held = {w for w in words if int(hashlib.sha256(w.encode()).hexdigest(), 16) % 50 == 0}
    pairs = []
    for word, pronunciations in sorted(words.items()):
        if word in held or word in test:
            continue
        for p in pronunciations:
            p = with_stress(p, stressed.get(word, [])) if args.stress else p
            if p:
                pairs.append((word, p))
    return (pairs, {w: words[w] for w in sorted(held - test)},
            {w: [plain(p) for p in stressed[w]] for w in sorted(test) if w in stressed})


def encode(word):
    return [seq2seq.BOS, *(LETTERS.index(ch) for ch in word if ch in LETTERS), seq2seq.EOS]


def errors(answers, truths, same=lambda p: p):
    """(word errors, phoneme errors), in shares of one."""
    wrong = distance = length = 0
    for answer, truth in zip(answers, truths):
        nearest = min((edits(same(answer), same(t)), -len(t)) for t in truth)
        wrong, distance, length = wrong + (nearest[0] > 0), distance + nearest[0], length - nearest[1]
    return wrong / len(truths), distance / length


def merge(phonemes):
    return ["AH" if p == "IH" else p for p in phonemes]


def answer(model, phonemes, words, beams):
    results = seq2seq.search_all(model, [encode(w) for w in words], beams, MAX_TOKENS, PENALTY)
    return [plain(phonemes[i] for i in result[0][1]) for result in results]


def evaluate(model, phonemes, held, test):
    for name, words, same in (("held-out words", held, list), ("test words", test, list),
                              ("test words, IH as AH", test, merge)):
        if words:
            word, phoneme = errors(answer(model, phonemes, words, BEAMS), words.values(), same)
            print(f"{name}: {len(words)}, word errors {100 * word:.2f} %, phoneme errors {100 * phoneme:.2f} %",
                  flush=True)


def config(model, phonemes):
    return {
        "task": "pronunciation",
        "description": "Says how an English word is pronounced, in ARPAbet phonemes with stress.",
        "license": "Apache-2.0",
        "training_data": "CMU Pronouncing Dictionary (split g014b2b without its test words)",
        "precision": "float32",
        "network": model.network(),
        "tokenizer": {"type": "characters", "vocabulary": LETTERS, "bos_token": "<s>", "eos_token": "</s>",
                      "lowercase": True, "unknown": "fold"},
        "target_tokenizer": {"type": "words", "vocabulary": phonemes, "bos_token": "<s>", "eos_token": "</s>"},
        "translation": {"num_beams": BEAMS, "max_tokens": MAX_TOKENS, "length_penalty": PENALTY},
    }


def main():
    args = recipe.arguments(__doc__, "data/spelling/cmudict_g014b2b.train.tsv.gz", epochs=25,
                            stress="data/spelling/cmudict.zip",
                            test="data/spelling/cmudict_g014b2b.test_words.txt.gz")
    out = recipe.folder(args, __file__)
    pairs, held, test = read(args)
    phonemes = ["<s>", "</s>"] + sorted({p for _, pronunciation in pairs for p in pronunciation})
    print(f"{len(pairs)} pairs, {len(held)} words held out, {len(test)} test words, {len(phonemes) - 2} phonemes")
    index = {p: i for i, p in enumerate(phonemes)}
    model = seq2seq.Model(len(LETTERS), len(phonemes), SIZES, DROPOUT)
    if args.evaluate:
        recipe.load_bundle(model, out)
    else:
        def note(average):
            word, phoneme = errors(answer(average, phonemes, held, 1), held.values())
            return f"held out, greedy: word errors {100 * word:.2f} %, phoneme errors {100 * phoneme:.2f} %"
        ids = [(encode(word), [index[p] for p in pronunciation]) for word, pronunciation in pairs]
        seq2seq.train(model, ids, args, RATE, BATCH, note)
        cases = [(word, encode(word), [seq2seq.BOS, *(index[p] for p in said.split())]) for word, said in (
            ("carousel", "K EH1 R"), ("a", ""), ("o'clock", "AH0 K L AA1 K"), ("rough", "R AH1"),
            ("incomprehensibilities", "IH2 N K AA2 M P R IY0 HH EH2 N S AH0 B IH1 L AH0 T IY0"))]
        recipe.write_bundle(out, model, config(model, phonemes), cases)
    evaluate(model.eval(), phonemes, held, test)


if __name__ == "__main__":
    main()
