from __future__ import annotations

import threading
import time

import pytest

from view_extractors.pipeline.threads import Behind, ahead


def wait_for(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def numbers(count, made=None, fail_at=None):
    try:
        for i in range(count):
            if i == fail_at:
                raise ValueError(f"item {i}")
            if made is not None:
                made.append(i)
            yield i
    finally:
        if made is not None:
            made.append("closed")


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = threading.active_count()
    yield
    assert threading.active_count() <= before  # one of another test may have been ending


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_order_is_kept(depth):
    seen = []
    with Behind(seen.append, depth) as sink, ahead(numbers(50), depth) as items:
        for item in items:
            sink.put(10 * item)
    assert seen == [10 * i for i in range(50)]


def test_production_runs_ahead_but_not_far():
    made = []
    with ahead(numbers(50, made), 2) as items:
        assert next(items) == 0
        wait_for(lambda: len(made) == 4)  # one taken, two waiting, one in the maker's hand
        time.sleep(0.02)
        assert made == [0, 1, 2, 3]
    assert made[-1] == "closed"


@pytest.mark.parametrize("depth", [0, 2])
def test_error_of_production_comes_after_the_items_before_it(depth):
    taken = []

    def run():
        with ahead(numbers(9, fail_at=3), depth) as items:
            for item in items:
                taken.append(item)

    with pytest.raises(ValueError, match="item 3"):
        run()
    assert taken == [0, 1, 2]


@pytest.mark.parametrize("depth", [0, 2])
def test_leaving_early_closes_the_source(depth):
    made = []

    def run():
        with ahead(numbers(50, made), depth) as items:
            next(items)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert made[-1] == "closed"
    assert len(made) < 8


def test_waiting_items_are_bounded():
    release, seen = threading.Event(), []

    def consume(item):
        release.wait(10)
        seen.append(item)

    def fill():
        with Behind(consume, 2) as sink:
            for i in range(8):
                sink.put(i)
                put.append(i)

    put = []
    thread = threading.Thread(target=fill)
    thread.start()
    wait_for(lambda: len(put) == 2)
    time.sleep(0.02)
    assert put == [0, 1]
    release.set()
    thread.join()
    assert seen == list(range(8))


def test_error_of_consumption_reaches_the_caller_and_what_follows_is_dropped():
    seen = []

    def consume(item):
        if item == 2:
            raise OSError("full")
        seen.append(item)

    def run(count):
        with Behind(consume, 2) as sink:
            for i in range(count):
                sink.put(i)

    with pytest.raises(OSError, match="full"):
        run(50)
    with pytest.raises(OSError, match="full"):
        run(3)  # only noticed when the context is left
    assert seen == [0, 1, 0, 1]


def test_what_was_put_is_consumed_even_when_the_caller_fails():
    seen = []

    def slow(item):
        time.sleep(0.01)
        seen.append(item)

    def run():
        with Behind(slow, 3) as sink:
            for i in range(3):
                sink.put(i)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert seen == [0, 1, 2]


def test_heavy_items_take_more_room_and_one_alone_may_be_too_heavy():
    release, put = threading.Semaphore(0), []

    def fill():
        with Behind(lambda _: release.acquire(timeout=10), 10) as sink:
            for weight in (25, 4, 6, 1):
                sink.put(weight, weight)
                put.append(weight)

    thread = threading.Thread(target=fill)
    thread.start()
    for waiting in ([25], [25, 4, 6], [25, 4, 6, 1]):
        wait_for(lambda waiting=waiting: put == waiting)
        time.sleep(0.02)
        assert put == waiting
        release.release()
    release.release(4)
    thread.join()
