"""Which stages may start, and which of them first: plain functions over who needs whom.

In every mapping of needs a stage comes after those that it needs.
"""

from collections.abc import Collection, Iterable, Mapping
from heapq import heappop, heappush

Needs = Mapping[str, Collection[str]]


def remaining(needs: Needs, seconds: Mapping[str, float]) -> dict[str, float]:
    """Stage -> seconds of the longest path from its start to the end of the last stage that waits for it."""
    after = dict.fromkeys(needs, 0.0)
    longest: dict[str, float] = {}
    for name in reversed(list(needs)):
        longest[name] = seconds[name] + after[name]
        for one in needs[name]:
            after[one] = max(after[one], longest[name])
    return longest


def startable(needs: Needs, done: Collection[str], begun: Collection[str]) -> list[str]:
    """The stages that have not begun and whose needs are all done."""
    return [name for name, upstream in needs.items() if name not in begun and all(one in done for one in upstream)]


def longest_first(names: Iterable[str], longest: Mapping[str, float]) -> list[str]:
    """Those with the longest way to the end first; of equals in the order given."""
    return sorted(names, key=lambda name: -longest[name])


def downstream(needs: Needs, names: Iterable[str]) -> set[str]:
    """Every stage that needs one of these, directly or through others; these are not among them."""
    start = set(names)
    found: set[str] = set()
    for name, upstream in needs.items():
        if not (start | found).isdisjoint(upstream):
            found.add(name)
    return found - start


def makespan(needs: Needs, seconds: Mapping[str, float], jobs: int) -> float:
    """Seconds until all stages are through, when at most `jobs` run at once, the longest way first.

    List scheduling (Graham 1969): no place is left empty while a stage may start.
    """
    longest = remaining(needs, seconds)
    done: set[str] = set()
    begun: set[str] = set()
    running: list[tuple[float, str]] = []
    now = 0.0
    while len(done) < len(needs):
        for name in longest_first(startable(needs, done, begun), longest)[: jobs - len(running)]:
            begun.add(name)
            heappush(running, (now + seconds[name], name))
        now, finished = heappop(running)
        done.add(finished)
    return now
