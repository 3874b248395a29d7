#!/usr/bin/env python3
"""How large the functions are, and how long one takes to start.

    benches/start.py --functions FOLDER --variables FILE --bare FILE [--runs N]

Takes the functions as `sam build` leaves them, one `bootstrap` in a folder each, and holds them against
`benches/bare-client`, built in the same way: the least that asks S3 for an object. For each it prints the size of the
binary, of its zip (what Lambda loads), and the time from the start of the process until it asks the runtime for its
first event, which is when Lambda counts it as started. A server of this script answers as Lambda's runtime API; the
functions and the bare client start in turns, and the table has the medians and, of each function, the median of its
ratios to the bare client's start of the same turn: the machine's own speed is in neither.

Lambda's microVMs are slower to read a binary than this machine's memory is, which the zip's size stands for.

The story on the emulator prints it (`.ci/e2e`), with the variables that the template gives each function.
"""

import argparse
import io
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Parquet alone is more than the other functions have of their own.
WITH_PARQUET = {"interval-export"}
MOST_ZIP_MB = 5.0
MOST_RATIO = 1.3


def start(bootstrap, variables):
    """Seconds until a process asks for its first event."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(20)
        environment = {
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_REGION": "us-east-1",
            "AWS_LAMBDA_FUNCTION_NAME": "measured",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_LAMBDA_FUNCTION_VERSION": "1",
            **variables,
            "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:%d" % listener.getsockname()[1],
        }
        began = time.perf_counter()
        process = subprocess.Popen(
            [bootstrap], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(20)
                asked = connection.recv(4096)
                took = time.perf_counter() - began
        except TimeoutError:
            process.kill()
            said = process.communicate()[0].decode(errors="replace")
            sys.exit(f"{bootstrap} did not ask for an event: {said[:2000]}")
        finally:
            process.kill()
            process.communicate()
    if not asked.startswith(b"GET /2018-06-01/runtime/invocation/next"):
        sys.exit(f"{bootstrap} asked for something else first: {asked[:80]}")
    return took


def zipped(bootstrap):
    """The size of what is uploaded, in bytes."""
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(bootstrap, "bootstrap")
    return into.tell()


def table(functions, bare, runs):
    """The lines of the table. `functions` are names, their binaries and their variables."""
    all_of_them = [("bare client", bare, {}), *functions]
    for _, bootstrap, variables in all_of_them:
        start(bootstrap, variables)  # Into the page cache.
    turns = []
    for _ in range(runs):
        turns.append([start(bootstrap, variables) for _, bootstrap, variables in all_of_them])
    lines = [f"{'function':<20} {'binary':>9} {'zip':>9} {'start':>9} {'of bare':>8}"]
    missed = []
    for place, (name, bootstrap, _) in enumerate(all_of_them):
        size, zip_size = os.path.getsize(bootstrap) / 1e6, zipped(bootstrap) / 1e6
        took = statistics.median(turn[place] for turn in turns) * 1e3
        ratio = statistics.median(turn[place] / turn[0] for turn in turns)
        lines.append(f"{name:<20} {size:>6.2f} MB {zip_size:>6.2f} MB {took:>6.1f} ms {ratio:>7.2f}x")
        if zip_size > MOST_ZIP_MB and name not in WITH_PARQUET:
            missed.append(f"the zip of {name}")
        if ratio > MOST_RATIO:
            missed.append(f"the start of {name}")
    lines.append(f"goals: a zip of at most {MOST_ZIP_MB:.0f} MB without Parquet, a start of at most {MOST_RATIO} times the bare client's")
    lines.append(f"missed: {', '.join(missed)}" if missed else "all are reached")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=21, help="turns (default 21)")
    parser.add_argument("--functions", type=Path, required=True, help="a folder with NAME/bootstrap for each")
    parser.add_argument("--variables", type=Path, required=True, help="JSON: NAME to its variables")
    parser.add_argument("--bare", type=Path, required=True, help="the bare client's bootstrap")
    options = parser.parse_args()
    variables = json.loads(options.variables.read_text())
    functions = [(name, options.functions / name / "bootstrap", given) for name, given in sorted(variables.items())]
    print("\n".join(table(functions, options.bare, options.runs)))


if __name__ == "__main__":
    main()
