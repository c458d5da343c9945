#!/usr/bin/env python3
"""Makes the vocabularies and cases of test_bpe.c: what sentencepiece and Hugging Face's tokenizers make of texts.

    python3 -m venv v && v/bin/pip install sentencepiece==0.2.3 tokenizers==0.23.3
    v/bin/python tests/unit/tokenizers/make.py

Both learn from the documentation of this repository and the texts below. spm.txt is the first column of sentencepiece's
.vocab, hf.txt and merges.txt are those of a BPE with Metaspace. cases.txt: tokenizer, text, ids, decoded text, with
tabs between. Hugging Face keeps every space, and reads the names of special tokens as these; sentencepiece and the
server count a run of spaces once, and a name in a text is only text. So SPACES are cases of sentencepiece alone.
"""
import io
import pathlib
import random

import sentencepiece
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

HERE = pathlib.Path(__file__).parent
TEXTS = [
    "", "a", "the", "The server reads a text.", "Batching by the time step", "(n + 1) * 2 = 4!", "x",
    "Qu'est-ce que c'est\u202f? C'est l'été, n'est-ce pas\u202f!", "«\u00a0Où êtes-vous\u00a0?\u00a0» demanda-t-il.",
    "J'ai vu l'œuvre d'Émile aujourd'hui.", "naïve café, Ærøskøbing", "日本語 text", "emoji \U0001f40e\U0001f40e and \U0001f600 end",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "eeeeeeeteteteteteteteththththththe", "don't", "1234567890",
    "http://127.0.0.1:8080/v1/translate", "ΑΒΓ αβγ", "\u00e9\u00e9\u00e9", "e\u0301te", "it's the model's own",
]
SPACES = ["</s> <unk>", " ", "  two  spaces ", " leading", "trailing ", "a  b   c"]


def corpus():
    lines = []
    for path in sorted((HERE.parents[2] / "docs").glob("*.md")):
        lines += [line.strip() for line in path.read_text().splitlines() if line.strip()]
    return lines + 20 * [text for text in TEXTS if "é" in text or "'" in text]


def write(name, entries):
    (HERE / name).write_text("".join(f"{entry}\n" for entry in entries))


def sentences(lines):
    """Stretches of the documentation, so that there are many cases."""
    rng = random.Random(5)
    return [line[:90].strip() for line in rng.sample([line for line in lines if "  " not in line], 60)]


def main():
    lines, cases = corpus(), []
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, vocab_size=400, model_type="bpe", character_coverage=0.999,
        normalization_rule_name="identity", minloglevel=2)
    spm = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    write("spm.txt", [spm.id_to_piece(i) for i in range(spm.vocab_size())])
    hf = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    hf.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always")
    hf.decoder = decoders.Metaspace(replacement="\u2581", prepend_scheme="always")
    hf.train_from_iterator(lines, trainers.BpeTrainer(
        vocab_size=450, special_tokens=["<unk>", "<s>", "</s>"], limit_alphabet=120, show_progress=False))
    write("hf.txt", [hf.id_to_token(i) for i in range(hf.get_vocab_size())])
    hf.model.save(str(HERE))
    (HERE / "vocab.json").unlink()
    texts = TEXTS + sentences(lines)
    for text in texts + SPACES:
        ids = spm.encode(text)
        cases.append(("spm", text, ids, spm.decode([i for i in ids if i != spm.unk_id()])))
    for text in texts:
        ids = hf.encode(text).ids
        cases.append(("hf", text, ids, hf.decode([i for i in ids if i != 0])))
    write("cases.txt", ["\t".join((name, text, " ".join(map(str, ids)), decoded)) for name, text, ids, decoded in cases])


if __name__ == "__main__":
    main()
