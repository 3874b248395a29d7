"""Reads a Parquet file with pyarrow and with DuckDB, and holds each row and field to the JSON
that it was made of.

    readers.py FILE.parquet ROWS.jsonl

Fails with a message if anything differs. `tests/readers.rs` calls it.
"""

import json
import re
import sys
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import duckdb
import pyarrow
import pyarrow.parquet

TEXTS = {"_pagination_key", "id", "log_id", "org_id", "project_id", "root_span_id", "span_id"}
LISTS = {"tags", "span_parents"}
MAPS = {"scores", "metrics"}
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def parse(text):
    # Decimal tells 1.0 from 1 and loses no digit.
    return json.loads(text, parse_float=Decimal)


def exact(value):
    """A value whose equality is that of its JSON: 1, 1.0 and true are three."""
    if isinstance(value, dict):
        return {name: exact(member) for name, member in value.items()}
    if isinstance(value, list):
        return [exact(element) for element in value]
    return (type(value).__name__, str(value))


def micros(text):
    return (datetime.fromisoformat(text.replace("Z", "+00:00")) - EPOCH) // timedelta(microseconds=1)


def expected(name, value):
    """What the column holds of a value that fits it."""
    if value is None:
        return None
    if name == "_xact_id":
        return int(value)
    if name == "created":
        return micros(value)
    if name in MAPS:
        return {key: None if number is None else float(number) for key, number in value.items()}
    if name in TEXTS or name in LISTS or name == "is_root":
        return value
    return exact(value)


def check(reader, line, columns):
    """`columns` is a row as the reader gives it: JSON as text, times in microseconds."""
    row = parse(line)
    extra = parse(columns.pop("extra") or "{}")
    for name in row.keys() - columns.keys():
        assert exact(extra.pop(name)) == exact(row[name]), f"{reader}: {name} in extra, of {line}"
    for name, column in columns.items():
        value, beside = row.get(name), extra.pop(name, None)
        if name in MAPS and isinstance(value, dict):
            for key, other in (beside or {}).items():
                assert exact(other) == exact(value.pop(key)), f"{reader}: {name}, of {line}"
        elif beside is not None:
            assert exact(beside) == exact(value), f"{reader}: {name} in extra, of {line}"
            value = None
        if isinstance(column, str) and name not in TEXTS:
            column = exact(parse(column))
        assert column == expected(name, value), f"{reader}: {name} is {column!r}, of {line}"
    assert not extra, f"{reader}: {extra} comes from nowhere, of {line}"


def plain(name, value):
    """A value of pyarrow in the form that DuckDB has."""
    if name in MAPS and value is not None:
        return dict(value)
    return value


def kind(name, types):
    for names, of_names in types:
        if name in names:
            return of_names
    return types[-1][1]


def with_pyarrow(file, lines):
    parquet = pyarrow.parquet.ParquetFile(file)
    types = [
        ({"_xact_id"}, "int64"),
        ({"created"}, "timestamp[us, tz=UTC]"),
        ({"is_root"}, "bool"),
        (LISTS, "list<element: string>"),
        (MAPS, "map<string, double>"),
        (TEXTS, "string"),
        (set(), "extension<arrow.json>"),
    ]
    for field in parquet.schema_arrow:
        said = re.sub(r" \('\w+'\)", "", str(field.type))
        assert said == kind(field.name, types), f"pyarrow: {field}"
    table = parquet.read()
    created = table.schema.get_field_index("created")
    if created >= 0:
        column = table.column(created).cast(pyarrow.int64())
        table = table.set_column(created, "created", column)
    rows = table.to_pylist()
    assert len(rows) == len(lines), f"pyarrow: {len(rows)} rows of {len(lines)}"
    for line, row in zip(lines, rows):
        check("pyarrow", line, {name: plain(name, value) for name, value in row.items()})
    return parquet.metadata


def with_duckdb(file, lines):
    connection = duckdb.connect()
    table = f"read_parquet('{file}')"
    described = connection.execute(f"DESCRIBE SELECT * FROM {table}").fetchall()
    types = [
        ({"_xact_id"}, "BIGINT"),
        ({"created"}, "TIMESTAMP WITH TIME ZONE"),
        ({"is_root"}, "BOOLEAN"),
        (TEXTS, "VARCHAR"),
        (LISTS, "VARCHAR[]"),
        (MAPS, "MAP(VARCHAR, DOUBLE)"),
        (set(), "JSON"),
    ]
    for name, said, *_ in described:
        assert said == kind(name, types), f"DuckDB: {name} is {said}"
    names = [name for name, *_ in described]
    times = " REPLACE (epoch_us(created) AS created)" if "created" in names else ""
    rows = connection.execute(f"SELECT *{times} FROM {table}").fetchall()
    assert len(rows) == len(lines), f"DuckDB: {len(rows)} rows of {len(lines)}"
    for line, row in zip(lines, rows):
        check("DuckDB", line, dict(zip(names, row)))
    if "id" in names:
        # By statistics, page index and bloom filter, each id is found where it is.
        ids = [parse(line).get("id") for line in lines]
        for wanted in [one for one in ids if isinstance(one, str)][:: max(1, len(ids) // 40)]:
            query = f"SELECT count(*) FROM {table} WHERE id = ?"
            (found,) = connection.execute(query, [wanted]).fetchone()
            assert found == ids.count(wanted), f"DuckDB: {found} rows have the id {wanted!r}"


def main():
    file, rows = sys.argv[1:]
    with open(rows, encoding="utf-8", newline="\n") as lines:
        lines = lines.read().split("\n")[:-1]
    metadata = with_pyarrow(file, lines)
    with_duckdb(file, lines)
    print(f"{len(lines)} rows in {metadata.num_row_groups} row groups: both readers agree")


main()
