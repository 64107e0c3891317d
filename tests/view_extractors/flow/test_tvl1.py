from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch

from cocon.config.schema import FlowExtraction, Tvl1PresetParameters
from cocon.shards import Shard
from cocon.shards.codecs import decode as decoded
from cocon.video import decode
from tests.view_extractors.conftest import texture
from tests.view_extractors.flow import tvl1_reference as reference
from view_extractors.base import Output, Resources, finished
from view_extractors.flow.tvl1 import batched, compiled, cpu, on_gpu
from view_extractors.flow.tvl1.extractor import Tvl1
from view_extractors.flow.tvl1.iteration import iterate
from view_extractors.flow.tvl1.on_gpu import Tvl1OnGpu
from view_extractors.flow.tvl1.queue import FlowQueue
from view_extractors.flow.tvl1.scheme import Scheme, scheme_of
from view_extractors.flow.tvl1_opencv import Tvl1OpenCv
from view_extractors.pipeline import stages
from view_extractors.pipeline.run import extract
from view_extractors.registry import extractor_class

PRESETS = ("exact", "fast")
FEW = Tvl1PresetParameters(scales=3, warps=2, iterations=6, epsilon=0)


def ready(threads: int = 1, **options: object) -> Tvl1:
    extractor = Tvl1(FlowExtraction.model_validate({"tvl1": options}))
    extractor.prepare(Resources(threads, device="cpu"))
    return extractor


def deformed(height: int = 100, width: int = 130) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two pictures and the flow (H, W, 2) of up to 3 px that leads from the first to the second."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    u, v = 2 + np.sin(y / 17), np.cos(x / 23)
    second = texture(height, width)
    first = cv2.remap(second, x + u, y + v, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return first, second, np.stack([u, v], axis=-1)


def grey(frames: list[np.ndarray]) -> np.ndarray:
    return np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])


def error(flow: np.ndarray, truth: np.ndarray) -> float:
    return float(np.linalg.norm(flow - truth, axis=-1).mean())


# ------------------------------------------------------------------------------------- what it does


def test_it_is_the_default():
    assert extractor_class("flow") is Tvl1
    assert FlowExtraction().backend == "tvl1"


@pytest.mark.parametrize("preset", PRESETS)
def test_translated_texture_gives_the_translation(moving, preset):
    # The window moves right by 2 px, so the picture moves left by 2 px.
    flow_THW2 = ready(preset=preset).flows(grey(moving(3, 48, 64, step=2)))
    assert flow_THW2.shape == (2, 48, 64, 2)
    assert flow_THW2.dtype == np.float32
    centre = flow_THW2[:, 6:-6, 6:-6]
    np.testing.assert_allclose(centre.mean(axis=(1, 2)), [[-2, 0]] * 2, atol=0.05)


@pytest.mark.parametrize("preset", PRESETS)
def test_still_video_has_exactly_zero_flow(moving, preset):
    assert np.abs(ready(preset=preset).flows(grey(moving(1) * 3))).max() == 0


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("levels", [(0, 0), (255, 255), (40, 200)])
def test_one_coloured_frames_have_zero_flow(preset, levels):
    pictures = np.stack([np.full((40, 50), level, np.uint8) for level in levels])
    assert np.abs(ready(preset=preset).flows(pictures)).max() == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (7, 200), (200, 7), (33, 17)])
def test_any_size_will_do(size):
    noise = np.random.default_rng(0).integers(0, 256, (3, *size)).astype(np.uint8)
    flow_THW2 = ready(median_filter=5).flows(noise)
    assert flow_THW2.shape == (2, *size, 2)
    assert np.isfinite(flow_THW2).all()


def test_every_option_changes_the_flow():
    pictures = np.stack(deformed()[:2])
    before = ready().flows(pictures)
    for name, value in {
        "preset": "fast",
        "lambda": 0.1,
        "theta": 0.4,
        "scales": 3,
        "scale_step": 0.7,
        "warps": 1,
        "iterations": 7,
        "epsilon": 1.0,
        "median_filter": 5,
    }.items():
        assert np.abs(ready(**{name: value}).flows(pictures) - before).max() > 1e-4, name


def test_neither_batches_nor_threads_change_a_bit(moving):
    frames = moving(8, 40, 56)
    wanted = None
    for size, threads in ((8, 1), (1, 1), (3, 1), (8, 3), (2, 3)):
        extractor = ready(threads)
        extractor.start(40, 56)
        found = []
        for first in range(0, 8, size):
            found += extractor.process(frames[first : first + size])
        found = np.stack(found + extractor.finish())
        wanted = found if wanted is None else wanted
        np.testing.assert_array_equal(found, wanted)


# ----------------------------------------------------------------------- the equations, and OpenCV


@pytest.mark.parametrize("median_filter", [1, 3, 5])
def test_agrees_with_the_papers_equations(median_filter):
    first, second, _ = deformed(45, 61)
    scheme = scheme_of(FEW.model_copy(update={"median_filter": median_filter}))
    assert len(scheme.sizes(45, 61)) == 3
    (found,) = cpu.flows(np.stack([first, second]), scheme)
    wanted = reference.flow_of_pair(first, second, scheme)
    # float32 against float64: the iteration amplifies rounding at single pixels, by how the processor rounds.
    assert np.abs(found - wanted).mean() < 1e-5
    np.testing.assert_allclose(found, wanted, atol=2e-3)


def random_problem(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A flow (2, H, W), a residual (H, W) at no flow, and a gradient (2, H, W) with flat spots."""
    rng = np.random.default_rng(3)
    gradient = rng.normal(0, 8, (2, height, width)) * (rng.random((height, width)) > 0.1)
    return rng.normal(0, 0.5, (2, height, width)), rng.normal(0, 10, (height, width)), gradient


def iterated(flow, rho, gradient, scheme, count) -> np.ndarray:
    """The compiled loop on a problem with a given linear residual."""
    planes = cpu.Planes(*rho.shape)
    planes.flow_pixels[:] = flow
    length = np.maximum(np.linalg.norm(gradient, axis=0), 1e-3)
    bound = scheme.lambda_ * scheme.theta * np.linalg.norm(gradient, axis=0)
    flat = gradient[0] == 0
    planes.data[:, :, :-1] = np.stack([np.where(flat, 0, rho / length), *(gradient / length), bound])
    arrays = (array.reshape(len(array), -1) for array in (planes.flow, planes.dual, planes.data))
    theta, rate = np.float32(scheme.theta), np.float32(scheme.rate)
    iterate(*arrays, planes.height, planes.width, theta, rate, count)
    return planes.flow_pixels


@pytest.mark.parametrize("size", [(170, 150), (5, 9000)])  # in blocks of 54 rows, and of a single one
def test_sweeping_in_blocks_is_the_same_as_one_iteration_after_the_other(size):
    scheme = scheme_of(FEW)
    flow, rho, gradient = random_problem(*size)
    found = iterated(flow, rho, gradient, scheme, count=12)
    dual = np.zeros((2, *flow.shape))
    for _ in range(12):
        flow, dual = reference.iteration(flow, dual, rho + (gradient * flow).sum(0), gradient, scheme)
    np.testing.assert_allclose(found, flow, atol=1e-3)


def test_iterations_lower_the_energy():
    scheme = scheme_of(FEW)
    flow, rho, gradient = random_problem(40, 50)
    energies = []
    for count in (0, 1, 5, 20, 80, 320):
        now = iterated(flow, rho, gradient, scheme, count)
        energies.append(reference.energy(now, rho + (gradient * now).sum(0), gradient, scheme))
    assert all(later < earlier for earlier, later in pairwise(energies))


@pytest.mark.parametrize("preset", PRESETS)
def test_as_accurate_as_opencv_and_close_to_it(preset):
    first, second, truth = deformed(150, 200)
    pictures = np.stack([first, second])
    ours = ready(preset=preset).flows(pictures)[0]
    opencv = Tvl1OpenCv(FlowExtraction(backend="tvl1_opencv"))
    opencv.prepare(Resources(device="cpu"))
    theirs = opencv.flows(pictures)[0]
    assert error(ours, truth) < error(theirs, truth) + 0.01 < 0.1
    assert error(ours, theirs) < 0.1


@pytest.mark.parametrize("preset", PRESETS)
def test_close_to_opencv_on_real_clips(preset, shared_data):
    path = shared_data / "clips" / "ucf101" / "SoccerJuggling" / "v_SoccerJuggling_g23_c01.avi"
    pictures = grey([frame for _, frame in zip(range(3), decode(path), strict=False)])[1:]
    opencv = Tvl1OpenCv(FlowExtraction(backend="tvl1_opencv"))
    opencv.prepare(Resources(device="cpu"))
    assert error(ready(preset=preset).flows(pictures), opencv.flows(pictures)) < 0.1


# ------------------------------------------------------------------------ on a GPU, in torch's operations


def agree(found_by: Callable[[Scheme], Tvl1OnGpu]) -> None:
    first, second, _ = deformed()
    pictures = np.stack([first, second, first, first])
    for preset in PRESETS:
        scheme = scheme_of(Tvl1PresetParameters(preset=preset))
        ours = np.stack(list(cpu.flows(pictures, scheme)))
        found = found_by(scheme).flows(pictures)
        assert found.dtype == np.float32
        assert error(found, ours) < 1e-3
        assert np.abs(found - ours).max() < 0.02
        assert np.abs(found[2]).max() == 0


def in_torch(scheme: Scheme) -> Tvl1OnGpu:
    """With a CPU in the GPU's place."""
    return Tvl1OnGpu(scheme, torch.device("cpu"), batched.refine)


def test_torch_agrees_with_the_compiled_loops():
    agree(in_torch)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_torch_agrees_on_a_gpu():
    agree(lambda scheme: Tvl1OnGpu(scheme, torch.device("cuda"), batched.refine))


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 60)])
def test_torch_takes_any_size(size):
    scheme = scheme_of(FEW)
    noise = np.random.default_rng(0).integers(0, 256, (3, *size)).astype(np.uint8)
    found = in_torch(scheme).flows(noise)
    np.testing.assert_allclose(found, np.stack(list(cpu.flows(noise, scheme))), atol=0.02)


def test_torch_splits_what_is_too_much_at_once(moving, monkeypatch):
    pictures, scheme = grey(moving(6, 20, 30)), scheme_of(FEW)
    whole = in_torch(scheme).flows(pictures)
    stored = in_torch(scheme).stored(pictures, (10, 15), 2.0)
    monkeypatch.setattr(on_gpu, "_PIXELS", 2 * 20 * 30)
    np.testing.assert_allclose(in_torch(scheme).flows(pictures), whole, atol=1e-4)
    np.testing.assert_array_equal(in_torch(scheme).stored(pictures, (10, 15), 2.0), stored)


@pytest.mark.parametrize("free", [0, 3 * 250 * 20 * 30])
def test_no_more_pairs_at_once_than_fit_the_gpu(monkeypatch, free):
    asked = []
    monkeypatch.setattr(on_gpu, "at_once", lambda device, each: asked.append(each) or max(1, free // each))
    gpu = Tvl1OnGpu(scheme_of(FEW), torch.device("cuda"), batched.refine)
    assert gpu.at_once(20, 30) == max(1, free // asked[0])


@pytest.mark.parametrize("batches", [[0, 6], [0, 2, 3, 6]])
@pytest.mark.parametrize("settings", [{"short_side": 24}, {"short_side": 24, "compute_short_side": 32}])
def test_a_gpu_stores_what_a_cpu_stores(moving, settings, batches):
    frames = moving(6, 48, 61, step=2)
    stored = []
    for gpu in (False, True):
        extractor = Tvl1(FlowExtraction.model_validate({"bound": 4, **settings, "tvl1": FEW}))
        extractor.prepare(Resources(device="cpu"))
        extractor._queue = FlowQueue(in_torch(extractor._scheme)) if gpu else None
        extractor.start(48, 61)
        results = [r for begin, end in pairwise(batches) for r in extractor.process(frames[begin:end])]
        results = finished(results + extractor.finish())
        assert len(results) == 6
        stored.append(np.stack([decoded(extractor.store(result), 2) for result in results]).astype(int))
    assert stored[0].shape == (6, 24, 30, 2)
    assert stored[0].std() > 10
    apart = np.abs(stored[1] - stored[0])
    assert apart.max() <= 1
    assert (apart > 0).mean() < 0.01


@pytest.mark.parametrize("pending", [1, 1 << 28])
def test_a_run_on_a_gpu_writes_the_cpus_flow(moving, write_video, tmp_path, monkeypatch, pending):
    """Batch by batch, and with batches of several videos; one of a single frame, one of another size."""
    monkeypatch.setattr(stages, "_PENDING_BYTES", pending)
    monkeypatch.setattr(stages, "on_gpu", lambda extractor, resources: extractor._queue is not None)
    shapes = {1: (32, 48), 4: (32, 48), 13: (32, 48), 5: (40, 60), 6: (32, 48)}
    videos = {str(n): write_video(tmp_path / f"{n}.mp4", moving(n, *shapes[n])) for n in shapes}
    stored = {}
    for gpu in (False, True):
        extractor = Tvl1(FlowExtraction.model_validate({"short_side": 16, "bound": 4, "tvl1": FEW}))
        prepare = extractor.prepare

        def stand_in(resources, extractor=extractor, prepare=prepare, gpu=gpu):
            prepare(resources)
            extractor._queue = FlowQueue(in_torch(extractor._scheme)) if gpu else None

        monkeypatch.setattr(extractor, "prepare", stand_in)
        path = tmp_path / f"{gpu}.h5"
        extract(videos, [Output(extractor, path)], resources=Resources(device="cpu"), batch_size=3)
        shard = Shard(path)
        stored[gpu] = np.concatenate([shard.read(name, list(range(int(name)))) for name in videos])
    assert stored[False].shape == (29, 16, 24, 2)
    assert np.abs(stored[True].astype(int) - stored[False]).max() <= 1


def test_while_a_gpu_is_busy_the_next_videos_are_decoded_for_its_next_batch(
    moving, write_video, tmp_path, monkeypatch
):
    monkeypatch.setattr(stages, "on_gpu", lambda *_: True)
    videos = {str(n): write_video(tmp_path / f"{n}.mp4", moving(4, 32, 48)) for n in range(4)}
    extractor = Tvl1(FlowExtraction.model_validate({"short_side": 16, "bound": 4, "tvl1": FEW}))
    gpu = in_torch(extractor._scheme)
    queue, submitted, computed = FlowQueue(gpu), threading.Semaphore(0), []
    stored, submit = gpu.stored, queue.submit

    def slow(pictures, size, bound):
        if not computed:  # the first batch takes until all videos wait
            assert all(submitted.acquire(timeout=10) for _ in videos)
        computed.append(len(pictures))
        return stored(pictures, size, bound)

    def counted(*arguments):
        found = submit(*arguments)
        submitted.release()
        return found

    monkeypatch.setattr(gpu, "stored", slow)
    monkeypatch.setattr(queue, "submit", counted)
    monkeypatch.setattr(extractor, "prepare", lambda _: setattr(extractor, "_queue", queue))
    extract(videos, [Output(extractor, tmp_path / "x.h5")], resources=Resources(device="cpu"))
    assert sum(computed) == 4 * 4
    assert len(computed) <= 2


def test_what_does_not_fit_the_gpu_is_computed_in_smaller_parts(moving, monkeypatch):
    pictures, scheme, sizes = grey(moving(6, 20, 30)), scheme_of(FEW), []
    wanted = in_torch(scheme).flows(pictures)

    def refine(level, *given):
        sizes.append(len(level) - 1)
        if len(level) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return batched.refine(level, *given)

    gpu = Tvl1OnGpu(scheme, torch.device("cpu"), refine)
    np.testing.assert_allclose(gpu.flows(pictures), wanted, atol=1e-4)
    assert sizes[0] == 5
    assert set(sizes[1:]) == {2, 1}
    assert gpu.at_once(20, 30) == 2
    monkeypatch.setattr(batched, "flow_of_pairs", lambda *_: refine(range(9)))
    with pytest.raises(torch.OutOfMemoryError):
        gpu.flows(pictures[:2])


def test_a_single_frame_is_stored_as_no_motion_on_a_gpu(moving):
    extractor = ready()
    extractor._queue = FlowQueue(in_torch(extractor._scheme))
    extractor.start(48, 64)
    assert extractor.process(moving(1)) == []
    assert (decoded(extractor.store(extractor.finish()[0]), 2) == 128).all()


def test_without_triton_a_gpu_computes_in_torch_and_says_so_once(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "view_extractors.flow.tvl1.fused", None)
    on_gpu.best_refine.cache_clear()
    for _ in range(2):
        assert Tvl1OnGpu(scheme_of(FEW), torch.device("cuda"))._refine is batched.refine
    on_gpu.best_refine.cache_clear()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("TV-L1 runs without its fused kernels, several times slower: ")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("preset", PRESETS)
def test_a_gpu_is_as_good_on_real_clips(preset, shared_data):
    path = shared_data / "clips" / "ucf101" / "SoccerJuggling" / "v_SoccerJuggling_g23_c01.avi"
    pictures = grey([frame for _, frame in zip(range(9), decode(path), strict=False)])
    scheme = scheme_of(Tvl1PresetParameters(preset=preset))
    ours = np.stack(list(cpu.flows(pictures, scheme)))
    found = Tvl1OnGpu(scheme, torch.device("cuda")).flows(pictures)
    assert error(found, ours) < 0.05
    assert photometric(pictures, found) == pytest.approx(photometric(pictures, ours), abs=0.01)


def photometric(pictures: np.ndarray, flows: np.ndarray) -> float:
    """Mean difference between each picture and the next one moved back, grey levels."""
    y, x = np.mgrid[: pictures.shape[1], : pictures.shape[2]].astype(np.float32)
    return float(
        np.mean(
            [
                np.abs(cv2.remap(second.astype(np.float32), x + u, y + v, cv2.INTER_LINEAR) - first).mean()
                for (first, second), (u, v) in zip(
                    pairwise(pictures), flows.transpose(0, 3, 1, 2), strict=True
                )
            ]
        )
    )


@pytest.mark.parametrize("width", [1, 3, 5])
def test_median_filter_is_opencvs(width):
    plane = np.random.default_rng(1).normal(size=(1, 1, 9, 12)).astype(np.float32)
    found = batched.median_filter(torch.from_numpy(plane), width)[0, 0]
    np.testing.assert_array_equal(found, cv2.medianBlur(plane[0, 0], width))


# ----------------------------------------------------------------------------------------- compiling


def test_without_a_place_for_the_cache_every_process_compiles_for_itself(monkeypatch):
    def njit(cache=False, **_):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr(compiled, "njit", njit)
    assert compiled.compiled(abs) is abs


def test_kernels_that_compute_something_else_are_found_out():
    def slightly_off(level, flow, dual, scheme, number):
        flow, dual = batched.refine(level, flow, dual, scheme, number)
        flow[:, 0, 3, 5] += 0.02
        return flow, dual

    on_gpu.check(batched.refine, torch.device("cpu"))
    with pytest.raises(ArithmeticError, match=r"px away from the correct flow"):
        on_gpu.check(slightly_off, torch.device("cpu"))

    def no_number(level, flow, dual, scheme, number):
        return flow * float("nan"), dual

    with pytest.raises(ArithmeticError):
        on_gpu.check(no_number, torch.device("cpu"))
