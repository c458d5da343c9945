"""xlstm.py: TiRex and TiRex-2 at full size in Carousel and in PyTorch: same weights, same forecast, one core, one run.

    make bench-xlstm
    build/xlstm/venv/bin/python tests/bench/xlstm.py [--rounds 7] [--program build/carousel] [--stream-only]
    build/xlstm/venv/bin/python tests/bench/xlstm.py --model tirex2 [--rounds 7]

TiRex: 12 blocks, 512 wide, 4 heads, 35.3 million parameters, made up from a fixed seed under the names and shapes of
TiRex' checkpoint. TiRex-2: six blocks with matrix memories and six with scalar ones, 82.5 million parameters, of which one
series needs less than half; its contestant is PyPI's tirex-2 (float32), not compiled. A forecast: 64 values from 512, nine quantiles. The contestants: PyPI's tirex-ts on one thread, as it is
(its cells round to bfloat16) and with its cells in float32, and a server with one worker in each precision, over HTTP. Each
answers the same series first; the difference from tirex-ts in float32, as a share of the largest quantile, is printed.
Then rounds, every contestant in turn. Times are of the processor (of the server's whole process), medians over rounds:
they do not count what other processes take. The last column is 64 series in one request, for each series.

Then a stream: 32 values more of a series that the server keeps, and a forecast of 32, after 100 values and after 1,000,000; and
the state of a sequence, which is the same for both."""
import argparse
import inspect
import json
import math
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time
import urllib.request

import torch

FOLDER = pathlib.Path("build/xlstm")
BLOCKS, WIDTH, HEADS, INNER, PATCH, HIDDEN, LEVELS = 12, 512, 4, 1408, 32, 2048, [i / 10 for i in range(1, 10)]
SERIES = [[10 * math.sin((i + 9 * k) / (5 + k % 7)) + (i * (k + 3)) % 7 for i in range(512)] for k in range(64)]


def made_up():
    torch.manual_seed(1)
    d, weights = WIDTH // HEADS, {}

    def add(name, *shape, scale=None):
        weights[name] = torch.randn(*shape) * (scale or 0.5 / math.sqrt(shape[-1]))

    def patch(name, n, outputs):
        for part, o, i in (("hidden_layer", HIDDEN, n), ("output_layer", outputs, HIDDEN), ("residual_layer", outputs, n)):
            add(f"{name}.{part}.weight", o, i)
            add(f"{name}.{part}.bias", o, scale=0.01)

    patch("input_patch_embedding", 2 * PATCH, WIDTH)
    for b in (f"blocks.{i}" for i in range(BLOCKS)):
        weights[b + ".norm_slstm.weight"], weights[b + ".norm_ffn.weight"] = torch.ones(WIDTH), torch.ones(WIDTH)
        for gate in "ifzo":
            add(f"{b}.slstm_layer.{gate}gate.weight", HEADS, d, d)
        add(b + ".slstm_layer.slstm_cell._recurrent_kernel_", HEADS, d, 4 * d, scale=0.05)
        add(b + ".slstm_layer.slstm_cell._bias_", 4 * WIDTH, scale=0.1)
        add(b + ".slstm_layer.group_norm.weight", WIDTH, scale=0.1)
        for name, shape in (("proj_up_gate", (INNER, WIDTH)), ("proj_up", (INNER, WIDTH)), ("proj_down", (WIDTH, INNER))):
            add(f"{b}.ffn.{name}.weight", *shape)
    weights["out_norm.weight"] = torch.ones(WIDTH)
    patch("output_patch_embedding", WIDTH, len(LEVELS) * PATCH)
    return weights


class Package:
    """tirex-ts, as it is or with its cells in float32."""

    def __init__(self, weights, name, dtype):
        from tirex.models.slstm import cell
        from tirex.models.tirex import TiRexZero
        self.name = name
        self.model = TiRexZero("torch", {
            "input_patch_size": PATCH, "output_patch_size": PATCH, "quantiles": LEVELS, "input_ff_dim": HIDDEN,
            "block_kwargs": {"num_blocks": BLOCKS, "embedding_dim": WIDTH, "num_heads": HEADS}}, train_ctx_len=2048)
        self.model.load_state_dict(weights)
        if dtype == torch.float32:
            scope = dict(cell.__dict__)
            exec(inspect.getsource(cell).replace("torch.bfloat16", "torch.float32"), scope)
            for block in self.model.blocks:
                block.slstm_layer.slstm_cell.__class__ = scope["sLSTMCell"]
                block.slstm_layer.slstm_cell._impl_forward_torch = scope["sLSTMCellTorch"].slstm_forward
        self.model.eval()

    def ask(self, series):
        with torch.inference_mode():
            answer = self.model._forecast_quantiles(torch.tensor(series), prediction_length=64)
        quantiles = answer[0] if isinstance(answer, tuple) else answer
        return quantiles[0].sort().values.T.tolist()  # made-up weights let them cross; Carousel sorts them

    def seconds(self, series):
        began = time.process_time()
        self.ask(series)
        return time.process_time() - began


class Package2:
    """tirex-2, and the bundle that zoo/tirex2.py makes of it."""
    name = "tirex-2"

    def __init__(self):
        os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
        import xlstm_sweep
        folder = FOLDER / "full"
        folder.mkdir(parents=True, exist_ok=True)
        self.own = xlstm_sweep.Tirex2(folder, True)
        self.bundle = self.own.bundle

    def ask(self, series):
        return self.own.ask(series[0], 64).sort(0).values.tolist()

    def seconds(self, series):
        from tirex2 import TimeseriesType
        all_of_them = [TimeseriesType(target=torch.tensor([one]), past_covariates=None, future_covariates=None) for one in series]
        began = time.process_time()
        with torch.inference_mode():
            self.own.model.predict(all_of_them, 64)
        return time.process_time() - began


class Server:
    def __init__(self, program, bundle, precision):
        self.name = f"Carousel {precision}"
        self.child = subprocess.Popen(
            [program, "serve", "--port", "0", "--model", f"tirex={bundle}", "--set", "models.folders=", "--set", "log.access=false",
             "--set", "scheduler.workers=1", "--set", f"models.precision={precision}"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.url = re.search(r"http://\S+", self.child.stdout.readline())[0]
        while json.load(urllib.request.urlopen(self.url + "/v1/models"))["data"] == []:
            time.sleep(0.1)

    def post(self, body):
        request = urllib.request.Request(self.url + "/v1/forecast", json.dumps(body).encode(), {"Content-Type": "application/json"})
        return json.load(urllib.request.urlopen(request))

    def ask(self, series):
        answer = self.post({"model": "tirex", "series": series, "horizon": 64, "quantiles": LEVELS})
        return list(answer["forecasts"][0]["quantiles"].values())

    def processor_s(self):
        fields = pathlib.Path(f"/proc/{self.child.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def seconds(self, series, times=5):
        """Of one request; several, because the clock ticks in hundredths of a second."""
        began = self.processor_s()
        for _ in range(times):
            self.ask(series)
        return (self.processor_s() - began) / times


def stream(program, bundle):
    """What a new patch costs after a short series and after a long one: processor time, the median of nine."""
    bytes_, = re.findall(r"^state +(\S+) bytes", subprocess.check_output([program, "inspect", bundle], text=True), re.M)
    print(f"state of a sequence: {bytes_} bytes")
    server = Server(program, bundle, "float32")
    values = [float(i * 7 % 13) for i in range(50000)]
    try:
        for before in (100, 1000000):
            answer = {"id": None}
            for _ in range(max(1, before // len(values))):
                answer = server.post({"model": "tirex", "series": values[:before], "horizon": 1, "store": True,
                                      "previous_response_id": answer["id"]})
            times = []
            for _ in range(9):
                began = server.processor_s()
                answer = server.post({"model": "tirex", "series": values[:PATCH], "horizon": PATCH, "store": True,
                                      "previous_response_id": answer["id"]})
                times.append(server.processor_s() - began)
            print(f"a patch more after {before:,} values: {statistics.median(times) * 1e3:.0f} ms")
    finally:
        server.child.terminate()


def difference(a, b):
    pairs = [(x, y) for row, other in zip(a, b) for x, y in zip(row, other)]
    return max(abs(x - y) for x, y in pairs) / max(abs(y) for _, y in pairs)


def contest(packages, bundle, options):
    """The table: the first package is what the others are compared with."""
    contestants = packages + [Server(options.program, bundle, p) for p in ("float32", "bfloat16", "int8")]
    expected = contestants[0].ask(SERIES[:1])
    one = {c: [] for c in contestants}
    many = {c: [] for c in contestants}
    for i in range(options.rounds):
        print(f"round {i + 1} of {options.rounds}", file=sys.stderr, flush=True)
        for c in contestants:
            one[c].append(c.seconds(SERIES[:1]))
            many[c].append((c.seconds(SERIES, 1) if isinstance(c, Server) else c.seconds(SERIES)) / len(SERIES))
    base = [statistics.median(times[contestants[0]]) for times in (one, many)]
    print(f"{options.rounds} rounds")
    print("| | one forecast, ms | times | 64 at once, ms each | times | difference |\n|---|---|---|---|---|---|")
    for c in contestants:
        a, b = statistics.median(one[c]), statistics.median(many[c])
        print(f"| {c.name} | {a * 1e3:.1f} | {base[0] / a:.1f} | {b * 1e3:.1f} | {base[1] / b:.1f} | "
              f"{difference(c.ask(SERIES[:1]), expected):.1e} |")
    for c in contestants:
        if isinstance(c, Server):
            c.child.terminate()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--program", default="build/carousel")
    parser.add_argument("--stream-only", action="store_true")
    parser.add_argument("--model", choices=["tirex", "tirex2"], default="tirex")
    options = parser.parse_args()
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    if options.model == "tirex2":
        package = Package2()
        return contest([package], package.bundle, options)
    weights = made_up()
    torch.save({"state_dict": weights}, FOLDER / "model.ckpt")
    subprocess.run([sys.executable, "zoo/tirex.py", FOLDER / "model.ckpt", FOLDER / "tirex"], check=True)
    if options.stream_only:
        return stream(options.program, FOLDER / "tirex")
    contest([Package(weights, "tirex-ts, cells in float32", torch.float32), Package(weights, "tirex-ts as it is", torch.bfloat16)],
            FOLDER / "tirex", options)
    stream(options.program, FOLDER / "tirex")


if __name__ == "__main__":
    main()
