"""Tunes drawn by the server, judged by music21 and by the reader of tunes.py."""

import fractions
import json
import statistics
import sys

import music21

import precisions
import tunes as notation


class Server(precisions.Server):
    """The program with this model alone, in the precision that its bundle recommends."""

    def __init__(self, program, bundle):
        self.command = [program, "serve", "--port", "0", "--models", "", "--model", f"folk={bundle}",
                        "--set", "log.level=error", "--set", "log.access=false"]

    def abc(self, **body):
        self.connection.request("POST", "/v1/music", json.dumps({"model": "folk", "format": "abc", **body}),
                                {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        text = answer.read().decode()
        if answer.status != 200:
            raise SystemExit(f"/v1/music: {answer.status} {text}")
        return text


def bars_of(score):
    """The length of each bar in quarter notes, as music21 has read it, and whether it begins or ends a part."""
    bars = []
    for measure in score.recurse().getElementsByClass(music21.stream.Measure):
        length = sum(fractions.Fraction(note.quarterLength) for note in measure.notesAndRests)
        if length:
            bars.append((length, isinstance(measure.leftBarline, music21.bar.Repeat),
                         isinstance(measure.rightBarline, music21.bar.Repeat)))
    return bars


def has_right_bars(score):
    """Every bar is full, but for a pickup and the bar that makes up for it."""
    signature = next(iter(score.recurse().getElementsByClass(music21.meter.TimeSignature)))
    full, pickup = fractions.Fraction(signature.barDuration.quarterLength), 0
    for length, begins, ends in bars_of(score):
        if begins:
            pickup = length % full
            if ends or length <= full:
                continue
        if length != (full - pickup if ends else full):
            return False
    return True


def is_aabb(tune):
    """Two parts of 4, 8 or 16 bars, each repeated."""
    return len(tune.parts) == 2 and set(tune.lengths()) in ({4}, {8}, {16}) and all(r for _, r in tune.parts)


class Runs:
    """The runs of notes, pitch and duration, that training tunes have."""

    def __init__(self, tunes):
        self.tunes, self.sets = [tune.notes() for tune in tunes], {}

    def has(self, notes, n):
        if n not in self.sets:
            self.sets[n] = {hash(tuple(own[at:at + n])) for own in self.tunes for at in range(len(own) - n + 1)}
        return any(hash(tuple(notes[at:at + n])) in self.sets[n] for at in range(len(notes) - n + 1))

    def longest(self, notes):
        low, high = 0, len(notes)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.has(notes, middle) else (low, middle - 1)
        return low


def judge(program, bundle, train, held, n):
    texts = []
    with Server(program, bundle) as server:
        texts = [server.abc(seed=seed) for seed in range(n)]
    parsed = right = aabb = 0
    drawn = []
    for seed, text in enumerate(texts):
        try:
            tune = notation.read_tune(text)
            drawn.append(tune)
            score = music21.converter.parse(text, format="abc")
        except Exception as error:
            print(f"seed {seed}: {error!r}", file=sys.stderr)
            continue
        parsed += len(list(score.recurse().notes)) == len(tune.pitches())
        good, form = has_right_bars(score), is_aabb(tune)
        right, aabb = right + good, aabb + form
        if not good or not form:
            print(f"seed {seed}: bars {'right' if good else 'wrong'}, parts {tune.lengths()}", file=sys.stderr)
    print(f"drawn: {n} tunes; {parsed} parse with all their notes, {right} have right bars, {aabb} are AABB")
    runs = Runs(train)
    for name, some in (("drawn", drawn), ("held out", held)):
        lengths = [runs.longest(tune.notes()) for tune in some]
        whole = sum(length == len(tune.notes()) for length, tune in zip(lengths, some))
        print(f"{name}: longest run of notes shared with a training tune: median {statistics.median(lengths):g}, "
              f"at most {max(lengths)}; {whole} of {len(some)} tunes are copies; "
              f"median length {statistics.median(len(tune.notes()) for tune in some):g} notes")
