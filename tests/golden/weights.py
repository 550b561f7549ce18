"""Writes `weights.json` beside this script: the total weight 1 − βᵗ, computed with 80 digits and rounded once.

The unit tests of `src/rule/decay_rate.rs` compare. The script needs the standard library only.

    python weights.py
"""

from __future__ import annotations

import json
import platform
import random
from collections.abc import Iterator
from decimal import Decimal, getcontext
from pathlib import Path

getcontext().prec = 80

SEED = 1
COLUMNS = "[β, t, 1 − βᵗ]"


def arguments() -> Iterator[tuple[float, int]]:
    """Common rates at few and many steps, then random ones."""
    for beta in (0.1, 0.3, 0.5, 0.8, 0.9, 0.99, 0.999, 0.9999, 1 - 1e-7):
        for t in (1, 2, 3, 6, 7, 100, 1000):
            yield beta, t
    draw = random.Random(SEED)
    for _ in range(400):
        yield 1 - 10 ** draw.uniform(-7, -0.3), round(10 ** draw.uniform(0, 7))
    # Rates up to the largest below 1.
    for _ in range(100):
        yield 1 - 10 ** draw.uniform(-15.9, -7), round(10 ** draw.uniform(0, 18))
    for _ in range(50):
        yield draw.uniform(0, 0.5), round(10 ** draw.uniform(0, 2))
    # The largest errors of a shorter way, which does not keep the errors of products.
    yield 0.9999823147161536, 176_839
    yield 0.9999994687111438, 50_167


def row(beta: float, t: int) -> list[float | int]:
    return [beta, t, float(1 - Decimal(beta) ** t)]


def main() -> None:
    rows = ",\n  ".join(json.dumps(row(*argument)) for argument in arguments())
    head = {"generated_by": "tests/golden/weights.py", "python": platform.python_version(), "columns": COLUMNS}
    text = json.dumps(head, ensure_ascii=False)[:-1] + ',\n "rows": [\n  ' + rows + "\n ]}\n"
    Path(__file__).with_name("weights.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
