"""Generated series for training and testing: each function gives one series of n values as a NumPy array.

Training mixes a random level, trend, season and noise. Held-out kinds are seasons of shapes (square wave,
sawtooth) and processes that training never shows, so that they test more than memory.
"""

import numpy as np

PERIODS = [4, 4, 6, 7, 7, 7, 12, 12, 12, 12, 24, 24, 24, 5, 8, 10, 14]


def smooth_season(n, period):
    """A few harmonics, or a free value for each phase."""
    phase = np.arange(period)
    if np.random.rand() < 0.5:
        shape = sum(np.random.randn() / k * np.cos(2 * np.pi * (k * phase / period + np.random.rand()))
                    for k in range(1, np.random.randint(2, 5)))
    else:
        shape = np.random.randn(period)
    shape = shape - shape.mean()
    return np.resize(np.roll(shape, np.random.randint(period)), n) / (shape.std() + 1e-9)


def trend(n):
    """Nothing, a line, a damped line, a broken line, or a random walk; about one unit high."""
    t = np.arange(n) / n
    kind = np.random.randint(5)
    if kind == 0:
        return np.zeros(n)
    if kind == 1:
        return np.random.randn() * 2 * t
    if kind == 2:
        return np.random.randn() * 2 * (1 - np.exp(-t * np.random.uniform(1, 6)))
    if kind == 3:
        return np.random.randn() * 2 * t + np.random.randn() * 3 * np.maximum(0, t - np.random.rand())
    return np.cumsum(np.random.randn(n)) * np.random.uniform(0.2, 2) / np.sqrt(n)


def noise(n):
    """White, heavy-tailed or first-order autoregressive; standard deviation near 1."""
    kind = np.random.randint(4)
    if kind == 0:
        return np.random.standard_t(4, n) / 1.4
    e = np.random.randn(n)
    if kind == 1:
        a = np.random.uniform(0.2, 0.98)
        for i in range(1, n):
            e[i] = a * e[i - 1] + np.sqrt(1 - a * a) * e[i]
    return e


def additive(n):
    season = np.random.choice([0, 0.3, 1, 1, 2]) * smooth_season(n, np.random.choice(PERIODS))
    return season + 1.5 * trend(n) + np.random.choice([0.02, 0.1, 0.2, 0.5, 1]) * noise(n)


def multiplicative(n):
    """Level times season, as sales and passengers are."""
    level = np.exp(np.random.uniform(0.2, 1) * trend(n))
    season = np.exp(np.random.uniform(0.02, 0.4) * smooth_season(n, np.random.choice(PERIODS)))
    return level * season * np.exp(np.random.choice([0.01, 0.03, 0.1, 0.2]) * noise(n))


def two_seasons(n):
    fast, slow = [(7, 28), (4, 12), (24, 168), (12, 60), (6, 24)][np.random.randint(5)]
    return (smooth_season(n, fast) + np.random.uniform(0.2, 1.5) * smooth_season(n, slow)
            + np.random.choice([0.1, 0.3, 0.6]) * noise(n))


def walk(n):
    drift = np.random.choice([0, 0, 0.1]) * np.random.randn()
    return np.cumsum(np.random.randn(n) + drift) + np.random.choice([0, 0.5, 2]) * np.random.randn(n)


def autoregressive(n):
    """Second order with a hidden cycle of any length: sunspots and weather behave like this."""
    radius, angle = np.random.uniform(0.7, 0.995), 2 * np.pi / np.random.uniform(3, 120)
    x = np.zeros(n + 100)
    e = np.random.randn(n + 100)
    for i in range(2, n + 100):
        x[i] = 2 * radius * np.cos(angle) * x[i - 1] - radius ** 2 * x[i - 2] + e[i]
    x = x[100:] / (x.std() + 1e-9)
    return x if np.random.rand() < 0.6 else np.exp(np.random.uniform(0.3, 1) * x)


def shifting(n):
    """The level jumps now and then."""
    jumps = (np.random.rand(n) < np.random.choice([0.005, 0.01, 0.03])) * np.random.randn(n) * 3
    return np.cumsum(jumps) + np.random.choice([0, 0.5]) * smooth_season(n, np.random.choice(PERIODS)) \
        + np.random.choice([0.05, 0.2, 0.5]) * noise(n)


def intermittent(n):
    """Mostly nought, now and then a demand."""
    size = np.random.poisson(np.random.uniform(0.5, 8), n) + 1.0
    return size * (np.random.rand(n) < np.random.uniform(0.1, 0.6))


def counts(n):
    season = np.random.choice([0, 0.3, 0.7]) * smooth_season(n, np.random.choice(PERIODS))
    return np.random.poisson(np.exp(np.random.uniform(0, 3) + season + 0.3 * trend(n))).astype(float)


def pulse_season(n):
    """Flat but for one or a few steps of each cycle, sharp: a job that runs every day."""
    period = np.random.choice([4, 5, 7, 8, 12, 24, 24, 24])
    shape = np.where(np.random.rand(period) < 1.5 / period, np.random.uniform(1, 5), 0.0)
    shape[np.random.randint(period)] = np.random.uniform(2, 6)
    return np.resize(shape, n) + np.random.choice([0, 0.02, 0.1, 0.3]) * np.random.randn(n)


def clean(n):
    """No noise at all, or hardly any: a rule that should be followed."""
    t, kind = np.arange(n), np.random.randint(7)
    period = np.random.choice([2, 3, 4, 5, 6, 7, 7, 9, 10, 12, 12, 24, 24])
    if kind == 0:
        x = np.random.randint(-20, 20) + np.random.choice([1, 2, 5, -1, 0.5]) * t
    elif kind == 1:
        x = np.random.uniform(1, 100) * (1 + np.random.uniform(-0.1, 0.15)) ** np.minimum(t, 120)
    elif kind == 2:
        x = np.sin(2 * np.pi * t / period + np.random.rand() * 6) + np.random.choice([0, 3])
    elif kind == 3:
        x = np.resize(np.random.randn(period), n) + np.random.choice([0, 0.1]) * t
    elif kind == 4:
        x = (10 + np.random.uniform(0, 1) * t) * (1 + 0.3 * np.sin(2 * np.pi * t / period))
    elif kind == 5:
        x = 1 - np.random.uniform(0.7, 0.95) ** t
    else:
        x = np.full(n, np.random.randint(1, 50), float)
    return x + np.random.choice([0, 0, 0, 0.01]) * np.std(x) * np.random.randn(n)


def daylight(n):
    """Nought at night: solar power, visits of a shop, with days that differ."""
    period = np.random.choice([24, 24, 12, 48])
    day = np.maximum(0, np.sin(2 * np.pi * np.arange(n) / period + np.random.rand() * 6) + np.random.uniform(-0.4, 0.4))
    strength = np.repeat(np.random.uniform(np.random.uniform(0.1, 1), 1, n // period + 1), period)[:n]
    return day * strength * np.exp(np.random.choice([0, 0.05, 0.2]) * np.random.randn(n))


def growing(n):
    """Growth by a rate that itself wanders, with or without a season."""
    rate = np.random.uniform(-0.03, 0.06) + np.cumsum(np.random.randn(n)) * np.random.choice([0, 0.001, 0.003])
    level = np.cumsum(np.clip(rate, -0.1, 0.12))
    season = np.random.choice([0, 0.1, 0.3]) * smooth_season(n, np.random.choice(PERIODS))
    return np.exp(np.clip(level, -8, 8) + season + np.random.choice([0.005, 0.02, 0.08]) * np.random.randn(n))


def hourly_weekly(n):
    """A day within a week: weekends differ, the level wanders."""
    day, week = smooth_season(24, 24), np.repeat(np.random.randn(7) * np.random.uniform(0.1, 0.8), 24)
    shape = np.resize(day, 168) * np.repeat(np.random.uniform(0.5, 1, 7), 24) + week
    start = np.random.randint(168)
    x = np.resize(np.roll(shape, start), n) + np.random.choice([0, 1, 2]) * trend(n)
    e = noise(n) * np.random.choice([0.05, 0.15, 0.4])
    return x + e if np.random.rand() < 0.5 else np.exp(0.4 * (x + e))


TRAINING = [additive, additive, additive, multiplicative, multiplicative, multiplicative, two_seasons, walk,
            autoregressive, autoregressive, shifting, intermittent, counts, pulse_season, pulse_season, clean, clean,
            daylight, growing, growing, hourly_weekly, hourly_weekly]


def square_season(n):
    """Held out: on and off by turns, of period 6 or 12, on a line."""
    period = np.random.choice([6, 12])
    wave = (np.arange(n) % period < np.random.randint(2, period - 1)) * 2.0
    return wave + np.random.randn() * 2 * np.arange(n) / n + 0.25 * np.random.randn(n)


def sawtooth_season(n):
    """Held out: rises and falls back every 7 steps, times a growing level."""
    return (1 + (np.arange(n) % 7) / 7) * np.exp(np.arange(n) / n) * np.exp(0.06 * np.random.randn(n))


def logistic_trend(n):
    """Held out: growth to a ceiling, with quarters."""
    return 10 / (1 + np.exp(-8 * (np.arange(n) / n - 0.5))) + smooth_season(n, 4) * 0.5 + 0.2 * np.random.randn(n)


def gamma_demand(n):
    """Held out: rare demands of any size."""
    return np.random.gamma(2.0, 3.0, n) * (np.random.rand(n) < np.random.uniform(0.15, 0.5))


def noisy_weekly(n):
    """Held out: a weekly rhythm with Laplacian noise as large as the rhythm itself."""
    return 20 + smooth_season(n, 7) + np.random.laplace(0, 0.6, n)


def steps_up(n):
    """Held out: stairs, one way only, with noise."""
    return np.cumsum((np.random.rand(n) < 0.02) * np.random.uniform(1, 4)) + 0.3 * np.random.randn(n)


HELD_OUT = {square_season: 12, sawtooth_season: 7, logistic_trend: 4, gamma_demand: 1, noisy_weekly: 7,
            steps_up: 1}
