"""One line of the table: medians of the runs of both targets, and the product's share of the limit.

A run is a line `requests a second, median us, 99th percentile us, answers that were no success`."""

import statistics
import sys

# Share of the limit's requests a second that is the goal on (SQLite, PostgreSQL).
SHARES = {"get": (0.55, 0.60), "list": (0.60, 0.60), "create": (0.40, 0.40), "batch": (0.35, 0.35),
          "export": (0.50, 0.50), "import": (0.35, 0.35)}
# Times the limit's median time that is the goal. The limit has no text index: it reads every row.
MEDIANS = {"contains": 1.1, "search": 0.1, "aggregate": 1.1}
MEDIANS_OF_A_MILLION = MEDIANS | {"search": 0.02}
HEAD = ("database", "rows", "operation", "c", "product/s", "limit/s", "share", "p50", "p99", "errors", "goal", "met")


def runs(path):
    with open(path) as lines:
        figures = [[float(figure) for figure in line.split()] for line in lines]
    assert figures, f"{path} has no runs"
    *medians, _ = (statistics.median(column) for column in zip(*figures))
    assert medians[0] > 0, f"{path}: no request was answered; --seconds is too short"
    return medians, int(sum(run[3] for run in figures))


def row(database, size, operation, connections, product, limit):
    (speed, p50, p99), errors = runs(product)
    (limit_speed, limit_p50, limit_p99), limit_errors = runs(limit)
    share, times, tail = speed / limit_speed, p50 / limit_p50, p99 / limit_p99
    if operation in MEDIANS:
        most = (MEDIANS_OF_A_MILLION if size == "1000000" else MEDIANS)[operation]
        goal, met = f"p50 <= {most}x", times <= most
    else:
        goal = SHARES[operation][database == "postgres"]
        goal, met = f">= {goal:.2f}", share >= goal
    failed = f"{errors}/{limit_errors}"
    return (database, size, operation, connections, f"{speed:.1f}", f"{limit_speed:.1f}", f"{share:.2f}", f"{times:.3g}x",
            f"{tail:.2f}x", failed, goal, "yes" if met and not errors else "NO")


def line(cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


if len(sys.argv) == 1:
    print(line(HEAD))
    print(line("-" * 3 for _ in HEAD))
else:
    print(line(row(*sys.argv[1:])))
