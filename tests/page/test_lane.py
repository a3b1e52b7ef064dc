"""The computing lane: who comes first, and how much of the time each gets."""

import sys
import threading
import time
from types import SimpleNamespace

import pytest
from helpers import is_sentence
from helpers_lane import SECONDS, waiting

from tabs import lane

ONE, OTHER = lane.Visitor("192.0.2.1", "a"), lane.Visitor("192.0.2.2", "b")
USED = "192.0.2.3"  # has computed before


def in_order(*turns, meanwhile=lambda: None):
    """The order in which turns, (name, visitor, urgent), compute if they come in this order while the lane is taken.

    meanwhile: called while all of them wait.
    """
    order, threads = [], []

    def compute(name, visitor, urgent):
        with lane.turn(visitor, urgent):
            order.append(name)

    with lane.turn(lane.Visitor(USED), False):
        for i, turn in enumerate(turns):
            threads.append(threading.Thread(target=compute, args=turn, daemon=True))
            threads[-1].start()
            waiting(i + 1)
        meanwhile()
    for thread in threads:
        thread.join(SECONDS)
    return order


def test_what_somebody_watches_comes_first(lanes):
    first = in_order(("run", ONE, False), ("slider", OTHER, True), ("API", lane.Visitor("192.0.2.4"), False))
    assert first == ["slider", "run", "API"]


def test_who_has_computed_least_comes_first(lanes):
    lane.MODELS.usage.add(time.monotonic(), ONE.address, 1.0)
    assert in_order(("one", ONE, True), ("one again", ONE, True), ("other", OTHER, True)) == ["other", "one", "one again"]


def test_ten_windows_of_a_visitor_count_as_one(lanes):
    """The other's move is answered after at most one of theirs, and each window gets its turn."""
    windows = [lane.Visitor(ONE.address, f"window {i}") for i in range(10)]
    lane.MODELS.usage.add(time.monotonic(), OTHER.address, 1e-9)
    order = in_order(*((i, window, True) for i, window in enumerate(windows)), ("other", OTHER, True))
    assert order.index("other") <= 1
    assert sorted(set(order) - {"other"}) == list(range(10))


def who_ends_first(running, other):
    """ "running" or "other": the turns are (visitor, urgent), and the first is asked to give way as the other waits."""
    ended = []

    def compute():
        with lane.turn(*other):
            ended.append("other")

    thread = threading.Thread(target=compute, daemon=True)
    with lane.turn(*running):
        thread.start()
        waiting(1)
        time.sleep(0.01)
        lane.give_way()
        ended.append("running")
    thread.join(SECONDS)
    return ended[0]


def test_a_long_computation_gives_way_to_who_has_computed_less(lanes):
    lane.MODELS.usage.add(time.monotonic(), OTHER.address, 0.001)  # and the running one nothing before
    assert who_ends_first((ONE, True), (OTHER, True)) == "other"
    lane.MODELS.usage.add(time.monotonic(), OTHER.address, 10.0)
    assert who_ends_first((ONE, True), (OTHER, True)) == "running"


def test_of_one_window_the_first_comes_first_unless_the_second_is_urgent(lanes):
    assert who_ends_first((ONE, True), (ONE, True)) == "running"
    assert who_ends_first((ONE, False), (ONE, False)) == "running"
    assert who_ends_first((ONE, False), (ONE, True)) == "other"
    assert who_ends_first((ONE, True), (ONE, False)) == "running"


def test_nobody_gives_way_before_a_slice_has_passed(lanes, monkeypatch):
    monkeypatch.setattr(lane, "SLICE", 1000.0)
    lane.MODELS.usage.add(time.monotonic(), OTHER.address, 0.001)
    assert who_ends_first((ONE, True), (OTHER, True)) == "running"
    assert who_ends_first((ONE, False), (OTHER, True)) == "other", "what is urgent waits for less"
    monkeypatch.setattr(lane, "BRIEF", 1000.0)
    assert who_ends_first((ONE, False), (OTHER, True)) == "running"


def test_of_two_windows_the_one_that_computed_less_comes_first(lanes):
    one, two = lane.Visitor(ONE.address, "one"), lane.Visitor(ONE.address, "two")
    lane.MODELS.usage.add(time.monotonic(), one, 1.0)
    assert in_order(("one", one, True), ("two", two, True)) == ["two", "one"]


# --- How much of the time each gets ----------------------------------------------------------------------------------

MOVE, LAYER, STEP = 0.005, 0.002, 0.04  # seconds that a slider's move, a layer, and a step of many layers compute


@pytest.fixture
def clock(monkeypatch):
    """A list with the lane's time and a thread's CPU time, which pass only where a test lets them."""
    clock = [100.0, 0.0]
    monkeypatch.setattr(lane, "time", SimpleNamespace(monotonic=lambda: clock[0], thread_time=lambda: clock[1]))
    monkeypatch.setattr(lane, "MODELS", lane.Lane())
    return clock


def share(clock, sliders, runs, seconds=10.0, busy=()):
    """({visitor: its share of the time}, the longest that a move has waited), if all of them always want to compute.

    busy: for each visitor, which part of the time that it runs is CPU time; of others all is.
    """
    busy = dict(busy)
    computed, begun, longest = {}, {}, 0.0

    def ask(visitor, urgent):
        begun[visitor] = clock[0]
        lane.MODELS.line_up(lane.Turn(visitor, urgent))

    for i in range(sliders + runs):
        ask(lane.Visitor(f"{'slider' if i < sliders else 'run'} {i}"), i < sliders)
    end = clock[0] + seconds
    while clock[0] < end:
        turn, start = lane.MODELS._running, clock[0]
        turn.cpu_since = clock[1]
        if turn.urgent:
            longest = max(longest, start - begun[turn.visitor])
            clock[0] += MOVE
        while not turn.urgent and clock[0] < start + STEP:
            clock[0] += LAYER
            if lane.MODELS.is_wanted(turn):
                break
        clock[1] += busy.get(turn.visitor.address, 1) * (clock[0] - start)
        computed[turn.visitor.address] = computed.get(turn.visitor.address, 0.0) + clock[0] - start
        lane.MODELS.leave(turn)
        ask(turn.visitor, turn.urgent)
    return {name: used / seconds for name, used in computed.items()}, longest


@pytest.mark.parametrize(("sliders", "runs"), [(1, 1), (16, 7), (64, 1)])
def test_runs_get_their_share_however_many_sliders_move(clock, sliders, runs):
    shares, longest = share(clock, sliders, runs)
    of_runs = [part for name, part in shares.items() if name.startswith("run")]
    of_sliders = [part for name, part in shares.items() if name.startswith("slider")]
    assert sum(of_runs) > lane.SHARE - 0.02
    assert sliders == 1 or sum(of_runs) < lane.SHARE + 0.05  # a single slider leaves the lane empty between two moves
    assert min(of_runs) > 0.7 * max(of_runs) and min(of_sliders) > 0.7 * max(of_sliders)
    assert longest < 2 * sliders * MOVE / (1 - lane.SHARE) + 2 * lane.DEBT


@pytest.mark.parametrize(("sliders", "runs"), [(0, 3), (4, 0)])
def test_who_is_alone_gets_all_of_the_time(clock, sliders, runs):
    shares, longest = share(clock, sliders, runs)
    assert sum(shares.values()) == pytest.approx(1, abs=0.01) and min(shares.values()) > 0.2
    assert longest < 5 * MOVE


def test_who_waits_for_the_interpreter_while_it_runs_is_given_the_time_back(clock):
    shares, _longest = share(clock, 0, 4, busy={"run 0": 0.5})
    assert shares["run 0"] == pytest.approx(2 / 5, abs=0.03)


def test_a_short_turn_keeps_what_it_is_owed_for_the_next(clock, monkeypatch):
    """Steps of one layer, each of which asks for a turn of its own, get as much of the time as long ones."""
    monkeypatch.setattr(sys.modules[__name__], "STEP", LAYER)
    shares, _longest = share(clock, 8, 2)
    assert sum(part for name, part in shares.items() if name.startswith("run")) == pytest.approx(lane.SHARE, abs=0.05)


def test_one_long_move_does_not_shut_out_the_others(clock):
    """The lane owes no more than a short while, whatever took place in it."""
    slider, run = lane.Turn(ONE, True), lane.Turn(OTHER, False)
    lane.MODELS.line_up(slider)
    lane.MODELS.line_up(run)
    clock[0] += 30.0
    lane.MODELS.leave(slider)
    lane.MODELS.line_up(lane.Turn(lane.Visitor(USED), True))
    assert lane.MODELS._running is run and not lane.MODELS.is_wanted(run)
    clock[0] += 1.1 * lane.MAX_DEBT
    assert lane.MODELS.is_wanted(run)


def test_what_was_used_long_ago_does_not_count():
    usage, clock = lane.Usage(), [100.0]
    usage.add(clock[0], "a", 4.0)
    clock[0] += 2 * lane.HALF_LIFE
    assert usage.seconds(clock[0], "a") == pytest.approx(1.0)
    usage.add(clock[0], "a", 1.0)
    assert usage.seconds(clock[0], "a") == pytest.approx(2.0) and usage.seconds(clock[0], "b") == 0
    clock[0] += 50 * lane.HALF_LIFE
    for i in range(lane.MAX_NAMES + 9):
        usage.add(clock[0], i, 0.0)
    assert len(usage._seconds) < 20


def test_a_visitor_with_too_many_requests_gets_a_sentence_and_others_compute(lanes, monkeypatch):
    monkeypatch.setattr(lane, "MAX_TURNS", 3)
    requests = [(i, lane.Visitor(ONE.address, str(i)), True) for i in range(3)]
    refused = []

    def refuse():
        with pytest.raises(ValueError, match="At most .* computations of one address") as error, lane.turn(ONE, True):
            pass
        refused.append(str(error.value))

    assert set(in_order(*requests, ("other", OTHER, True), meanwhile=refuse)) == {0, 1, 2, "other"}
    assert is_sentence(refused[0])
    with lane.turn(ONE, True):
        pass
    assert not lane._turns


def test_each_is_told_its_place(lanes):
    """Who has begun has none; who waits is behind it, and behind those who come before."""
    lane.MODELS.usage.add(time.monotonic(), ONE.address, 1.0)
    places = {}

    def look():
        places.update({window: lane.place(window) for window in ("", "a", "b", "nobody")})

    in_order(("one", ONE, True), ("other", OTHER, True), meanwhile=look)
    assert places == {"": (None, 2), "b": (1, 2), "a": (2, 2), "nobody": None}


def test_who_has_begun_has_begun_though_it_gives_way(lanes):
    turn, other = lane.Turn(ONE, False), lane.Turn(OTHER, True)
    lane.MODELS.enter(turn)
    lane.MODELS.line_up(other)
    lane.MODELS.leave(turn)  # gives way
    lane.MODELS.line_up(turn)
    assert lane.place("a") == (None, 1) and lane.place("b") == (None, 1)
    lane.MODELS.leave(other)
    lane.MODELS.leave(turn)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_a_visitor_is_an_address_and_of_ipv6_a_network(host, address):
    assert lane.Visitor.from_host(host, "a") == (address, "a")
