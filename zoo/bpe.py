"""Byte-pair encoding, learned and applied as the server's tokenizer `bpe` reads it (docs/bundle-format.md)."""

import collections
import pathlib
import re

MARK = "\u2581"
SPECIALS = ["<s>", "</s>"]


def words(text):
    """White space of ASCII, and the mark, lie between words; each word gets a mark."""
    return [MARK + word for word in re.split(f"[ \t\n\v\f\r{MARK}]+", text) if word]


def learn(texts, size, rare=10):
    """(vocabulary, merges): `size` pieces at most. Characters that occur fewer than `rare` times are left
    out."""
    counts = collections.Counter(word for text in texts for word in words(text))
    characters = collections.Counter()
    for word, n in counts.items():
        characters.update({c: n * word.count(c) for c in set(word)})
    alphabet = sorted(c for c, n in characters.items() if n >= rare or c == MARK)
    spelled = [([c for c in word if c in set(alphabet)], n) for word, n in sorted(counts.items())]
    pairs, places = collections.Counter(), collections.defaultdict(set)
    for i, (symbols, n) in enumerate(spelled):
        for pair in zip(symbols, symbols[1:]):
            pairs[pair] += n
            places[pair].add(i)
    vocabulary, merges = SPECIALS + alphabet, []
    known = set(vocabulary)
    while len(vocabulary) < size and pairs:
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        if pairs[best] < 2:
            break
        merges.append(best)
        joined = best[0] + best[1]
        if joined not in known:  # the same piece may come about in two ways
            vocabulary.append(joined)
            known.add(joined)
        for i in places.pop(best):
            symbols, n = spelled[i]
            for pair in zip(symbols, symbols[1:]):
                pairs[pair] -= n
                if pairs[pair] <= 0:
                    del pairs[pair]
            symbols[:] = join(symbols, best)
            for pair in zip(symbols, symbols[1:]):
                pairs[pair] += n
                places[pair].add(i)
        pairs.pop(best, None)
    return vocabulary, merges


def join(symbols, pair):
    out, i = [], 0
    while i < len(symbols):
        if i + 1 < len(symbols) and (symbols[i], symbols[i + 1]) == pair:
            out.append(symbols[i] + symbols[i + 1])
            i += 2
        else:
            out.append(symbols[i])
            i += 1
    return out


class Tokenizer:
    """Texts to ids and back. Characters that are not in the vocabulary are left out."""

    def __init__(self, vocabulary, merges):
        self.vocabulary, self.ids = vocabulary, {piece: i for i, piece in enumerate(vocabulary)}
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        self.known = {}

    def word(self, word):
        symbols = [c for c in word if c in self.ids]
        while len(symbols) > 1:
            best = min(zip(symbols, symbols[1:]), key=lambda pair: self.ranks.get(pair, len(self.ranks)))
            if best not in self.ranks:
                break
            i = next(i for i, pair in enumerate(zip(symbols, symbols[1:])) if pair == best)
            symbols[i:i + 2] = ["".join(best)]
        return [self.ids[s] for s in symbols]

    def encode(self, text):
        out = []
        for word in words(text):
            if word not in self.known:
                self.known[word] = self.word(word)
            out += self.known[word]
        return out

    def decode(self, ids):
        text = "".join(self.vocabulary[i] for i in ids if i >= len(SPECIALS))
        return text.removeprefix(MARK).replace(MARK, " ")

    def write(self, folder):
        merges = sorted(self.ranks, key=self.ranks.get)
        for name, lines in (("vocab.txt", self.vocabulary), ("merges.txt", [" ".join(pair) for pair in merges])):
            (pathlib.Path(folder) / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read(folder):
    vocabulary, merges = ((pathlib.Path(folder) / name).read_text(encoding="utf-8").split("\n")[:-1]
                          for name in ("vocab.txt", "merges.txt"))
    return Tokenizer(vocabulary, [tuple(line.split(" ")) for line in merges])
