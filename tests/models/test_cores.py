"""Work in pieces on idle cores: the results in order, errors, and no more threads than cores."""

import threading
import time

import pytest
import torch

from genmodels import cores


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr(cores, "cores", lambda: 2 * torch.get_num_threads())


def test_two_threads_share_the_pieces_and_results_keep_their_order(two_cores):
    meeting = threading.Barrier(2, timeout=20)  # passed only by two pieces at the same time
    threads = set()

    def square(i):
        if i < 2:
            meeting.wait()
        threads.add(threading.get_ident())
        return i**2

    assert cores.map_on_idle_cores(square, range(20)) == [i**2 for i in range(20)]
    assert len(threads) == 2


def test_helpers_compute_without_gradients_and_with_the_threads_of_the_caller(two_cores):
    meeting, weight = threading.Barrier(2, timeout=20), torch.ones(1, requires_grad=True)

    def piece(i):
        meeting.wait()
        return (weight * i).requires_grad, torch.get_num_threads()

    assert cores.map_on_idle_cores(piece, range(2)) == [(False, torch.get_num_threads())] * 2


def test_without_an_idle_core_the_caller_computes_all(monkeypatch):
    monkeypatch.setattr(cores, "cores", torch.get_num_threads)
    assert cores.map_on_idle_cores(lambda i: threading.get_ident(), range(5)) == [threading.get_ident()] * 5


def test_callers_that_find_the_helper_busy_compute_alone(two_cores, monkeypatch):
    pool = cores.ThreadPoolExecutor(1)
    monkeypatch.setattr(cores, "_helpers", lambda: pool)
    done = threading.Event()
    busy = pool.submit(done.wait, 20)
    assert cores.map_on_idle_cores(lambda i: threading.get_ident(), range(5)) == [threading.get_ident()] * 5
    done.set()
    assert busy.result() and pool._work_queue.empty()


@pytest.mark.parametrize("by_helper", [False, True])
def test_an_error_ends_all_and_is_raised(two_cores, by_helper):
    meeting, begun, caller = threading.Barrier(2, timeout=20), [], threading.get_ident()

    def piece(i):
        begun.append(i)
        if i < 2:
            meeting.wait()
            if (threading.get_ident() != caller) == by_helper:
                raise ValueError("broken")
        time.sleep(0.001)
        return i

    with pytest.raises(ValueError, match="broken"):
        cores.map_on_idle_cores(piece, range(1000))
    assert by_helper or len(begun) < 1000
    assert cores.map_on_idle_cores(lambda i: i, range(4)) == [0, 1, 2, 3]  # the helpers live on
