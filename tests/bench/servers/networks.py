"""The networks of zoo/digits and zoo/shakespeare for ONNX Runtime, from the same weights in float32."""
import json
import pathlib

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

DIGITS, TEXT = "digits", "shakespeare"


def lstm(weights, suffix):
    """PyTorch's gates are i, f, g, o; ONNX' are i, o, f, c."""
    def turned(matrix):
        i, f, g, o = np.split(matrix, 4)
        return np.concatenate([i, o, f, g])[None]
    bias = [turned(weights[f"lstm.bias_{kind}_{suffix}"]) for kind in ("ih", "hh")]
    return (turned(weights[f"lstm.weight_ih_{suffix}"]), turned(weights[f"lstm.weight_hh_{suffix}"]),
            np.concatenate(bias, axis=1))


def save(path, nodes, inputs, outputs, tensors):
    graph = helper.make_graph(nodes, "network", inputs, outputs,
                              [numpy_helper.from_array(value, name) for name, value in tensors.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def value(name, shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def write_digits(zoo, path):
    """[28, B, 28] to [B, 10]: the mean of the states of all steps, a linear layer, softmax."""
    weights = {k: v.astype(np.float32) for k, v in load_file(zoo / DIGITS / "model.safetensors").items()}
    tensors = dict(zip(("W", "R", "B"), lstm(weights, "l0")))
    tensors |= {"Wy": weights["output.weight"], "by": weights["output.bias"], "one": np.array([1])}
    save(path, [
        helper.make_node("LSTM", ["x", "W", "R", "B"], ["y"], hidden_size=128),
        helper.make_node("Squeeze", ["y", "one"], ["states"]),
        helper.make_node("ReduceMean", ["states"], ["mean"], axes=[0], keepdims=0),
        helper.make_node("Gemm", ["mean", "Wy", "by"], ["logits"], transB=1),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=-1)],
        [value("x", [28, "B", 28])], [value("scores", ["B", 10])], tensors)


def write_text(zoo, path):
    """One step of one sequence: a token and the states to the logits and the next states."""
    weights = {k: v.astype(np.float32) for k, v in load_file(zoo / TEXT / "model.safetensors").items()}
    tensors = {"E": weights["embedding.weight"], "Wy": weights["output.weight"], "by": weights["output.bias"],
               "one": np.array([1])}
    nodes = [helper.make_node("Gather", ["E", "token"], ["x0"])]
    inputs, outputs = [value("token", [1, 1], TensorProto.INT64)], [value("logits", [1, None])]
    for k in range(2):
        names = [f"{name}{k}" for name in "WRB"]
        tensors |= dict(zip(names, lstm(weights, f"l{k}")))
        nodes += [helper.make_node("LSTM", [f"x{k}", *names, "", f"h{k}", f"c{k}"], [f"y{k}", f"h{k}_out", f"c{k}_out"],
                                   hidden_size=512),
                  helper.make_node("Squeeze", [f"y{k}", "one"], [f"x{k + 1}"])]
        inputs += [value(f"{s}{k}", [1, 1, 512]) for s in "hc"]
        outputs += [value(f"{s}{k}_out", [1, 1, 512]) for s in "hc"]
    nodes += [helper.make_node("Squeeze", ["h1_out", "one"], ["last"]),
              helper.make_node("Gemm", ["last", "Wy", "by"], ["logits"], transB=1)]
    save(path, nodes, inputs, outputs, tensors)


def write(zoo, folder):
    write_digits(pathlib.Path(zoo), f"{folder}/{DIGITS}.onnx")
    write_text(pathlib.Path(zoo), f"{folder}/{TEXT}.onnx")


def session(path):
    """One thread a call: the servers run as many processes as there are cores."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class Models:
    def __init__(self, zoo, folder):
        digits = json.loads(pathlib.Path(zoo, DIGITS, "config.json").read_text())
        self.features, self.labels = digits["features"], digits["labels"]
        text = json.loads(pathlib.Path(zoo, TEXT, "config.json").read_text())
        self.characters = text["tokenizer"]["vocabulary"]
        self.ids = {c: i for i, c in enumerate(self.characters)}
        self.digits, self.text = session(f"{folder}/{DIGITS}.onnx"), session(f"{folder}/{TEXT}.onnx")

    def classify(self, rows):
        x = (np.array(rows, dtype=np.float32) - self.features["mean"]) / self.features["scale"]
        scores = self.digits.run(["scores"], {"x": x.astype(np.float32)[:, None]})[0][0]
        best = np.argsort(-scores)
        return [{"label": self.labels[i], "score": float(scores[i])} for i in best]

    def complete(self, prompt, n):
        """The likeliest token each time."""
        zero = np.zeros((1, 1, 512), dtype=np.float32)
        feed = {name: zero for name in ("h0", "c0", "h1", "c1")}
        out = []
        for step in range(len(prompt) + n - 1):
            token = self.ids[prompt[step]] if step < len(prompt) else out[-1]
            logits, *states = self.text.run(["logits", "h0_out", "c0_out", "h1_out", "c1_out"],
                                            {"token": np.array([[token]]), **feed})
            feed = dict(zip(("h0", "c0", "h1", "c1"), states))
            if step >= len(prompt) - 1:
                out.append(int(logits[0].argmax()))
        return "".join(self.characters[i] for i in out)
