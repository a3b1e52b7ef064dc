"""The computing lane: who computes next. One computation at a time, in slices, shared fairly among visitors.

All visitors share two cores, and two computations with two threads each slow each other down tenfold. A computation gives way
between two layers of a model, once it has had its slice and somebody waits who comes first. So no computation has to be cut by
hand, and its result does not depend on when it gave way.
"""

import contextlib
import ipaddress
import itertools
import math
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple, Self

from genmodels.messages import Message

THREADS = 1  # of a computation
SLICE = 0.03  # seconds after which a computation gives way to whoever comes first
BRIEF = 0.005  # the same, if it is not urgent and the other is
PATIENCE = 1.0  # seconds after which a turn that is not urgent counts as urgent
HALF_LIFE = 10.0  # seconds after which half of what a visitor has used no longer counts
MAX_NAMES = 10_000  # whose use is remembered, if they have computed for more than a millisecond lately
MAX_TURNS = 64  # of one address, waiting or running: each keeps a thread of the server
TOO_MANY = Message("{n} computations of yours are waiting already: try again when some of them have ended.", n=MAX_TURNS)


class Visitor(NamedTuple):
    """Who computes. All windows of an address count as one visitor, and beside each other as one each."""

    address: str = ""
    window: str = ""

    @classmethod
    def from_host(cls, host: str, window: str) -> Self:
        """host: of IPv6 the first half counts, since one machine may have all addresses of the other half."""
        with contextlib.suppress(ValueError):
            if (address := ipaddress.ip_address(host)).version == 6:
                host = str(address.ipv4_mapped or ipaddress.ip_network((host, 64), strict=False))
        return cls(host, window)


class Usage:
    """Seconds for which each has computed lately."""

    def __init__(self) -> None:
        self._seconds: dict[object, tuple[float, float]] = {}  # name -> (seconds, the time at which they were as many)

    def seconds(self, clock: float, name: object) -> float:
        seconds, since = self._seconds.get(name, (0.0, clock))
        return seconds * 0.5 ** ((clock - since) / HALF_LIFE)

    def add(self, clock: float, name: object, seconds: float) -> None:
        self._seconds[name] = self.seconds(clock, name) + seconds, clock
        if len(self._seconds) > MAX_NAMES:
            self._seconds = {name: entry for name, entry in self._seconds.items() if self.seconds(clock, name) > 1e-3}


class Lane:
    """One place, which turns take one after another in the order of `Turn.order`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: Turn | None = None
        self._waiting: list[Turn] = []
        self.usage = Usage()

    def enter(self, turn: "Turn") -> None:
        with self._lock:
            turn.waiting_since, turn.running_since, turn.begins = time.monotonic(), math.inf, threading.Event()
            if self._running:
                self._waiting.append(turn)
            else:
                self._begin(turn)
        turn.begins.wait()

    def leave(self, turn: "Turn") -> None:
        with self._lock:
            clock = time.monotonic()
            for name in (turn.visitor.address, turn.visitor):
                self.usage.add(clock, name, clock - turn.running_since)
            self._running = None
            if self._waiting:  # handed over: the one that leaves cannot be back before the other has woken up
                first = min(self._waiting, key=lambda turn: turn.order(clock))
                self._waiting.remove(first)
                self._begin(first)

    def _begin(self, turn):
        self._running, turn.running_since = turn, time.monotonic()
        turn.begins.set()

    def is_wanted(self, turn: "Turn") -> bool:
        """Whether the turn that runs has had its slice, and another comes first."""
        if not self._waiting or (seconds := (clock := time.monotonic()) - turn.running_since) < min(SLICE, BRIEF):
            return False
        with self._lock:
            others = [other for other in self._waiting if seconds >= (BRIEF if other.urgent > turn.urgent else SLICE)]
            return any(other.comes_before(turn, clock) for other in others)


class Turn:
    """One computation. urgent: somebody watches, and it is short, as when a slider moves."""

    def __init__(self, visitor: Visitor, urgent: bool) -> None:
        self.visitor, self.urgent, self.lane = visitor, urgent, MODELS
        self.number = next(_numbers)
        self.waiting_since, self.running_since = 0.0, 0.0  # times; not running: infinity
        self.begins = threading.Event()

    def may_wait(self, clock: float) -> bool:
        return not self.urgent and min(clock, self.running_since) - self.waiting_since < PATIENCE

    def order(self, clock: float) -> tuple:
        """The smallest comes first: what is urgent, then who has computed least lately, then who came first."""
        running = max(0, clock - self.running_since)
        used = [running + self.lane.usage.seconds(clock, name) for name in (self.visitor.address, self.visitor)]
        return self.may_wait(clock), *used, self.number

    def comes_before(self, running: "Turn", clock: float) -> bool:
        """Whether the one that runs gives way to this one. Of one window the first comes first, however long it takes."""
        if self.visitor == running.visitor:
            return self.may_wait(clock) < running.may_wait(clock)
        return self.order(clock) < running.order(clock)

    def move(self, lane: Lane) -> None:
        self.lane.leave(self)
        self.lane = lane
        lane.enter(self)


MODELS, FILES = Lane(), Lane()
_numbers = itertools.count()
_thread = threading.local()  # its turn
_turns: Counter[str] = Counter()  # of each address
_turns_lock = threading.Lock()


@contextlib.contextmanager
def turn(visitor: Visitor, urgent: bool) -> Iterator[None]:
    """Compute in the lane. Raises a ValueError if too many computations of the address wait already."""
    with _turns_lock:
        if _turns[visitor.address] >= MAX_TURNS:
            raise ValueError(TOO_MANY)
        _turns[visitor.address] += 1
    current = Turn(visitor, urgent)
    try:
        MODELS.enter(current)
        _thread.turn = current
        try:
            yield
        finally:
            _thread.turn = None
            MODELS.leave(current)
    finally:
        with _turns_lock:
            _turns[visitor.address] -= 1
            if not _turns[visitor.address]:
                del _turns[visitor.address]


def give_way(*_: object) -> None:
    """Let whoever comes first compute in between, if this thread computes in the lane. Called before each layer of a model."""
    current = getattr(_thread, "turn", None)
    if current and current.lane.is_wanted(current):
        current.move(current.lane)


@contextlib.contextmanager
def beside() -> Iterator[None]:
    """For what is no model's and cannot give way, files and scikit-image: in a lane of its own, while others use the models."""
    current = getattr(_thread, "turn", None)
    if current is None or current.lane is FILES:
        yield
        return
    current.move(FILES)
    try:
        yield
    finally:
        current.move(MODELS)
