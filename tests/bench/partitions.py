"""`python -m tests.bench.partitions`: merchants over 12, 48, 192 partitions -> balance, freshness, a plot.

A key is one partition, by Kafka's own murmur2, so the greatest merchant limits the gain from partitions. The
model: each merchant has its share of the rate. A loader takes `LOADER_PER_SECOND` and owns as many partitions
as every other one; a loader that gets more falls behind for as long as the peak lasts. "Split": a merchant of
more than a quarter of a fair part has several keys, distinguished by a number after its app id. "Hot": one
app has 80% of the events, with a key of the app or of the device (INGEST_KEY). Invariant: pure but for the
file it writes; the same seed gives the same plot. Shares are Zipf's: the merchant of rank r has a share of
1 / r^s.
"""

import argparse
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from matplotlib.figure import Figure

from runtime.kafka.record_key import KEYS, KeyOf
from tests.bench.plots import save
from tests.bench.report import table

MERCHANTS = 10_000
PARTITIONS = (12, 48, 192)
LOADER_PER_SECOND = 26_000  # of one loader and a core of ClickHouse: see RESULTS.md, "Loaders"
PEAK_SECONDS = 3600.0
_KEYS_PER_PART = 4
_USED = 0.5  # average load of a loader; determines their number
_FRESH_SECONDS = 1.0  # where no loader falls behind: a batch's age and its insert
_SHOWN = (*((partitions, False) for partitions in PARTITIONS), (PARTITIONS[-1], True))
_RATES = (1e3, 1e5, 1e6, 1e7)
SKEWS = (0.8, 1.0, 1.2)  # Zipf
HOT_SHARE, HOT_DEVICES = 0.8, 100_000  # of the one hot app
_MASK = 0xFFFFFFFF
_SEED, _MULTIPLIER, _SHIFT = 0x9747B28C, 0x5BD1E995, 24


@dataclass(frozen=True, slots=True)
class Balance:
    """The effect of one number of partitions on one skew."""

    partitions: int
    loads: tuple[float, ...]  # share of all events, by partition
    top: float  # share of the greatest merchant

    @property
    def hottest(self) -> float:
        """The hottest partition's load; 1 is its fair part."""
        return max(self.loads) * self.partitions

    def busiest(self, loaders: int) -> float:
        """Return the share of all events of the busiest of that many loaders."""
        return max(sum(self.loads[first::loaders]) for first in range(min(loaders, self.partitions)))


@dataclass(frozen=True, slots=True)
class Loading:
    """How loaders keep up with a rate."""

    rate: float  # events/s, of all merchants
    loaders: int
    worst: float  # load of the busiest loader, relative to its capacity

    def freshness_seconds(self, peak_seconds: float) -> float:
        """Return the age of the oldest event that can't be queried, at the end of a peak."""
        return _FRESH_SECONDS + (peak_seconds * (1 - 1 / self.worst) if self.worst > 1 else 0.0)


def loading(found: Balance, rate: float) -> Loading:
    """Return the loading of loaders whose number suffices on average and does not exceed the partitions."""
    wanted = max(1, round(rate / (LOADER_PER_SECOND * _USED)))
    loaders = min(wanted, found.partitions)
    return Loading(rate, loaders, rate * found.busiest(loaders) / LOADER_PER_SECOND)


def murmur2(data: bytes) -> int:
    """Return Kafka's hash of a key, as 32 bits. Source: org.apache.kafka.common.utils.Utils.murmur2."""
    length = len(data)
    value = (_SEED ^ length) & _MASK
    for start in range(0, length - length % 4, 4):
        word = int.from_bytes(data[start : start + 4], "little") * _MULTIPLIER & _MASK
        word = (word ^ word >> _SHIFT) * _MULTIPLIER & _MASK
        value = value * _MULTIPLIER & _MASK ^ word
    if rest := data[length - length % 4 :]:
        value = (value ^ int.from_bytes(rest, "little")) * _MULTIPLIER & _MASK
    value = (value ^ value >> 13) * _MULTIPLIER & _MASK
    return value ^ value >> 15


def partition(key: bytes, partitions: int) -> int:
    """Return the partition that Kafka's default partitioner gives a key."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def balance(partitions: int, skew: float, keys: Sequence[bytes], *, split: bool = False) -> Balance:
    """Return how the merchants `keys`, the greatest first, load the partitions."""
    weights = [1 / rank**skew for rank in range(1, len(keys) + 1)]
    total, loads = sum(weights), [0.0] * partitions
    for key, weight in zip(keys, weights, strict=True):
        share = weight / total
        count = max(1, ceil(share * partitions * _KEYS_PER_PART)) if split else 1
        for number in range(count):
            loads[partition(b"%b#%d" % (key, number) if number else key, partitions)] += share / count
    return Balance(partitions, tuple(loads), weights[0] / total)


def hot(partitions: int, keys: Sequence[bytes], key_of: KeyOf, devices: int = HOT_DEVICES) -> Balance:
    """Return the load if the first of `keys` has HOT_SHARE, of equal devices, and Zipf's rest the others."""
    rest = balance(partitions, 1.0, keys[1:])
    loads = [load * (1 - HOT_SHARE) for load in rest.loads]
    for number in range(devices):
        loads[partition(key_of(keys[0].decode(), f"{number:032x}"), partitions)] += HOT_SHARE / devices
    return Balance(partitions, tuple(loads), HOT_SHARE)


def keys(count: int = MERCHANTS, seed: int = 1) -> list[bytes]:
    """Return app ids that look like Tapcart's: random texts of 24 hexadecimal digits."""
    rng = random.Random(seed)
    return [b"%024x" % rng.getrandbits(96) for _ in range(count)]


Found = Mapping[tuple[float, int, bool], Balance]  # (skew, partitions, split)


def main() -> int:
    """Print the tables and draw the plot."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.partitions", description=__doc__)
    parser.add_argument("--merchants", type=int, default=MERCHANTS)
    merchants = keys(parser.parse_args().merchants)
    found = {
        (skew, partitions, split): balance(partitions, skew, merchants, split=split)
        for skew in SKEWS
        for partitions in PARTITIONS
        for split in (False, True)
    }
    lines = [*_balances(found), "", *_rates(found), "", *_hot(merchants)]
    sys.stdout.write("\n".join(lines) + "\n")
    _plot(found)
    return 0


def _balances(found: Found) -> list[str]:
    rows = [
        [
            f"{skew:g}",
            _name(partitions, split=split),
            f"{one.top:.1%}",
            f"{max(one.loads):.1%}",
            f"{one.hottest:.1f}",
            f"{LOADER_PER_SECOND / max(one.loads):,.0f}",
        ]
        for (skew, partitions, split), one in found.items()
    ]
    header = (
        "skew",
        "partitions",
        "greatest merchant",
        "hottest partition",
        "to its fair part",
        "events/s at most",
    )
    return table(header, rows)


def _rates(found: Found) -> list[str]:
    rows = []
    for rate in _RATES:
        for partitions, split in _SHOWN:
            one = loading(found[1.0, partitions, split], rate)
            name = _name(partitions, split=split)
            fresh = one.freshness_seconds(PEAK_SECONDS)
            rows.append([f"{rate:,.0f}", name, str(one.loaders), f"{one.worst:.0%}", f"{fresh:,.0f}"])
    header = ("events/s", "partitions", "loaders", "the busiest one", "worst freshness after an hour, s")
    return table(header, rows)


def _hot(merchants: Sequence[bytes]) -> list[str]:
    rows = []
    for partitions in PARTITIONS:
        for name, key_of in KEYS.items():
            one = hot(partitions, merchants, key_of)
            most, least = max(one.loads), min(one.loads)
            rows.append(
                [name, str(partitions), f"{most:.1%}", f"{least:.1%}", f"{LOADER_PER_SECOND / most:,.0f}"]
            )
    header = ("INGEST_KEY", "partitions", "hottest partition", "coolest", "events/s at most")
    return table(header, rows)


def _plot(found: Found) -> None:
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    rates = [10 ** (3 + step / 10) for step in range(41)]
    for partitions, split in _SHOWN:
        one, name = found[1.0, partitions, split], _name(partitions, split=split)
        shares = sorted((load * partitions for load in one.loads), reverse=True)
        left.step(
            [n / partitions for n in range(partitions)],
            shares,
            where="post",
            label=name,
        )
        worst = [loading(one, rate).freshness_seconds(PEAK_SECONDS) for rate in rates]
        right.plot(rates, worst, label=name)
    left.set(title="Load of partitions, 1 is fair", xlabel="partitions, the hottest first", yscale="log")
    right.set(title="Worst freshness after an hour, s", xlabel="events/s", xscale="log", yscale="log")
    for axes in (left, right):
        axes.title.set_fontsize(10)
        axes.legend(fontsize=8, frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    save(figure, "partitions")


def _name(partitions: int, *, split: bool) -> str:
    return f"{partitions}{', split' if split else ''}"


if __name__ == "__main__":
    sys.exit(main())
