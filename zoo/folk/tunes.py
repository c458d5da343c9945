"""Tunes of one voice: read from ABC files, and written as the tokens that the model reads.

The reader knows what collections of fiddle tunes use: X, T, M, L, K with modes, accidentals within a bar, broken
rhythm, triplets, repeats, endings. Of a chord it keeps the highest note, and of a first and a second ending the
second. Grace notes, slurs, ornaments, chord names and words are left out. Whatever else a tune has makes it
Unreadable, with the reason.

A tune is a metre, a mode, and parts. A part is a list of bars, a bar a list of (pitch or None, duration), durations
being
fractions of a whole note. If the first bar of a part is short (a pickup), its last bar is short by as much.
"""

import fractions
import hashlib
import pathlib
import re

Fraction = fractions.Fraction
TONIC = 62  # D4: where all tunes are moved to
TRIPLET = Fraction(2, 3)
TICKS = 96  # of a whole note
PLAIN, THIRDS = [3, 6, 9, 12, 18, 24, 36, 48, 72, 96], [2, 4, 8, 16]  # the durations that a tune may have; those of triplets
NUMBERS = 32  # of bar lines; a longer tune begins again at b0
METRES = ["2/2", "4/4", "2/4", "3/4", "3/8", "6/8", "9/8", "12/8"]
MODES = {"major": 0, "mixolydian": 1, "dorian": 2, "minor": 3}  # how many places above its signature's major tonic, in fifths
MODE_NAMES = {"": "major", "maj": "major", "ion": "major", "m": "minor", "min": "minor", "aeo": "minor", "mix": "mixolydian",
              "dor": "dorian"}
FIFTHS = {"F": -1, "C": 0, "G": 1, "D": 2, "A": 3, "E": 4, "B": 5}
NATURAL = {"C": 60, "D": 62, "E": 64, "F": 65, "G": 67, "A": 69, "B": 71}
SHARPS = "FCGDAEB"

ITEM = re.compile(r"""
      (?P<field>\[[A-Za-z]:[^\]]*\])
    | (?P<sign>:*\|[:|\]]*|::|\[\|)\s*(?P<ending>\[?[1-9][0-9,]*(?![0-9]))?
    | (?P<alone>\[[1-9])
    | (?P<tuplet>\([2-9](?::[0-9]*)*)
    | (?P<chord>\[[^\]|:]*\])(?P<chordlength>[0-9]*/*[0-9]*)
    | (?P<accidental>\^\^|__|[_^=])?(?P<letter>[A-Ga-gzx])(?P<octave>[,']*)(?P<length>[0-9]*/*[0-9]*)
    | (?P<broken><+|>+)
    | (?P<tie>-)
    | (?P<nothing>(?:[\s)~.\\*!$HILMNOPQRSTUVWk-wy`]|\((?![2-9]))+)
""", re.VERBOSE)
NOTE = re.compile(r"(\^\^|__|[_^=])?([A-Ga-g])([,']*)([0-9]*/*[0-9]*)")


class Unreadable(Exception):
    pass


def length_of(text):
    """The factor that stands behind a note: "", "3", "/", "3/2", "//"."""
    number, slashes, divisor = re.fullmatch(r"([0-9]*)(/*)([0-9]*)", text).groups()
    if divisor and len(slashes) != 1 or divisor == "0" or number == "0":
        raise Unreadable("length")
    return Fraction(int(number or 1), int(divisor) if divisor else 2 ** len(slashes))


def key_of(text):
    """Signature and mode of a K: field."""
    found = re.fullmatch(r"([A-G])([#b]?)\s*([A-Za-z]*)", text.strip())
    mode = found and MODE_NAMES.get("m" if found[3] == "m" else found[3].lower()[:3])
    if not mode or found[3] == "M":
        raise Unreadable("key")
    return FIFTHS[found[1]] + 7 * (found[2] == "#") - 7 * (found[2] == "b") - MODES[mode], mode


class Pitches:
    """The pitch of a note as it is written, within a key and a bar."""

    def __init__(self, fifths):
        self.signature = {letter: 0 for letter in NATURAL}
        for letter in SHARPS[:max(0, fifths)]:
            self.signature[letter] = 1
        for letter in SHARPS[::-1][:max(0, -fifths)]:
            self.signature[letter] = -1
        self.bar = {}

    def of(self, accidental, letter, octave):
        height = octave.count("'") - octave.count(",") + letter.islower()
        place = letter.upper(), height
        if accidental:
            self.bar[place] = {"^^": 2, "^": 1, "=": 0, "_": -1, "__": -2}[accidental]
        return NATURAL[place[0]] + 12 * height + self.bar.get(place, self.signature[place[0]])


class Body:
    """The notes and signs of a tune, in order: ("note", pitch, duration, tied) and ("sign", text, ending)."""

    def __init__(self, text, unit, fifths):
        self.unit, self.pitches, self.items = unit, Pitches(fifths), []
        self.left, self.group, self.broken = 0, [], None
        at = 0
        while at < len(text):
            found = ITEM.match(text, at)
            if not found:
                raise Unreadable(f"character {text[at]}")
            self.add(found)
            at = found.end()
        if self.left or self.broken:
            raise Unreadable("rhythm")

    def add(self, found):
        if found["field"] and found["field"][1] not in "Pr":
            raise Unreadable("change within")
        if found["sign"] or found["alone"]:
            if self.left or self.broken:
                raise Unreadable("rhythm over a bar line")
            self.pitches.bar = {}
            self.items.append(("sign", found["sign"] or "", (found["ending"] or found["alone"] or "").strip("[ ")))
        elif found["tuplet"]:
            if found["tuplet"] not in ("(3", "(3::", "(3:2", "(3:2:3") or self.left:
                raise Unreadable("tuplet")
            self.left, self.group = 3, []
        elif found["chord"]:
            notes = NOTE.findall(found["chord"])
            if not notes:
                raise Unreadable("chord")
            pitch = max(self.pitches.of(*note[:3]) for note in notes)
            self.note(pitch, length_of(notes[0][3]) * length_of(found["chordlength"]))
        elif found["letter"]:
            rest = found["letter"] in "zx"
            pitch = None if rest else self.pitches.of(found["accidental"], found["letter"], found["octave"])
            self.note(pitch, length_of(found["length"]))
        elif found["broken"]:
            self.break_rhythm(found["broken"])
        elif found["tie"] and self.items and self.items[-1][0] == "note":
            self.items[-1] = (*self.items[-1][:3], True)

    def note(self, pitch, factor):
        duration = factor * self.unit
        if self.broken:
            duration, self.broken = duration * self.broken, None
        self.items.append(("note", pitch, duration, False))
        if not self.left:
            return
        self.left -= 1
        if self.left == 0:  # the three share their time equally
            third = sum(item[2] for item in self.items[-3:]) / 3 * TRIPLET
            self.items[-3:] = [(*item[:2], third, False) for item in self.items[-3:]]

    def break_rhythm(self, sign):
        if self.broken or not self.items or self.items[-1][0] != "note":
            raise Unreadable("rhythm")
        if self.left in (1, 2):  # within a triplet the notes are made equal anyway
            return
        short = Fraction(1, 2 ** len(sign))
        kind, pitch, duration, tied = self.items[-1]
        if duration.denominator % 3 == 0:
            raise Unreadable("rhythm")
        first, self.broken = (2 - short, short) if sign[0] == ">" else (short, 2 - short)
        self.items[-1] = (kind, pitch, duration * first, tied)


def tied(bar):
    """A bar whose tied notes are one."""
    notes = []
    for _, pitch, duration, tie in bar:
        plain = duration.denominator % 3 != 0
        if notes and notes[-1][2] and notes[-1][0] == pitch and plain:
            notes[-1] = [pitch, notes[-1][1] + duration, tie]
        else:
            notes.append([pitch, duration, tie and plain])
    return [(pitch, duration) for pitch, duration, _ in notes]


class Parts:
    """Cuts bars into parts at repeat signs and double bar lines; a second ending replaces the first."""

    def __init__(self, items):
        self.parts, self.bars, self.bar = [], [], []  # parts: (bars, is repeated)
        self.stem = self.first = None                 # the bars before the endings; those of the first ending
        self.opened = False
        for item in items:
            if item[0] == "note":
                self.bar.append(item)
            else:
                self.sign(*item[1:])
        self.sign("|]", "")

    def close(self, repeated):
        bars = (self.stem or []) + self.bars
        if bars:
            self.parts.append((bars, repeated))
        self.bars, self.stem, self.first, self.opened = [], None, None, False

    def sign(self, sign, ending):
        if self.bar:
            self.bars.append(tied(self.bar))
            self.bar = []
        if ending.startswith("2") and self.stem is not None:
            self.first, self.bars = self.bars, []
        elif ending.startswith("1"):
            self.stem, self.bars = self.bars, []
        elif self.first is not None:
            if sign != "|" or len(self.bars) >= len(self.first):
                self.close(True)
        elif sign.startswith(":"):
            self.close(True)
        elif sign not in ("|", ""):
            self.close(self.opened)
        if sign.endswith(":"):
            self.opened = True


def whole(bars, bar):
    """The part with a last bar that makes up for its pickup, or None."""
    if len(bars) < 2:
        return None
    lengths = [sum(duration for _, duration in notes) for notes in bars]
    pickup = lengths[0] if lengths[0] < bar else Fraction(0)
    wrong = lengths[0] > bar or any(length != bar for length in lengths[1:-1])
    excess = lengths[-1] - (bar - pickup)
    pitch, duration = bars[-1][-1]
    if wrong or duration.denominator % 3 == 0 and excess or duration <= excess or -excess > bar / 2:
        return None
    return bars[:-1] + [bars[-1][:-1] + [(pitch, duration - excess)]]


class Tune:
    def __init__(self, title, metre, mode, parts):
        self.title, self.metre, self.mode, self.parts = title, metre, mode, parts

    def notes(self):
        return [note for bars, _ in self.parts for bar in bars for note in bar]

    def pitches(self):
        return [pitch for pitch, _ in self.notes() if pitch is not None]

    def names(self):
        """What near-identical tunes share: a title without its article and kind, or how the pitches run."""
        title = re.sub(r"\(.*?\)|--.*|[^a-z ]", "", self.title.lower())
        title = " ".join(word for word in title.split() if word not in ("the", "a", "an"))
        steps = [b - a for a, b in zip(self.pitches(), self.pitches()[1:])]
        runs = [hashlib.sha1(repr(steps[at:at + 24]).encode()).hexdigest() for at in (0, len(steps) // 2)]
        return ([f"title {title}"] if title else []) + runs

    def lengths(self):
        """The bars of each part, without its pickup."""
        return [int(sum(duration for bar in bars for _, duration in bar) / Fraction(self.metre)) for bars, _ in self.parts]

    def words(self):
        """The words that the model reads: docs/bundle-format.md, "notation": "staff"."""
        words, now, before = [self.metre.replace("/", "x"), self.mode], None, 0
        for bars, repeated in self.parts:
            words.append("[")
            pickup = sum(duration for _, duration in bars[0]) < Fraction(self.metre)
            for i, bar in enumerate(bars):
                words += [f"b{(before + i - pickup) % NUMBERS}"] if i else []
                left = 0
                for pitch, duration in bar:
                    ticks = int(duration * TICKS)
                    if duration.denominator % 3 == 0:
                        words += [] if left else [f"t{ticks}"]
                        left = (left - 1) % 3
                    elif ticks != now:
                        words.append(f"n{ticks}")
                        now = ticks
                    words.append("z" if pitch is None else str(pitch))
            before += len(bars) - pickup
            words.append("]" if repeated else ".")
        return words


def fields_of(text):
    """The head of a tune, and its body without comments, ornaments in signs of their own, and grace notes."""
    head, body = {}, []
    for line in text.splitlines():
        line = re.sub(r"(?<!\\)%.*", "", line)
        found = re.match(r"([A-Za-z]):(.*)", line)
        if not found:
            body.append(re.sub(r'"[^"]*"|![^!\s]*!|\+[^+\s]*\+|\{[^}]*\}', " ", line))
        elif "K" not in head:
            head.setdefault(found[1], found[2].strip())
        elif found[1] == "P":
            body.append("||")
        elif found[1] in "MLKV":
            raise Unreadable("change within")
    return head, "\n".join(body)


def read_tune(text):
    head, body = fields_of(text)
    metre = {"C": "4/4", "C|": "2/2"}.get(head.get("M"), head.get("M"))
    if metre not in METRES:
        raise Unreadable("metre")
    bar = Fraction(metre)
    unit = Fraction(head["L"]) if head.get("L") else Fraction(1, 16 if bar < Fraction(3, 4) else 8)
    fifths, mode = key_of(head.get("K", ""))
    parts = [(whole(bars, bar), repeated) for bars, repeated in Parts(Body(body, unit, fifths).items).parts]
    if not parts or any(bars is None for bars, _ in parts):
        raise Unreadable("bars")
    for _, duration in (note for bars, _ in parts for notes in bars for note in notes):
        if duration * TICKS not in (THIRDS if duration.denominator % 3 == 0 else PLAIN):
            raise Unreadable("duration")
    tonic = (fifths + MODES[mode]) * 7 % 12
    shift = (TONIC - tonic + 6) % 12 - 6
    moved = [([[(pitch and pitch + shift, duration) for pitch, duration in notes] for notes in bars], repeated)
             for bars, repeated in parts]
    return Tune(head.get("T", ""), metre, mode, moved)


def read_folder(folder):
    """All tunes of the .abc files below a folder, and how many are unreadable for each reason."""
    tunes, reasons = [], {}
    for path in sorted(pathlib.Path(folder).rglob("*.abc")):
        text = path.read_text(encoding="utf-8", errors="replace")
        for piece in re.split(r"^(?=X:)", text, flags=re.MULTILINE):
            if not piece.startswith("X:"):
                continue
            try:
                tunes.append(read_tune(piece))
            except Unreadable as reason:
                reasons[str(reason)] = reasons.get(str(reason), 0) + 1
    return tunes, reasons
