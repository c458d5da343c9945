"""What none of the seven intents is about: other requests, made from templates, and everyday sentences."""

import gzip
import random
import re

SLOTS = {
    "room": ("kitchen|living room|bedroom|hallway|bathroom|garage|garden|office|nursery|basement|"
        "attic|porch|study").split("|"),
    "device": ("lights|lamp|heating|fan|television|radio|air conditioner|coffee machine|oven|dishwasher|"
        "washing machine|sprinkler|blinds|curtains|vacuum cleaner|alarm system|router|printer|"
        "camera|heater|humidifier|doorbell").split("|"),
    "person": ("mum|dad|my wife|my husband|Anna|John|Peter|Maria|grandma|my boss|the dentist|Sarah|"
        "my sister|Tom|Uncle Bob|the plumber|Lisa|David").split("|"),
    "time": ("six|seven thirty|noon|midnight|8 am|9:15|half past ten|5 pm|six in the morning|"
        "tomorrow at nine|in the evening|at 14:00|3 o'clock|quarter to four").split("|"),
    "length": ("five minutes|ten minutes|an hour|thirty seconds|two hours|20 minutes|"
        "a quarter of an hour|45 seconds|one day").split("|"),
    "place": ("the airport|the office|home|Berlin|the train station|Chicago|the nearest pharmacy|"
        "the supermarket|Paris|the hospital|school|London|the beach|Main Street|a petrol station|"
        "Rome|Tokyo").split("|"),
    "thing": ("milk|bread|eggs|batteries|toilet paper|dog food|coffee|apples|light bulbs|shampoo|"
        "a new phone charger|stamps|flowers|printer paper|toothpaste|rice|onions").split("|"),
    "event": ("the meeting with Anna|my dentist appointment|a haircut|the team call|"
        "dinner with my parents|a doctor's visit|the parents' evening|yoga class|the interview|"
        "my flight|football practice").split("|"),
    "number": "two|seven|12|15|twenty|37|99|144|3.5|256|a hundred|sixty four|eight".split("|"),
    "language": "French|Spanish|German|Italian|Japanese|Portuguese|Russian|Chinese|Polish|Swedish|Arabic".split("|"),
    "word": ("hello|thank you|goodbye|cat|where is the station|good morning|cheese|umbrella|I am lost|"
        "serendipity|the bill please|photosynthesis").split("|"),
    "unit": ("miles|kilometres|pounds|kilos|cups|litres|inches|feet|ounces|degrees Fahrenheit|dollars|"
        "euros|acres|gallons").split("|"),
    "team": ("Arsenal|the Lakers|Real Madrid|the Yankees|Juventus|the Bulls|Bayern|the Red Sox|"
        "the Dodgers|Ajax").split("|"),
    "company": "Apple|Tesla|Siemens|Microsoft|Nokia|Toyota|Intel|Boeing|Volvo".split("|"),
    "app": ("the calculator|my email|the camera|the browser|the settings|my photos|the map|the notes|"
        "the contacts|the calendar").split("|"),
    "colour": "red|blue|warm white|green|purple|orange|yellow".split("|"),
    "day": ("monday|tuesday|wednesday|thursday|friday|saturday|sunday|tomorrow|next week|"
        "the 5th of may|today|next month").split("|"),
    "topic": ("black holes|the French revolution|how vaccines work|Albert Einstein|the stock market|"
        "dinosaurs|electric cars|the moon landing|quantum computers|bees|climate change|inflation").split("|"),
    "vehicle": ("taxi|flight|train|rental car|hotel room|bus ticket|cab|ferry|moving van|massage|haircut|"
        "tennis court|doctor's appointment").split("|"),
}

TEMPLATES = """turn on the {room} {device}
turn off the {device} in the {room}
switch the {device} on
switch off all the {device}
dim the {room} lights to {number} percent
make the {room} a bit brighter
set the {room} lights to {colour}
set the thermostat to {number} degrees
turn the heating up in the {room}
lower the temperature in the {room}
open the {room} blinds
close the garage door
lock the front door
is the back door locked
start the {device}
stop the {device}
run the {device} at {time}
set an alarm for {time}
wake me up at {time}
cancel my alarm
snooze for {length}
set a timer for {length}
how long is left on the timer
start a {length} countdown
remind me to call {person} at {time}
remind me to buy {thing}
remind me about {event} on {day}
call {person}
call {person} on speaker
phone the office
hang up
send a message to {person}
text {person} that I am late
read my messages
send an email to {person} about {event}
do I have new email
who called me today
navigate to {place}
give me directions to {place}
how far is it to {place}
how is the traffic on the way to {place}
where is the nearest petrol station
find a parking space near {place}
how long does it take to drive to {place}
when does the next bus leave for {place}
what is on my calendar for {day}
add {event} to my calendar on {day}
move {event} to {time}
cancel {event}
schedule {event} for {day} at {time}
when is {event}
am I free on {day}
put {thing} on the shopping list
add {thing} to my shopping list
what is on my shopping list
order {thing}
order more {thing} from the shop
where is my package
track my parcel
what time is it
what time is it in {place}
what day is it today
how many days until christmas
what is {number} times {number}
what is {number} plus {number}
divide {number} by {number}
what is the square root of {number}
how many {unit} are in {number} {unit}
convert {number} {unit} to {unit}
translate {word} into {language}
how do you say {word} in {language}
what does {word} mean
how do you spell {word}
define {word}
tell me a joke
tell me something funny
tell me about {topic}
what do you know about {topic}
who invented the telephone
how tall is mount everest
what is the capital of france
how old is the universe
why is the sky blue
what is the population of {place}
what's the score of the {team} game
did {team} win last night
when do {team} play next
what is the price of {company} shares
how is the stock of {company} doing
what is in the news
read me the headlines
what happened in the world today
how much money is in my account
transfer {number} dollars to {person}
pay my electricity bill
what is my balance
book a {vehicle} for {day}
book me a {vehicle} to {place}
reserve a {vehicle} for {number} people
cancel my {vehicle}
I need a {vehicle} at {time}
is my {vehicle} on time
check me in for my flight
open {app}
close {app}
take a picture
take a screenshot
turn on bluetooth
turn the volume up
turn the volume down to {number}
mute the microphone
restart the computer
what is my battery level
connect to the wifi
change the password
flip a coin
roll a dice
pick a number between one and {number}
how are you
who are you
what can you do
good morning
good night
thank you
never mind
stop
help me
I am bored
I love you
you are stupid
what is your name
how many calories are in {thing}
how do I cook {thing}
how long do I boil {thing}
what can I cook with {thing}
log my weight as {number} kilos
how many steps did I walk today
start a workout
how did I sleep last night
where did I leave my keys
find my phone
feed the dog
call a doctor
what is the exchange rate of the dollar
what is my ip address
print this document
scan the page
send the file to {person}
show me pictures of {topic}
show me my photos from {day}
delete the last message
record a voice memo
take a note
write down that {person} owes me {number} dollars
start recording
vacuum the {room}
clean the {room}
water the plants in the {room}
who is at the door
show me the front door camera
arm the alarm system
is anyone home
how much does {thing} cost
compare prices for {thing}
which shop sells {thing}
change the channel
switch to channel {number}
record the game on {day}
pause
continue
go back
repeat that
what did you say
speak louder
change your voice
switch to {language}
what is the meaning of life
sing a lullaby for the baby
do my homework
buy {number} tickets for the {team} game
how do I tie a tie
fix my bicycle
is {place} far from {place}
who won the election
when was {company} founded
apply for a loan
report a lost card
freeze my credit card
increase my credit limit
renew my passport
what is the dress code of the office
how many vacation days do I have left
request time off on {day}
file my taxes
is it safe to travel to {place}
do I need a visa for {place}
what vaccines do I need for {place}
my computer does not start
the printer is out of paper
I have a headache
ask {person} to come to {place}
invite {person} to {event}
happy birthday
what year is it
share my location with {person}
what song is this
spell {word} backwards
open the window in the {room}
make me a cup of coffee
put the {device} on standby""".split("\n")

OPENINGS = [""] * 5 + ["please ", "can you ", "could you ", "hey ", "I want you to ", "would you ", "ok "]
NEAR = re.compile(r"\b(play|song|music|album|playlist|weather|forecast|rain|snow|sunny|cloudy|restaurant|book|movie|"
                  r"film|cinema|theat|novel|rate|stars|watch|table|tune|track|listen|saga|show)", re.I)


def templates(n, seed, held):
    """n requests from the templates, each filled anew: from every eighth template if `held`, else from the
    others."""
    rng = random.Random(seed)
    chosen = [t for i, t in enumerate(TEMPLATES) if (i % 8 == 0) == held]
    out = []
    for _ in range(n):
        text = rng.choice(chosen)
        while "{" in text:
            text = re.sub(r"{(\w+)}", lambda slot: rng.choice(SLOTS[slot[1]]), text, count=1)
        text = rng.choice(OPENINGS) + text
        out.append(text if rng.random() < 0.7 else text[0].upper() + text[1:] + rng.choice(["", ".", "?", "!"]))
    return out


def sentences(path, n, seed):
    """n English sentences of a Tatoeba file that do not touch what the seven intents are about."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        texts = sorted({line.split("\t")[0] for line in lines})
    texts = [t for t in texts if not NEAR.search(t)]
    return random.Random(seed).sample(texts, n)
