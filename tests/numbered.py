"""Names by number, and the numbers in a record."""

NAMES = [f"model-{i:02d}" for i in range(60)]


def tasks(n, seeds=1):
    """Names of n tasks, each for `seeds` rows."""
    return [f"task-{i}" for i in range(n) for _ in range(seeds)]


def numbers(thing):
    """Every number inside a JSON-like thing."""
    if isinstance(thing, dict):
        return [n for item in thing.values() for n in numbers(item)]
    if isinstance(thing, list | tuple):
        return [n for item in thing for n in numbers(item)]
    return [thing] if isinstance(thing, float) else []
