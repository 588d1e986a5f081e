"""`spread.py DATABASE`: all but a thousandth of the rows of an SQLite database become those of 999 other tenants; the 1,000
contacts that are left have 20 last names. References to users are left as they are: nothing here follows them."""

import sqlite3
import sys
import uuid

db = sqlite3.connect(sys.argv[1])
db.execute("pragma cache_size = -1000000")
db.execute("create temp table other as select * from tenant where slug = 'bench'")
for n in range(1, 1000):
    db.execute("update other set id = ?, slug = ?", (uuid.uuid4().bytes, f"bench-{n}"))
    db.execute("insert into tenant select * from other")
db.execute("create temp table place (n integer primary key, id blob)")
db.execute("insert into place select cast(substr(slug, 7) as integer), id from tenant where slug like 'bench-%'")
for table in ("contact", "opportunity"):
    other = "(select id from place where n = rowid % 1000)".replace("rowid", f"{table}.rowid")
    db.execute(f"update {table} set tenant_id = {other} where rowid % 1000 > 0")
db.execute("update contact set last_name = printf('L%04d', rowid / 1000 % 20) where rowid % 1000 = 0")
db.commit()
