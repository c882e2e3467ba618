"""Run the benchmarks and write what they measured as one JSON file."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import platform
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import benchmarks


def main() -> int:
    names = sorted(module.name for module in pkgutil.iter_modules(benchmarks.__path__) if module.name[0] != "_")
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all when omitted: {', '.join(names)}")
    parser.add_argument("--out", type=Path, default=Path("runs/bench.json"))
    options = parser.parse_args()
    if unknown := set(options.names) - set(names):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    results: dict[str, Any] = {"machine": machine()}
    failed = []
    for name in options.names or names:
        results[name] = measure(name)
        failed += [name] if "error" in results[name] else []
        write(results, options.out)
    print(json.dumps(results, indent=2))
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def measure(name: str) -> dict[str, Any]:
    """The result of one benchmark; one that fails leaves the others alone."""
    print(f"{name} ...", file=sys.stderr, flush=True)
    started = time.perf_counter()
    try:
        result: dict[str, Any] = importlib.import_module(f"benchmarks.{name}").run()
    except Exception as error:
        traceback.print_exc()
        result = {"error": f"{type(error).__name__}: {error}"}
    return result | {"seconds": round(time.perf_counter() - started, 1)}


def machine() -> dict[str, Any]:
    """What absolute numbers depend on; ratios hardly do."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
    }


def write(results: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(results, indent=2) + "\n")
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(main())
