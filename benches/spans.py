#!/usr/bin/env python3
"""What it costs to turn rows into files, and what it costs DuckDB.

    benches/spans.py [ROWS.jsonl.gz] [--runs N]

Takes a file of span rows, by default ../shared/corpus/spans.jsonl.gz beside this project, and
converts it to zstd Parquet and to gzip JSON Lines: by `shared/rows/examples/convert.rs` and by
DuckDB's `COPY`, each in a process of its own, in turns, on one thread. Rows are decompressed
first, so that this is in neither. CPU seconds are user and system time of the process, peak
memory is its greatest resident set, as the kernel counts both (the latter begins with the 12 MB
of this script, which starts it). What Python and DuckDB need to
start, measured by a process that does nothing else, is not counted as conversion: the table has
both ratios, with it and without.

Two inputs: the rows once, and ten times over. In the latter each time has other ids, times and
texts, as ten times as many rows would have; the same rows again would go to DuckDB's
dictionaries, and measure those. `--repeat` takes the very same rows ten times.
"""

import argparse
import gzip
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROWS = ROOT.parent / "shared" / "corpus" / "spans.jsonl.gz"
PYTHON = ROOT / ".venv-readers" / "bin" / "python"
CONVERT = ROOT / "target" / "release" / "examples" / "convert"
SECONDS_IN_7_HOURS = 7 * 3600

COLUMNS = {
    "_async_scoring_state": "JSON", "_pagination_key": "VARCHAR", "_xact_id": "BIGINT",
    "audit_data": "JSON", "classifications": "JSON", "comments": "JSON", "context": "JSON",
    "created": "TIMESTAMPTZ", "error": "JSON", "expected": "JSON", "facets": "JSON",
    "id": "VARCHAR", "input": "JSON", "is_root": "BOOLEAN", "log_id": "VARCHAR",
    "metadata": "JSON", "metrics": "MAP(VARCHAR, DOUBLE)", "org_id": "VARCHAR", "origin": "JSON",
    "output": "JSON", "project_id": "VARCHAR", "root_span_id": "VARCHAR",
    "scores": "MAP(VARCHAR, DOUBLE)", "span_attributes": "JSON", "span_id": "VARCHAR",
    "span_parents": "VARCHAR[]", "tags": "VARCHAR[]",
}

# DuckDB's side, run by the Python that has it: the same types, one thread.
DUCKDB = """
import sys, duckdb
connection = duckdb.connect()
connection.execute("SET threads = 1")
if len(sys.argv) > 1:
    source, target, columns, options = sys.argv[1:]
    rows = f"read_json('{source}', format = 'newline_delimited', columns = {columns})"
    connection.execute(f"COPY (SELECT * FROM {rows}) TO '{target}' ({options})")
"""
OPTIONS = {"spans": "FORMAT parquet, COMPRESSION zstd", "json-lines": "FORMAT json, COMPRESSION gzip"}
NAMES = {"spans": "Parquet, zstd", "json-lines": "JSON Lines, gzip"}


def measure(command):
    """CPU seconds and peak resident kB of a process."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{command[0]} failed with {process.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def other_hex(text, time):
    return hashlib.blake2b(f"{time} {text}".encode(), digest_size=len(text) // 2).hexdigest()


def other_texts(value, time):
    if isinstance(value, str):
        return f"{value} ({time})" if len(value) > 20 else value
    if isinstance(value, list):
        return [other_texts(element, time) for element in value]
    if isinstance(value, dict):
        return {name: other_texts(member, time) for name, member in value.items()}
    return value


def another(line, time):
    """The row of a line, as if another had come hours later."""
    row = json.loads(line)
    for name in ("id", "span_id", "root_span_id"):
        row[name] = other_hex(row[name], time)
    if row["span_parents"]:
        row["span_parents"] = [other_hex(parent, time) for parent in row["span_parents"]]
    later = time * SECONDS_IN_7_HOURS << 16
    row["_xact_id"] = str(int(row["_xact_id"]) + later)
    row["_pagination_key"] = f"p{int(row['_pagination_key'][1:]) + (later << 16):020}"
    row["audit_data"] = [entry | {"_xact_id": row["_xact_id"]} for entry in row["audit_data"]]
    for name in ("input", "output", "expected"):
        row[name] = other_texts(row[name], time)
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def prepare(rows, folder, repeat):
    """The inputs as plain files, by how many times they have the rows."""
    inputs = {1: folder / "once.jsonl", 10: folder / "ten-times.jsonl"}
    # In a process of its own: what it holds would count as the children's.
    worker = os.fork()
    if worker == 0:
        with gzip.open(rows) as file:
            lines = file.readlines()
        inputs[1].write_bytes(b"".join(lines))
        with open(inputs[10], "wb") as file:
            for time in range(10):
                same = repeat or time == 0
                file.writelines(lines if same else (another(line, time) for line in lines))
        os._exit(0)
    if os.waitpid(worker, 0)[1] != 0:
        sys.exit(f"{rows} could not be read as gzip JSON Lines of spans")
    return inputs


def compare(source, target, kind, runs):
    """Medians of both sides, in turns: (CPU s, peak kB, size)."""
    columns = "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in COLUMNS.items()) + "}"
    commands = {
        "ours": [CONVERT, source, kind, target],
        "DuckDB": [PYTHON, "-c", DUCKDB, source, target, columns, OPTIONS[kind]],
    }
    found = {side: [] for side in commands}
    for _ in range(runs):
        for side, command in commands.items():
            found[side].append((*measure(command), target.stat().st_size))
    return {side: [statistics.median(figures) for figures in zip(*all_runs)] for side, all_runs in found.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="?", type=Path, default=ROWS)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--repeat", action="store_true")
    options = parser.parse_args()
    if not options.rows.is_file():
        sys.exit(f"{options.rows} is not there: name a gzip file of span rows, one a line")
    subprocess.run([ROOT / ".ci" / "readers"], stdin=subprocess.DEVNULL, check=True)
    build = ["cargo", "build", "--release", "-p", "sealift-rows", "--example", "convert"]
    subprocess.run(build, cwd=ROOT, stdin=subprocess.DEVNULL, check=True)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        inputs = prepare(options.rows, folder, options.repeat)
        start = statistics.median(measure([PYTHON, "-c", DUCKDB])[0] for _ in range(options.runs))
        print(f"medians of {options.runs} runs; DuckDB's start takes {start:.3f} CPU s\n")
        print("| file | rows | side | CPU s | MB/CPU s | peak MB | file kB | ratio | without start |")
        print("|---|---:|---|---:|---:|---:|---:|---:|---:|")
        for kind, name in NAMES.items():
            for times, source in inputs.items():
                megabytes = source.stat().st_size / 1e6
                found = compare(source, folder / "out", kind, options.runs)
                ours, theirs = found["ours"][0], found["DuckDB"][0]
                ratios = f"{theirs / ours:.2f} | {(theirs - start) / ours:.2f}"
                for side, (cpu, peak, size) in found.items():
                    end = ratios if side == "ours" else " | "
                    print(
                        f"| {name} | {times}x, {megabytes:.1f} MB | {side} | {cpu:.3f} "
                        f"| {megabytes / cpu:.1f} | {peak / 1024:.1f} | {size / 1000:.0f} | {end} |"
                    )


if __name__ == "__main__":
    main()
