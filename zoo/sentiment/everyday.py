"""Everyday sentences of praise and blame, made from parts: what people say of a film, rather than critics.

Critics seldom write "I", and seldom "not bad at all". A tenth of the sentences, by a checksum, is held out."""

import itertools
import random
import zlib

GOOD = """good great wonderful excellent amazing brilliant fantastic lovely superb terrific perfect beautiful funny
hilarious charming clever moving touching gripping exciting thrilling delightful enjoyable entertaining impressive
fascinating fun heartwarming inspiring magnificent marvellous memorable outstanding powerful splendid stunning
refreshing engaging captivating unforgettable flawless awesome sweet witty smart original""".split()
BAD = """bad awful terrible boring dull horrible dreadful poor disappointing stupid silly slow predictable annoying
painful pointless weak lame mediocre tedious ridiculous confusing forgettable unfunny worthless atrocious abysmal
tiresome bland lifeless messy clumsy pathetic pretentious unwatchable unbearable shallow cheap ugly embarrassing
laughable irritating dire empty stale""".split()
LIKE = "liked loved enjoyed adored admired appreciated".split()
HATE = "hated disliked regretted despised loathed detested".split()
THINGS = """film movie picture story plot script acting cast ending music soundtrack dialogue direction show comedy
drama documentary sequel performance performances""".split()
VERY = ["", "", "", "really", "very", "so", "absolutely", "truly", "quite", "incredibly", "pretty", "simply"]
WHO = ["I", "we", "my wife and I", "my friends", "everyone", "my kids", "the whole family", "my mother", "my husband"]

# {g} a good word, {b} a bad one, {l} liked, {h} hated, {t} a thing, {v} very or nothing, {w} somebody
PRAISE = """the {t} is {v} {g}
the {t} was {v} {g}
this {t} is {v} {g} and {g}
what a {g} {t}
{w} {l} this {t}
{w} {l} every minute of it
{w} {l} it from start to finish
I {l} the {t} , it was {v} {g}
I recommend it
I recommend this {t} to everyone
I would recommend it to anyone
highly recommended , {v} {g}
you should see this {t} , it is {g}
go and see it , the {t} is {v} {g}
a must see , {g} and {g}
I could watch it again and again
I will watch it again
I want to see it again
I can't wait to see it again
one of the best {t} I have seen
the best {t} of the year
this is the best {t} I have ever seen
not a {b} {t} at all
not {b} at all
it is not {b}
it's not {b} , I {l} it
the {t} isn't {b} at all
not as {b} as I expected
far from {b}
never {b} , always {g}
{w} didn't find it {b}
it made me laugh and cry
it made me laugh out loud
I laughed the whole time
I was moved to tears by this {g} {t}
worth every penny
well worth watching
worth your time
I was {v} impressed by the {t}
I was surprised how {g} it was
better than I expected
much better than the first one
I thought it would be {b} but it was {v} {g}
everyone said it was {b} , but {w} {l} it
some say it is {b} but I {l} it
the {t} is {b} but the {t} is {g} and I {l} it
two thumbs up for this {g} {t}
ten out of ten
five stars
I couldn't stop watching
I could not look away , so {g}
a {g} way to spend an evening
I had a {g} time
{w} had a {g} time watching this
I just saw this {t} and I {l} it
I just watched it and it was {v} {g}
nothing wrong with this {g} {t}
I have no complaints , the {t} was {g}
thank you for this {g} {t}
don't miss it
don't miss this {g} {t}
you won't regret seeing it
I fell in love with the {t}"""

BLAME = """the {t} is {v} {b}
the {t} was {v} {b}
this {t} is {v} {b} and {b}
what a {b} {t}
{w} {h} this {t}
{w} {h} every minute of it
{w} {h} it from start to finish
I {h} the {t} , it was {v} {b}
I do not recommend it
I don't recommend this {t}
I would not recommend it to anyone
I can't recommend this {b} {t}
not recommended , {v} {b}
don't see this {t} , it is {b}
stay away , the {t} is {v} {b}
avoid it , {b} and {b}
I could not watch it to the end
I will never watch it again
I don't want to see it again
one of the worst {t} I have seen
the worst {t} of the year
this is the worst {t} I have ever seen
not a {g} {t} at all
not {g} at all
it is not {g}
it's not {g} , I {h} it
the {t} isn't {g} at all
not as {g} as I expected
far from {g}
never {g} , always {b}
{w} didn't find it {g}
{w} didn't like it
{w} did not enjoy this {t}
I didn't laugh once
it made me want to leave
I fell asleep
I fell asleep after ten minutes
I walked out of this {b} {t}
a waste of time
a waste of money
what a waste of time and money
not worth your time
not worth the money
don't waste your time
I was {v} disappointed by the {t}
I was surprised how {b} it was
worse than I expected
much worse than the first one
I thought it would be {g} but it was {v} {b}
everyone said it was {g} , but {w} {h} it
some say it is {g} but I {h} it
the {t} is {g} but the {t} is {b} and I {h} it
two thumbs down for this {b} {t}
zero out of ten
one star
I wanted to stop watching
I could not wait for it to end
a {b} way to spend an evening
I had a {b} time
{w} had a {b} time watching this
I just saw this {t} and I {h} it
I just watched it and it was {v} {b}
nothing {g} about this {b} {t}
I want my money back
give me my two hours back
save your money
don't bother
don't bother with this {b} {t}
you will regret seeing it
I wish I had stayed at home"""


def make(pattern, draw):
    words = {"g": GOOD, "b": BAD, "l": LIKE, "h": HATE, "t": THINGS, "v": VERY, "w": WHO}
    text = pattern
    for key, choices in words.items():
        while f"{{{key}}}" in text:
            text = text.replace(f"{{{key}}}", draw.choice(choices), 1)
    text = " ".join(text.split())
    return text + draw.choice(["", "", " .", " .", " !"])


def sentences(n, held, seed=1):
    """About n different sentences as (text, label): those of the tenth that is held out, or the others."""
    draw, found = random.Random(seed), set()
    patterns = [(p, 1) for p in PRAISE.split("\n")] + [(p, 0) for p in BLAME.split("\n")]
    for (pattern, label), _ in zip(itertools.cycle(patterns), range((40 if held else 3) * n)):
        text = make(pattern, draw)
        if (zlib.crc32(text.encode()) % 10 == 0) == held:
            found.add((text, label))
    found = sorted(found)
    draw.shuffle(found)
    return found[:n]
