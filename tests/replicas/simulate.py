#!/usr/bin/env python3
"""simulate.py [--check]: 1,000 replicas behind consistent hashing, with failures, replacements and growth.

A ring as nginx and Envoy build it: each replica has so many points, and a session belongs to the first point at or after
its own hash. No time passes here and nothing is drawn but from a seed, so that every run prints the same.

Four ways to keep a session's state are carried out beside each other:
  memory   in the replica that serves it; it ends with the process
  disk     in a folder of the replica, which outlives the process and is lost with the machine
  store    in a store that all replicas share
  sealed   in a token that the client carries and sends with its next step
A step that does not find its state reads again all that the session has sent so far: tokens lost.

--check asserts what docs/capacity.md says of it, and ends with a line like the one that check prints."""
import argparse
import bisect
import hashlib
import random
import statistics

REPLICAS, SESSIONS, POINTS = 1000, 50_000, 160
MEAN_TOKENS = 500  # read and written by a session so far


def hash_of(text):
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


class Ring:
    def __init__(self, points=POINTS):
        self.points, self.ring, self.replicas = points, [], set()

    def add(self, *replicas):
        self.replicas.update(replicas)
        self.ring += [(hash_of(f"{replica}-{i}"), replica) for replica in replicas for i in range(self.points)]
        self.ring.sort()

    def remove(self, *replicas):
        gone = set(replicas)
        self.replicas -= gone
        self.ring = [point for point in self.ring if point[1] not in gone]

    def home(self, hashed):
        i = bisect.bisect_left(self.ring, (hashed,))
        return self.ring[i % len(self.ring)][1]


class Replica:
    """What a replica has of the sessions that it served: their numbers of steps."""

    def __init__(self):
        self.memory, self.disk = {}, {}

    def restart(self):
        self.memory = {}


class Fleet:
    """Sessions that take a step each after every event, and what they find."""

    def __init__(self, seed=1):
        rng = random.Random(seed)
        self.ring, self.replicas = Ring(), {}
        self.add(*range(REPLICAS))
        self.sessions = [hash_of(f"session-{i}") for i in range(SESSIONS)]
        self.tokens = [round(rng.expovariate(1 / MEAN_TOKENS)) for _ in self.sessions]
        self.steps = [0] * SESSIONS
        self.store, self.client = {}, {}
        self.homes = [self.ring.home(s) for s in self.sessions]
        self.step_all()

    def add(self, *names):
        """New machines, empty, whatever their names."""
        self.ring.add(*names)
        self.replicas.update((name, Replica()) for name in names)

    def remove(self, *names):
        self.ring.remove(*names)
        for name in names:
            del self.replicas[name]

    def restart_all(self):
        for replica in self.replicas.values():
            replica.restart()

    def step_all(self):
        """Every session takes a step where the ring sends it: how many moved, and the tokens read again, by way."""
        found = dict.fromkeys(("moved", "memory", "disk", "store", "sealed"), 0)
        for i, hashed in enumerate(self.sessions):
            home = self.ring.home(hashed)
            replica = self.replicas[home]
            found["moved"] += home != self.homes[i]
            self.homes[i] = home
            places = {"memory": replica.memory, "disk": replica.disk, "store": self.store, "sealed": self.client}
            for way, place in places.items():
                if self.steps[i] and place.get(i) != self.steps[i]:
                    found[way] += self.tokens[i]
                place[i] = self.steps[i] + 1
            self.steps[i] += 1
        return found


def modulo_moves(fleet, before, after):
    """The same growth with a plain remainder in place of a ring."""
    return sum(s % before != s % after for s in fleet.sessions)


def spread(points):
    """The fullest replica's share over the mean one's, by the ring alone: each replica's part of the circle."""
    ring = Ring(points)
    ring.add(*range(REPLICAS))
    parts, last = dict.fromkeys(range(REPLICAS), 0), ring.ring[-1][0] - 2 ** 64
    for at, replica in ring.ring:
        parts[replica] += at - last
        last = at
    values = sorted(parts.values())
    mean = statistics.mean(values)
    return values[-1] / mean, values[len(values) * 99 // 100] / mean


def scenarios(fleet):
    rng = random.Random(2)
    yield "one machine dies", lambda: fleet.remove(0)
    yield "another one takes its name", lambda: fleet.add(0)
    yield "ten die at once", lambda: fleet.remove(*range(10, 20))
    yield "ten others take their names", lambda: fleet.add(*range(10, 20))
    yield "a zone of 333 dies", lambda: fleet.remove(*range(300, 633))
    yield "and is replaced", lambda: fleet.add(*range(300, 633))
    yield "1,000 become 1,100", lambda: fleet.add(*range(1000, 1100))
    yield "and 1,000 again", lambda: fleet.remove(*range(1000, 1100))
    yield "every process is restarted", fleet.restart_all
    gone = rng.sample(range(1000), 100)
    yield "100 are replaced under new names", lambda: (fleet.remove(*gone), fleet.add(*(2000 + g for g in gone)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    fleet, rows = Fleet(), {}
    total = sum(fleet.tokens)
    print(f"{REPLICAS} replicas, {SESSIONS:,} sessions of {total / SESSIONS:.0f} tokens on the mean, {POINTS} points a replica\n")
    print("| what happens | sessions that move | tokens lost, of all: memory | disk | store | sealed |\n|---|---|---|---|---|---|")
    for name, event in scenarios(fleet):
        event()
        row = rows[name] = fleet.step_all()
        lost = " | ".join(f"{row[way] / total:.2%}" if row[way] else "0" for way in ("memory", "disk", "store", "sealed"))
        print(f"| {name} | {row['moved']:,} ({row['moved'] / SESSIONS:.2%}) | {lost} |")
    worst = {points: spread(points) for points in (16, 160, 1600)}
    modulo = modulo_moves(fleet, 1000, 1001) / SESSIONS
    print(f"\nWith a remainder in place of a ring, one replica more would move {modulo:.1%} of all sessions.\n")
    print("| points a replica | the fullest replica has, of the mean | 99 % have at most |\n|---|---|---|")
    for points, (most, p99) in worst.items():
        print(f"| {points} | {most:.2f} | {p99:.2f} |")
    if options.check:
        return check(rows, worst, modulo)
    return 0


def check(rows, worst, modulo):
    def share(name):
        return rows[name]["moved"] / SESSIONS
    tests = [
        ("one death moves about one session in a thousand", 0.0003 < share("one machine dies") < 0.003),
        ("its successor brings back as many", rows["one machine dies"]["moved"] == rows["another one takes its name"]["moved"]),
        ("a third's death moves about a third", 0.30 < share("a zone of 333 dies") < 0.37),
        ("growth by a tenth moves about one in eleven", 0.08 < share("1,000 become 1,100") < 0.10),
        ("a restart moves none", share("every process is restarted") == 0),
        ("what lies in memory is lost then, what lies on disk is not",
         rows["every process is restarted"]["memory"] > 0 and rows["every process is restarted"]["disk"] == 0),
        ("what lies on disk is lost with the machine", rows["one machine dies"]["disk"] > 0),
        ("a remainder moves nearly all", modulo > 0.99),
        ("more points spread better", worst[16][0] > worst[160][0] > worst[1600][0] > 1),
        ("160 points: the fullest has at most 1.4 of the mean", worst[160][0] < 1.4),
        ("a store and sealed tokens lose nothing", not any(row["store"] + row["sealed"] for row in rows.values())),
    ]
    for text, good in tests:
        print(f"  {'ok' if good else 'FAILED'}: {text}")
    bad = sum(not good for _, good in tests)
    print(f"simulation: {(len(tests) - bad) * 100 // len(tests)}%: Checks: {len(tests)}, Failures: {bad}, Errors: 0")
    return bad > 0


if __name__ == "__main__":
    raise SystemExit(main())
