#!/usr/bin/env python3
"""Makes the CSV files of this folder from the two published data sets.

    make.py CRM_SALES_DIR CDNOW_SAMPLE_TXT [OUT_DIR]

CRM_SALES_DIR holds accounts.csv, products.csv, sales_pipeline.csv and sales_teams.csv of
"CRM Sales Opportunities"; CDNOW_SAMPLE_TXT is the 1/10 sample of the CDNOW purchase history.

Added: e-mail addresses and roles for agents and managers, names for teams and for CDNOW
customers, and order numbers. Nothing is repaired: what is wrong in the originals (misspelled
words, a product under two names, an unknown account, dates in the future) stays wrong, because
coping with it is the import's work.

Prints SHA-256, size and name of every input and output, for PROVENANCE.md.
"""

import csv
import hashlib
import pathlib
import shutil
import sys
import unicodedata

# Original name -> name here. Copied byte for byte.
COPIED = {
    "accounts.csv": "accounts.csv",
    "products.csv": "products.csv",
    "sales_pipeline.csv": "opportunities.csv",
}


def email(name):
    """`João Vitor` -> `joao.vitor@sales.example`: accents dropped, words joined by dots."""
    folded = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii")
    return ".".join(folded.lower().split()) + "@sales.example"


def write(path, header, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def unique(values):
    """The distinct values in the order of their first appearance."""
    return list(dict.fromkeys(values))


def make_people(sales_teams, out):
    """Users, teams and memberships: an office per region, below it one team per manager."""
    with sales_teams.open(encoding="utf-8", newline="") as file:
        agents = list(csv.DictReader(file))
    offices = unique(row["regional_office"] for row in agents)
    managers = unique((row["manager"], row["regional_office"]) for row in agents)

    users = [(name, email(name), "manager", "") for name, _ in managers]
    users += [(row["sales_agent"], email(row["sales_agent"]), "rep", email(row["manager"])) for row in agents]
    emails = [row[1] for row in users]
    if len(set(emails)) != len(emails):
        sys.exit("two people would share an e-mail address")
    write(out / "users.csv", ["name", "email", "role", "manager_email"], users)

    teams = [(office, "", "office", "") for office in offices]
    teams += [(f"Team {name}", office, "team", email(name)) for name, office in managers]
    write(out / "teams.csv", ["team", "parent_team", "kind", "lead_email"], teams)

    members = [(email(name), f"Team {name}", "lead") for name, _ in managers]
    members += [(email(row["sales_agent"]), f"Team {row['manager']}", "member") for row in agents]
    write(out / "memberships.csv", ["email", "team", "role"], members)


def make_cdnow(sample, out):
    """Customers in the order of their sample id; orders numbered in the order of the file."""
    purchases = [line.split() for line in sample.read_text(encoding="ascii").splitlines() if line.strip()]
    customers = unique((sample_id, master_id) for master_id, sample_id, *_ in purchases)
    write(
        out / "cdnow_customers.csv",
        ["sample_id", "master_id", "name"],
        ((sample_id, master_id, f"Customer {sample_id}") for sample_id, master_id in customers),
    )
    write(
        out / "cdnow_orders.csv",
        ["order_number", "sample_id", "date", "cds", "dollar_value"],
        ((f"O{number:05}", sample_id, *rest) for number, (_, sample_id, *rest) in enumerate(purchases, 1)),
    )


def digests(title, paths):
    print(title)
    for path in sorted(paths):
        content = path.read_bytes()
        print(f"{hashlib.sha256(content).hexdigest()}  {len(content):>7}  {path.name}")


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    crm, sample = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    out = pathlib.Path(sys.argv[3]) if len(sys.argv) == 4 else pathlib.Path(__file__).parent
    for original, here in COPIED.items():
        shutil.copyfile(crm / original, out / here)
    make_people(crm / "sales_teams.csv", out)
    make_cdnow(sample, out)
    digests("inputs", [*(crm / name for name in COPIED), crm / "sales_teams.csv", sample])
    digests("outputs", out.glob("*.csv"))


if __name__ == "__main__":
    main()
