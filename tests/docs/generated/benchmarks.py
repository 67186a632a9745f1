"""The results of the benchmarks, as their own program shows them."""

from harness.page import page


def benchmarks() -> str:
    return page()
