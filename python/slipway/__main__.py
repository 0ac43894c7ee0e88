"""python -m slipway: what the client does, for a shell.

    python -m slipway export churn --out churn.parquet --since 2026-01-01T00:00:00Z
    python -m slipway predict churn '{"tenure": 3, "plan": "basic"}'
"""
import argparse
import datetime
import json
import re
import sys

from . import Client, SlipwayError

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_time(text):
    """"2h" is that long ago; anything else goes to the server as it is."""
    match = re.fullmatch(r"(\d+)([smhd])", text)
    return datetime.timedelta(**{UNITS[match[2]]: int(match[1])}) if match else text


def export(client, args):
    count = client.export_predictions(args.model, args.out, args.since, args.until, args.version,
                                      args.format)
    print(f"{args.out}: {count} rows", file=sys.stderr)


def predict(client, args):
    text = sys.stdin.read() if args.rows == "-" else args.rows
    print(json.dumps(client.predict(args.model, json.loads(text), args.version), indent=2))


def parser():
    whole = argparse.ArgumentParser(prog="python -m slipway", description="Slipway's client")
    whole.add_argument("--server", help="http://, https:// or unix:/path; else SLIPWAY_SERVER")
    whole.add_argument("--key", help="API key or @FILE; else SLIPWAY_KEY")
    commands = whole.add_subparsers(dest="command", required=True)
    one = commands.add_parser("export", help="kept predictions into a file")
    one.add_argument("model")
    one.add_argument("--out", required=True, help="a file; its end says the format")
    one.add_argument("--format", choices=["jsonl", "csv", "parquet"])
    one.add_argument("--since", type=parse_time, help="RFC 3339, or 30m, 2h, 7d: that long ago")
    one.add_argument("--until", type=parse_time)
    one.add_argument("--version")
    one.set_defaults(run=export)
    one = commands.add_parser("predict", help="predict one row, or a list of rows")
    one.add_argument("model")
    one.add_argument("rows", help="JSON, or - for standard input")
    one.add_argument("--version")
    one.set_defaults(run=predict)
    return whole


def main():
    args = parser().parse_args()
    try:
        with Client(args.server, args.key) as client:
            args.run(client, args)
    except (SlipwayError, ImportError, OSError, ValueError) as error:
        print(f"slipway: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
