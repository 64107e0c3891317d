"""Section ``datasets``: one class per kind."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, RootModel, model_validator

from cocon.config.schema.base import Name, Place, PositiveInt, Section, ViewName

#: of the demo; people with smaller numbers are trained on or tested on
FIRST_VALIDATION_SUBJECT = 501
#: values of pretrain_split that are no split: see _Dataset.pretrained_on
EACH, COMMON, ALL = "each", "common", "all"


def _folds(value: Any) -> Any:
    if value is None or value == "leave_one_group_out":
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("write a number of folds, 2 or more, or leave_one_group_out")
    if value < 2:
        raise ValueError("at least 2 folds are needed: one that is tested, and one to learn from")
    return value


#: of a cross-validation
Folds = Annotated[int | Literal["leave_one_group_out"], BeforeValidator(_folds)]


class _Dataset(Section):
    """What all kinds have in common.

    Attributes:
        rendered: whether its videos are made on the spot.
        published: whether others have published it, with official lists.
    """

    rendered: ClassVar[bool] = False
    published: ClassVar[bool] = False

    recipe: str = Field(
        examples=["r18_128"],
        description="name of the recipe, under recipes, that this data set is processed with",
    )
    shards: PositiveInt = Field(
        examples=[1], description="HDF5 files per view; aim at 100-300 videos each, 600 beyond 100,000"
    )
    splits: tuple[Name, ...] = Field(("1",), min_length=1, description="official splits to evaluate on")
    views: tuple[ViewName, ...] = Field(
        (), description="those of the views of the top level that this data set has; empty: all"
    )
    shards_of: str = Field(
        "", description="data set of the same videos whose shards are used; empty: its own"
    )
    pretrain_on: str = Field("", description="data set whose encoders are evaluated; empty: this one")
    evaluate_on: Literal["test", "validation"] = Field(
        "test",
        description="videos that are tested; validation: those of every split, and not its test videos, to "
        "choose settings with",
    )
    pretrain_split: str = Field(
        "1",
        description="the split whose training videos are pretrained on; each: encoders of its own for every "
        "split; common: videos that train in every split; all: all videos",
    )
    track_videos: bool = Field(
        True,
        description="extract again when the size or the time of a video file changes; false plans faster "
        "beyond 20,000 videos",
    )
    card_accuracies: bool = Field(
        False, description="export_<name> evaluates the encoders first, and the model card has the accuracies"
    )

    @property
    def own(self) -> bool:
        """Whether its videos and their table are a user's."""
        return not (self.rendered or self.published)

    @property
    def idle(self) -> dict[str, str]:
        """What is decided by the data set that the encoders come from."""
        return {"pretrain_split": f"pretrain_on is {self.pretrain_on}"} if self.pretrain_on else {}

    @property
    def first_split(self) -> str:
        """The split that the details of a report are about."""
        return self.splits[0] if self.splits else "1"

    def pretrained_on(self, split: str) -> str:
        """What the encoders that a split evaluates are pretrained on: a split, ``common`` or ``all``."""
        return split if self.pretrain_split == EACH else self.pretrain_split


class DemoDataset(_Dataset):
    """Rendered human actions: made on the spot, nothing to download."""

    rendered: ClassVar[bool] = True

    kind: Literal["demo"] = Field(description="rendered people doing ten actions")
    root: Place = Field(Path("data/demo"), description="where the videos and their truth are rendered to")
    train_subjects: PositiveInt = Field(8, description="people in the training split")
    test_subjects: PositiveInt = Field(4, description="other people, in the test split")
    validation_subjects: int = Field(
        0, ge=0, le=500, description="again other people, to choose settings with; rendered with the others"
    )
    takes: PositiveInt = Field(2, description="clips per person and action")
    frames: PositiveInt = Field(48, description="frames per clip, at 16 frames per second")
    size: PositiveInt = Field(160, description="width and height of a clip, px")
    seed: int = Field(0, description="seed of people, clothes, rooms and motion")
    truth_flow_every: PositiveInt = Field(6, description="frames from one with a true flow to the next")
    compare_backends: bool = Field(
        False, description="the report compares every installed backend with the truth, as score_<name> does"
    )

    @model_validator(mode="after")
    def _numbers_are_free(self) -> DemoDataset:
        if self.train_subjects + self.test_subjects > FIRST_VALIDATION_SUBJECT - 1:
            raise ValueError(
                f"train_subjects and test_subjects are at most {FIRST_VALIDATION_SUBJECT - 1} together: "
                "higher numbers belong to the validation people"
            )
        return self

    def rendered_as(self) -> dict[str, Any]:
        """The keys that determine the videos and their content."""
        own = set(DemoDataset.model_fields) - set(_Dataset.model_fields)
        return self.model_dump(include=own - {"kind", "compare_backends"})


class _PublicDataset(_Dataset):
    published: ClassVar[bool] = True

    archives: Path | None = Field(
        None, description="where get_<name> puts its archives, or finds yours; null: next to the videos"
    )
    from_archives: tuple[Path, ...] = Field(
        (), description="archives or folders that get_<name> takes as they are, instead of downloading"
    )


class Ucf101Dataset(_PublicDataset):
    """UCF101 in ``videos/<Class>/v_<Class>_gXX_cYY.avi`` and its official split lists."""

    kind: Literal["ucf101"] = Field(description="UCF101 (Soomro et al. 2012)")
    videos: Path = Field(
        examples=["data/ucf101/videos"], description="folder with <Class>/v_<Class>_gXX_cYY.avi"
    )
    lists: Path = Field(
        examples=["data/ucf101/lists"],
        description="folder with classInd.txt, trainlist01.txt, testlist01.txt, ...",
    )


class Hmdb51Dataset(_PublicDataset):
    """HMDB51 in ``videos/<class>/<name>.avi`` and its official split lists."""

    kind: Literal["hmdb51"] = Field(description="HMDB51 (Kuehne et al. 2011)")
    videos: Path = Field(examples=["data/hmdb51/videos"], description="folder with <class>/<name>.avi")
    lists: Path = Field(
        examples=["data/hmdb51/lists"], description="folder with <class>_test_split1.txt, ..."
    )


class Kinetics400Dataset(_PublicDataset):
    """Kinetics-400 in ``videos/<split>/<label>/<id>_<start>_<end>.mp4`` and its csv lists."""

    kind: Literal["kinetics400"] = Field(description="Kinetics-400 (Kay et al. 2017)")
    videos: Path = Field(
        examples=["data/kinetics400/videos"], description="folder with <id>_<start>_<end>.mp4 anywhere below"
    )
    lists: Path = Field(
        examples=["data/kinetics400/lists"],
        description="folder with train.csv and val.csv (test.csv if it has labels)",
    )


class FolderDataset(_Dataset):
    """Your own videos: a folder and a CSV table with the columns video, label, split (or split_1, ...)."""

    kind: Literal["folder"] = Field(description="your own videos and their table")
    videos: Path = Field(
        examples=["/path/to/videos"], description="folder that the paths of the table start from"
    )
    table: Path = Field(
        examples=["/path/to/table.csv"],
        description="CSV with the columns video, label, split (or split_1, ...), group; docs/datasets.md",
    )
    splits: tuple[Name, ...] = Field((), description="those to evaluate on; empty: all of the table")
    pretrain_split: str = Field(
        EACH,
        description="each: every split has encoders of its own, of its training videos; or one pretraining "
        "for all splits: common (videos that train in every split), all, or the name of a split",
    )
    folds: Folds | None = Field(
        None,
        description="cross-validation instead of the column split: a number of folds, or leave_one_group_out",
    )


Dataset = Annotated[
    DemoDataset | Ucf101Dataset | Hmdb51Dataset | Kinetics400Dataset | FolderDataset,
    Field(discriminator="kind"),
]


class AnyDataset(RootModel[Dataset]):
    """One data set by itself, of the kind that its key ``kind`` says."""
