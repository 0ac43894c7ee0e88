"""A batch of 1,000,000 rows and 30 columns compared with its reference: Slipway beside Evidently.

In memory: both have reference and rows there. From CSV: both read the rows from the file, Evidently
by pandas.read_csv; what is known of the reference (a DataFrame, a contract) is there already.
Evidently runs its default drift preset, as its documentation begins with. Both must find nothing:
there is nothing.
"""
import pathlib
import subprocess
import sys
import time

import numpy
import pandas
from evidently import Report
from evidently.presets import DataDriftPreset

ROOT = pathlib.Path(__file__).resolve().parents[3]
SLIPWAY = ROOT / "build/slipway"
BENCH = ROOT / "build/release/bench/bench_drift"
DATA = ROOT / "build/bench/drift"
COLUMNS = [f"x{i}" for i in range(30)]
BARS = {"memory": 50, "csv": 10}


def run(*argv):
    return subprocess.run([str(a) for a in argv], check=True, capture_output=True, text=True,
                          timeout=600).stdout


def make_data():
    DATA.mkdir(parents=True, exist_ok=True)
    run(BENCH, "data", DATA)
    run(SLIPWAY, "contract", "infer", DATA / "reference.csv", "--name", "bench", "--owner", "bench",
        "--out", DATA / "contract.yaml", "--force")


def frame(name):
    values = numpy.fromfile(DATA / f"{name}.f32", dtype=numpy.float32)
    return pandas.DataFrame(values.reshape(-1, len(COLUMNS)), columns=COLUMNS)


def drifted_columns(snapshot):
    """How many columns Evidently says have drifted, whatever shape its result has."""
    for metric in snapshot.dict()["metrics"]:
        if "DriftedColumnsCount" in metric.get("metric_id", metric.get("metric_name", "")):
            return int(metric["value"]["count"])
    raise SystemExit("compare.py: Evidently's result has no count of drifted columns")


def evidently(current, reference):
    """Seconds until the result."""
    start = time.perf_counter()
    snapshot = Report([DataDriftPreset()]).run(current, reference)
    seconds = time.perf_counter() - start
    assert drifted_columns(snapshot) == 0, "Evidently found a drift where there is none"
    return seconds


def pandas_csv():
    """Seconds to read the rows, which come before Evidently's own."""
    start = time.perf_counter()
    pandas.read_csv(DATA / "current.csv")
    return time.perf_counter() - start


def slipway_csv():
    """Median of three whole processes: read, check every cell, profile, decide, print."""
    def once():
        start = time.perf_counter()
        out = run(SLIPWAY, "contract", "check", DATA / "contract.yaml", DATA / "current.csv",
                  "--drift")
        assert "drift: ok" in out, out
        return time.perf_counter() - start
    return sorted(once() for _ in range(3))[1]


def bar(name, theirs, ours):
    ratio = theirs / ours
    is_ok = ratio >= BARS[name]
    print(f"    {name}: Evidently {theirs:.2f} s, Slipway {ours:.3f} s")
    print(f"bar drift_batch_{name}_vs_evidently {ratio:.1f}x >={BARS[name]}x "
          f"{'ok' if is_ok else 'short'}", flush=True)
    return is_ok


def main():
    make_data()
    theirs = evidently(frame("current"), frame("reference"))
    memory = bar("memory", theirs, float(run(BENCH, "memory", DATA)))
    csv = bar("csv", theirs + pandas_csv(), slipway_csv())
    sys.exit(0 if memory and csv else 1)


main()
