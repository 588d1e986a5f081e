//! Aggregates: the measures of each group are those of an evaluator in memory, on both databases.

use std::collections::BTreeMap;

use sea_orm::ConnectionTrait;
use serde_json::{Map, Value as Json, json};

use crate::support::{Answer, Caller, Db, Person, on, on_both, on_both_with_the_sample};

async fn asked(caller: &Caller, plural: &str, body: Json) -> Answer {
    caller.post(&format!("/v1/{plural}/aggregate"), body).await
}

/// Accounts of three owners, some without employees or revenue.
async fn accounts(admin: &Caller, owners: &[Json]) -> Vec<Json> {
    let revenues =
        [Some(("10.05", "USD")), Some(("1000", "JPY")), None, Some(("-0.01", "USD")), Some(("0.125", "BHD"))];
    let mut made = Vec::new();
    for i in 0..23_usize {
        let mut body =
            json!({"name": format!("A{}", i % 4), "owner_id": owners[i % owners.len()], "external_id": i.to_string()});
        if i % 5 > 0 {
            body["employees"] = json!(i * i % 17);
        }
        if let Some((amount, currency)) = revenues[i % revenues.len()] {
            body["annual_revenue"] = json!({"amount": amount, "currency": currency});
        }
        made.push(admin.post("/v1/accounts", body).await.expect(201).json);
    }
    made
}

async fn users(server: &crate::support::TestServer) -> Vec<Json> {
    let mut ids = Vec::new();
    for person in [Person::Admin, Person::Manager, Person::Rep] {
        ids.push(server.as_person(person).await.get("/v1/me").await.expect(200).json["user"]["id"].clone());
    }
    ids
}

#[test]
fn measures_of_each_group_are_those_of_an_evaluator_in_memory() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let owners = users(&server).await;
        let rows = accounts(&admin, &owners).await;
        let names: BTreeMap<&str, &str> =
            owners.iter().map(|id| id.as_str().unwrap()).zip(["Ada Adams", "Manager", "Rep"]).collect();
        let body = json!({
            "group_by": ["owner.name", "name"],
            "measures": [{"fn": "count"}, {"fn": "count", "field": "employees"}, {"fn": "sum", "field": "employees"},
                {"fn": "min", "field": "employees"}, {"fn": "max", "field": "employees"},
                {"fn": "avg", "field": "employees"}, {"fn": "count_distinct", "field": "employees", "as": "kinds"}],
        });
        let answer = asked(&admin, "accounts", body).await.expect(200);
        let mut by_group: BTreeMap<(&str, &str), Vec<&Json>> = BTreeMap::new();
        for row in &rows {
            let key = (names[row["owner_id"].as_str().unwrap()], row["name"].as_str().unwrap());
            by_group.entry(key).or_default().push(row);
        }
        assert_eq!(answer.data().len(), by_group.len());
        for (found, ((owner, name), rows)) in answer.data().iter().zip(&by_group) {
            let mut numbers: Vec<i64> = rows.iter().filter_map(|row| row["employees"].as_i64()).collect();
            numbers.sort_unstable();
            let (sum, count): (i64, usize) = (numbers.iter().sum(), numbers.len());
            let average = (count > 0).then(|| average(sum, i64::try_from(count).unwrap()));
            let mut wanted = json!({
                "count": rows.len(), "count_employees": count, "sum_employees": (count > 0).then_some(sum),
                "min_employees": numbers.first(), "max_employees": numbers.last(),
            });
            numbers.dedup();
            wanted["kinds"] = json!(numbers.len());
            let mut measures = found["measures"].clone();
            let found_average = measures.as_object_mut().unwrap().remove("avg_employees").unwrap();
            assert_eq!(found["group"], json!({"owner.name": owner, "name": name}));
            let found_average = Some(found_average.to_string()).filter(|text| text != "null");
            assert_eq!((measures, found_average), (wanted, average), "{owner} {name}");
        }
    });
}

/// Six decimals at most, half away from zero; neither is negative.
fn average(sum: i64, count: i64) -> String {
    let millionths = (2 * sum * 1_000_000 + count) / (2 * count);
    let text = format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[test]
fn amounts_are_added_by_currency_and_never_across() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        accounts(&admin, &users(&server).await).await;
        let field = "annual_revenue";
        let measures = json!([{"fn": "count"}, {"fn": "sum", "field": field, "as": "sum"},
            {"fn": "avg", "field": field, "as": "avg"}, {"fn": "min", "field": field, "as": "min"}]);
        let found = asked(&admin, "accounts", json!({"measures": measures})).await.expect(200);
        let group = |currency: &str, count: i64, [sum, avg, min]: [&str; 3]| {
            let amount = |amount: &str| json!({"amount": amount, "currency": currency});
            json!({"group": {"annual_revenue.currency": currency},
                "measures": {"count": count, "sum": amount(sum), "avg": amount(avg), "min": amount(min)}})
        };
        let none = json!({"group": {"annual_revenue.currency": null},
            "measures": {"count": 5, "sum": null, "avg": null, "min": null}});
        let wanted = [
            none,
            group("BHD", 4, ["0.500", "0.125", "0.125"]),
            group("JPY", 5, ["5000", "1000", "1000"]),
            group("USD", 9, ["50.21", "5.58", "-0.01"]),
        ];
        assert_eq!(found.data(), &wanted);
        let sum = |op: &str, value: Json| json!({"field": "sum", "op": op, "value": value});
        for (having, wanted) in [
            (sum("gte", json!(50.21)), "USD JPY"),
            (sum("gt", json!("50.20 USD")), "USD"),
            (json!({"not": sum("gt", json!("50.20 USD"))}), "JPY BHD -"),
            (json!({"and": [{"field": "sum", "op": "is_not_null"}, sum("lt", json!(5000))]}), "USD BHD"),
            (json!({"or": [sum("in", json!([5000])), {"field": "count", "op": "eq", "value": 4}]}), "JPY BHD"),
        ] {
            let body = json!({"measures": measures, "having": having, "sort": ["-sum"]});
            let found = asked(&admin, "accounts", body).await.expect(200);
            let currency = |row: &Json| row["group"]["annual_revenue.currency"].as_str().unwrap_or("-").to_owned();
            assert_eq!(found.data().iter().map(currency).collect::<Vec<_>>().join(" "), wanted, "{having}");
        }
    });
}

#[test]
fn periods_are_those_of_the_tenants_zone_through_changes_of_the_clock() {
    on_both(|server| async move {
        let zone = "update tenant set time_zone = 'Europe/Berlin' where slug = 'acme'";
        server.world().store.write.execute_unprepared(zone).await.unwrap();
        let admin = server.as_admin().await;
        let account = admin.post("/v1/accounts", json!({"name": "Acme"})).await.expect(201).id().to_owned();
        // Berlin's day of 23 hours begins at 23:00 UTC, the one of 25 at 22:00
        for at in [
            "2025-03-29T22:59:59Z",
            "2025-03-29T23:00:00Z",
            "2025-03-30T21:59:59Z",
            "2025-03-30T22:00:00Z",
            "2025-10-25T22:00:00Z",
            "2025-10-26T22:59:59Z",
            "2025-10-26T23:00:00Z",
            "2025-12-31T22:59:59Z",
            "2025-12-31T23:00:00Z",
        ] {
            let body = json!({"account_id": account, "channel": "call", "direction": "outbound", "start_at": at});
            admin.post("/v1/interactions", body).await.expect(201);
        }
        for (grain, from, to, wanted) in [
            ("day", "2025-03-29", "2025-04-01", vec!["2025-03-29 1", "2025-03-30 2", "2025-03-31 1"]),
            ("day", "2025-10-26", "2025-10-28", vec!["2025-10-26 2", "2025-10-27 1"]),
            ("week", "2025-03-01", "2025-05-01", vec!["2025-03-24 3", "2025-03-31 1"]),
            ("month", "2025-01-01", "2026-02-01", vec!["2025-03-01 4", "2025-10-01 3", "2025-12-01 1", "2026-01-01 1"]),
            ("quarter", "2025-01-01", "2026-01-01", vec!["2025-01-01 4", "2025-10-01 4"]),
            ("year", "2025-01-01", "2027-01-01", vec!["2025-01-01 8", "2026-01-01 1"]),
            ("year", "2025-03-30", "2025-03-31", vec!["2025-01-01 2"]),
        ] {
            let grain = json!({"field": "start_at", "grain": grain, "from": from, "to": to});
            let body = json!({"measures": [{"fn": "count", "as": "n"}], "time_grain": grain});
            let answer = asked(&admin, "interactions", body).await.expect(200);
            let text = |row: &Json| format!("{} {}", row["period"].as_str().unwrap(), row["measures"]["n"]);
            assert_eq!(answer.data().iter().map(text).collect::<Vec<_>>(), wanted, "{grain}");
        }
    });
}

#[test]
fn a_sum_that_cannot_be_written_exactly_is_refused_alike() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let most = "92233720368547758.07";
        for (amount, currency) in [(most, "USD"), ("-0.01", "USD"), (most, "EUR"), ("0.01", "EUR")] {
            let body = json!({"name": currency, "annual_revenue": {"amount": amount, "currency": currency}});
            admin.post("/v1/accounts", body).await.expect(201);
        }
        let sum = |name: &str| {
            json!({"measures": [{"fn": "count"}, {"fn": "sum", "field": "annual_revenue", "as": "sum"}],
                "where": {"field": "name", "op": "eq", "value": name}})
        };
        let fits = asked(&admin, "accounts", sum("USD")).await.expect(200);
        assert_eq!(fits.data()[0]["measures"]["sum"]["amount"], "92233720368547758.06");
        let beyond = asked(&admin, "accounts", sum("EUR")).await.expect(400);
        assert_eq!((beyond.problem(), beyond.errors()), ("out_of_range", vec![("/measures/1", "out_of_range")]));
    });
}

#[test]
fn everyone_measures_what_they_may_see() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        accounts(&admin, &users(&server).await).await;
        let body = json!({"measures": [{"fn": "count"}], "group_by": ["owner_id"]});
        for (person, wanted) in [
            (Person::Admin, vec![8, 8, 7]),
            (Person::Manager, vec![8, 7]),
            (Person::Rep, vec![7]),
            (Person::Stranger, vec![]),
        ] {
            let answer = asked(&server.as_person(person).await, "accounts", body.clone()).await.expect(200);
            let mut found: Vec<_> =
                answer.data().iter().map(|row| row["measures"]["count"].as_i64().unwrap()).collect();
            found.sort_by_key(|n| -n);
            assert_eq!(found, wanted, "{person:?}");
        }
        let stranger = server.as_person(Person::Stranger).await;
        let none = asked(&stranger, "accounts", json!({"measures": [{"fn": "count"}]})).await;
        assert_eq!(
            none.expect(200).json,
            json!({"data": [{"group": {}, "measures": {"count": 0}}],
            "page": {"has_more": false}})
        );
        assert_eq!(asked(&server.anonymous(), "accounts", body).await.expect(401).problem(), "unauthenticated");
    });
}

#[test]
fn groups_come_in_the_order_asked_for_and_no_more_than_the_limit() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        accounts(&admin, &users(&server).await).await;
        let body = |sort: Json, limit: u64| json!({"measures": [{"fn": "sum", "field": "employees", "as": "n"}], "group_by": ["name"], "sort": sort, "limit": limit});
        let first = asked(&admin, "accounts", body(json!([]), 3)).await.expect(200);
        let names = |answer: &Answer| -> String {
            answer.data().iter().map(|row| row["group"]["name"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!((names(&first), &first.json["page"]["has_more"]), ("A0A1A2".to_owned(), &json!(true)));
        let all = asked(&admin, "accounts", body(json!(["-name"]), 4)).await.expect(200);
        assert_eq!((names(&all), &all.json["page"]["has_more"]), ("A3A2A1A0".to_owned(), &json!(false)));
        let sums = asked(&admin, "accounts", body(json!(["-n", "name"]), 4)).await.expect(200);
        let sums: Vec<_> = sums.data().iter().map(|row| row["measures"]["n"].as_i64().unwrap()).collect();
        assert!(sums.is_sorted_by(|a, b| a >= b), "{sums:?}");
    });
}

#[test]
fn every_kind_counts_its_records_by_every_field_that_makes_groups() {
    on_both_with_the_sample(|server| async move {
        let admin = server.as_admin().await;
        accounts(&admin, &users(&server).await).await;
        let shapes: Vec<_> = server.world().registry.shapes().cloned().collect();
        for shape in &shapes {
            let listed = admin.list(&format!("/v1/{}", shape.plural), &[("count", "exact"), ("limit", "1")]).await;
            let total = &listed.expect(200).json["page"]["total"];
            let plain = asked(&admin, &shape.plural, json!({"measures": [{"fn": "count"}]})).await.expect(200);
            assert_eq!(&plain.data()[0]["measures"]["count"], total, "{}", shape.plural);
            for field in &shape.fields {
                let body = json!({"measures": [{"fn": "count"}, {"fn": "count_distinct", "field": field.name}],
                    "group_by": [field.name]});
                let answer = asked(&admin, &shape.plural, body).await;
                if answer.status == 200 {
                    let counts: i64 = answer.data().iter().map(|row| row["measures"]["count"].as_i64().unwrap()).sum();
                    assert_eq!(&json!(counts), total, "{}.{}", shape.plural, field.name);
                } else {
                    let money = ["money", "json"];
                    assert!(money.contains(&format!("{:?}", field.kind).to_lowercase().as_str()), "{}", field.name);
                    assert_eq!(answer.errors()[0].1, "wrong_type");
                }
            }
        }
    });
}

#[test]
fn what_is_wrong_with_an_aggregate_is_said_at_once_at_its_place() {
    on(Db::Sqlite, |server| async move {
        let admin = server.as_admin().await;
        let wrong = json!({
            "where": {"field": "nme", "op": "is_null"},
            "group_by": ["ownr.name", "annual_revenue", "owner.manager.manager.name", "tags"],
            "measures": [{"fn": "sum", "field": "name"}, {"fn": "avg"}, {"fn": "count", "as": "N"}],
            "time_grain": {"field": "name", "grain": "day", "from": "2026-02-30", "to": {"fn": "now"}},
            "having": {"field": "cont", "op": "gt", "value": 1}, "sort": ["-cnt"], "limit": 1001,
        });
        let answer = asked(&admin, "accounts", wrong).await.expect(400);
        let found: Map<String, Json> =
            answer.errors().iter().map(|(place, code)| ((*place).to_owned(), json!(code))).collect();
        let wanted = json!({
            "/where/field": "unknown_field", "/group_by/0": "unknown_field", "/group_by/1": "wrong_type",
            "/group_by/2": "query_too_expensive", "/group_by/3": "unknown_field", "/measures/0/field": "wrong_type",
            "/measures/1/field": "required", "/measures/2/as": "invalid_value", "/time_grain/field": "wrong_type",
            "/time_grain/from": "invalid_value", "/time_grain/to": "wrong_type", "/having/field": "unknown_field",
            "/sort/0": "unknown_field", "/limit": "invalid_parameter",
        });
        assert_eq!(Json::Object(found), wanted);
    });
}

#[test]
fn budgets_names_and_spans_of_an_aggregate_are_kept() {
    on(Db::Sqlite, |server| async move {
        let admin = server.as_admin().await;
        let count = json!([{"fn": "count"}]);
        for (body, place, code) in [
            (json!({"measures": []}), "/measures", "required"),
            (
                json!({"measures": (0..21).map(|i| json!({"fn": "count", "as": format!("n{i}")})).collect::<Vec<_>>()}),
                "/measures",
                "query_too_expensive",
            ),
            (json!({"measures": [{"fn": "count"}, {"fn": "count"}]}), "/measures/1", "duplicate"),
            (json!({"measures": [{"fn": "count", "as": "kind"}], "group_by": ["kind"]}), "/measures/0", "duplicate"),
            (
                json!({"measures": [{"fn": "count", "as": "period"}], "time_grain": {"field": "created_at", "grain": "day", "from": "2026-01-01", "to": "2026-01-02"}}),
                "/measures/0",
                "duplicate",
            ),
            (json!({"measures": count, "group_by": ["name", "name"]}), "/group_by/1", "invalid_value"),
            (
                json!({"measures": count, "group_by": ["id", "name", "kind", "owner_id", "grade"]}),
                "/group_by",
                "query_too_expensive",
            ),
            (
                json!({"measures": count, "having": {"field": "count", "op": "gt", "value": "x"}}),
                "/having",
                "wrong_type",
            ),
            (
                json!({"measures": count, "having": {"any": {"relation": "contacts", "where": {"field": "a", "op": "is_null"}}}}),
                "/having/any/relation",
                "unknown_field",
            ),
            (
                json!({"measures": count, "time_grain": {"field": "created_at", "grain": "day", "from": "2020-01-01", "to": "2026-01-01"}}),
                "/time_grain",
                "query_too_expensive",
            ),
            (
                json!({"measures": count, "time_grain": {"field": "created_at", "grain": "day", "from": "2026-01-01", "to": "2026-01-01"}}),
                "/time_grain/to",
                "invalid_value",
            ),
        ] {
            let answer = asked(&admin, "accounts", body.clone()).await.expect(400);
            assert_eq!(answer.errors(), [(place, code)], "{body}");
        }
        let strange = asked(&admin, "accounts", json!({"measures": [{"fn": "median", "field": "employees"}]})).await;
        assert_eq!(strange.expect(422).errors(), [("/measures/0/fn", "invalid_value")]);
    });
}
