"""Takes metrics in CloudWatch's embedded format from the functions' logs and publishes them in batches."""

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

METRICS_PER_CALL_MAX = 1000

_Key = tuple[str, str, str, tuple[tuple[str, str], ...]]  # namespace, name, unit, dimensions


class MetricSink:
    """Sums what the functions print between two flushes; any thread may call it."""

    def __init__(self, put_metric_data: Callable[..., Any]) -> None:
        self._put = put_metric_data
        self._values: dict[_Key, list[float]] = defaultdict(list)
        self._lock = threading.Lock()

    def take(self, line: str) -> bool:
        """Whether `line` was a metric document."""
        if '"_aws"' not in line or not line.startswith("{"):
            return False
        try:
            found = list(_measurements(json.loads(line)))
        except (ValueError, KeyError, TypeError):
            return False
        with self._lock:
            for key, values in found:
                self._values[key] += values
        return True

    def flush(self) -> None:
        with self._lock:
            values, self._values = self._values, defaultdict(list)
        by_namespace: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for (namespace, name, unit, dimensions), measured in values.items():
            by_namespace[namespace].append(
                {
                    "MetricName": name,
                    "Unit": unit,
                    "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions],
                    "StatisticValues": {
                        "SampleCount": len(measured),
                        "Sum": sum(measured),
                        "Minimum": min(measured),
                        "Maximum": max(measured),
                    },
                }
            )
        for namespace, data in by_namespace.items():
            for start in range(0, len(data), METRICS_PER_CALL_MAX):
                self._put(Namespace=namespace, MetricData=data[start : start + METRICS_PER_CALL_MAX])


def _measurements(document: Mapping[str, Any]) -> Iterator[tuple[_Key, list[float]]]:
    for directive in document["_aws"]["CloudWatchMetrics"]:
        for dimension_names in directive["Dimensions"]:
            dimensions = tuple((name, str(document[name])) for name in sorted(dimension_names))
            for metric in directive["Metrics"]:
                measured = document[metric["Name"]]
                values = [float(value) for value in (measured if isinstance(measured, list) else [measured])]
                if values:
                    yield (directive["Namespace"], metric["Name"], metric.get("Unit", "None"), dimensions), values
