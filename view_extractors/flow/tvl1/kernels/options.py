"""How the kernels are compiled."""

from __future__ import annotations

from typing import Any

#: compiled once for any numbers, and for planes anywhere in memory
ANY: dict[str, Any] = {
    "do_not_specialize": ["height", "width", "rows", "parts"],
    "do_not_specialize_on_alignment": [
        "pairs", "flow", "dual", "data", "filtered", "first", "second", "new_flow", "new_dual", "before",
        "changes", "moves",
    ],
}  # fmt: skip
#: products and sums are fused into one operation; Triton's own default depends on its version
FUSED = {"enable_fp_fusion": True}
