"""The typed configuration: every key of ``config.yaml``, its type, its default and its meaning.

The same classes validate the file, generate ``workflow/schemas/config.schema.json`` and validate the
``--settings`` of every command. Unknown keys are errors. Each section has a module; this one has
the names that the rest of the project needs.
"""

from cocon.config.schema.base import PositiveInt, Section, ViewExtraction, ViewName
from cocon.config.schema.clip import Clip
from cocon.config.schema.config import Ablation, Config, Recipe
from cocon.config.schema.datasets import (
    ALL,
    COMMON,
    EACH,
    FIRST_VALIDATION_SUBJECT,
    AnyDataset,
    Dataset,
    DemoDataset,
    FolderDataset,
    Hmdb51Dataset,
    Kinetics400Dataset,
    Ucf101Dataset,
)
from cocon.config.schema.evaluation import Evaluation, Relations
from cocon.config.schema.extraction import Extraction, RgbExtraction
from cocon.config.schema.flow import FlowExtraction, Tvl1PresetParameters
from cocon.config.schema.jobs import Jobs, PretrainingJob
from cocon.config.schema.network import EncoderName, Layers, Network
from cocon.config.schema.persons import (
    MaskExtraction,
    MmposeParameters,
    MovenetParameters,
    OneEuroParameters,
    PoseExtraction,
    RcnnParameters,
)
from cocon.config.schema.pretraining import Augmentation, FirstStage, Loss, Pretraining, Stage
from cocon.config.schema.protocols import (
    Finetune,
    FinetuneCoclr,
    FinetuneDpc,
    FinetuneMemdpc,
    Linear,
    LinearSgd,
    Protocol,
    Retrieval,
)
from cocon.config.schema.training import Probing, Running, Training

__all__ = [
    "ALL",
    "COMMON",
    "EACH",
    "FIRST_VALIDATION_SUBJECT",
    "Ablation",
    "AnyDataset",
    "Augmentation",
    "Clip",
    "Config",
    "Dataset",
    "DemoDataset",
    "EncoderName",
    "Evaluation",
    "Extraction",
    "Finetune",
    "FinetuneCoclr",
    "FinetuneDpc",
    "FinetuneMemdpc",
    "FirstStage",
    "FlowExtraction",
    "FolderDataset",
    "Hmdb51Dataset",
    "Jobs",
    "Kinetics400Dataset",
    "Layers",
    "Linear",
    "LinearSgd",
    "Loss",
    "MaskExtraction",
    "MmposeParameters",
    "MovenetParameters",
    "Network",
    "OneEuroParameters",
    "PoseExtraction",
    "PositiveInt",
    "Pretraining",
    "PretrainingJob",
    "Probing",
    "Protocol",
    "RcnnParameters",
    "Recipe",
    "Relations",
    "Retrieval",
    "RgbExtraction",
    "Running",
    "Section",
    "Stage",
    "Training",
    "Tvl1PresetParameters",
    "Ucf101Dataset",
    "ViewExtraction",
    "ViewName",
]
