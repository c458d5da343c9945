"""Vocabularies as Keras and torchtext pickle them; make_files.py makes them."""
import json
import pathlib
import pickle
import sys

from common import FILES, LETTERS


class Tokenizer:
    """As keras.preprocessing.text had it, to be pickled under that name."""


Tokenizer.__module__ = "keras_preprocessing.text"


def make_tokenizers():
    import types

    import torch
    from modules import Writer
    module = sys.modules["keras_preprocessing.text"] = types.ModuleType("keras_preprocessing.text")
    sys.modules["keras_preprocessing"] = types.ModuleType("keras_preprocessing")
    module.Tokenizer = Tokenizer
    words = "the film was good bad very never again don't lovely end".split()
    made = Tokenizer()
    made.__dict__ = {"word_index": {w: i + 1 for i, w in enumerate(words)}, "num_words": None, "lower": True, "split": " ",
                     "char_level": False, "oov_token": None, "filters": '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'}
    pickle.dump(made, open(FILES / "keras_words.pickle", "wb"))
    config = made.__dict__ | {"word_index": json.dumps(made.word_index)}
    json.dump({"class_name": "Tokenizer", "config": config}, open(FILES / "keras_words.json", "w"))
    json.dump({"class_name": "Tokenizer", "config": config | {"filters": "."}}, open(FILES / "keras_filters.json", "w"))
    json.dump({"class_name": "Tokenizer", "config": config | {"split": ", "}}, open(FILES / "keras_split.json", "w"))
    letters = {"word_index": json.dumps({c: i for i, c in enumerate(LETTERS) if i}), "char_level": True, "num_words": 9}
    json.dump({"class_name": "Tokenizer", "config": config | letters}, open(FILES / "keras_letters.json", "w"))
    made.analyzer = print
    pickle.dump({"reads": made, "letters": LETTERS}, open(FILES / "keras_parts.pickle", "wb"))
    torch.manual_seed(18)
    writer = Writer().eval()
    torch.save({"net": writer.state_dict(), "settings": {"char2idx": {c: i for i, c in enumerate(LETTERS)}}}, FILES / "letters_beside.pt")
    pickle.dump({i: c for i, c in enumerate(LETTERS)}, open(FILES / "letters.pkl", "wb"))


class Vocab:
    """As torchtext.vocab had it until 0.8, to be pickled under that name."""


Vocab.__module__ = "torchtext.vocab"


def _default_unk_index():
    return 0


_default_unk_index.__module__ = "torchtext.vocab"


def make_torchtext():
    """A vocabulary of torchtext, the Field that holds one, and what fuzzers of pickles begin from."""
    import collections
    import types
    sys.modules["torchtext"] = types.ModuleType("torchtext")
    module = sys.modules["torchtext.vocab"] = types.ModuleType("torchtext.vocab")
    module.Vocab, module._default_unk_index = Vocab, _default_unk_index
    words = "<unk> <pad> the film was good bad very never again lovely end".split()
    vocab = Vocab()
    stoi = collections.defaultdict(_default_unk_index, {w: i for i, w in enumerate(words)})
    vocab.__dict__ = {"freqs": collections.Counter(words[2:]), "itos": words, "stoi": stoi, "vectors": None}
    pickle.dump(vocab, open(FILES / "torchtext_vocab.pkl", "wb"))
    corpus = pathlib.Path(__file__).parent.parent / "fuzz/corpus"
    for protocol in (0, 2, 4):
        (corpus / f"pickle/torchtext{protocol}.pkl").write_bytes(pickle.dumps(vocab, protocol))
    for name in ("keras_words.pickle", "letters.pkl"):
        (corpus / "pickle" / name).write_bytes((FILES / name).read_bytes())
    words = "<unk> the film is not good bad".split() + ["not good", "the film", "film is", "is bad", "is not"]
    (FILES / "pairs.txt").write_text("\n".join(words) + "\n")
    (corpus / "vocabulary").mkdir(exist_ok=True)
    for name in ("torchtext_vocab.pkl", "keras_words.pickle", "keras_words.json", "keras_filters.json", "letters.pkl", "letters.json",
                 "letters.txt", "letter_ids.json", "standard.pkl", "range.pkl", "scaler3.json"):
        (corpus / "vocabulary" / name).write_bytes(bytes([13]) + (FILES / name).read_bytes())
