#!/usr/bin/env python3
"""Make tests/import/files: small models as their frameworks save them, with the outputs that the frameworks gave.

    python3 tests/import/make_files.py torch|keras|onnx...

Needs the packages of tests/import/requirements.txt. Every model has random weights from a fixed seed. Beside each lies
NAME.golden.json: inputs, what the network is fed, and the framework's own raw outputs.
"""
import json
import pathlib
import pickle
import sys

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


def make_states():
    """Models whose initial states are inputs of the graph: with recorded inputs beside one, and in one tensor of two layers."""
    import torch
    from modules import Fed
    from onnx import numpy_helper
    for name, layers in (("onnx_fed/model", 1), ("onnx_fed_layers", 2)):
        torch.manual_seed(16)
        model, folder = Fed(layers).eval(), FILES / "onnx_fed/test_data_set_0"
        folder.mkdir(parents=True, exist_ok=True)
        inputs = [torch.randn(2, 5, 3), torch.randn(layers, 2, 4), torch.randn(layers, 2, 4), torch.randn(1, 2, 5)]
        names = ["x", "initial_h", "initial_c", "initial_g"]
        axes = {n: {0: "batch", 1: "steps"} if n == "x" else {1: "batch"} for n in names}
        torch.onnx.export(model, tuple(inputs), str(FILES / f"{name}.onnx"), dynamo=False, input_names=names, output_names=["y"],
                          dynamic_axes=axes)
        if layers == 1:
            for i, x in enumerate(inputs):
                (folder / f"input_{i}.pb").write_bytes(numpy_helper.from_array(x.numpy(), names[i]).SerializeToString())
            y = numpy_helper.from_array(model(*inputs).detach().numpy(), "y")
            (folder / "output_0.pb").write_bytes(y.SerializeToString())


class Tokenizer:
    """As keras.preprocessing.text had it, to be pickled under that name."""


Tokenizer.__module__ = "keras_preprocessing.text"


def make_tokenizers():
    import sys
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
    torch.manual_seed(18)
    writer = Writer().eval()
    torch.save({"net": writer.state_dict(), "settings": {"char2idx": {c: i for i, c in enumerate(LETTERS)}}}, FILES / "letters_beside.pt")
    pickle.dump({i: c for i, c in enumerate(LETTERS)}, open(FILES / "letters.pkl", "wb"))


def make_forecasters():
    """Direct horizons: three columns of which one is the target, two targets, and quantiles of one series."""
    import torch
    from modules import Horizons
    made = (("horizons", 3, 4, None), ("twins", 2, 6, (3, 2)), ("levels", 1, 6, None))
    for name, inputs, outputs, axes in made:
        torch.manual_seed(16)
        model = Horizons(inputs, outputs, axes).eval()
        torch.save(model.state_dict(), FILES / f"{name}.pt")
        cases = []
        for n in (1, 4, 9):
            columns = [[round(((7 * t + 3 * i + n) % 11) / 5 - 1, 3) for t in range(n + 4)] for i in range(inputs)]
            rows = [[column[t] for column in columns] for t in range(n)]
            given = columns[0][:n]
            if name == "horizons":
                given = {"target": given, "past_covariates": {"price": columns[1][:n]}, "future_covariates": {"warm": columns[2]}}
            if name == "twins":
                given = {"target": [column[:n] for column in columns]}
            with torch.no_grad():
                output = model(torch.tensor([rows]))[0].reshape(-1)
            cases.append({"input": given, "features": rows, "output": [float(x) for x in output]})
        write_golden(name, cases)
    (FILES / "scaler3.json").write_text(json.dumps({"mean": [512.5, 40, 11], "scale": [88.25, 12.5, 7]}))


def make_wider():
    """The two targets as the exporter of PyTorch and Keras write them, a reshape amid a model, and padded texts."""
    import keras
    import numpy
    import torch
    from modules import Horizons
    torch.manual_seed(16)
    model = Horizons(2, 6, (3, 2)).eval()
    model.load_state_dict(torch.load(FILES / "twins.pt"))
    torch.onnx.export(model, (torch.zeros(1, 9, 2),), str(FILES / "onnx_twins.onnx"), dynamo=False, input_names=["x"],
                      output_names=["y"], dynamic_axes={"x": {0: "batch", 1: "steps"}})
    keras.utils.set_random_seed(16)
    L = keras.layers
    twins = keras.Sequential([keras.Input((9, 2)), L.GRU(4), L.Dense(6), L.Reshape((3, 2))])
    twins.save(FILES / "keras_twins.keras")
    keras.Sequential([keras.Input((4, 2)), L.Reshape((2, 4)), L.LSTM(3), L.Dense(3)]).save(FILES / "keras_reshaped.keras")
    cases = []
    for n in (1, 4, 9):
        rows = [[round(((7 * t + 3 * i + n) % 11) / 5 - 1, 3) for i in range(2)] for t in range(9)]
        output = numpy.asarray(twins.predict(numpy.array([rows]), verbose=0)).reshape(-1)
        cases.append({"input": {"target": [[r[i] for r in rows] for i in range(2)]}, "features": rows,
                      "output": [float(x) for x in output]})
    write_golden("keras_twins", cases)
    pooled = keras.saving.load_model(FILES / "keras_pooled.keras")
    inside = keras.Model(pooled.inputs, pooled.layers[-2].output)
    w, b = [numpy.asarray(x) for x in pooled.layers[-1].get_weights()]
    (FILES / "padded.txt").write_text("\n".join(["<pad>", *LETTERS[1:]]))
    cases = []
    for text in ("b", "bed fed", "hedé. cfe ebch bed"):
        tokens = [LETTERS.index(c) for c in text][-12:]
        tokens = [0] * (12 - len(tokens)) + tokens
        output = numpy.asarray(inside.predict(numpy.array([tokens]), verbose=0))[0] @ w + b
        cases.append({"input": text, "tokens": tokens, "output": [float(x) for x in output]})
    write_golden("keras_padded", cases)


class Vocab:
    """As torchtext.vocab had it until 0.8, to be pickled under that name."""


Vocab.__module__ = "torchtext.vocab"


def _default_unk_index():
    return 0


_default_unk_index.__module__ = "torchtext.vocab"


def make_torchtext():
    """A vocabulary of torchtext, the Field that holds one, and what fuzzers of pickles begin from."""
    import collections
    import pathlib
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


def make_archives():
    """The second writer of make_torch() as TorchScript, as programs of torch.export, and as NumPy's arrays."""
    import io
    import zipfile

    import numpy
    import torch

    from modules import Writer

    writer = Writer().eval()
    writer.load_state_dict(torch.load(FILES / "writer2_checkpoint.pt")["model_state_dict"])
    tokens = torch.tensor([[1, 2, 3]])
    torch.jit.script(writer).save(str(FILES / "writer2_script.pt"))
    torch.jit.trace(writer, tokens).save(str(FILES / "writer2_trace.pt"))
    torch.export.save(torch.export.export(writer, (tokens,)), FILES / "writer2.pt2")
    weights = io.BytesIO()
    torch.save(writer.state_dict(), weights)
    with zipfile.ZipFile(FILES / "writer2_before_2_8.pt2", "w") as archive:  # as PyTorch 2.1 to 2.7 wrote it
        archive.writestr("serialized_exported_program.json", "{}")
        archive.writestr("serialized_state_dict.pt", weights.getvalue())
    arrays = {name: tensor.numpy() for name, tensor in writer.state_dict().items()}
    numpy.savez(FILES / "writer2.npz", **arrays)
    numpy.savez_compressed(FILES / "writer2_columns.npz", **{k: numpy.asfortranarray(v) for k, v in arrays.items()})
    numpy.savez(FILES / "big_endian.npz", **{k: v.astype(">f4") for k, v in arrays.items()})


def make_torch():
    import numpy
    import torch
    from safetensors.torch import save_file
    from sklearn.preprocessing import MinMaxScaler, StandardScaler
    from torch import nn

    from modules import Cells, Classifier, Gru, Normed, Regressor, Rnn, Sine, Writer

    torch.manual_seed(16)

    def of_text(model, last):
        def run(tokens):
            with torch.no_grad():
                out = model(torch.tensor([tokens]))[0]
            return out[-1] if last else out
        return run

    def of_rows(model):
        def run(rows):
            with torch.no_grad():
                return model(torch.tensor([rows], dtype=next(model.parameters()).dtype))[0]
        return run

    json.dump(LETTERS, open(FILES / "letters.json", "w"))
    (FILES / "letters.txt").write_text("\n".join(LETTERS) + "\n")
    json.dump({c: i for i, c in enumerate(LETTERS)}, open(FILES / "letter_ids.json", "w"))

    writer = Writer().eval()
    torch.save(writer.state_dict(), FILES / "writer.pt")
    write_golden("writer", text_cases(of_text(writer, True)))
    torch.save(writer.state_dict(), FILES / "writer_legacy.pt", _use_new_zipfile_serialization=False)
    optimizer = torch.optim.Adam(writer.parameters())
    sum(p.sum() for p in writer.parameters()).backward()
    optimizer.step()
    write_golden("writer2", text_cases(of_text(writer, True)))
    torch.save({"epoch": 3, "model_state_dict": writer.state_dict(), "optimizer_state_dict": optimizer.state_dict(),
                "letters": LETTERS}, FILES / "writer2_checkpoint.pt")
    torch.save({"state_dict": {"model." + k: v for k, v in writer.state_dict().items()},
                "pytorch-lightning_version": "2.5.0", "hyper_parameters": {"lr": 1e-3},
                "optimizer_states": [optimizer.state_dict()]}, FILES / "writer2_lightning.ckpt")
    torch.save(optimizer.state_dict(), FILES / "optimizer.pt")
    save_file(writer.state_dict(), FILES / "writer2.safetensors", metadata={"format": "pt"})
    half = Writer().half().eval()
    torch.save(half.state_dict(), FILES / "writer_half.pt")
    write_golden("writer_half", text_cases(of_text(half.float(), True)))
    flat = torch.cat([torch.zeros(3)] + [p.detach().flatten() for p in writer.parameters()])
    views, at = {}, 3
    for name, p in writer.state_dict().items():
        views[name] = flat[at:at + p.numel()].view(p.shape)
        at += p.numel()
    views["rnn.weight_ih_l0"] = views["rnn.weight_ih_l0"].t().contiguous().t()
    torch.save(views, FILES / "writer2_views.pt")
    torch.save(views, FILES / "writer2_views_legacy.pt", _use_new_zipfile_serialization=False)

    classifier = Classifier().eval()
    torch.save(classifier, FILES / "classifier_module.pt")
    torch.save(classifier.state_dict(), FILES / "classifier.pt")
    write_golden("classifier", text_cases(of_text(classifier, False)))
    json.dump([{"type": "embedding", "prefix": "embed"}, {"type": "lstm", "prefix": "rnn", "hidden_size": 5},
               {"type": "pooling", "mode": "mean"}, {"type": "linear", "prefix": "head.1"}, {"type": "relu"},
               {"type": "linear", "prefix": "head.3"}], open(FILES / "classifier_network.json", "w"))

    sine = Sine().double().eval()
    torch.save(sine.state_dict(), FILES / "sine.pt")
    write_golden("sine", row_cases(of_rows(sine), 1, flat=True))
    x = numpy.arange(20, dtype=float).reshape(-1, 1) * 3 + 100
    pickle.dump(StandardScaler().fit(x), open(FILES / "standard.pkl", "wb"))
    pickle.dump(MinMaxScaler((-1, 1)).fit(x), open(FILES / "range.pkl", "wb"), protocol=2)
    for name, model in (("cells", Cells()), ("gru", Gru()), ("rnn", Rnn())):
        model.eval()
        torch.save(model.state_dict(), FILES / f"{name}.pt")
        write_golden(name, row_cases(of_rows(model), 2))
    torch.save(Rnn(), FILES / "rnn_module.pt")
    normed = Normed()
    for p in list(normed.batch.parameters()) + [normed.batch.running_mean, normed.batch.running_var]:
        p.data.uniform_(0.5, 1.5)
    normed.eval()
    torch.save(normed.state_dict(), FILES / "normed.pt")
    write_golden("normed", row_cases(of_rows(normed), 2))
    json.dump([{"type": "conv1d", "prefix": "conv", "padding": "same"}, {"type": "relu"}, {"type": "batch_norm", "prefix": "batch"},
               {"type": "lstm", "prefix": "rnn"}, {"type": "pooling", "mode": "last"},
               {"type": "layer_norm", "prefix": "norm", "eps": 1e-4}, {"type": "linear", "prefix": "out"}],
              open(FILES / "normed_network.json", "w"))
    regressor = Regressor().eval()
    torch.save(regressor.state_dict(), FILES / "regressor.pt")
    write_golden("regressor", row_cases(of_rows(regressor), 3))
    torch.save({"weight": torch.zeros(2, 2, dtype=torch.int8), "rnn.weight_ih_l0": torch.zeros(8, 2, dtype=torch.complex64),
                "rnn.weight_hh_l0": torch.zeros(8, 2)}, FILES / "complex.pt")
    torch.jit.script(nn.Linear(2, 2)).save(str(FILES / "script.pt"))
    attention = nn.MultiheadAttention(4, 1)
    torch.save({"attention." + k: v for k, v in attention.state_dict().items()} | writer.state_dict(), FILES / "attention.pt")


def sigmoid(x):
    import numpy
    return 1 / (1 + numpy.exp(-x))


def hard_sigmoid_2(x):
    import numpy
    return numpy.clip(0.2 * x + 0.5, 0, 1)


def keras_lstm(x, kernel, recurrent, bias, gate):
    """Keras' LSTM over x [T, in], by its definition; the last h."""
    import numpy
    units = recurrent.shape[0]
    h = c = numpy.zeros(units)
    for row in x:
        i, f, g, o = numpy.split(row @ kernel + h @ recurrent + bias, 4)
        c = gate(f) * c + gate(i) * numpy.tanh(g)
        h = gate(o) * numpy.tanh(c)
    return h


def write_h5(name, version, config, layers, fixed=True, **options):
    """A file as older versions of Keras wrote them: texts of fixed length, names with ':0'."""
    import h5py
    import numpy

    def texts(names):
        return numpy.array([n.encode() for n in names]) if names else numpy.zeros(0)

    with h5py.File(FILES / f"{name}.h5", "w") as file:
        if version:
            file.attrs["keras_version"] = version.encode()
            file.attrs["backend"] = b"tensorflow"
        file.attrs["model_config"] = json.dumps(config).encode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = texts([layer for layer, _ in layers])
        for layer, weights in layers:
            below = group.create_group(layer)
            below.attrs["weight_names"] = texts([weight for weight, _ in weights])
            for weight, values in weights:
                below.create_dataset(weight, data=values.astype("float32"), **options)


def make_old_keras():
    import numpy
    random = numpy.random.default_rng(16)

    def draw(*shape):
        return random.normal(0, 0.7, shape).astype("float32").astype(float)

    kernel, recurrent, bias, w, b = draw(2, 20), draw(5, 20), draw(20), draw(5, 3), draw(3)
    dense = {"class_name": "Dense", "config": {"name": "dense_1", "units": 3, "activation": "linear", "use_bias": True}}
    head = ("dense_1", [("dense_1/kernel:0", w), ("dense_1/bias:0", b)])

    def cases(gate):
        return row_cases(lambda rows: keras_lstm(numpy.array(rows), kernel, recurrent, bias, gate) @ w + b, 2)

    lstm = {"name": "lstm_1", "units": 5, "activation": "tanh", "recurrent_activation": "hard_sigmoid", "use_bias": True,
            "return_sequences": False, "go_backwards": False, "batch_input_shape": [None, None, 2]}
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": [{"class_name": "LSTM", "config": lstm}, dense]}}
    weights = ("lstm_1", [("lstm_1/kernel:0", kernel), ("lstm_1/recurrent_kernel:0", recurrent), ("lstm_1/bias:0", bias)])
    write_h5("keras2", "2.2.4", config, [weights, head])
    write_golden("keras2", cases(hard_sigmoid_2))
    # Compressed by gzip, and shuffled.
    write_h5("keras2_packed", "2.2.4", config, [weights, head], compression="gzip", shuffle=True)
    # Keras 1: a matrix a gate, in the order i, c, f, o.
    old = {"name": "lstm_1", "output_dim": 5, "activation": "tanh", "inner_activation": "hard_sigmoid",
           "return_sequences": False, "batch_input_shape": [None, None, 2]}
    gates = []
    for letter, at in (("i", 0), ("c", 2), ("f", 1), ("o", 3)):
        part = slice(5 * at, 5 * at + 5)
        gates += [(f"lstm_1_W_{letter}", kernel[:, part]), (f"lstm_1_U_{letter}", recurrent[:, part]),
                  (f"lstm_1_b_{letter}", bias[part])]
    write_h5("keras1", "1.2.2", {"class_name": "Sequential", "config": [
        {"class_name": "LSTM", "config": old},
        {"class_name": "Dense", "config": {"name": "dense_1", "output_dim": 3, "activation": "linear", "bias": True}}]},
        [("lstm_1", gates), ("dense_1", [("dense_1_W", w), ("dense_1_b", b)])])
    # cuDNN: sigmoid gates; a gate's kernel is turned in memory, its recurrent kernel is turned.
    from_plain = numpy.concatenate([k.T.reshape(k.shape) for k in numpy.split(kernel, 4, axis=1)], axis=1)
    turned = numpy.concatenate([u.T for u in numpy.split(recurrent, 4, axis=1)], axis=1)
    other = draw(20)
    cudnn = {"name": "lstm_1", "units": 5, "return_sequences": False, "batch_input_shape": [None, None, 2]}
    write_h5("keras2_cudnn", "2.2.4", {"class_name": "Sequential", "config": {"name": "s", "layers": [
        {"class_name": "CuDNNLSTM", "config": cudnn}, dense]}},
        [("lstm_1", [("lstm_1/kernel:0", from_plain), ("lstm_1/recurrent_kernel:0", turned),
                     ("lstm_1/bias:0", numpy.concatenate([bias - other, other]))]), head])
    write_golden("keras2_cudnn", cases(sigmoid))
    # What is not read: weights alone, and the newest layout of HDF5.
    import h5py
    with h5py.File(FILES / "keras_weights.h5", "w") as file:
        file.attrs["layer_names"] = numpy.array([b"lstm_1"])
    with h5py.File(FILES / "keras_latest.h5", "w", libver="latest") as file:
        file.attrs["keras_version"] = "3.0.0"


def make_keras():
    import os
    os.environ["KERAS_BACKEND"] = "torch"
    import keras
    import numpy
    from keras import layers as L

    make_old_keras()
    keras.utils.set_random_seed(16)

    def raw(model):
        """The outputs before the activation of the last layer, a Dense."""
        last, inside = model.layers[-1], keras.Model(model.inputs, model.layers[-2].output)
        w, b = [numpy.array(x.detach().cpu() if hasattr(x, "detach") else x) for x in last.get_weights()]
        return lambda x: numpy.asarray(inside.predict(numpy.array([x]), verbose=0))[0] @ w + b

    def save(name, model, kinds):
        for kind in kinds:
            model.save(FILES / f"{name}.{kind}")

    binary = keras.Sequential([
        keras.Input((None,)), L.Embedding(len(LETTERS), 4, mask_zero=True),
        L.Bidirectional(L.LSTM(3, return_sequences=True)), L.GRU(4), L.Dropout(0.2), L.Dense(5, activation="relu"),
        L.Dense(1, activation="sigmoid")])
    save("keras_binary", binary, ["h5", "keras"])
    write_golden("keras_binary", text_cases(raw(binary), ["b", "bed fed", "cfe, b.", "hedé. cfe ebch bed"]))
    forecast = keras.Sequential([keras.Input((10, 1)), L.LSTM(4, return_sequences=True), L.SimpleRNN(3), L.Dense(1)])
    save("keras_forecast", forecast, ["h5"])
    write_golden("keras_forecast", row_cases(raw_any(forecast, keras), 1, flat=True))
    x = keras.Input((None, 2))
    y = L.TimeDistributed(L.Dense(4, activation="tanh"))(x)
    y = L.GRU(4, reset_after=False, recurrent_activation="hard_sigmoid", return_sequences=True)(y)
    y = L.LSTM(3, go_backwards=True, name="turned")(y)
    chain = keras.Model(x, L.Dense(3, activation="softmax")(y))
    save("keras_chain", chain, ["keras"])
    write_golden("keras_chain", row_cases(raw(chain), 2))
    letters = keras.Sequential([keras.Input((None, len(LETTERS))), L.LSTM(5), L.Dense(len(LETTERS), activation="softmax")])
    save("keras_letters", letters, ["keras"])
    write_golden("keras_letters", text_cases(lambda tokens: raw(letters)(numpy.eye(len(LETTERS))[tokens])))
    pooled = keras.Sequential([
        keras.Input((None,)), L.Embedding(len(LETTERS), 4), L.Bidirectional(L.GRU(3, return_sequences=True)),
        L.GlobalMaxPooling1D(), L.Dense(3, activation="softmax")])
    save("keras_pooled", pooled, ["keras"])
    write_golden("keras_pooled", text_cases(raw(pooled)))
    normed = keras.Sequential([
        keras.Input((None, 2)), L.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="relu"), L.BatchNormalization(),
        L.LSTM(4, return_sequences=True), L.LayerNormalization(), L.GlobalAveragePooling1D(), L.Dense(3, activation="softmax")])
    normed.layers[1].set_weights([numpy.linspace(0.5, 1.5, 4) * k for k in (1, 0.3, 0.2, 2)])
    save("keras_normed", normed, ["keras"])
    write_golden("keras_normed", row_cases(raw(normed), 2))
    tagger = keras.Sequential([
        keras.Input((None, 2)), L.Bidirectional(L.GRU(3, return_sequences=True)), L.TimeDistributed(L.Dense(2))])
    save("keras_every_step", tagger, ["keras"])
    cases = row_cases(lambda rows: [0], 2)
    for case in cases:
        del case["output"]
        found = tagger.predict(numpy.array([case["features"]]), verbose=0)[0]
        case["outputs"] = [[float(x) for x in row] for row in found]
    write_golden("keras_every_step", cases)
    # What is not served.
    a = L.LSTM(3)(x)
    save("keras_branches", keras.Model(x, L.Dense(2)(L.Concatenate()([a, L.GRU(3)(x)]))), ["keras"])
    save("keras_lambda", keras.Sequential([keras.Input((None, 2)), L.LSTM(3), L.RepeatVector(2), L.LSTM(2)]), ["keras"])


def raw_any(model, keras):
    """Predictions for any number of steps."""
    import numpy
    shape = list(model.input_shape[1:])
    free = keras.Sequential([keras.Input((None, shape[-1]))] + [
        layer.__class__.from_config(layer.get_config()) for layer in model.layers])
    free.set_weights(model.get_weights())
    return lambda x: numpy.asarray(free.predict(numpy.array([x]), verbose=0))[0]


def make_onnx():
    import warnings

    import numpy
    import onnx
    import torch
    from onnx import TensorProto, helper, numpy_helper
    from onnx.reference import ReferenceEvaluator
    from torch import nn

    from modules import Classifier, Gru, Sine, States, Writer
    warnings.filterwarnings("ignore")
    torch.manual_seed(17)
    writer, classifier, gru, states = Writer().eval(), Classifier().eval(), Gru().eval(), States().eval()
    ids, rows = torch.zeros(1, 7, dtype=torch.long), torch.zeros(1, 7, 2)

    def run(model, x):
        with torch.no_grad():
            return model(x)[0]

    def export(model, x, name, dynamo=False, axes=False, **options):
        if axes:
            options |= {"input_names": ["x"], "output_names": ["y"], "dynamic_axes": {"x": {0: "batch", 1: "steps"}}}
        torch.onnx.export(model, (x,), str(FILES / name), dynamo=dynamo, verbose=False, **options)

    export(writer, ids, "onnx_writer.onnx", axes=True)
    export(writer, ids, "onnx_writer_dynamo.onnx", dynamo=True, external_data=False)
    export(writer, ids, "onnx_external.onnx", dynamo=True, external_data=True)
    write_golden("onnx_writer", text_cases(lambda t: run(writer, torch.tensor([t]))[-1]))
    export(classifier, ids, "onnx_classifier.onnx", axes=True)
    export(classifier, ids, "onnx_classifier_dynamo.onnx", dynamo=True, external_data=False)
    export(classifier, ids, "onnx_training.onnx", training=torch.onnx.TrainingMode.TRAINING, do_constant_folding=False)
    write_golden("onnx_classifier", text_cases(lambda t: run(classifier, torch.tensor([t]))))
    export(gru, rows, "onnx_gru.onnx")
    write_golden("onnx_gru", row_cases(lambda r: run(gru, torch.tensor([r])), 2))
    export(states, rows, "onnx_states_dynamo.onnx", dynamo=True, external_data=False)
    export(states, rows, "onnx_states.onnx", axes=True)
    write_golden("onnx_states", row_cases(lambda r: run(states.raw, torch.tensor([r])), 2))
    export(Sine(), torch.zeros(1, 7, 1), "onnx_projection.onnx", dynamo=True, external_data=False)

    random = numpy.random.default_rng(16)

    def draw(*shape):
        return random.normal(0, 0.7, shape).astype("float32")

    def graph(name, op, gates, producer="tests", states=False, peepholes=False, **attributes):
        directions, H = 2 if attributes.get("direction") == "bidirectional" else 1, 4
        tensors = {"W": draw(directions, gates * H, 2), "R": draw(directions, gates * H, H), "B": draw(directions, 2 * gates * H),
                   "V": draw(directions * H, 3), "shape": numpy.array([-1, directions * H])}
        inputs = ["X", "W", "R", "B", ""] + [""] * 3
        if states:
            tensors["h0"] = draw(directions, 1, H)
            inputs[5] = "h0"
            if op == "LSTM":
                tensors["c0"] = draw(directions, 1, H)
                inputs[6] = "c0"
        if peepholes:
            tensors["P"] = draw(directions, 3 * H)
            inputs[7] = "P"
        while not inputs[-1]:
            inputs.pop()
        nodes = [helper.make_node("Transpose", ["x"], ["X"], perm=[1, 0, 2]),
                 helper.make_node(op, inputs, ["", "Yh"], hidden_size=H, **attributes),
                 helper.make_node("Transpose", ["Yh"], ["T"], perm=[1, 0, 2]),
                 helper.make_node("Reshape", ["T", "shape"], ["h"]), helper.make_node("MatMul", ["h", "V"], ["y"])]
        model = helper.make_model(helper.make_graph(
            nodes, name, [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, None, 2])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
            [numpy_helper.from_array(v, k) for k, v in tensors.items()]),
            producer_name=producer, opset_imports=[helper.make_opsetid("", 17)])
        onnx.save(model, FILES / f"{name}.onnx")
        return ReferenceEvaluator(model), tensors

    evaluator, _ = graph("onnx_peepholes", "LSTM", 4, states=True, peepholes=True)
    write_golden("onnx_peepholes", row_cases(
        lambda r: evaluator.run(None, {"x": numpy.array([r], "float32")})[0][0], 2))
    evaluator2, _ = graph("onnx_reset_before", "GRU", 3, linear_before_reset=0)
    write_golden("onnx_reset_before", row_cases(
        lambda r: evaluator2.run(None, {"x": numpy.array([r], "float32")})[0][0], 2))
    graph("onnx_wrong_gru", "GRU", 3, producer="pytorch")
    _, t = graph("onnx_reverse", "LSTM", 4, direction="reverse", activations=["HardSigmoid", "Tanh", "Tanh"],
                 activation_alpha=[0.2], activation_beta=[0.5])
    i, o, f, c = 0, 1, 2, 3

    def reverse(r):
        """ONNX keeps the gates in the order i, o, f, c."""
        order = [4 * g + j for g in (i, f, c, o) for j in range(4)]
        return keras_lstm(numpy.array(r)[::-1], t["W"][0][order].T, t["R"][0][order].T,
                          (t["B"][0][:16] + t["B"][0][16:])[order], hard_sigmoid_2) @ t["V"]

    write_golden("onnx_reverse", row_cases(reverse, 2))


def make_strange():
    """Checkpoints as people save them: copies of weights beside the model, counters, losses, lists, shared and packed weights."""
    import torch
    from safetensors.torch import save_model
    from torch import nn

    from modules import LastWord, Writer
    torch.manual_seed(22)
    word = LastWord().eval()
    state = word.state_dict()

    def run(tokens):
        with torch.no_grad():
            return word(torch.tensor([tokens]))[0]
    write_golden("word", text_cases(run))
    torch.save(torch.optim.swa_utils.AveragedModel(word).state_dict(), FILES / "word_averaged.pt")
    torch.save({"state_dict": {"_orig_mod." + k: v for k, v in state.items()} | {"loss.weight": torch.ones(3)}}, FILES / "word_loss.ckpt")
    torch.save((3, {"net": state}), FILES / "word_tuple.pt")
    packed = torch.ao.quantization.quantize_dynamic(word, {nn.LSTM, nn.Linear}, dtype=torch.qint8)
    torch.save(packed.state_dict(), FILES / "packed.pt")
    torch.save(packed, FILES / "packed_module.pt")
    torch.jit.script(packed).save(str(FILES / "packed_script.pt"))
    torch.save({"model": state, "ema": {k: v.clone() for k, v in state.items()}}, FILES / "two.pt")
    word.out = nn.utils.parametrizations.weight_norm(word.out)
    torch.save(word.state_dict(), FILES / "weight_norm.pt")
    tied = Writer()
    tied.embed, tied.head.weight = nn.Embedding(12, 6), nn.Parameter(tied.head.weight.data)
    tied.embed.weight = tied.head.weight
    tied.rnn = nn.LSTM(6, 6, batch_first=True)
    save_model(tied.eval(), str(FILES / "tied.safetensors"))

    def write(tokens):
        with torch.no_grad():
            return tied(torch.tensor([tokens]))[0, -1]
    write_golden("tied", text_cases(write))


def make_dumps():
    """Weights that scripts wrote: JSON and NumPy's arrays, under the names of PyTorch and of Keras."""
    import os
    os.environ["KERAS_BACKEND"] = "torch"
    import keras
    import numpy
    import torch
    from keras import layers as L

    from modules import Writer
    writer = Writer().eval()
    writer.load_state_dict(torch.load(FILES / "writer2_checkpoint.pt")["model_state_dict"])
    json.dump({k: v.tolist() for k, v in writer.state_dict().items()} | {"epochs": 3}, open(FILES / "writer2.json", "w"))
    keras.utils.set_random_seed(23)
    model = keras.Sequential([keras.Input((None, 2)), L.LSTM(4, return_sequences=True, name="first"),
                              L.GRU(5, reset_after=False, return_sequences=True, name="second"), L.GRU(3, name="third"), L.Dense(3, name="out")])
    for layer in model.layers:  # biases that are not zero
        layer.set_weights([w + numpy.linspace(-0.4, 0.3, w.size).reshape(w.shape) for w in layer.get_weights()])
    arrays = {layer.name: {w.path.split("/")[-1]: w.value.detach().numpy() for w in layer.weights} for layer in model.layers}
    json.dump({name: {key: w.tolist() for key, w in group.items()} for name, group in arrays.items()}, open(FILES / "dump.json", "w"))
    numpy.savez(FILES / "dump.npz", **{f"{name}/{key}:0": w for name, group in arrays.items() for key, w in group.items()})
    write_golden("dump", row_cases(lambda rows: model.predict(numpy.array([rows]), verbose=0)[0], 2))
    json.dump({"a": [[1, 2], [3]], "lstm.kernel": []}, open(FILES / "uneven.json", "w"))


def make_flatten():
    """A window of four steps in one dense layer; the second layer reads it from its end, and gives its steps in that order."""
    import os
    os.environ["KERAS_BACKEND"] = "torch"
    import keras
    import numpy
    from keras import layers as L
    keras.utils.set_random_seed(24)
    model = keras.Sequential([keras.Input((4, 2)), L.LSTM(3, return_sequences=True),
                              L.SimpleRNN(3, return_sequences=True, go_backwards=True), L.Flatten(), L.Dense(3)])
    model.save(FILES / "keras_flatten.keras")
    cases = []
    for n in range(3):
        rows = [[round(((7 * t + 3 * i + n) % 11) / 5 - 1, 3) for i in range(2)] for t in range(4)]
        output = model.predict(numpy.array([rows]), verbose=0)[0]
        cases.append({"input": rows, "features": rows, "output": [float(x) for x in output]})
    write_golden("keras_flatten", cases)
    keras.Sequential([keras.Input((None, 2)), L.LSTM(3, return_sequences=True), L.TimeDistributed(L.Dense(2)), L.Flatten()]).save(FILES / "keras_open.keras")


def make_tf2onnx():
    """Models of Keras that tf2onnx wrote (tensorflow-cpu 2.21.0 and tf2onnx 1.17.0 from PyPI, which nothing else here needs)."""
    import keras
    import numpy
    from keras import layers as L
    keras.utils.set_random_seed(21)
    numbers = lambda: keras.Input((None, 2))  # noqa: E731
    models = {
        "text": [keras.Input((None,), dtype="int32"), L.Embedding(len(LETTERS), 4), L.LSTM(4, return_sequences=True),
                 L.Bidirectional(L.LSTM(3)), L.Dense(3)],
        "both": [numbers(), L.Bidirectional(L.LSTM(3, return_sequences=True)), L.LSTM(4), L.Dense(3)],
        "loop": [numbers(), L.GRU(4), L.Dense(3)],
    }
    for name, layers in models.items():
        model = keras.Sequential(layers)

        def run(x, model=model):
            return numpy.asarray(model(numpy.array([x], dtype=model.inputs[0].dtype)))[0]
        cases = text_cases(run) if name == "text" else row_cases(run, 2)
        model.export(FILES / f"tf2onnx_{name}.onnx", format="onnx", verbose=False)
        if name != "loop":
            write_golden(f"tf2onnx_{name}", cases)


def make_quantised():
    """What quantize_dynamic of ONNX Runtime writes. The golden vectors are those of PyTorch, with the weights that the
    bytes and their scales stand for, which this reads by itself."""
    import warnings

    import numpy
    import onnx
    import torch
    from onnx import numpy_helper
    from onnxruntime.quantization import QuantType, quantize_dynamic

    from modules import States, Writer
    warnings.filterwarnings("ignore")
    torch.manual_seed(19)
    writer, states = Writer().eval(), States().eval()

    def quantise(model, x, name, **options):
        axes = {"x": {0: "batch", 1: "steps"}}
        torch.onnx.export(model, (x,), str(FILES / "float.onnx"), dynamo=False, input_names=["x"], output_names=["y"], dynamic_axes=axes)
        quantize_dynamic(FILES / "float.onnx", FILES / name, **options)
        (FILES / "float.onnx").unlink()
        graph = onnx.load(FILES / name).graph
        tensors = {t.name: numpy_helper.to_array(t).astype("float64") for t in graph.initializer}

        def floats(q, scale, zero):
            q, scale, zero = tensors[q], tensors[scale], tensors[zero]
            if scale.ndim == 2:  # one a direction and gate
                scale, zero = scale[:, None], zero[:, None]
            return torch.tensor((q - zero) * scale, dtype=torch.float32)
        found = {"lstm": [], "linear": []}
        for node in graph.node:
            if node.op_type == "DynamicQuantizeLSTM":
                found["lstm"].append((floats(node.input[1], *node.input[8:10]), floats(node.input[2], *node.input[10:12])))
            if node.op_type == "MatMulInteger":
                base = node.input[1].removesuffix("_quantized")
                found["linear"].append(floats(node.input[1], base + "_scale", node.input[3]))
            if node.op_type == "DequantizeLinear" and node.input[1].startswith("embed"):
                found["table"] = floats("embed.weight_quantized", *node.input[1:3])
        return found

    def load(rnn, lstm):
        for layer, (w, r) in enumerate(lstm):
            for d in range(len(w)):  # ONNX has the gates i, o, f, c
                for target, source in ((f"weight_ih_l{layer}", w[d].T), (f"weight_hh_l{layer}", r[d].T)):
                    i, o, f, c = source.chunk(4)
                    getattr(rnn, target + ("_reverse" if d else "")).data = torch.cat([i, f, c, o])

    def run(model, x):
        with torch.no_grad():
            return model(x)[0]

    found = quantise(writer, torch.zeros(1, 7, dtype=torch.long), "onnx_quantised_text.onnx", weight_type=QuantType.QUInt8)
    load(writer.rnn, found["lstm"])
    writer.embed.weight.data, writer.head.weight.data = found["table"], found["linear"][0].T
    write_golden("onnx_quantised_text", text_cases(lambda t: run(writer, torch.tensor([t]))[-1]))
    found = quantise(states, torch.zeros(1, 7, 2), "onnx_quantised_rows.onnx", per_channel=True, weight_type=QuantType.QInt8)
    load(states.rnn, found["lstm"])
    states.out.weight.data = found["linear"][0].T
    write_golden("onnx_quantised_rows", row_cases(lambda r: run(states.raw, torch.tensor([r])), 2))
    # A scale that the runtime computes, and one that has another shape than the weights.
    for name, change in (("onnx_quantised_odd.onnx", "out.weight_Transposed_scale"), ("onnx_quantised_gates.onnx", "LSTM")):
        model = onnx.load(FILES / "onnx_quantised_rows.onnx")
        for t in model.graph.initializer:
            if change in t.name and t.name.endswith("_scale"):
                t.CopyFrom(numpy_helper.from_array(numpy.ones(5, "float32"), t.name))
        onnx.save(model, FILES / name)


if __name__ == "__main__":
    FILES.mkdir(exist_ok=True)
    for what in sys.argv[1:] or ["torch"]:
        globals()[f"make_{what}"]()
