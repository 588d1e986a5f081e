#!/usr/bin/env bash
# The product beside the hand-written limit (benches/limit), on the same database, rows and work: prints the share of the
# limit's requests a second that is left with everything on. Both servers run at once and are visited in turn; each figure
# is the median of several runs. Shares are what counts: requests a second differ by machine.
#
#   benches/http.sh [--runs 5] [--seconds 3] [--rows 100000] [--only "get list"] [--on "sqlite postgres"] [--full]
#
# Needs cargo, curl, python3 and wrk (`apt-get install wrk`); for PostgreSQL its programs (initdb on the path or under
# /usr/lib/postgresql), or psql and RIPEN_BENCH_POSTGRES=postgres://user@host:port of a server on which databases
# `ripen_bench_product` and `ripen_bench_limit` may be made and dropped. `--full` also measures how shares move from
# 10,000 to 1,000,000 rows, and from one tenant to 1,000 that share them.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=5 seconds=3 rows=100000 only="get list create batch contains search aggregate export import" on="sqlite postgres" full=
while [ $# -gt 0 ]; do
  case $1 in
    --runs) runs=$2; shift 2 ;;
    --seconds) seconds=$2; shift 2 ;;
    --rows) rows=$2; shift 2 ;;
    --only) only=$2; shift 2 ;;
    --on) on=$2; shift 2 ;;
    --full) full=1; shift ;;
    *) sed -n '2,12p' "$0"; exit 2 ;;
  esac
done
for program in cargo curl python3 wrk; do
  command -v "$program" >/dev/null || { echo "$program is missing (wrk: apt-get install wrk)" >&2; exit 1; }
done

work=$(mktemp -d) product= limit= cluster=
stop() { [ -z "$1" ] || { kill "$1" 2>/dev/null && wait "$1" 2>/dev/null; } || true; }
finish() {
  stop "$product"; stop "$limit"
  [ -z "$cluster" ] || as_postgres "$bin/pg_ctl" -D "$cluster/data" -m immediate stop >/dev/null || true
  rm -rf "$work" $cluster
}
trap finish EXIT
as_postgres() { if [ "$(id -u)" = 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi; }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
json() { python3 -c "import json, sys; print(json.load(sys.stdin)$1)"; }
product_port=$(free_port) limit_port=$(free_port) password='nine green pears'
at_product=http://127.0.0.1:$product_port at_limit=http://127.0.0.1:$limit_port

cargo build --release --locked -p ripen-server -p ripen-limit
build=${CARGO_TARGET_DIR:-target}/release

# A server with default settings on a disk that syncs, as customers have it.
start_cluster() {
  if [ -n "${RIPEN_BENCH_POSTGRES:-}" ]; then server=${RIPEN_BENCH_POSTGRES%/}; return; fi
  bin=$(dirname "$(command -v initdb || find /usr/lib/postgresql -name initdb | sort -V | tail -1)")
  cluster=$(mktemp -d)
  [ "$(id -u)" != 0 ] || chown postgres "$cluster"
  as_postgres "$bin/initdb" -D "$cluster/data" -U postgres -A trust -E UTF8 >/dev/null
  local port; port=$(free_port)
  as_postgres "$bin/pg_ctl" -D "$cluster/data" -w -l "$cluster/log" \
    -o "-p $port -k $cluster -c listen_addresses=127.0.0.1" start >/dev/null
  server=postgres://postgres@127.0.0.1:$port
}
sql() { PGOPTIONS='-c client_min_messages=warning' psql "$server/$1" -qAtX -v ON_ERROR_STOP=1 -c "$2"; }

ripen() { "$build/ripen" --dir "$work/data" --database "$(url product)" "$@"; }
url() { if [ "$db" = sqlite ]; then echo "sqlite://$work/$1.db"; else echo "$server/ripen_bench_$1"; fi; }

start_product() {
  RIPEN__LIMITS__TENANT_PER_MINUTE=0 RIPEN__LIMITS__TOKEN_PER_MINUTE=0 \
    RIPEN__SERVER__WORKERS=2 RIPEN__DATABASE__CONNECTIONS=$([ "$db" = sqlite ] && echo 4 || echo 8) \
    "$build/ripen" --dir "$work/data" --database "$(url product)" --listen "127.0.0.1:$product_port" serve \
    2>>"$work/product.log" & product=$!
  until curl -sf "$at_product/readyz" >/dev/null; do sleep 0.1; kill -0 $product; done
}
start_limit() {
  "$build/ripen-limit" "$(url limit)" "127.0.0.1:$limit_port" & limit=$!
  until curl -s "$at_limit/" >/dev/null; do sleep 0.1; kill -0 $limit; done
}

login() {
  local body="{\"tenant\":\"bench\",\"email\":\"admin@bench.example\",\"password\":\"$password\"}"
  token=$(curl -sf "$at_product/v1/auth/login" -H 'content-type: application/json' -d "$body" | json '["access_token"]')
}
api() { curl -sf -H "authorization: Bearer $token" "$at_product$1" "${@:2}"; }
post() { api "$1" -H 'content-type: application/json' -d "$2"; }

# Uploads a file and waits for its job.
import() {
  local job state
  job=$(api /v1/imports -F "spec=$1" -F "file=@$2" | json '["id"]')
  while true; do
    state=$(api "/v1/jobs/$job" | json '["state"]')
    case $state in
      succeeded) return ;;
      queued | running) sleep 0.02 ;;
      *) api "/v1/jobs/$job" >&2; exit 1 ;;
    esac
  done
}

contact_columns=first_name,last_name,title,email,phone,birthday,source
spec() {
  python3 -c 'import json, sys
mapping = {column: {"column": column} for column in sys.argv[2].split(",")}
if sys.argv[1] == "opportunity":
    mapping["stage_id"] = {"column": "stage", "lookup": {"kind": "stage", "by": "name"}}
print(json.dumps({"kind": sys.argv[1], "mapping": mapping}))' "$@"
}
contacts() {
  awk -v n="$1" -v head=$contact_columns 'BEGIN { print head; for (i = 0; i < n; i++)
    printf "Ann%d,L%04d,Head of Purchasing,n%05d@example.com,+4930%07d,1980-04-%02d,fair\n", i, i * 7919 % 1000, i, i, i % 28 + 1 }'
}
opportunities() {
  awk -v n="$1" 'BEGIN { print "name,stage,amount"; for (i = 0; i < n; i++)
    printf "Deal %d,S%d,%d.%02d\n", i, i % 6, i * 7919 % 90000, i % 100 }'
}

# Both databases with the same rows: the product's own, filled through its imports, and a copy.
fill() {
  rm -rf "$work"/data "$work"/*.db*
  mkdir -p "$work/data"
  if [ "$db" = postgres ]; then
    for name in product limit; do sql postgres "drop database if exists ripen_bench_$name with (force)"; done
    sql postgres 'create database ripen_bench_product'
  fi
  ripen migrate >/dev/null
  echo "$password" | ripen tenant create bench --admin-email admin@bench.example >/dev/null
  start_product
  login
  local pipeline; pipeline=$(post /v1/pipelines '{"name":"P"}' | json '["id"]')
  for i in 0 1 2 3 4 5; do
    post /v1/stages "{\"pipeline_id\":\"$pipeline\",\"name\":\"S$i\",\"position\":$i,\"kind\":\"open\"}" >/dev/null
  done
  contacts "$1" >"$work/contacts.csv"; import "$(spec contact $contact_columns)" "$work/contacts.csv"
  login
  opportunities "$1" >"$work/opportunities.csv"; import "$(spec opportunity name,amount)" "$work/opportunities.csv"
  stop $product; product=
  if [ "$db" = postgres ]; then
    sql ripen_bench_product 'vacuum analyze'
    sql postgres 'create database ripen_bench_limit template ripen_bench_product'
    sql ripen_bench_limit 'vacuum analyze'
  else
    cp "$work/product.db" "$work/limit.db"
  fi
  names=1000
}

# All but about a thousandth of the rows become those of 999 other tenants; what is left has 50 of each last name.
spread() {
  for name in product limit; do
    if [ "$db" = sqlite ]; then
      python3 benches/spread.py "$work/$name.db"
    else
      psql "$server/ripen_bench_$name" -qX -v ON_ERROR_STOP=1 -f benches/spread.sql
    fi
  done
  names=20
}

open() {
  start_product; start_limit; login
  curl -sf "$at_limit/v1/contacts/export" >"$work/all"
  shuf -n 5000 "$work/all" | cut -d '"' -f 4 >"$work/ids"
  same_answers
}
close() { stop $product; stop $limit; product= limit=; }

# The limit does the work of the product, or the comparison is worth nothing.
same_answers() {
  local id; id=$(head -1 "$work/ids")
  cmp <(api "/v1/contacts/$id") <(curl -sf "$at_limit/v1/contacts/$id")
  cmp <(api "/v1/contacts?filter=last_name%20%3D%20%22L0007%22" | json '["data"]') \
    <(curl -sf "$at_limit/v1/contacts?last_name=L0007" | json '["data"]')
  cmp <(api "/v1/contacts?filter=contains(email,%2200007@%22)" | json '["data"]') \
    <(curl -sf "$at_limit/v1/contacts?contains=00007@" | json '["data"]')
  # With the text index, beside the limit's filter without one.
  cmp <(api "/v1/contacts?search=n00007" | json '["data"]') \
    <(curl -sf "$at_limit/v1/contacts?contains=n00007@" | json '["data"]')
}

# Whether the product serves a path yet, by its own description.
serves() { curl -sf "$at_product/openapi.json" | json "['paths'].get('$1') is not None" | grep -q True; }

one_run() { # operation target connections
  local at=at_$2
  wrk -t "$(($3 > 1 ? 2 : 1))" -c "$3" -d "${seconds}s" --timeout 30s -s benches/http.lua "${!at}" -- "$1" "$2" "$token" "$work/ids" "$names" |
    sed -n 's/^result\t//p'
}
timed() { # operation target -> seconds
  local began ended
  began=$(date +%s.%N)
  case $1-$2 in
    export-product) api '/v1/contacts/export?format=ndjson' >/dev/null ;;
    export-limit) curl -sf "$at_limit/v1/contacts/export" >/dev/null ;;
    import-product) import "$(spec contact $contact_columns)" "$work/contacts.csv" ;;
    import-limit) curl -sf "$at_limit/v1/contacts/import" --data-binary "@$work/contacts.csv" >/dev/null ;;
  esac
  ended=$(date +%s.%N)
  echo "$began $ended" | awk -v n="$size" '{ s = $2 - $1; printf "%f\t%f\t%f\t0\n", n / s, s * 1e6, s * 1e6 }'
}

measure() { # operation connections; runs of the two targets in turn
  login
  for target in product limit; do : >"$work/$target.runs"; done
  for ((run = 0; run < runs; run++)); do
    for target in product limit; do
      case $1 in
        export | import) timed "$1" "$target" ;;
        *) one_run "$1" "$target" "$2" ;;
      esac >>"$work/$target.runs"
    done
  done
  python3 benches/table.py "$db" "$size" "$1" "$2" "$work/product.runs" "$work/limit.runs"
}

pss() { awk '/^Pss:/ { printf "%.0f", $2 / 1024 }' "/proc/$1/smaps_rollup"; }

# Every operation asked for, on the databases as they are.
each() { # operations
  open
  local idle operation connections; idle=$(pss $product)
  for operation in $1; do
    case $operation in
      batch | aggregate | export)
        local path=/v1/contacts/$operation
        [ "$operation" != aggregate ] || path=/v1/opportunities/aggregate
        serves "$path" || { echo "$db $size: the product does not serve $path"; continue; } ;;
    esac
    case $operation in
      export | import | contains | search | aggregate) connections=1 ;;
      batch) connections="1 4" ;;
      *) connections="1 32" ;;
    esac
    for c in $connections; do measure "$operation" "$c"; done
  done
  echo "$db $size: the product takes $idle MiB (PSS) when started and $(pss $product) MiB after this"
  close
}
all() { # rows operations
  size=$1
  fill "$size"
  each "$2"
}

python3 benches/table.py
for db in $on; do
  [ "$db" = sqlite ] || start_cluster
  all "$rows" "$only"
  if [ -n "$full" ]; then
    all 10000 "get list contains search aggregate export"
    all 1000000 "get list contains search aggregate export"
    size="1000000, 1000 tenants"
    spread
    each "get list contains aggregate"
  fi
done
