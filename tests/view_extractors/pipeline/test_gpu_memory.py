from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from view_extractors.pipeline.gpu_memory import FittingBatches  # noqa: E402


class Gpu:
    """Doubles numbers, at most ``room`` at once."""

    def __init__(self, room):
        self.room, self.calls = room, []

    def double(self, batch):
        self.calls.append(len(batch))
        if len(batch) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [2 * number for number in batch]


def test_halves_until_it_fits_and_remembers():
    gpu, told = Gpu(room=3), []
    fitting = FittingBatches(told.append)
    assert fitting(gpu.double, range(10)) == list(range(0, 20, 2))
    assert gpu.calls == [10, 5, 2, 2, 2, 2, 2]
    assert told == [5, 2]
    gpu.calls.clear()
    assert fitting(gpu.double, range(5)) == [0, 2, 4, 6, 8]
    assert gpu.calls == [2, 2, 1]


def test_whole_batch_when_there_is_room():
    gpu = Gpu(room=99)
    assert FittingBatches(pytest.fail)(gpu.double, [1, 2]) == [2, 4]
    assert gpu.calls == [2]


def test_one_frame_that_does_not_fit_and_other_errors_are_raised():
    with pytest.raises(torch.OutOfMemoryError):
        FittingBatches(lambda size: None)(Gpu(room=0).double, [1, 2, 3, 4])

    def no_host_memory(batch):
        raise MemoryError

    with pytest.raises(MemoryError):
        FittingBatches(pytest.fail)(no_host_memory, [1, 2])
