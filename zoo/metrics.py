"""How near translations come to their references: BLEU and chrF of a whole set, with the numbers of sacrebleu
(Post, "A call for clarity in reporting BLEU scores", 2018): tokens 13a, cased, one or more references."""

import collections
import math
import re


def tokens(text):
    """The tokens of mteval-v13a."""
    for name, sign in (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")):
        text = text.replace(name, sign)
    text = f" {text} "
    text = re.sub(r"([{-~\[-` -&(-+:-@/])", r" \1 ", text)
    text = re.sub(r"([^0-9])([.,])", r"\1 \2 ", text)
    text = re.sub(r"([.,])([^0-9])", r" \1 \2", text)
    return re.sub(r"([0-9])(-)", r"\1 \2 ", text).split()


def ngrams(sequence, n):
    return collections.Counter(tuple(sequence[i:i + n]) for i in range(len(sequence) - n + 1))


def bleu(answers, references):
    """In points of 100. references: a list of texts for each answer."""
    right, total, length, wanted = [0] * 4, [0] * 4, 0, 0
    for answer, texts in zip(answers, references):
        answer, texts = tokens(answer), [tokens(text) for text in texts]
        length += len(answer)
        wanted += min((abs(len(t) - len(answer)), len(t)) for t in texts)[1]
        for n in range(1, 5):
            most = collections.Counter()
            for text in texts:
                most |= ngrams(text, n)
            found = ngrams(answer, n)
            right[n - 1] += sum((found & most).values())
            total[n - 1] += sum(found.values())
    if not all(right):
        return 0.0
    brevity = min(0.0, 1 - wanted / length)
    return 100 * math.exp(brevity + sum(math.log(r / t) for r, t in zip(right, total)) / 4)


def chrf(answers, references, order=6, beta=2):
    """Of 1. Of several references the nearest one counts."""
    sums = [[0, 0, 0] for _ in range(order)]

    def counts(answer, text):
        rows = []
        for n in range(1, order + 1):
            a, b = ngrams(answer, n), ngrams(text, n)
            rows.append([sum((a & b).values()), sum(a.values()), sum(b.values())])
        return rows

    def score(rows):
        rates = [(r / a, r / b) for r, a, b in rows if a and b]
        if not rates:
            return 0.0
        precision, recall = (sum(column) / len(rates) for column in zip(*rates))
        return (1 + beta ** 2) * precision * recall / (beta ** 2 * precision + recall) if precision + recall else 0.0

    for answer, texts in zip(answers, references):
        best = max((counts("".join(answer.split()), "".join(text.split())) for text in texts), key=score)
        sums = [[x + y for x, y in zip(row, more)] for row, more in zip(sums, best)]
    return score(sums)
