#!/usr/bin/env python3
"""capacity.py: how many replicas? An estimate on paper, and the server measured against it.

    tests/bench/capacity.py --measure [--seconds 20] [--model shakespeare] [--workers 1]
    tests/bench/capacity.py --alone-us 120 --rate 60000 --tokens 100 --requests 2000 [--mean-ms 500] [--price 0.05] [--steps 1]

The estimate. A worker computes one step of all sequences aboard in a turn. A turn of b sequences takes a + k b: a is
what a turn costs whatever its size (the weights are read once), k what each sequence adds. Two measurements give both:
one request alone, T(1) = a + k, and a worker that is full, T(B) = a + k B with B = scheduler.max_batch.

With requests of n steps that arrive at the rate r, Little's law says b = r n T(b), so b = r n a / (1 - r n k), and a
request that is aboard takes n T(b). The worker's B seats are the servers of a queue M/G/c with c = B: Erlang's formula C
gives the share of requests that wait, and the mean wait is C n T / (c - b) (1 + v) / 2, where v is the squared
coefficient of variation of n (Allen and Cunneen's approximation). Beyond the capacity B / T(B) the queue grows without
end, and Carousel refuses with 429.

Nothing but Python's own library is needed."""
import argparse
import asyncio
import csv
import json
import math
import pathlib
import random
import re
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "replicas"))


class Worker:
    """One worker: seconds a turn of b sequences takes, and what follows."""

    def __init__(self, alone_s, full_rate, seats=64):
        """alone_s: a step of a sequence alone. full_rate: steps a second of all sequences when every seat is taken."""
        full_s = seats / full_rate
        self.seats = seats
        self.k = max((full_s - alone_s) / (seats - 1), 0.0)
        self.a = max(alone_s - self.k, 0.0)
        self.rate = full_rate

    def aboard(self, step_rate):
        """Mean sequences aboard at so many steps a second; infinite beyond what any batch can do."""
        return step_rate * self.a / (1 - step_rate * self.k) if step_rate * self.k < 1 else math.inf

    def estimate(self, requests_s, steps, variation=1.0):
        """Mean seconds of a request, the part of them that it waits, and the share of requests that wait."""
        aboard = self.aboard(requests_s * steps)
        if aboard >= self.seats:
            return math.inf, math.inf, 1.0
        service = steps * (self.a + self.k * max(aboard, 1.0))
        waits = erlang_c(self.seats, aboard)
        wait = waits * service / (self.seats - aboard) * (1 + variation) / 2
        return service + wait, wait, waits


def erlang_c(servers, load):
    """The share of arrivals that find all servers taken (Erlang, 1917); `load` in servers, below their number."""
    blocked = 1.0
    for n in range(1, servers + 1):
        blocked = load * blocked / (n + load * blocked)
    return blocked / (1 - load / servers * (1 - blocked))


def replicas(worker, workers, requests_s, steps, mean_s, variation=1.0):
    """The least number of replicas of so many workers whose mean time of a request is at most mean_s, one of them down."""
    for n in range(1, 100000):
        if worker.estimate(requests_s / n / workers, steps, variation)[0] <= mean_s:
            return n + 1
    return None


# --- Against the server


def lengths(mean, rng):
    """Tokens of a request: half of them near a third of the mean, half spread beyond: a squared variation of about 1/2."""
    return max(1, round(mean / 3 if rng.random() < 0.5 else mean * (2 / 3 + 2 * rng.random())))


class Server:
    def __init__(self, program, model, workers):
        self.child = subprocess.Popen([program, "serve", "--port", "0", "--models", "zoo", "--set", f"scheduler.workers={workers}",
                                       "--set", "log.access=false", "--set", "server.http_threads=1", "--set", "scheduler.queue_sequences=100000"],
                                      stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.model = model
        for line in self.child.stdout:
            if found := re.search(r"http://[^:]*:(\d+)", line):
                self.port = int(found[1])
                return
        sys.exit("the server does not start")

    async def complete(self, tokens, pool):
        """Seconds that a completion takes, on a connection of the pool."""
        from fleet import ask
        connection = pool.pop() if pool else await asyncio.open_connection("127.0.0.1", self.port)
        body = {"model": self.model, "prompt": "A", "max_tokens": tokens, "temperature": 1}
        began = time.perf_counter()
        status, _, text = await ask(self.port, "POST", "/v1/completions", body, connection=connection)
        took = time.perf_counter() - began
        pool.append(connection)
        if status != 200:
            raise RuntimeError(text)
        return took, json.loads(text)["usage"]["completion_tokens"]


async def measure_alone(server, tokens, seconds):
    pool, end, times, steps = [], time.perf_counter() + seconds, [], 0
    while time.perf_counter() < end:
        took, n = await server.complete(tokens, pool)
        times.append(took / n)
    return statistics.median(times)


async def measure_full(server, tokens, seconds, clients):
    """Steps a second with every seat taken; the first fifth is the run-up."""
    pool, done, over = [], [], time.perf_counter() + seconds
    rng = random.Random(1)

    async def client():
        while time.perf_counter() < over:
            _, n = await server.complete(lengths(tokens, rng), pool)
            done.append((time.perf_counter(), n))
    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    counted = [(t, n) for t, n in done if began + seconds / 5 <= t <= over]
    return sum(n for _, n in counted) / (seconds * 4 / 5)


async def measure_open(server, tokens, requests_s, seconds):
    """Times of requests that arrive as a Poisson process."""
    rng, pool, tasks, times, steps = random.Random(2), [], [], [], []

    async def one(n):
        took, made = await server.complete(n, pool)
        times.append(took)
        steps.append(made)
    due = end = time.perf_counter()
    end += seconds
    while due < end:
        due += rng.expovariate(requests_s)
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(lengths(tokens, rng))))
    await asyncio.gather(*tasks)
    return times, steps


async def measure(options):
    server = Server(options.program, options.model, options.workers)
    seats = 64
    try:
        alone = await measure_alone(server, options.tokens, options.seconds / 4)
        full = await measure_full(server, options.tokens, options.seconds, seats * options.workers * 2) / options.workers
        worker = Worker(alone, full, seats)
        print(f"{options.model}, {options.workers} workers: a step alone {alone * 1e6:.0f} us, "
              f"{full:.0f} steps/s a worker with all seats taken; a = {worker.a * 1e6:.0f} us, k = {worker.k * 1e6:.1f} us")
        print("| of capacity | requests/s | mean, estimated | mean, measured | p50 | p99 | aboard, estimated |\n|---|---|---|---|---|---|---|")
        for part in (0.5, 0.8, 0.95):
            rate = part * full * options.workers / options.tokens
            times, steps = await measure_open(server, options.tokens, rate, options.seconds)
            mean = statistics.mean(steps)
            variation = statistics.pvariance(steps) / mean ** 2
            estimated = worker.estimate(rate / options.workers, mean, variation)[0]
            times.sort()
            print(f"| {part} | {rate:.0f} | {estimated * 1e3:.0f} ms | {statistics.mean(times) * 1e3:.0f} ms | "
                  f"{times[len(times) // 2] * 1e3:.0f} ms | {times[len(times) * 99 // 100] * 1e3:.0f} ms | "
                  f"{worker.aboard(rate / options.workers * mean):.1f} |", flush=True)
        print_cost(worker, options)
    finally:
        server.child.terminate()
        server.child.wait()


def print_cost(worker, options):
    """The cost of a million answers of --steps steps each, at one price of a core and on common instances."""
    if options.price is None:
        print(f"| instance | cores | list price an hour | a million of {options.steps:g} steps, full | at 0.7 of it |\n|---|---|---|---|---|")
        for row in csv.DictReader((pathlib.Path(__file__).parent / "instances.csv").open()):
            full = float(row["price"]) / int(row["cores"]) / 3600 / worker.rate * 1e6 * options.steps
            print(f"| {row['name']} | {row['cores']} | {row['price']} | {full:.6f} | {full / 0.7:.6f} |")
        return
    print(f"At {options.price} a core and hour, a million steps cost {options.price / 3600 / worker.rate * 1e6:.6f} on a full "
          f"worker, and {options.price / 3600 / (0.7 * worker.rate) * 1e6:.6f} at 0.7 of it.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--program", default="build/carousel")
    parser.add_argument("--model", default="shakespeare")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--tokens", type=float, default=100, help="mean steps of a request")
    parser.add_argument("--alone-us", type=float, help="microseconds of a step of one request alone")
    parser.add_argument("--rate", type=float, help="steps a second of a full worker")
    parser.add_argument("--requests", type=float, help="requests a second, in all")
    parser.add_argument("--mean-ms", type=float, default=500, help="the mean time of a request that is wanted")
    parser.add_argument("--price", type=float, help="of a core and hour; left out, a table of instances")
    parser.add_argument("--steps", type=float, default=1, help="of an answer whose cost is printed")
    options = parser.parse_args()
    if options.measure:
        return asyncio.run(measure(options))
    if not (options.alone_us and options.rate and options.requests):
        parser.error("--measure, or --alone-us, --rate and --requests")
    worker = Worker(options.alone_us / 1e6, options.rate)
    n = replicas(worker, options.workers, options.requests, options.tokens, options.mean_ms / 1e3)
    if not n:
        sys.exit(f"no number of replicas: a request alone takes {options.tokens * options.alone_us / 1e3:.0f} ms")
    each = worker.estimate(options.requests / n / options.workers, options.tokens)[0]
    print(f"{n} replicas of {options.workers} workers, one of which may be down: a request takes {each * 1e3:.0f} ms on the mean "
          f"with all of them, at {options.requests * options.tokens / n / options.workers / options.rate:.2f} of their capacity")
    print_cost(worker, options)


if __name__ == "__main__":
    main()
