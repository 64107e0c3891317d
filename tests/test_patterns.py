from __future__ import annotations

from cocon.patterns import expanded, one_of


def test_a_pattern_is_all_its_paths() -> None:
    assert expanded(["r/{a,b}/{x,y}.json", "r/plain.npz"]) == [
        "r/a/x.json",
        "r/a/y.json",
        "r/b/x.json",
        "r/b/y.json",
        "r/plain.npz",
    ]
    assert expanded([f"{one_of(['only'])}.h5"]) == ["only.h5"]
    assert expanded([]) == []
