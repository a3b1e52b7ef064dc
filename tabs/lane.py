"""The computing lane: who computes next. One computation at a time, in slices, shared fairly among visitors.

All visitors share two cores, and two computations with two threads each slow each other down tenfold. A computation gives way
between two layers of a model, once it has had its slice and somebody waits who comes first. So no computation has to be cut by
hand, and its result does not depend on when it gave way.

What is urgent comes first, and what is not still gets its share of the time, however many sliders move: while it waits, the
lane owes it some of the seconds that they take, and once these are worth a change of turns it computes until it has had them.
Among what is equally urgent, whoever has computed least lately comes first.
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
LOOK = 0.002  # seconds between two looks at who waits: if many do, a look takes as long as a small layer
DEBT = 0.03  # seconds owed to what is not urgent, from which on it comes first
MAX_DEBT = 2 * DEBT
SHARE = 0.5  # of the time, for what is not urgent, while both wait
HALF_LIFE = 5.0  # seconds after which half of what a visitor has used no longer counts
MAX_NAMES = 10_000  # whose use is remembered, if they have computed for more than a millisecond lately
MAX_TURNS = 64  # of one address, waiting or running: each keeps a thread of the server
TOO_MANY = Message(
    "At most {n} computations of one address are accepted at a time: try again when some of yours have ended.", n=MAX_TURNS
)


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
    """Seconds of CPU time that each has used lately.

    A turn of many small layers waits for Python's lock, which the server's threads take, for half of the time that it runs.
    """

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
        self._debt = 0.0  # seconds owed to what is not urgent, when the running turn began
        self.usage = Usage()

    def enter(self, turn: "Turn") -> None:
        self.line_up(turn)
        turn.begins.wait()
        turn.cpu_since = time.thread_time()

    def line_up(self, turn: "Turn") -> None:
        with self._lock:
            turn.running_since, turn.begins = math.inf, threading.Event()
            if self._running:
                self._waiting.append(turn)
            else:
                self._begin(turn)

    def present(self) -> list["Turn"]:
        """All turns, as they would come if nobody else came."""
        with self._lock:
            clock = time.monotonic()
            due = bool(self._running) and self._is_due(self._running, clock)
            return [*filter(None, [self._running]), *sorted(self._waiting, key=lambda turn: turn.order(clock, due))]

    def leave(self, turn: "Turn") -> None:
        with self._lock:
            clock = time.monotonic()
            for name in (turn.visitor.address, turn.visitor):
                self.usage.add(clock, name, time.thread_time() - turn.cpu_since)
            due, self._debt = self._is_due(turn, clock), self._debt_after(turn, clock)
            self._running = None
            if self._waiting:  # handed over: the one that leaves cannot be back before the other has woken up
                first = min(self._waiting, key=lambda turn: turn.order(clock, due))
                self._waiting.remove(first)
                self._begin(first)

    def _begin(self, turn):
        self._running, turn.running_since, turn.has_begun = turn, time.monotonic(), True
        turn.next_look = turn.running_since + min(SLICE, BRIEF)
        turn.begins.set()

    def _debt_after(self, turn, clock):
        """What is owed if the turn that runs ends now."""
        seconds = clock - turn.running_since
        if not turn.urgent:
            return max(0.0, self._debt - seconds)
        waits = any(not other.urgent for other in self._waiting)
        return min(MAX_DEBT, self._debt + waits * seconds * SHARE / (1 - SHARE))

    def _is_due(self, turn, clock):
        """Whether what is not urgent comes first after the turn that runs. Once begun, the debt is paid to its end."""
        return self._debt_after(turn, clock) > (DEBT if turn.urgent else 0)

    def is_wanted(self, turn: "Turn") -> bool:
        """Whether the turn that runs has had its slice, and another comes first."""
        clock = time.monotonic()
        if not self._waiting or clock < turn.next_look:
            return False
        with self._lock:
            seconds, turn.next_look = clock - turn.running_since, clock + LOOK
            others = [other for other in self._waiting if seconds >= (BRIEF if other.urgent > turn.urgent else SLICE)]
            due = self._is_due(turn, clock)
            return any(other.comes_before(turn, clock, due) for other in others)


class Turn:
    """One computation. urgent: somebody watches, and it is short, as when a slider moves."""

    def __init__(self, visitor: Visitor, urgent: bool) -> None:
        self.visitor, self.urgent, self.lane = visitor, urgent, MODELS
        self.number = next(_numbers)
        self.running_since = self.next_look = math.inf  # times, while it runs
        self.cpu_since = 0.0  # CPU time of its thread, when it began to run
        self.has_begun = False
        self.begins = threading.Event()

    def order(self, clock: float, due: bool) -> tuple:
        """The smallest comes first: what is urgent, then who has computed least lately, then who came first.

        due: whether what is not urgent comes before what is.
        """
        running = max(0, clock - self.running_since)
        used = [running + self.lane.usage.seconds(clock, name) for name in (self.visitor.address, self.visitor)]
        return self.urgent == due, *used, self.number

    def comes_before(self, running: "Turn", clock: float, due: bool) -> bool:
        """Whether the one that runs gives way to this one. Of one window the first comes first, however long it takes."""
        if self.visitor == running.visitor and self.urgent == running.urgent:
            return False
        return self.order(clock, due) < running.order(clock, due)

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


class Place(NamedTuple):
    """Where a window's computation stands. ahead: how many come before it, None if it has begun. others: how many there are."""

    ahead: int | None
    others: int


def place(window: str) -> Place | None:
    """Of the window's computation that comes first; None if it has none."""
    found, others = [], 0
    for lane in (MODELS, FILES):
        turns = lane.present()
        places = [i for i, turn in enumerate(turns) if turn.visitor.window == window]
        others += len(turns) - len(places)
        found += [None if turns[i].has_begun else i for i in places[:1]]
    return Place(min(found, key=lambda ahead: -1 if ahead is None else ahead), others) if found else None


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
