#!/usr/bin/env python3
"""Recomputes the RFM scores and labels of both demo populations from the raw files.

Shares no code with the product and reads nothing it computed, so that an agreement means something.
Python standard library only.

    check_rfm.py [--data DIR] POPULATION@AS_OF=FILE ...    compare scores exported by the product
    check_rfm.py [--data DIR] --print                      print all control figures as JSON

POPULATION is `cdnow` or `b2b`, AS_OF a date, FILE holds one JSON object a line:
{"external_id": .., "value": .., "label": .., "contributions": [recency, orders, revenue]}.
For example: check_rfm.py cdnow@1998-07-01=cdnow.ndjson b2b@2018-01-01=b2b.ndjson

DIR (default: the demo's data) holds the demo's CSV files or the published originals.
Exits 0 when all agree, 1 on any difference, 2 on bad usage.

The rules, as the product documents them:
- A fact at `as_of` knows what happened on days before `as_of`; a window P365D is [as_of - 365 days, as_of).
- recency = calendar days from the last event to `as_of`, over all the past; orders and revenue = count and sum of the
  window, 0 when it is empty. Each order counts, also several on one day and those of amount 0.
- An event is an order (cdnow) or a won opportunity with an account, at its close date (b2b).
- Subjects without any event before `as_of` are not scored and are not in the population.
- Cuts are the quantiles 0.2, 0.4, 0.6, 0.8: the smallest value v with at least q of the rows <= v.
- digit = 1 + number of cuts strictly below the value; for recency 6 minus that.
- value = 25 * sum(w_i * (digit_i - 1)) / sum(w_i); its terms are the contributions.
- Ranking is by value, highest first, ties by external_id in byte order; fifth i holds ranks floor((i-1)n/5) to floor(in/5).
"""

import argparse
import collections
import csv
import datetime
import json
import pathlib
import sys

DATA = pathlib.Path(__file__).resolve().parents[2] / "src" / "demo" / "data"
WINDOW = datetime.timedelta(days=365)
TOLERANCE = 1e-9
EQUAL_WEIGHTS = (1, 1, 1)
DOUBLE_MONEY = (1, 1, 2)

Event = collections.namedtuple("Event", "subject date cents")
Facts = collections.namedtuple("Facts", "recency orders revenue")
Score = collections.namedtuple("Score", "value label contributions digits")


# ---- the raw files

def locate(data, *names):
    """The first file under `data` that has one of the names."""
    for name in names:
        for path in sorted(data.rglob(name)):
            return path
    sys.exit(f"{data}: none of {', '.join(names)} found")


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def cents(text):
    units, _, fraction = text.partition(".")
    return int(units) * 100 + int(fraction.ljust(2, "0"))


def cdnow_events(data):
    path = locate(data, "cdnow_orders.csv", "CDNOW_sample.txt")
    if path.suffix == ".txt":
        lines = (line.split() for line in path.read_text(encoding="ascii").splitlines() if line.strip())
        raw = [(sample_id, day, amount) for _, sample_id, day, _, amount in lines]
    else:
        raw = [(row["sample_id"], row["date"], row["dollar_value"]) for row in rows_of(path)]
    return [Event(subject, datetime.datetime.strptime(day, "%Y%m%d").date(), cents(amount)) for subject, day, amount in raw]


def opportunities(data):
    return rows_of(locate(data, "opportunities.csv", "sales_pipeline.csv"))


def b2b_events(data):
    return [
        Event(row["account"], datetime.date.fromisoformat(row["close_date"]), cents(row["close_value"]))
        for row in opportunities(data)
        if row["deal_stage"] == "Won" and row["account"]
    ]


POPULATIONS = {"cdnow": cdnow_events, "b2b": b2b_events}


# ---- the definition

def facts_of(events, as_of):
    past = collections.defaultdict(list)
    for event in events:
        if event.date < as_of:
            past[event.subject].append(event)
    facts = {}
    for subject, known in past.items():
        recent = [event for event in known if event.date >= as_of - WINDOW]
        facts[subject] = Facts(
            recency=(as_of - max(event.date for event in known)).days,
            orders=len(recent),
            revenue=sum(event.cents for event in recent),
        )
    return facts


def cuts_of(values):
    ordered = sorted(values)
    # ceil(k * n / 5) in whole numbers: no rounding can move a cut.
    return [ordered[-(-k * len(ordered) // 5) - 1] for k in (1, 2, 3, 4)]


def label_of(recency, orders, revenue):
    twice_mean = orders + revenue
    band = sum(twice_mean >= limit for limit in (4, 6, 8))
    if recency >= 4:
        return ("new", "potential", "loyal", "champion")[band]
    if recency == 3:
        return ("hibernating", "potential", "loyal", "loyal")[band]
    return ("lost", "hibernating", "at_risk", "at_risk")[band]


def all_cuts(facts):
    return Facts(*(cuts_of(column) for column in zip(*facts.values())))


def score_all(facts, weights=EQUAL_WEIGHTS):
    cuts = all_cuts(facts)
    scores = {}
    for subject, fact in facts.items():
        recency, orders, revenue = (1 + sum(cut < value for cut in column) for value, column in zip(fact, cuts))
        digits = (6 - recency, orders, revenue)
        steps = [weight * (digit - 1) for weight, digit in zip(weights, digits)]
        scores[subject] = Score(
            value=25 * sum(steps) / sum(weights),
            label=label_of(*digits),
            contributions=[25 * step / sum(weights) for step in steps],
            digits=digits,
        )
    return scores


def ranked(scores):
    return sorted(scores, key=lambda subject: (-scores[subject].value, subject.encode()))


# ---- the control figures

def percent(part, whole):
    return round(100 * part / whole, 1)


def dollars(amount):
    return f"{amount // 100}.{amount % 100:02}"


def backtest(events, as_of):
    later_revenue, later_orders = collections.Counter(), collections.Counter()
    for event in events:
        if event.date >= as_of:
            later_revenue[event.subject] += event.cents
            later_orders[event.subject] += 1
    order = ranked(score_all(facts_of(events, as_of)))
    total, size = sum(later_revenue[subject] for subject in order), len(order)
    fifths = []
    for i in range(5):
        fifth = order[i * size // 5:(i + 1) * size // 5]
        fifths.append({
            "subjects": len(fifth),
            "outcome_sum": dollars(sum(later_revenue[subject] for subject in fifth)),
            "outcome_share_percent": percent(sum(later_revenue[subject] for subject in fifth), total),
            "with_revenue": sum(later_revenue[subject] > 0 for subject in fifth),
            "with_revenue_percent": percent(sum(later_revenue[subject] > 0 for subject in fifth), len(fifth)),
            "with_orders": sum(later_orders[subject] > 0 for subject in fifth),
        })
    return fifths


def population(events, as_of):
    facts = facts_of(events, as_of)
    scores = score_all(facts)
    cuts = all_cuts(facts)
    return {
        "as_of": as_of.isoformat(),
        "scored": len(scores),
        "cuts": {"recency": cuts.recency, "orders": cuts.orders, "revenue": [dollars(cut) for cut in cuts.revenue]},
        "labels": dict(sorted(collections.Counter(score.label for score in scores.values()).items())),
        "value_sum": round(sum(score.value for score in scores.values()), 6),
        "at_100": sum(score.value == 100 for score in scores.values()),
        "best": [row_of(subject, scores[subject]) for subject in ranked(scores)[:10]],
    }


def row_of(subject, score):
    return {"external_id": subject, "value": score.value, "label": score.label, "contributions": score.contributions}


def movers(events, as_of, weights, count=5):
    """What other weights do to the ranking: the subjects that rise and fall most, ties by external_id."""
    facts = facts_of(events, as_of)
    before, after = score_all(facts), score_all(facts, weights)
    rank_before = {subject: rank for rank, subject in enumerate(ranked(before), 1)}
    rank_after = {subject: rank for rank, subject in enumerate(ranked(after), 1)}
    moves = [
        {
            "external_id": subject,
            "rank_before": rank_before[subject],
            "rank_after": rank_after[subject],
            "value_before": before[subject].value,
            "value_after": after[subject].value,
        }
        for subject in before
    ]

    def rise(move):
        return move["rank_before"] - move["rank_after"]

    return {
        "weights": list(weights),
        "changed_values": sum(before[subject].value != after[subject].value for subject in before),
        "changed_ranks": sum(rise(move) != 0 for move in moves),
        "up": sorted(moves, key=lambda move: (-rise(move), move["external_id"].encode()))[:count],
        "down": sorted(moves, key=lambda move: (rise(move), move["external_id"].encode()))[:count],
    }


def forgotten(data, as_of):
    """Open deals older than any deal ever took to close, with the list price of their product."""
    prices = {row["product"].replace(" ", ""): cents(row["sales_price"]) for row in rows_of(locate(data, "products.csv"))}
    deals = opportunities(data)
    day = datetime.date.fromisoformat
    longest = max((day(deal["close_date"]) - day(deal["engage_date"])).days for deal in deals if deal["close_date"])
    engaged = [deal for deal in deals if not deal["close_date"] and deal["engage_date"] and day(deal["engage_date"]) < as_of]
    old = [deal for deal in engaged if (as_of - day(deal["engage_date"])).days > longest]
    by_agent = collections.Counter(deal["sales_agent"] for deal in old)
    return {
        "as_of": as_of.isoformat(),
        "longest_days_to_close": longest,
        "engaged": len(engaged),
        "older": len(old),
        "list_value": dollars(sum(prices[deal["product"].replace(" ", "")] for deal in old)),
        "by_agent": [
            {"name": name, "deals": deals} for name, deals in sorted(by_agent.items(), key=lambda item: (-item[1], item[0].encode()))
        ],
    }


def imported(data):
    """What an import of the opportunities and accounts meets; the header is line 1."""
    accounts, deals = rows_of(locate(data, "accounts.csv")), opportunities(data)
    position = {row["account"]: index for index, row in enumerate(accounts)}
    refused = [(line, deal) for line, deal in enumerate(deals, 2) if deal["account"] and deal["account"] not in position]
    kept = [deal for deal in deals if not deal["account"] or deal["account"] in position]
    return {
        "rows": len(deals),
        "imported": len(kept),
        "refused": [{"line": line, "external_id": deal["opportunity_id"], "account": deal["account"]} for line, deal in refused],
        "without_account": sum(not deal["account"] for deal in kept),
        "stages": dict(sorted(collections.Counter(deal["deal_stage"] for deal in kept).items())),
        "won_value": dollars(sum(cents(deal["close_value"]) for deal in kept if deal["deal_stage"] == "Won")),
        "product_gtxpro": sum(deal["product"] == "GTXPro" for deal in kept),
        "sector_technolgy": sum(row["sector"] == "technolgy" for row in accounts),
        "country_philipines": sum(row["office_location"] == "Philipines" for row in accounts),
        "engaged_after_2025": [deal["opportunity_id"] for deal in kept if deal["engage_date"] > "2025-12-31"],
        "parents": sum(bool(row["subsidiary_of"]) for row in accounts),
        "parents_further_down": sum(
            position[row["subsidiary_of"]] > index for index, row in enumerate(accounts) if row["subsidiary_of"]
        ),
    }


def control_figures(data):
    autumn, summer, new_year = datetime.date(1997, 10, 1), datetime.date(1998, 7, 1), datetime.date(2018, 1, 1)
    cdnow, b2b = cdnow_events(data), b2b_events(data)
    b2b_scores = score_all(facts_of(b2b, new_year))
    return {
        "import": imported(data),
        "cdnow_1997_10_01": population(cdnow, autumn),
        "cdnow_1998_07_01": population(cdnow, summer),
        "cdnow_backtest_1997_10_01": backtest(cdnow, autumn),
        "b2b_2018_01_01": population(b2b, new_year),
        "b2b_2018_01_01_scores": [row_of(subject, b2b_scores[subject]) for subject in ranked(b2b_scores)],
        "b2b_2018_01_01_double_money": movers(b2b, new_year, DOUBLE_MONEY),
        "b2b_2018_01_01_forgotten": forgotten(data, new_year),
    }


# ---- the comparison

def close(found, expected):
    return isinstance(found, (int, float)) and abs(found - expected) <= TOLERANCE


def differences(expected, lines):
    """One sentence for each way in which the exported lines are not the expected scores."""
    seen = set()
    for number, line in enumerate(lines, 1):
        row = json.loads(line)
        subject = row.get("external_id")
        if subject in seen:
            yield f"line {number}: {subject} appears twice"
        elif subject not in expected:
            yield f"line {number}: {subject} should not be scored"
        else:
            yield from row_differences(f"line {number}: {subject}", row, expected[subject])
        seen.add(subject)
    for subject in sorted(expected.keys() - seen):
        yield f"{subject} is missing"


def row_differences(place, row, score):
    value, label, terms = row.get("value"), row.get("label"), row.get("contributions")
    if not close(value, score.value):
        yield f"{place}: value {value}, expected {score.value} (digits {score.digits})"
    if label != score.label:
        yield f"{place}: label {label}, expected {score.label} (digits {score.digits})"
    if not isinstance(terms, list) or len(terms) != 3 or not all(map(close, terms, score.contributions)):
        yield f"{place}: contributions {terms}, expected {score.contributions}"


def export_argument(text):
    """`cdnow@1998-07-01=FILE` as (population, as_of, path)."""
    scope, _, path = text.partition("=")
    name, _, day = scope.partition("@")
    if name not in POPULATIONS or not path:
        raise argparse.ArgumentTypeError(f"{text}: expected cdnow@DATE=FILE or b2b@DATE=FILE")
    try:
        return name, datetime.date.fromisoformat(day), pathlib.Path(path)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from error


def agrees(data, name, as_of, path):
    """Prints the outcome for one exported file; true when it agrees."""
    expected = score_all(facts_of(POPULATIONS[name](data), as_of))
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    found = list(differences(expected, lines))
    for difference in found[:20]:
        print(f"{name}@{as_of}: {difference}")
    print(f"{name}@{as_of}: {len(expected)} expected, {len(lines)} exported, {len(found)} differences")
    return not found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, default=DATA)
    parser.add_argument("--print", action="store_true", dest="show")
    parser.add_argument("exports", nargs="*", type=export_argument, metavar="POPULATION@AS_OF=FILE")
    arguments = parser.parse_args()
    if arguments.show:
        json.dump(control_figures(arguments.data), sys.stdout, indent=1, ensure_ascii=False)
        print()
    elif not arguments.exports:
        parser.error("name at least one exported file, or --print")
    # A list, so that every file is reported even after one that differs.
    elif not all([agrees(arguments.data, *export) for export in arguments.exports]):
        sys.exit(1)


if __name__ == "__main__":
    main()
