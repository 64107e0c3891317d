# ruff: noqa: E501
"""What is inserted into the tables of the project for the new parts: file, the line before, the text."""

from __future__ import annotations

VIEW = {
    "cocon/backends.py": [
        (
            "_ALL = (\n",
            '    Backend("depth", "floor", "the floor is near", "view_extractors.depth.floor:Floor"),\n',
        )
    ],
    "cocon/views.py": [
        (
            "    for view in (\n",
            '        View("depth", 1, (0.5,), (0.25,), ("#6a4fb3", "#a993f0"), crop=32),\n',
        )
    ],
    "cocon/config/schema/extraction.py": [
        (
            "    BackendName = Literal[_OWN]\n",
            '''

class DepthExtraction(ViewExtraction):
    """How near everything is."""

    short_side: PositiveInt = Field(36, description="stored size of the shorter side, px")
    lower: Fraction = Field(0.5, description="weight of the height of a pixel")
''',
        ),
        ("    rgb: RgbExtraction = RgbExtraction()\n", "    depth: DepthExtraction = DepthExtraction()\n"),
    ],
}
PRESET = {
    "cocon/pretrainings.py": [
        (
            "TERMS: dict[str, Term] = {\n",
            '    "spread": Term(\n        "cocon.losses.spread:spread_term", "L_spread", "of both views", PAIRS, ("evenness",)\n    ),\n',
        ),
        (
            "PRETRAININGS: dict[str, PretrainingMethod] = {\n",
            '    "even": PretrainingMethod("Even", "CMC of even views", terms=("cmc", "spread"), start=RANDOM),\n',
        ),
    ],
    "cocon/config/schema/pretraining.py": [
        (
            '"""Kinds, weights and temperatures of the terms of the loss; see docs/method.md."""\n',
            '\n    evenness: float = Field(1.0, ge=0, description="weight of L_spread")\n',
        )
    ],
}
DATASET = {
    "cocon/datasets/registry.py": [("SOURCES = {\n", '    "halves": "cocon.datasets.halves",\n')],
    "cocon/config/schema/datasets.py": [
        (
            "        return split if self.pretrain_split == EACH else self.pretrain_split\n",
            '''

class HalvesDataset(_Dataset):
    """Videos in folders of their classes."""

    kind: Literal["halves"] = Field(description="every other video is tested")
    videos: Path = Field(examples=["data/halves"], description="folder of the folders")
''',
        ),
        ("Dataset = Annotated[\n", "    HalvesDataset |\n"),
    ],
}
ENCODER = {
    "cocon/encoders.py": [
        (
            "ENCODERS: dict[str, EncoderEntry] = {\n",
            '    "mean": EncoderEntry("cocon.models.mean:MeanEncoder", "Means", "nobody", stride=16, reads=()),\n',
        )
    ]
}
PROTOCOL = {
    "cocon/protocols.py": [
        (
            "PROTOCOLS: dict[str, Protocol] = {\n",
            '    "knn": Protocol("Vote of neighbours", "top-1", "Knn", "cocon.evaluation.knn:evaluate"),\n',
        )
    ],
    "cocon/config/schema/protocols.py": [
        (
            "from cocon.config.schema.training import Epochs, LearningRate, Length, Training, WeightDecay\n",
            '''

class Knn(Section):
    """The vote of the nearest training videos."""

    k: PositiveInt = Field(5, description="neighbours that vote")
''',
        )
    ],
}
