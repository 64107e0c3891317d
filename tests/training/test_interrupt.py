from __future__ import annotations

import os
import signal

import pytest

from cocon.training.interrupt import SIGNALS, stop_requests


@pytest.mark.parametrize("number", SIGNALS)
def test_first_signal_is_noted(number: signal.Signals) -> None:
    before = [signal.getsignal(s) for s in SIGNALS]
    with stop_requests() as stop:
        assert not stop
        os.kill(os.getpid(), number)
        assert stop
        assert stop.signal == number
    assert [signal.getsignal(s) for s in SIGNALS] == before


def test_second_signal_has_its_usual_effect() -> None:
    with stop_requests() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert stop.signal == signal.SIGTERM
