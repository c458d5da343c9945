"""digits-speech: spoken English digits, alone and in strings.

Data: the free spoken digit dataset, https://github.com/Jakobovski/free-spoken-digit-dataset, CC BY-SA 4.0: a
folder with the recordings `{digit}_{speaker}_{index}.wav`, or with zip files of them, as --data. Each speaker
says each digit 50 times; the data set's rule is that indices 0 to 4 are the test part. If they are not there,
indices 5 to 9 are held out in their place. Strings are made by joining digits of one speaker.

More speakers: the voices of espeak-ng (Debian package espeak-ng), made once and kept in the folder --spoken.

The speaker --unheard takes no part in the first two thirds of the training. At that moment the figure for a
speaker who was never heard is printed; then the recordings of that speaker join.

log-mel, 32 bands each 10 ms, two frames a step -> fixed mean and deviation of each number -> BiLSTM 2 x 128
-> linear -> CTC

The front end makes the loudest number of a recording zero, so that its level takes no part. It keeps the mean of
each band (remove_mean false), because a recording of one digit lasts a third of a second: its mean is the vowel.
The colour of the microphone, which the mean would take out, is changed at random in training instead.

--live trains digits-speech-live, which reads in one direction, so that it answers while somebody speaks:

log-mel, 32 bands each 10 ms, two frames a step -> fixed mean and deviation -> linear 64 -> 2 x LSTM 224
-> linear -> CTC

Its front end measures nothing of the whole recording: the level stays in the numbers, and changes at random in
training. Behind each recording come AFTER samples of silence, in which the network may still answer. A network
of one direction does not learn this at once; it stays at a plateau, where all digits are alike. Three things
help:

1. The level is nine tenths of the variance. The first linear layer begins as a principal component analysis, in
   which the level is one direction, as large as others.
2. The first FRAMED epochs teach single digits as they were recorded, step by step by cross-entropy: the blank in
   the first half, the digit in the silence behind. The gates begin open, so that the digit is remembered.
3. What is changed in training is changed in a share of the recordings that grows from none to all during the
   next EASY epochs.

Changed are speed, noise, colour and silence as above, and the level; and the filters, to those of a voice whose
formants are higher or lower. Some recordings are of nobody, and have no digit.

--bfloat16 multiplies in bfloat16 while it trains, which is faster on a processor with AVX512_BF16 or AMX.
"""

import io
import math
import pathlib
import random
import subprocess
import sys
import wave
import zipfile

import numpy
import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import ctc
import recipe

RATE, FFT, WINDOW, HOP, BANDS, OFFSET, TOP_DB, STACK = 8000, 256, 200, 80, 32, 1e-9, 50, 2
HIDDEN, BATCH, AT_ONCE, STEPS, LEARNING_RATE, JOIN = 128, 48, 4, 60, 3e-3, 0.67
LIVE_OFFSET, AFTER, LIVE_HIDDEN, LIVE_RATE, FRAMED, EASY = 1e-8, 1280, 224, 2e-3, 4, 24
SILENCE = -TOP_DB * math.log(10) / 10
WORDS = "zero one two three four five six seven eight nine".split()
ACCENTS = ["en-us", "en-gb", "en-gb-scotland", "en-029", "en-gb-x-rp", "en-gb-x-gbclan"]
TAKES = 3  # of each digit by each voice
VARIANTS = ["m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f3", "f4", "f5"]

CONFIG = {
    "task": "transcription",
    "description": "Writes down spoken English digits, alone or in strings.",
    "license": "CC-BY-SA-4.0",
    "training_data": "free spoken digit dataset (CC BY-SA 4.0), 5 speakers; voices of espeak-ng 1.51",
    "features": {"type": "log_mel", "sampling_rate": RATE, "n_fft": FFT, "win_length": WINDOW,
                 "hop_length": HOP, "n_mels": BANDS, "log_offset": OFFSET, "top_db": TOP_DB,
                 "remove_mean": False, "stack": STACK},
    "network": [
        {"type": "batch_norm", "prefix": "norm", "num_features": BANDS * STACK, "affine": False},
        {"type": "lstm", "prefix": "lstm", "input_size": BANDS * STACK, "hidden_size": HIDDEN, "num_layers": 2,
         "bidirectional": True},
        {"type": "linear", "prefix": "output", "in_features": 2 * HIDDEN, "out_features": 11},
    ],
    "transcription": {"label_is_word": True, "language": "en"},
    "labels": ["<blank>"] + [str(digit) for digit in range(10)],
}
LIVE = {
    "description": "Writes down spoken English digits, alone or in strings, while they are said.",
    "precision": "int8",  # zoo/precisions.py measures what it costs
    "features": {**{key: value for key, value in CONFIG["features"].items() if key != "top_db"},
                 "log_offset": LIVE_OFFSET, "silence_after": AFTER},
    "network": [
        CONFIG["network"][0],
        {"type": "linear", "prefix": "spread", "in_features": BANDS * STACK,
         "out_features": BANDS * STACK},
        {"type": "lstm", "prefix": "lstm", "input_size": BANDS * STACK, "hidden_size": LIVE_HIDDEN,
         "num_layers": 2},
        {"type": "linear", "prefix": "output", "in_features": LIVE_HIDDEN, "out_features": 11},
    ],
}


class Norm(nn.Module):
    """A batch_norm layer whose statistics are measured once, before the training."""

    def __init__(self):
        super().__init__()
        self.register_buffer("running_mean", torch.zeros(BANDS * STACK))
        self.register_buffer("running_var", torch.ones(BANDS * STACK))

    def measure(self, steps):
        self.running_mean.copy_(torch.as_tensor(steps.mean(0)))
        self.running_var.copy_(torch.as_tensor(steps.var(0)))

    def forward(self, steps):
        return (steps - self.running_mean) / (self.running_var + 1e-5).sqrt()


class Model(nn.Module):
    def __init__(self, live):
        super().__init__()
        self.live, size = live, LIVE_HIDDEN if live else HIDDEN
        self.norm = Norm()
        self.spread = nn.Linear(BANDS * STACK, BANDS * STACK) if live else nn.Identity()
        self.lstm = nn.LSTM(BANDS * STACK, size, 2, batch_first=True, bidirectional=not live, dropout=0.2)
        self.output = nn.Linear(size if live else 2 * size, 11)
        if live:  # remember from the start: the answer may come many steps after the digit
            for layer in range(2):
                getattr(self.lstm, f"bias_ih_l{layer}").data[size:2 * size] += 2

    def measure(self, steps):
        """Set what is measured once. Nine tenths of the variance of levels that change at random is the level, one
        direction; `spread` begins as the directions of a principal component analysis, of nearly equal variance."""
        self.norm.measure(steps)
        if self.live:
            normal = self.norm(torch.as_tensor(steps, dtype=torch.float32))
            variances, directions = torch.linalg.eigh(normal.T @ normal / len(normal))
            self.spread.weight.data = (directions / (variances + 0.03).sqrt()).T.contiguous()
            nn.init.zeros_(self.spread.bias)

    def forward(self, steps, lengths=None):
        return self.output(ctc.run(self.lstm, self.spread(self.norm(steps)), lengths))


def mel_filters(warp=1):
    """Triangles [BANDS, FFT / 2 + 1] at equal distances on Slaney's mel scale, each of area 1 in hertz: what
    librosa.filters.mel gives. warp: the bands of a voice whose formants lie so many times as high."""
    def mel(hertz):
        return numpy.where(hertz < 1000, hertz * 3 / 200, 15 + 27 * numpy.log(numpy.maximum(hertz, 1) / 1000)
                           / numpy.log(6.4))

    def hertz(mels):
        return numpy.where(mels < 15, mels * 200 / 3, 1000 * numpy.exp((mels - 15) * numpy.log(6.4) / 27))
    edges = hertz(numpy.linspace(mel(numpy.array(0.0)), mel(numpy.array(RATE / 2)), BANDS + 2))
    bins = numpy.arange(FFT // 2 + 1) * RATE / FFT * warp
    up = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    down = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return numpy.maximum(0, numpy.minimum(up, down)) * (2 / (edges[2:] - edges[:-2]))[:, None]


FILTERS = mel_filters()
WARPED = [mel_filters(warp) for warp in numpy.linspace(0.86, 1.16, 13)]
HANN = numpy.pad(0.5 - 0.5 * numpy.cos(2 * numpy.pi * numpy.arange(WINDOW) / WINDOW), (FFT - WINDOW) // 2)


def log_mel(samples, live, gains=1, filters=FILTERS):
    """Steps [T, BANDS * STACK] of samples from -1 to 1: logarithms of the energies in the bands, which are
    multiplied by the gains [BANDS], STACK frames a step. Live: of the samples and silence behind them; else below
    those of the loudest."""
    least = FFT + (STACK - 1) * HOP - len(samples)
    samples = numpy.pad(samples, (0, max(0, least, AFTER * live)))
    frames = numpy.lib.stride_tricks.sliding_window_view(samples, FFT)[::HOP]
    frames = frames[:len(frames) // STACK * STACK]
    spectrum = numpy.fft.rfft(frames * HANN)
    energies = (spectrum.real ** 2 + spectrum.imag ** 2) @ filters.T * gains
    logs = numpy.log(energies + (LIVE_OFFSET if live else OFFSET))
    return (logs if live else numpy.maximum(logs - logs.max(), SILENCE)).reshape(-1, BANDS * STACK)


def read_wave(data):
    """The samples of a WAV file of 16 bits, one channel, at RATE."""
    with wave.open(io.BytesIO(data)) as file:
        samples = numpy.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
        if file.getframerate() == RATE:
            return samples
        import scipy.signal
        return scipy.signal.resample_poly(samples, 160, 441)  # 22,050 to 8,000


def read(path):
    """{speaker: {digit: {index: samples}}}."""
    path, found = pathlib.Path(path), {}
    files = [(f.name, f.read_bytes()) for f in sorted(path.glob("*_*_*.wav"))]
    for archive in sorted(path.glob("*.zip")):
        with zipfile.ZipFile(archive) as z:
            files += [(name, z.read(name)) for name in sorted(z.namelist()) if name.endswith(".wav")]
    for name, data in files:
        digit, speaker, index = pathlib.Path(name).stem.split("_")
        found.setdefault(speaker, {}).setdefault(int(digit), {})[int(index)] = read_wave(data)
    return found


def part(speakers, held):
    """{speaker: [samples of digit 0, of digit 1, ...]} of the held-out part, or of the rest."""
    out = {}
    for speaker, digits in speakers.items():
        first = min(min(takes) for takes in digits.values())
        out[speaker] = [[s for i, s in sorted(digits[d].items()) if (i < first + 5) == held] for d in range(10)]
    return out


def trim(samples):
    """Without the silence at both ends."""
    loud = numpy.flatnonzero(numpy.abs(samples) > 0.01 * numpy.abs(samples).max())
    return samples[loud[0]:loud[-1] + 1] if len(loud) else samples


def speak(folder):
    """What espeak-ng's voices say, as {voice: [[samples], ...]}, and strings [(samples, digits)]."""
    cache = pathlib.Path(folder) / "espeak.npz"
    choose = random.Random(7)
    if not cache.exists():
        cache.parent.mkdir(parents=True, exist_ok=True)
        arrays = {}
        for voice in [f"{a}+{v}" for a in ACCENTS for v in VARIANTS]:
            texts = [[d] for d in range(10)] * TAKES
            texts += [choose.choices(range(10), k=choose.randint(3, 7)) for _ in range(4 * TAKES)]
            for i, digits in enumerate(texts):
                command = ["espeak-ng", "--stdout", "-v", voice, "-s", str(choose.randint(130, 200)),
                           "-p", str(choose.randint(25, 75)), " ".join(WORDS[d] for d in digits)]
                spoken = trim(read_wave(subprocess.run(command, capture_output=True, check=True).stdout))
                arrays[f"{voice}/{''.join(map(str, digits))}/{i}"] = (spoken * 32767).astype(numpy.int16)
        numpy.savez(cache, **arrays)
    voices, strings = {}, []
    for name, samples in numpy.load(cache).items():
        voice, digits, _ = name.split("/")
        if len(digits) == 1:
            voices.setdefault(voice, [[] for _ in range(10)])[int(digits)].append(samples / 32768)
        else:
            strings.append((samples / 32768, [int(d) for d in digits]))
    return voices, strings


def join(takes, digits, choose):
    """A string: one of each digit's recordings, with pauses of up to 0.3 s between."""
    parts = []
    for i, digit in enumerate(digits):
        if i:
            parts.append(numpy.zeros(choose.randint(0, int(0.3 * RATE))))
        parts.append(choose.choice(takes[digit]))
    return numpy.concatenate(parts)


def change(samples, choose):
    """Speed (and with it pitch) by up to 25 %, noise, silence around. Half are cut as tightly as the recordings."""
    speed = choose.uniform(0.8, 1.25)
    at = numpy.arange(0, len(samples) - 1, speed)
    samples = numpy.interp(at, numpy.arange(len(samples)), samples)
    samples = numpy.pad(samples, (choose.randint(0, 2000), choose.randint(0, 2000)) if choose.random() < 0.5 else 0)
    loud = numpy.sqrt((samples ** 2).mean())
    noise = numpy.random.randn(len(samples))
    if choose.random() < 0.3:  # darker noise
        noise = numpy.convolve(noise, numpy.ones(8) / 2.8, "same")
    return samples + noise * loud * 10 ** choose.uniform(-3, -1 if choose.random() < 0.7 else -0.5)


def change_level(samples, choose):
    """Live: how loud the speaker is, and now and then longer silence around, with the noise of a room."""
    if choose.random() < 0.12:
        samples = numpy.pad(samples, (choose.randint(0, 3 * RATE), choose.randint(0, RATE)))
    loudest = numpy.abs(samples).max()
    noise = numpy.random.randn(len(samples)) * loudest * 10 ** choose.uniform(-4, -2.3)
    return (samples + noise) * 10 ** choose.uniform(-1.7, 0) / loudest


def hush(choose):
    """Live: nobody speaks. Noise of any level, which swells or does not, and clicks."""
    n = choose.randint(RATE // 4, 2 * RATE)
    noise = numpy.random.randn(n) * numpy.interp(numpy.arange(n), numpy.linspace(0, n, 6), numpy.random.rand(6))
    for _ in range(choose.randint(0, 3)):
        at = choose.randrange(n - 400)
        noise[at:at + choose.randint(10, 400)] *= choose.uniform(2, 20)
    if choose.random() < 0.5:
        noise = numpy.convolve(noise, numpy.ones(8) / 2.8, "same")
    return noise * 10 ** choose.uniform(-4, -1.5)


def colour(choose):
    """Gains [BANDS] of another microphone: a slope and a bend, up to some 9 dB either way."""
    at = numpy.linspace(-1, 1, BANDS)
    return numpy.exp(choose.uniform(-1.2, 1.2) * at + choose.uniform(-0.8, 0.8) * (2 * at ** 2 - 1))


def mask(steps, choose):
    """Hide up to two short times and two ranges of bands behind their mean; of a short recording little."""
    steps = steps.reshape(-1, BANDS).copy()
    mean = steps.mean(0)
    for _ in range(choose.randint(0, 2)):
        at, size = choose.randrange(len(steps)), choose.randint(0, min(8, len(steps) // 10))
        steps[at:at + size] = mean
        at, size = choose.randrange(BANDS), choose.randint(0, 4)
        steps[:, at:at + size] = mean[at:at + size]
    return steps.reshape(-1, BANDS * STACK)


def fill(batch, live):
    """The batch [(steps, labels)] in one length, by silence behind the shorter."""
    longest, silence = max(len(steps) for steps, _ in batch), math.log(LIVE_OFFSET) if live else SILENCE
    return [(numpy.pad(steps, ((0, longest - len(steps)), (0, 0)), constant_values=silence), labels)
            for steps, labels in batch]


def draw(speakers, voices, strings, choose, live, alone=False, changed=1):
    """AT_ONCE batches of steps and digits. All have equally many digits (alone: one), those of a batch nearly equal
    lengths too, so that padding is rare. Live: this share of them is changed."""
    length = 1 if alone or choose.random() < 0.55 else choose.randint(2, 7)
    if live and not alone and choose.random() < 0.03:
        length = 0
    size, drawn = BATCH if length < 4 else BATCH // 2, []
    for _ in range(AT_ONCE * size):
        if not length:
            samples, digits = hush(choose), []
        elif length > 2 and choose.random() < 0.15:
            samples, digits = choose.choice(strings)
        else:
            takes = choose.choice(list((speakers if choose.random() < 0.75 else voices).values()))
            digits = choose.choices(range(10), k=length)
            samples = join(takes, digits, choose)
        if live and choose.random() >= changed:
            drawn.append((log_mel(samples, live), [d + 1 for d in digits]))
            continue
        if live:
            samples = change_level(change(samples, choose), choose) if length else samples
            steps = log_mel(samples, live, colour(choose), choose.choice(WARPED))
        else:
            steps = log_mel(change(samples, choose), live, colour(choose))
        drawn.append((mask(steps, choose), [d + 1 for d in digits]))
    drawn.sort(key=lambda one: len(one[0]))
    return [fill(drawn[at:at + size], live) for at in range(0, len(drawn), size)]


def framed_loss(model, batch):
    """Cross-entropy of single digits: the blank at the steps of the first half, the digit in the silence behind."""
    steps, lengths = ctc.pad([steps for steps, _ in batch])
    outputs, digits = model(steps, lengths).float(), torch.tensor([labels[0] for _, labels in batch])
    behind, half = AFTER // (HOP * STACK) - 2, (steps.shape[1] - AFTER // (HOP * STACK)) // 2
    before, after = outputs[:, :half].flatten(0, 1), outputs[:, -behind:].flatten(0, 1)
    return (nn.functional.cross_entropy(before, torch.zeros(len(before), dtype=torch.long))
            + nn.functional.cross_entropy(after, digits.repeat_interleave(behind)))


def train(model, recordings, args):
    unheard, live = args.unheard, model.live
    all_speakers = part(recordings, held=False)
    some = {name: takes for name, takes in all_speakers.items() if name != unheard}
    voices, strings = speak(args.spoken)
    sample = draw(some, voices, strings, random.Random(args.seed), live)
    model.measure(numpy.concatenate([steps for batch in sample for steps, _ in batch]))
    optimizer = torch.optim.AdamW(model.parameters(), lr=LIVE_RATE if live else LEARNING_RATE, weight_decay=0.01)
    schedule = recipe.warm_cosine(optimizer, args.epochs * STEPS)
    average = recipe.Average(model, 0.995)
    progress = recipe.Progress(args.epochs, STEPS)
    done = recipe.load_checkpoint(args.checkpoint, model, optimizer, schedule, average)
    for epoch in range(done, args.epochs):
        choose = random.Random(args.seed * 1000 + epoch)
        heard = some if epoch < JOIN * args.epochs else all_speakers
        framed = live and epoch < FRAMED
        model.train()
        batches = []
        for step in range(STEPS):
            if not batches:
                batches = draw(heard, voices, strings, choose, live, framed, min(1, max(0, epoch - FRAMED + 1) / EASY))
                choose.shuffle(batches)
            with torch.autocast("cpu", torch.bfloat16, enabled=args.bfloat16):
                loss = (framed_loss if framed else ctc.loss)(model, batches.pop())
            recipe.descend(loss, model, optimizer, schedule)
            average.update(model)
            progress.step(epoch, step, loss.item())
        note = ""
        if epoch + 1 == int(numpy.ceil(JOIN * args.epochs)) and unheard in recordings:
            trained = Model(live)
            trained.load_state_dict(average.weights)
            takes = part(recordings, False)[unheard], part(recordings, True)[unheard]
            cases = [(s, [d]) for d in range(10) for s in takes[0][d] + takes[1][d]]
            note = f"never heard ({unheard}): " + figure(trained, cases)
        progress.epoch(epoch, note)
        recipe.save_checkpoint(args.checkpoint, epoch + 1, model, optimizer, schedule, average)
    model.load_state_dict(average.weights)


def count(texts, wanted):
    """How many texts are right, how many digits are wrong, and of how many."""
    return (sum(t == w for t, w in zip(texts, wanted)), sum(ctc.distance(t, w) for t, w in zip(texts, wanted)),
            sum(map(len, wanted)))


def figure(model, cases):
    """Right answers and digit errors on [(samples, digits)], by greedy decoding."""
    texts = ctc.read_all(model, [log_mel(samples, model.live) for samples, _ in cases])
    right, errors, total = count(texts, [[d + 1 for d in digits] for _, digits in cases])
    return (f"{100 * right / len(cases):.2f} % right ({right} of {len(cases)}), digit errors "
            f"{100 * errors / total:.2f} % ({errors} of {total})")


def held_strings(held):
    """500 strings of 3 to 7 held-out digits of one speaker: [(samples, digits)]."""
    choose, strings = random.Random(5), []
    for _ in range(500):
        digits = choose.choices(range(10), k=choose.randint(3, 7))
        strings.append((join(choose.choice(list(held.values())), digits, choose), digits))
    return strings


def evaluate(model, recordings):
    held = part(recordings, held=True)
    alone = [(s, [d]) for takes in held.values() for d in range(10) for s in takes[d]]
    print("held out: one digit,", figure(model, alone))
    for speaker, takes in held.items():
        print(f"  {speaker}:", figure(model, [(s, [d]) for d in range(10) for s in takes[d]]))
    print("held out: strings of 3 to 7 digits of one speaker,", figure(model, held_strings(held)))


def main():
    args = recipe.arguments(__doc__, "free-spoken-digit-dataset/recordings", epochs=150, flags=("bfloat16", "live"),
                            spoken="espeak-digits", unheard="yweweler")
    if args.live and not args.out:
        args.out = pathlib.Path(__file__).resolve().parent.parent / "digits-speech-live"
    recordings = read(args.data)
    model, out = Model(args.live), recipe.folder(args, __file__)
    if args.evaluate:
        recipe.load_bundle(model, out)
    else:
        train(model, recordings, args)
        held, cases = part(recordings, held=True), []
        for speaker, digits in zip(held, ([7], [3, 1], [0, 8, 5])):
            samples = [round(float(x), 6) for x in join(held[speaker], digits, random.Random(3))]
            steps = log_mel(numpy.array(samples), args.live)
            cases.append((samples, [[round(float(x), 6) for x in row] for row in steps]))
        recipe.write_bundle(out, model.eval(), {**CONFIG, **LIVE} if args.live else CONFIG, cases)
    evaluate(model.eval(), recordings)


if __name__ == "__main__":
    main()
