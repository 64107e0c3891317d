from cocon.config.load import dump_settings, parse_settings
from cocon.config.schema import Clip, Evaluation, FirstStage, Network, Pretraining, Recipe
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


def test_of_a_table_by_view_the_views_that_differ_are_told() -> None:
    clip = Clip(crop={"mask": 32, "flow": 128})
    assert differences(Recipe(clip=clip), Recipe()) == [("clip.crop.mask", 32, 64)]


def test_a_key_that_one_side_lacks_is_told_too() -> None:
    network = Network(views={"rgb": {"width": 32}})
    assert differences(Recipe(network=network), Recipe()) == [
        ("network.views.rgb.width", 32, None),
        ("network.views", None, {}),
    ]


def test_settings_survive_the_command_line() -> None:
    settings = ReportSettings(kind="demo", recipe=Recipe(clip=Clip(stride=2)), seed=3)
    assert parse_settings(dump_settings(settings), ReportSettings) == settings
