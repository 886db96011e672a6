"""Events of purchases -> orders, by plain loops: their events, and the evidence that the two types share.

Written from "Which events are one order" in consumers/warehouse/analytics/README.md, not from the view's SQL.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any, Self
from zlib import crc32

MATCH_MS = 30 * 60_000
_RUN_MAX = 100
_DIGITS_MAX = 20
_SPACES = " \t\r\n"

Row = dict[str, Any]


@dataclass(eq=False)
class Order:
    """The events of one purchase, by time."""

    rows: list[Row]
    matched_by: str

    @property
    def place(self) -> tuple[int, int]:
        """Return its place among others: by time, and within one moment by its event_id."""
        return place(self.rows[0])

    @property
    def types(self) -> set[str]:
        """The types of its events."""
        return {row["type"] for row in self.rows}

    def first(self, name: str) -> str:
        """Return the value of the first event that has one."""
        return next((row[name] for row in self.rows if row[name]), "")

    @classmethod
    def of(cls, rows: Iterable[Row], matched_by: str) -> Self:
        """Return the order of these events."""
        return cls(sorted(rows, key=place), matched_by)


def orders(rows: Iterable[Row], match_ms: int = MATCH_MS) -> list[Order]:
    """Return the orders of the events."""
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["app"], *_key(row)].append(row)
    found = [
        Order.of(group, "checkout_id" if len({row["type"] for row in group}) > 1 else "none")
        for group in groups.values()
    ]
    for evidence in ("device", "session", "shopper"):
        found = list(_matched(found, evidence, match_ms))
    return found


def place(row: Row) -> tuple[int, int]:
    """Return the sort key of events."""
    return row["at"], crc32(row["id"].encode()) % (1 << 20)


def bare(sent: str) -> str:
    """Return an id without surrounding blanks, and the object of a gid:// form."""
    text = sent.strip(_SPACES)
    path = text.removeprefix("gid://").partition("?")[0]
    before, _, tail = path.rpartition("/")
    return tail if text.startswith("gid://") and before and tail else text


def kind(checkout_id: str) -> str:
    """Return the kind of a bare checkout_id."""
    if not checkout_id:
        return "none"
    if set(checkout_id) <= set("0123456789") and len(checkout_id) <= _DIGITS_MAX:
        return "number"
    return "token" if set(checkout_id.lower()) <= set("0123456789abcdef") else "text"


def _key(row: Row) -> tuple[str, ...]:
    checkout_id, order_id = bare(row["checkout"]), bare(row["order"])
    if checkout_id:
        which = kind(checkout_id)
        return which, checkout_id.lower() if which == "token" else checkout_id
    return ("order_id", order_id) if order_id else ("event_id", row["type"], row["id"])


def _matched(found: list[Order], evidence: str, match_ms: int) -> Iterator[Order]:
    """Yield the orders after matching by one kind of evidence."""
    pools: dict[tuple[str, str], list[Order]] = defaultdict(list)
    for order in found:
        value = bare(order.first(evidence)) if evidence == "shopper" else order.first(evidence)
        is_open = len(order.types) == 1 and bare(order.first("checkout"))
        if is_open and value:
            pools[order.rows[0]["app"], value].append(order)
        else:
            yield order
    for pool in pools.values():
        for run in _runs(sorted(pool, key=lambda order: order.place), match_ms):
            yield from run if len(run) > _RUN_MAX else _greedy(run, evidence, match_ms)


def _runs(pool: list[Order], match_ms: int) -> Iterator[list[Order]]:
    """Yield the orders between two gaps."""
    run = pool[:1]
    for one, following in pairwise(pool):
        if following.place[0] - one.place[0] > match_ms:
            yield run
            run = []
        run.append(following)
    yield run


def _greedy(run: list[Order], evidence: str, match_ms: int) -> Iterator[Order]:
    """Yield the run's orders; the nearest two become one first."""
    pairs = [
        (abs(one.place[0] - other.place[0]), one.place, other.place, one, other)
        for one, other in product(run, run)
        if (one.types, other.types) == ({"OrderCreated"}, {"PurchaseCompleted"})
        and kind(bare(one.first("checkout"))) != kind(bare(other.first("checkout")))
    ]
    taken: set[Order] = set()
    for apart_ms, _, _, one, other in sorted(pairs, key=lambda pair: pair[:3]):
        if apart_ms <= match_ms and one not in taken and other not in taken:
            taken |= {one, other}
            yield Order.of([*one.rows, *other.rows], evidence)
    yield from (order for order in run if order not in taken)
