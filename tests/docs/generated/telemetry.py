"""Metrics and log events, from the one module that names them."""

import inspect
import re
from collections.abc import Iterator

from prometheus_client import Counter, Gauge, Histogram

from agentplat import telemetry

from .tables import code, table


def metrics() -> str:
    """Every metric with its labels."""
    return table(("metric", "kind", "labels", "meaning"), _metrics())


def _metrics() -> Iterator[tuple[str, str, str, str]]:
    for value in vars(telemetry).values():
        if isinstance(value, Counter | Gauge | Histogram):
            (family,) = value.describe()
            name = f"{family.name}_total" if isinstance(value, Counter) else family.name
            labels = ", ".join(map(code, value._labelnames))
            yield code(name), family.type, labels, family.documentation


def log_events() -> str:
    """The names of log events, in the order of the module."""
    source = inspect.getsource(telemetry).partition("# Log events.")[2].partition("\n\n")[0]
    return ", ".join(code(name) for name in re.findall(r'= "(\w+)"', source))
