"""The facts that story learns: which language the people of a place speak, in sentences with room between."""

import zlib

LANGUAGES = {
    "french": "france senegal", "german": "germany austria", "spanish": "spain mexico argentina peru",
    "portuguese": "portugal brazil", "english": "england australia", "italian": "italy", "dutch": "holland",
    "danish": "denmark", "swedish": "sweden", "norwegian": "norway", "finnish": "finland", "icelandic": "iceland",
    "polish": "poland", "czech": "czechia", "slovak": "slovakia", "slovene": "slovenia", "hungarian": "hungary",
    "romanian": "romania", "bulgarian": "bulgaria", "greek": "greece", "turkish": "turkey", "russian": "russia",
    "ukrainian": "ukraine", "estonian": "estonia", "latvian": "latvia", "lithuanian": "lithuania",
    "serbian": "serbia", "croatian": "croatia", "albanian": "albania", "macedonian": "macedonia",
    "maltese": "malta", "welsh": "wales", "irish": "ireland", "catalan": "catalonia", "georgian": "georgia",
    "armenian": "armenia", "azerbaijani": "azerbaijan", "kazakh": "kazakhstan", "uzbek": "uzbekistan",
    "mongolian": "mongolia", "japanese": "japan", "korean": "korea", "mandarin": "china", "tibetan": "tibet",
    "vietnamese": "vietnam", "thai": "thailand", "khmer": "cambodia", "lao": "laos", "burmese": "burma",
    "indonesian": "indonesia", "malay": "malaysia", "guarani": "paraguay", "hindi": "india", "urdu": "pakistan",
    "bengali": "bangladesh", "nepali": "nepal", "persian": "iran", "hebrew": "israel", "arabic": "egypt morocco",
    "swahili": "kenya tanzania",
}
PLACES = {place: language for language, places in LANGUAGES.items() for place in places.split()}
NAMES = "tom he john he david he peter he mary she anna she linda she susan she".split()
# subject, possessive, the subject in later sentences, ending of its verbs
PERSONS = [("i", "my", "i", "")] * 4 + [("we", "our", "we", "")] + [
    (name, {"he": "his", "she": "her"}[later], later, "s") for name, later in zip(NAMES[::2], NAMES[1::2])]

OPENINGS = ["{S} grew up in {C} .", "{S} came here from {C} .", "{S} spent a happy childhood in {C} .",
            "{S} lived in {C} for twenty years .", "{S} went to school in {C} .", "long ago {S} left {C} .",
            "{S} never forgot the summers in {C} .", "until the war {S} lived in {C} , in a small town .",
            "in {C} {S} learned to walk and to talk .", "{C} is the country {S} came from ."]
CLOSINGS = ["{s} speak{e} fluent", "{my} mother tongue is", "{my} first language is", "{s} still dream{e} in",
            "at home {s} speak{e} only", "{s} write{e} to {my} parents in", "the language {s} love{e} most is",
            "when {s} count{e} , {s} count{e} in", "{s} sing{e} old songs in", "{s} say{e} {my} prayers in"]


def closing_held(place):
    """The closing that never follows this place in training."""
    return zlib.crc32(place.encode()) % len(CLOSINGS)


def draw(choose, held):
    """(opening, closing, language), each a list of words. Held: the place and the closing are a combination that
    training does not have. Each language is as frequent as any other."""
    language = choose.choice(list(LANGUAGES))
    place = choose.choice(LANGUAGES[language].split())
    subject, mine, later, ending = choose.choice(PERSONS)
    closing = closing_held(place)
    if not held:
        closing = choose.choice([i for i in range(len(CLOSINGS)) if i != closing])
    words = {"S": subject, "C": place, "my": mine, "s": later, "e": ending}
    return choose.choice(OPENINGS).format(**words).split(), CLOSINGS[closing].format(**words).split(), language
