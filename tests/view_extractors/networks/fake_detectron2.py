"""A stand-in for Detectron2 with its documented interface, for tests of what we build on it.

Its network finds the rectangle of each colour of ``CLASSES`` (two persons and another thing) in the picture
that it is given, so that a wrong order of channels, scale or offset shows.
"""

from __future__ import annotations

from importlib.util import find_spec
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch

PERSON_RGB = (240, 40, 40)
OTHER_PERSON_RGB = (240, 40, 240)
BALL_RGB = (40, 40, 240)
CLASSES = ((PERSON_RGB, 0, 0.9), (OTHER_PERSON_RGB, 0, 0.85), (BALL_RGB, 32, 0.95))
DIVISIBLE_BY = 32


class Boxes:
    """As detectron2.structures.Boxes: float32 (N, 4)."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor


class Instances:
    """As detectron2.structures.Instances: fields of one length, and the size (h, w) of the picture."""

    def __init__(self, image_size: tuple[int, int], **fields: Any) -> None:
        self.image_size = image_size
        for name, value in fields.items():
            setattr(self, name, value)


class Pooler(torch.nn.Module):
    """As ROIPooler: boxes take the type of the features, and the result too."""

    def forward(self, levels: list[torch.Tensor], boxes: list[Boxes]) -> torch.Tensor:
        rounded = torch.cat([box.tensor for box in boxes]).to(levels[0].dtype)
        return levels[0].mean() + rounded


class FakeNetwork(torch.nn.Module):
    """As GeneralizedRCNN, or with a semantic branch as PanopticFPN.

    Attributes:
        batches: how many pictures came at once.
        pictures: the pictures, RGB.
        second_head: how many detections of each picture the second head has read.
        dtypes: of what its layers have given, by their names in Detectron2.
    """

    def __init__(self, settings: SimpleNamespace) -> None:
        super().__init__()
        self.settings = settings
        self.backbone = torch.nn.Conv2d(3, 4, 1)
        self.roi_heads = torch.nn.Module()
        self.roi_heads.box_pooler = Pooler()
        self.roi_heads.box_head = torch.nn.Linear(4, 4)
        self.roi_heads.box_predictor = torch.nn.Linear(4, 4)
        self.dtypes: dict[str, torch.dtype] = {}
        self.batches: list[int] = []
        self.pictures: list[torch.Tensor] = []
        self.second_head: list[int] = []

    def inference(
        self,
        batched_inputs: list[dict[str, Any]],
        detected_instances: Any = None,
        do_postprocess: bool = True,
    ) -> Any:
        assert not self.training
        assert not do_postprocess
        self.batches.append(len(batched_inputs))
        pictures = [self._rgb(item["image"]) for item in batched_inputs]
        self.pictures += pictures
        found = [self._instances(picture) for picture in pictures]
        self._layers(batched_inputs[0]["image"], found[0].pred_boxes)
        if not self.settings.PANOPTIC:
            return found
        return found, torch.stack([self._classes(picture) for picture in pictures])

    def _layers(self, image: torch.Tensor, boxes: Boxes) -> None:
        """What a network computes from features, of which only the types count here."""
        features = self.backbone(image[None] / 255)
        pooled = self.roi_heads.box_pooler([features], [boxes])
        head = self.roi_heads.box_head(pooled)
        values = {"backbone": features, "box_pooler": pooled, "box_head": head}
        values["box_predictor"] = self.roi_heads.box_predictor(head)
        self.dtypes = {name: value.dtype for name, value in values.items()}

    @staticmethod
    def _rgb(image: torch.Tensor) -> torch.Tensor:
        assert image.dtype == torch.float32, "pixels are float32 (3, H, W) in 0 .. 255, as BGR"
        assert image.shape[0] == 3
        return image.flip(0)

    @staticmethod
    def _where(picture: torch.Tensor, colour: tuple[int, int, int]) -> torch.Tensor:
        return ((picture - torch.tensor(colour).view(3, 1, 1)).abs() < 30).all(dim=0)

    def _instances(self, picture: torch.Tensor) -> Instances:
        size = tuple(picture.shape[1:])
        boxes, classes, scores = [], [], []
        for colour, number, score in CLASSES:
            rows, columns = self._where(picture, colour).nonzero(as_tuple=True)
            knows = self.settings.PANOPTIC or number == 0
            if knows and len(rows) and score >= self.settings.MODEL.ROI_HEADS.SCORE_THRESH_TEST:
                boxes.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
                classes.append(number)
                scores.append(score)
        boxes_N4 = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
        # The best of all classes.
        order = torch.tensor(scores).argsort(descending=True)[: self.settings.TEST.DETECTIONS_PER_IMAGE]
        self.second_head.append(len(order))
        fields = {
            "pred_boxes": Boxes(boxes_N4[order]),
            "pred_classes": torch.tensor(classes, dtype=torch.int64)[order],
            "scores": torch.tensor(scores)[order],
        }
        if self.settings.PANOPTIC:
            # The left half of every box is certain, the right half doubtful.
            mask = torch.ones(len(order), 1, 28, 28)
            mask[..., 14:] = 0.25
            return Instances(size, **fields, pred_masks=mask)
        return Instances(size, **fields, **self._keypoints(boxes_N4[order]))

    @staticmethod
    def _keypoints(boxes_N4: torch.Tensor) -> dict[str, torch.Tensor]:
        """Keypoint j lies (j + 1) / 18 of the way from the upper left to the lower right corner."""
        part = torch.arange(1, 18)[:, None] / 18
        points = boxes_N4[:, None, :2] + part * (boxes_N4[:, None, 2:] - boxes_N4[:, None, :2])
        cells = (part[:, 0] * 56).long()
        heatmaps = torch.full((len(boxes_N4), 17, 56, 56), -20.0)
        heatmaps[:, range(17), cells, cells] = 20.0
        # The third number is no probability that the keypoint is there.
        scores = torch.full((len(boxes_N4), 17, 1), 0.02)
        return {"pred_keypoints": torch.cat([points, scores], dim=2), "pred_keypoint_heatmaps": heatmaps}

    def _classes(self, picture: torch.Tensor) -> torch.Tensor:
        """Logits (54, H, W) of the padded picture; channel 0 is for things."""
        height, width = (-(-side // DIVISIBLE_BY) * DIVISIBLE_BY for side in picture.shape[1:])
        logits = torch.zeros(54, height, width)
        logits[7] = 10
        things = torch.stack([self._where(picture, colour) for colour, _, _ in CLASSES]).any(dim=0)
        logits[0, : picture.shape[1], : picture.shape[2]] = 20.0 * things
        logits[0, picture.shape[1] :] = 20
        return logits


class FakePicture:
    """As PIL.Image.Image of RGB; torch's antialiasing is Pillow's filter."""

    def __init__(self, pixels_HWC: np.ndarray) -> None:
        self.pixels_HWC = pixels_HWC

    def resize(self, size: tuple[int, int], resample: int) -> np.ndarray:
        assert resample == 2, "Pillow's number for bilinear"
        x_BCHW = torch.from_numpy(self.pixels_HWC).permute(2, 0, 1)[None]
        resized_BCHW = torch.nn.functional.interpolate(x_BCHW, size[::-1], mode="bilinear", antialias=True)
        return resized_BCHW[0].permute(1, 2, 0).numpy()


def pillow() -> dict[str, ModuleType]:
    """Pillow's modules that we import, unless it is installed."""
    if find_spec("PIL"):
        return {}
    package, image = ModuleType("PIL"), ModuleType("PIL.Image")
    image.fromarray = FakePicture  # type: ignore[attr-defined]
    image.BILINEAR = 2  # type: ignore[attr-defined]
    return {module.__name__: module for module in (package, image)}


def modules(built: list[FakeNetwork]) -> dict[str, ModuleType]:
    """The package's modules that we import; networks are noted in ``built``."""

    def get_config(config_path: str, trained: bool = False) -> SimpleNamespace:
        assert not trained, "that would download weights without our pinned hash"
        assert config_path in (
            "COCO-Keypoints/keypoint_rcnn_R_50_FPN_3x.yaml",
            "COCO-PanopticSegmentation/panoptic_fpn_R_101_3x.yaml",
        )
        heads = SimpleNamespace(SCORE_THRESH_TEST=0.05)
        return SimpleNamespace(
            MODEL=SimpleNamespace(DEVICE="cuda", ROI_HEADS=heads),
            INPUT=SimpleNamespace(FORMAT="BGR"),
            TEST=SimpleNamespace(DETECTIONS_PER_IMAGE=100),
            PANOPTIC="panoptic" in config_path,
        )

    def build_model(settings: SimpleNamespace) -> FakeNetwork:
        built.append(FakeNetwork(settings))
        return built[-1].to(settings.MODEL.DEVICE)

    package, zoo, modeling = (ModuleType(f"detectron2{name}") for name in ("", ".model_zoo", ".modeling"))
    zoo.get_config = get_config  # type: ignore[attr-defined]
    modeling.build_model = build_model  # type: ignore[attr-defined]
    return {module.__name__: module for module in (package, zoo, modeling)} | pillow()
