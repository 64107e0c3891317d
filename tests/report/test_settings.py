from cocon.config.load import dump_settings, parse_settings
from cocon.config.schema import Clip, Evaluation, FirstStage, Pretraining, Recipe
from cocon.report.settings import ReportSettings, differences


def test_only_what_differs_is_told_with_its_default() -> None:
    recipe = Recipe(
        clip=Clip(stride=1),
        pretraining=Pretraining(stage1=FirstStage(epochs=4)),
        evaluation=Evaluation(pretrainings=("cocon",)),
    )
    assert differences(recipe, Recipe()) == [
        ("clip.stride", 1, 3),
        ("pretraining.stage1.epochs", 4, 100),
        ("evaluation.pretrainings", ["cocon"], ["random", "stage1", "cocon"]),
    ]
    assert differences(Recipe(), Recipe()) == []


def test_a_key_that_one_side_lacks_is_told_too() -> None:
    clip = Clip(crop={"rgb": 128, "flow": 128})
    assert differences(Recipe(clip=clip), Recipe()) == [
        ("clip.crop.mask", None, 64),
        ("clip.crop.pose", None, 64),
    ]


def test_settings_survive_the_command_line() -> None:
    settings = ReportSettings(kind="demo", recipe=Recipe(clip=Clip(stride=2)), seed=3)
    assert parse_settings(dump_settings(settings), ReportSettings) == settings
