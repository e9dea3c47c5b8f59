"""Contenders timed in one run, warm, in turns."""

import statistics
import time
from collections.abc import Callable, Mapping


def seconds(contenders: Mapping[str, Callable[[], object]], *, rounds: int, calls: int = 1) -> dict[str, float]:
    """Return the time of one call of each contender: the median over rounds of `calls` calls. One more warms up."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds + 1):
        for name, work in contenders.items():
            start = time.perf_counter()
            for _ in range(calls):
                work()
            times[name].append((time.perf_counter() - start) / calls)
    return {name: statistics.median(own[1:]) for name, own in times.items()}
