"""Files of PyTorch; make_files.py makes them."""
import json
import pickle

from common import FILES, LETTERS, row_cases, text_cases, write_golden


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
