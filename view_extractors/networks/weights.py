"""Published weights of networks, by name.

A file is downloaded once into the cache, resumed where a broken connection left it, and used only if its
sha256 is the pinned one.

>>> path = resolve("raft_small")
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cocon.assets import cache_folder, check_cache
from cocon.download import fetch_rest
from cocon.errors import AssetError
from cocon.files import file_lock, sha256_of
from cocon.loading import reading

if TYPE_CHECKING:
    import torch

_PYTORCH = "https://download.pytorch.org/models"
_RTMPOSE = "https://download.openmmlab.com/mmpose/v1/projects/rtmposev1"
_BODY7 = "simcc-body7_pt-body7_420e-256x192"
_RTMDET = "https://download.openmmlab.com/mmdetection/v3.0/rtmdet"
_DETECTRON2 = "https://dl.fbaipublicfiles.com/detectron2"


@dataclass(frozen=True)
class Weights:
    """One published file.

    Attributes:
        url: where it is published; its last part is its name in the cache.
        sha256: of the file, hexadecimal; where not all 64 digits are published, the first ones, which
            stand in the file's name.
    """

    url: str
    sha256: str

    @property
    def filename(self) -> str:
        """The name of the file."""
        return self.url.rsplit("/", 1)[-1]


WEIGHTS: dict[str, Weights] = {
    # torchvision's; COCO train2017
    "maskrcnn_resnet50_fpn_v2": Weights(
        f"{_PYTORCH}/maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth",
        "73cbd0190fcbe3ba339921fbce2c3a0b6bb9126c9a133c85e43a2a8e060a109e",
    ),
    "keypointrcnn_resnet50_fpn": Weights(
        f"{_PYTORCH}/keypointrcnn_resnet50_fpn_coco-fc266e95.pth",
        "fc266e953d2b302cdcbb9ae66f71f6b0d4649928bf02dc573961e361e4918926",
    ),
    # torchvision's; FlyingChairs and FlyingThings3D, the large one also Sintel, KITTI and HD1K
    "raft_large": Weights(
        f"{_PYTORCH}/raft_large_C_T_SKHT_V2-ff5fadd5.pth",
        "ff5fadd56d26b40647388883af1547351ea17868b765c05b27231e72dd16a322",
    ),
    "raft_small": Weights(
        f"{_PYTORCH}/raft_small_C_T_V2-01064c6d.pth",
        "01064c6dba73b0fc9fc8edf772248560a00a3acfd62ac6677e9eeebad9680e27",
    ),
    # MMPose's RTMPose, 256 x 192; seven data sets of poses. (The hashes in the names of MMPose's weights from
    # COCO and AI Challenger are not those of the files.)
    "rtmpose-t": Weights(f"{_RTMPOSE}/rtmpose-t_{_BODY7}-026a1439_20230504.pth", "026a1439"),
    "rtmpose-s": Weights(f"{_RTMPOSE}/rtmpose-s_{_BODY7}-acd4a1ef_20230504.pth", "acd4a1ef"),
    "rtmpose-m": Weights(
        f"{_RTMPOSE}/rtmpose-m_{_BODY7}-e48f03d0_20230504.pth",
        "e48f03d0cfe1285ee8b6d3457ac3ce33a4594a92b080053ab1ec4a7e300975f2",
    ),
    "rtmpose-l": Weights(f"{_RTMPOSE}/rtmpose-l_{_BODY7}-4dba18fc_20230504.pth", "4dba18fc"),
    # MMDetection's RTMDet; COCO
    "rtmdet-tiny": Weights(
        f"{_RTMDET}/rtmdet_tiny_8xb32-300e_coco/rtmdet_tiny_8xb32-300e_coco_20220902_112414-78e30dcc.pth",
        "78e30dcce0c6f594eaff0d6977b84b4103688b4aff0ad1aa16008a8cc854a7fb",
    ),
    "rtmdet-m": Weights(
        f"{_RTMDET}/rtmdet_m_8xb32-300e_coco/rtmdet_m_8xb32-300e_coco_20220719_112220-229f527c.pth",
        "229f527ca88498e8894a778a62a878a322b4a3ea2cae09ea537d34b7e907792b",
    ),
    # Detectron2's; COCO
    "keypoint_rcnn_R_50_FPN_3x": Weights(
        f"{_DETECTRON2}/COCO-Keypoints/keypoint_rcnn_R_50_FPN_3x/137849621/model_final_a6e10b.pkl",
        "48cc65c6f9ff63dabe64bf6082eb257d8515b42b31f0e44ff43cf9470f5107e4",
    ),
    "panoptic_fpn_R_101_3x": Weights(
        f"{_DETECTRON2}/COCO-PanopticSegmentation/panoptic_fpn_R_101_3x/139514519/model_final_cafdb1.pkl",
        "808c675e647298688589c895c9581f7f3963995c5708bc53f66449200321d147",
    ),
}
"""The files that :func:`resolve` finds, by name. Weights of a new network need one line here."""


def resolve(name: str) -> Path:
    """The file with the weights ``name``, from the cache or downloaded into it.

    Args:
        name: a key of :data:`WEIGHTS`.

    Raises:
        AssetError: the file cannot be downloaded, or does not have the pinned hash.
    """
    weights = WEIGHTS[name]
    path = weights_folder() / weights.filename
    if not path.exists():
        check_cache()
        with file_lock(cache_folder() / "locks" / f"{weights.filename}.lock"):
            if not path.exists():
                _download(weights, path)
    _verify(weights, path)
    return path


def weights_folder() -> Path:
    """The folder of the files; without a network connection, a user puts them there."""
    return cache_folder() / "weights"


def load_weights(network: torch.nn.Module, name: str) -> None:
    """Load the weights ``name`` into ``network``; nothing of the file is executed.

    Raises:
        AssetError: see :func:`resolve`; or they belong to another network, or are not finite.
    """
    import torch

    path = resolve(name)
    again = f"delete it, and run it again to download {WEIGHTS[name].url} again"
    with reading(path, "file of weights for this network", AssetError, missing=again, damaged=again):
        tensors = torch.load(path, map_location="cpu", weights_only=True)
        check_finite(path, tensors)
        network.load_state_dict(tensors)


def check_finite(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Reject weights that are not finite numbers.

    Raises:
        AssetError: with the name of one.
    """
    for name, x in tensors.items():
        if x.is_floating_point() and not x.isfinite().all():
            raise AssetError(f"{path} has weights that are not finite numbers: {name}", "delete it")


def _download(weights: Weights, path: Path) -> None:
    """Download the missing bytes of the file; it gets its final name when its hash is correct."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.part")
    try:
        fetch_rest(weights.url, partial)
    except AssetError as error:
        raise AssetError(error.message, f"run it again to resume; or {_by_hand(weights)}") from error
    try:
        _verify(weights, partial)
    except AssetError:
        partial.unlink()
        raise
    partial.replace(path)


def _verify(weights: Weights, path: Path) -> None:
    found = sha256_of(path)
    if not found.startswith(weights.sha256):
        raise AssetError(
            f"{path} is not the pinned file: its sha256 is {found}, expected {weights.sha256}",
            f"remove it and try again; {weights.url} may have changed",
        )


def _by_hand(weights: Weights) -> str:
    return (
        f"connect to the network, or get {weights.filename} from {weights.url} elsewhere "
        f"(its sha256 begins with {weights.sha256}) and put it into {weights_folder()}"
    )
