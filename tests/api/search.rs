//! The filter's JSON form beside its text, functions, relations back, and what is wrong with any of them.

use chrono::TimeDelta;
use proptest::{prelude::*, test_runner::TestRunner};
use ripen_core::engine::{
    Shape,
    filter::{self, Filter},
};
use sea_orm::ConnectionTrait;
use serde_json::{Value as Json, json};

use crate::support::{Answer, Caller, Db, Person, on, on_both, on_both_with_the_sample};

fn written() -> impl Strategy<Value = Json> {
    let value = prop_oneof![
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        (-99_999_i32..99_999).prop_map(|n| json!(f64::from(n) / 64.0)),
        ".{0,6}".prop_map(Json::from),
        Just(json!({"fn": "me"})),
        Just(json!({"fn": "my_team"})),
        ("(now|today)", "[+-][1-9][0-9]{0,4}[dwmy]").prop_map(|(name, offset)| json!({"fn": name, "offset": offset})),
        Just(json!({"fn": "now", "offset": "+12h"})),
        Just(json!({"fn": "today"})),
    ];
    let field = "[a-z_]{1,5}(\\.[a-z]{1,4}){0,2}".prop_filter("keywords are no fields", |name| {
        !["or", "in", "is", "and", "not", "null", "true", "false", "between"].contains(&name.split('.').next().unwrap())
    });
    let values = prop::collection::vec(value.clone(), 1..4);
    let test = (field.clone(), value, values, 0_usize..13, ".{0,6}").prop_map(|(field, value, values, op, part)| {
        let ops = ["eq", "ne", "lt", "lte", "gt", "gte", "has", "in", "between", "contains", "starts_with", "is_null"];
        match ops.get(op) {
            Some(op @ (&"contains" | &"starts_with")) => json!({"field": field, "op": op, "value": part}),
            Some(&"in") => json!({"field": field, "op": "in", "value": values}),
            Some(&"between") => json!({"field": field, "op": "between", "value": [value.clone(), value]}),
            Some(&"is_null") => json!({"field": field, "op": "is_null"}),
            Some(op) => json!({"field": field, "op": op, "value": value}),
            None => json!({"field": field, "op": "is_not_null"}),
        }
    });
    test.prop_recursive(5, 24, 3, move |inner| {
        let several = prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            several.clone().prop_map(|all| json!({"and": all})),
            several.prop_map(|any| json!({"or": any})),
            inner.clone().prop_map(|one| json!({"not": one})),
            (field.clone(), inner).prop_map(|(relation, one)| json!({"any": {"relation": relation, "where": one}})),
        ]
    })
}

#[test]
fn the_text_of_a_filter_reads_back_as_the_same_filter_and_so_does_its_json() {
    TestRunner::default()
        .run(&written(), |json| {
            let tree = Filter::from_json(&json, "/where").map_err(|error| TestCaseError::fail(error.to_string()))?;
            let text = tree.to_string();
            let back = filter::parse(&text).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
            let printed = serde_json::to_string(&back).unwrap();
            prop_assert_eq!(&printed, &serde_json::to_string(&tree).unwrap(), "{}", text);
            let again: Filter = serde_json::from_str(&printed).unwrap();
            prop_assert_eq!(again.to_string(), text);
            Ok(())
        })
        .unwrap();
}

/// Filters in both forms that every kind can be asked.
const BOTH: [(&str, &str); 6] = [
    ("created_at >= now()-30d", r#"{"field":"created_at","op":"gte","value":{"fn":"now","offset":"-30d"}}"#),
    (
        "NOT (version = 1 AND external_id IS NULL) OR version IN [1, 2]",
        r#"{"or":[{"not":{"and":[{"field":"version","op":"eq","value":1},{"field":"external_id","op":"is_null"}]}},
            {"field":"version","op":"in","value":[1,2]}]}"#,
    ),
    (
        r#"contains(external_id, "x") OR external_id : "X" OR version BETWEEN 1 AND 9"#,
        r#"{"or":[{"field":"external_id","op":"contains","value":"x"},{"field":"external_id","op":"has","value":"X"},
            {"field":"version","op":"between","value":[1,9]}]}"#,
    ),
    (
        "created_by = me() OR created_by != me()",
        r#"{"or":[{"field":"created_by","op":"eq","value":{"fn":"me"}},
        {"field":"created_by","op":"ne","value":{"fn":"me"}}]}"#,
    ),
    ("created_by IN my_team()", r#"{"field":"created_by","op":"in","value":[{"fn":"my_team"}]}"#),
    ("updated_at < today()+1d", r#"{"field":"updated_at","op":"lt","value":{"fn":"today","offset":"+1d"}}"#),
];

async fn searched(caller: &Caller, plural: &str, body: Json) -> Answer {
    caller.post(&format!("/v1/{plural}/search"), body).await
}

/// A stage for deals to be in.
async fn stage(admin: &Caller) -> String {
    let pipeline = admin.post("/v1/pipelines", json!({"name": "Sales"})).await.expect(201).id().to_owned();
    let stage = json!({"name": "Open", "pipeline_id": pipeline, "position": 1, "kind": "open"});
    admin.post("/v1/stages", stage).await.expect(201).id().to_owned()
}

/// Records of several kinds, so that lists have pages.
async fn people(admin: &Caller) {
    for i in 0..5 {
        let account = json!({"name": format!("Account {i}"), "external_id": format!("x{i}")});
        let account = admin.post("/v1/accounts", account).await.expect(201);
        let contact = json!({"last_name": format!("Contact {i}"), "account_id": account.id()});
        admin.post("/v1/contacts", contact).await.expect(201);
    }
}

#[test]
fn a_search_answers_byte_for_byte_as_the_list_for_every_kind() {
    on_both_with_the_sample(|server| async move {
        let admin = server.as_admin().await;
        people(&admin).await;
        let shapes: Vec<Shape> = server.world().registry.shapes().cloned().collect();
        let mut rows = 0;
        for shape in &shapes {
            let plural = &*shape.plural;
            let has = |text: &str| {
                ["external_id", "created_by", "updated_at", "version"]
                    .iter()
                    .all(|name| !text.contains(name) || shape.field(name).is_some())
            };
            for (text, json) in BOTH.into_iter().filter(|(text, _)| has(text)) {
                let parameters = [("filter", text), ("sort", "-created_at,id"), ("limit", "2"), ("count", "exact")];
                let listed = admin.list(&format!("/v1/{plural}"), &parameters).await.expect(200);
                let json: Json = serde_json::from_str(json).unwrap();
                let mut body = json!({"where": json, "sort": ["-created_at", "id"], "limit": 2, "count": "exact"});
                let found = searched(&admin, plural, body.clone()).await.expect(200);
                assert_eq!(found.bytes, listed.bytes, "{plural}: {text}");
                rows += found.data().len();
                if let Some(cursor) = listed.json["page"]["next"].as_str() {
                    body["cursor"] = json!(cursor);
                    let rest = searched(&admin, plural, body).await.expect(200);
                    let path = format!("/v1/{plural}");
                    let parameters = [&parameters[..], &[("cursor", cursor)]].concat();
                    assert_eq!(rest.bytes, admin.list(&path, &parameters).await.expect(200).bytes, "{plural}: {text}");
                }
            }
            let shown = json!({"fields": ["id", "version"], "expand": [], "sort": []});
            let listed = admin.list(&format!("/v1/{plural}"), &[("fields", "id,version")]).await.expect(200);
            assert_eq!(searched(&admin, plural, shown).await.expect(200).bytes, listed.bytes);
        }
        assert!(rows > 20, "the kinds have records: {rows}");
    });
}

#[test]
fn a_search_needs_the_right_to_read_and_takes_only_what_it_knows() {
    on(Db::Sqlite, |server| async move {
        let admin = server.as_admin().await;
        let anyone = server.anonymous();
        assert_eq!(searched(&anyone, "accounts", json!({})).await.expect(401).problem(), "unauthenticated");
        let rep = server.as_person(Person::Rep).await;
        for shape in server.world().registry.shapes().filter(|shape| shape.restricted) {
            assert_eq!(searched(&rep, &shape.plural, json!({})).await.expect(403).problem(), "forbidden");
        }
        let strange = searched(&admin, "accounts", json!({"wher": {}})).await.expect(422);
        assert_eq!(strange.errors()[0].1, "unknown_field");
        assert!(strange.json["detail"].to_string().contains("did you mean `where`?"), "{}", strange.json);
        let wrong = json!({"sort": ["nmae"], "fields": ["id", "nam"], "expand": ["ownr"], "limit": 0,
            "where": {"and": [{"field": "employes", "op": "gt", "value": 1}, {"field": "name", "op": "eq", "value": 1}]}});
        let wrong = searched(&admin, "accounts", wrong).await.expect(400);
        let mut errors = wrong.errors();
        errors.sort_unstable();
        let wanted = [
            ("/expand", "unknown_field"),
            ("/fields", "unknown_field"),
            ("/limit", "invalid_parameter"),
            ("/sort", "unknown_field"),
            ("/where/and/0/field", "unknown_field"),
            ("/where/and/1", "wrong_type"),
        ];
        assert_eq!(errors, wanted);
        let joined = searched(&admin, "accounts", json!({"fields": ["id,name"]})).await.expect(400);
        assert_eq!(joined.errors(), [("/fields/0", "invalid_value")]);
        let refused = admin.get("/v1/accounts/search").await.expect(405);
        assert_eq!((refused.problem(), refused.header("allow")), ("method_not_allowed", "POST"));
    });
}

#[test]
fn a_filter_in_json_is_refused_at_the_place_that_is_wrong() {
    on(Db::Sqlite, |server| async move {
        let admin = server.as_admin().await;
        let test = |n: i64| json!({"field": "employees", "op": "eq", "value": n});
        for (filter, pointer, code) in [
            (json!([]), "/where", "wrong_type"),
            (json!({}), "/where", "required"),
            (json!({"nad": []}), "/where/nad", "unknown_field"),
            (json!({"and": []}), "/where/and", "wrong_type"),
            (json!({"and": [test(1)], "or": [test(1)]}), "/where/or", "unknown_field"),
            (json!({"not": [test(1)]}), "/where/not", "wrong_type"),
            (json!({"or": [test(1), {"field": "name", "op": "is", "value": 1}]}), "/where/or/1/op", "filter_syntax"),
            (json!({"field": "name", "op": "eq"}), "/where/value", "required"),
            (json!({"field": "name", "op": "is_null", "value": null}), "/where/value", "unknown_field"),
            (json!({"field": "name", "op": "eq", "value": null}), "/where/value", "filter_syntax"),
            (json!({"field": "name", "op": "eq", "value": ["x"]}), "/where/value", "wrong_type"),
            (json!({"field": "name", "op": "in", "value": []}), "/where/value", "wrong_type"),
            (json!({"field": "name", "op": "between", "value": ["x"]}), "/where/value", "wrong_type"),
            (json!({"field": "name", "op": "contains", "value": 1}), "/where/value", "wrong_type"),
            (json!({"field": "name..x", "op": "is_null"}), "/where/field", "filter_syntax"),
            (json!({"field": "name", "op": "eq", "value": "a\u{0}"}), "body", "invalid_value"),
        ] {
            assert_refused(&admin, filter, pointer, code).await;
        }
    });
}

async fn assert_refused(admin: &Caller, filter: Json, pointer: &str, code: &str) {
    let answer = searched(admin, "accounts", json!({"where": filter})).await;
    let shown = String::from_utf8_lossy(&answer.bytes).into_owned();
    assert_eq!((answer.status, answer.errors()), (400, vec![(pointer, code)]), "{filter}: {shown}");
}

#[test]
fn functions_relations_and_budgets_are_refused_at_the_place_that_is_wrong() {
    on(Db::Sqlite, |server| async move {
        let admin = server.as_admin().await;
        let test = |n: i64| json!({"field": "employees", "op": "eq", "value": n});
        let deep = (0..8).fold(test(1), |inner, _| json!({"not": inner}));
        let wide: Vec<Json> = (0..50).map(test).collect();
        let long: Vec<i64> = (0..201).collect();
        let letters: String = ('\u{c0}'..='\u{24f}').collect();
        for (filter, pointer, code) in [
            (json!({"field": "name", "op": "eq", "value": {"fn": "now"}}), "/where", "wrong_type"),
            (json!({"field": "owner_id", "op": "eq", "value": {"fn": "mee"}}), "/where/value/fn", "filter_syntax"),
            (json!({"field": "owner_id", "op": "eq", "value": {"fn": "my_team"}}), "/where", "wrong_type"),
            (
                json!({"field": "owner_id", "op": "eq", "value": {"fn": "me", "offset": "-1d"}}),
                "/where/value/offset",
                "filter_syntax",
            ),
            (
                json!({"field": "created_at", "op": "gt", "value": {"fn": "now", "offset": "30d"}}),
                "/where/value/offset",
                "filter_syntax",
            ),
            (
                json!({"field": "created_at", "op": "gt", "value": {"fn": "now", "ofset": "-1d"}}),
                "/where/value/ofset",
                "unknown_field",
            ),
            (json!({"any": {"relation": "contcts", "where": test(1)}}), "/where/any/relation", "unknown_field"),
            (json!({"any": {"relation": "contacts"}}), "/where/any/where", "required"),
            (json!({"any": {"relation": "contacts", "where": test(1)}}), "/where/any/where/field", "unknown_field"),
            (deep, "/where/not/not/not/not/not/not/not/not", "query_too_expensive"),
            (json!({"and": wide}), "/where", "query_too_expensive"),
            (json!({"field": "name", "op": "contains", "value": letters}), "/where", "query_too_expensive"),
            (json!({"field": "employees", "op": "in", "value": long}), "/where", "query_too_expensive"),
            (json!({"field": "created_at", "op": "gt", "value": "2026-02-30T00:00:00Z"}), "/where", "invalid_value"),
            (json!({"field": "created_at", "op": "gt", "value": "2016-12-31T23:59:61Z"}), "/where", "invalid_value"),
            (
                json!({"field": "created_at", "op": "gt", "value": "2026-01-31T09:30:00 Europe/Berlin"}),
                "/where",
                "invalid_value",
            ),
        ] {
            assert_refused(&admin, filter, pointer, code).await;
        }
        let surrogate = r#"{"where": {"field": "name", "op": "eq", "value": "\ud800"}}"#;
        let request = admin.request("POST", "/v1/accounts/search").header("Content-Type", "application/json");
        assert_eq!(admin.send(request.body(surrogate)).await.expect(400).problem(), "malformed_json");
    });
}

#[test]
fn a_filter_in_text_is_refused_at_the_character_that_is_wrong() {
    on(Db::Sqlite, |server| async move {
        let admin = server.as_admin().await;
        for (filter, code, detail) in [
            ("owner_id = mee()", "filter_syntax", "at character 12: there is no function `mee`; did you mean `me`?"),
            ("owner_id = me", "filter_syntax", "did you mean `me()`?"),
            ("me() = owner_id", "filter_syntax", "me() is a value"),
            ("owner_id = me()-1d", "filter_syntax", "me() takes no offset"),
            ("owner_id = my_team()", "wrong_type", "IN my_team()"),
            ("name IN my_team()", "wrong_type", "users' ids"),
            ("created_at > now()-30", "filter_syntax", "expected AND, OR or the end"),
            ("created_at > now()-30x", "filter_syntax", "h hours, d days, w weeks, m months, y years"),
            ("created_at > now()-9999999d", "filter_syntax", "at most 100000"),
            ("created_at > now()-99999y", "invalid_value", "out of the calendar"),
            ("created_at > today()-1h", "filter_syntax", "today() is a day"),
            ("created_at > \"2026-02-30\"", "invalid_value", "RFC 3339"),
            ("created_at > \"2026-01-31T09:30:00\"", "invalid_value", "RFC 3339"),
            ("created_at > \"2026-01-31T09:30:00[Asia/Shanghai]\"", "invalid_value", "RFC 3339"),
            ("any(contacts)", "filter_syntax", "expected `,`"),
            ("any(contacts, )", "filter_syntax", "expected a field"),
            ("any(contacts, nme = \"x\")", "unknown_field", "at character 15: `nme`"),
            ("any(conacts, last_name = \"x\")", "unknown_field", "did you mean `contacts`?"),
            ("any(conacts, last_name = \"x\")", "unknown_field", "opportunities"),
            ("any(contacts, account.owner.name = \"x\")", "query_too_expensive", "more than 2 relations"),
            ("any(contacts, any(interactions, account.name = \"x\"))", "query_too_expensive", "more than 2 relations"),
        ] {
            let answer = admin.list("/v1/accounts", &[("filter", filter)]).await.expect(400);
            assert_eq!(answer.errors(), [("filter", code)], "{filter}");
            let said = answer.json["errors"][0]["detail"].as_str().unwrap();
            assert!(said.contains(detail), "{filter}: {said}");
        }
    });
}

async fn ids_of(caller: &Caller, plural: &str, filter: &str) -> Vec<String> {
    let parameters = [("filter", filter), ("fields", "external_id"), ("sort", "external_id")];
    let answer = caller.list(&format!("/v1/{plural}"), &parameters).await.expect(200);
    answer.data().iter().map(|row| row["external_id"].as_str().unwrap_or("-").to_owned()).collect()
}

#[test]
fn me_and_my_team_are_those_of_whoever_asks() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        for (id, person) in [("a", Person::Admin), ("m", Person::Manager), ("o", Person::OtherRep), ("r", Person::Rep)]
        {
            let caller = server.as_person(person).await;
            let me = caller.get("/v1/me").await.expect(200).json["user"]["id"].clone();
            admin.post("/v1/accounts", json!({"external_id": id, "name": id, "owner_id": me})).await.expect(201);
        }
        for (person, mine, team, others) in [
            (Person::Admin, "a", "a", "mor"),
            (Person::Manager, "m", "mr", ""),
            (Person::OtherRep, "o", "o", ""),
            (Person::Rep, "r", "r", ""),
        ] {
            let caller = server.as_person(person).await;
            assert_eq!(ids_of(&caller, "accounts", "owner_id = me()").await.concat(), mine, "{person:?}");
            assert_eq!(ids_of(&caller, "accounts", "owner_id IN my_team()").await.concat(), team, "{person:?}");
            assert_eq!(ids_of(&caller, "accounts", "NOT owner_id IN my_team()").await.concat(), others, "{person:?}");
        }
        // a leader of a team reaches its members by name, whatever their own role
        let me = admin.get("/v1/me").await.expect(200).json["user"]["id"].clone();
        let other = server.as_person(Person::OtherRep).await.get("/v1/me").await.json["user"]["id"].clone();
        let team = admin.post("/v1/teams", json!({"name": "Led", "lead_id": me})).await.expect(201);
        let member = json!({"team_id": team.id(), "user_id": other, "role": "member"});
        admin.post("/v1/memberships", member).await.expect(201);
        assert_eq!(ids_of(&admin, "accounts", "owner_id IN my_team()").await.concat(), "ao");
        let user = other.as_str().unwrap();
        let both = format!("owner_id IN [my_team(), \"{user}\"]");
        assert_eq!(ids_of(&server.as_person(Person::Manager).await, "accounts", &both).await.concat(), "mr");
    });
}

#[test]
fn days_and_offsets_go_by_the_calendar_of_the_tenants_zone() {
    on_both(|server| async move {
        let zone = "update tenant set time_zone = 'Asia/Shanghai' where slug = 'acme'";
        server.world().store.write.execute_unprepared(zone).await.unwrap();
        server.clock.set("2026-01-31T15:59:00Z"); // a minute before February in Shanghai
        let admin = server.as_admin().await;
        let account = admin.post("/v1/accounts", json!({"name": "Acme"})).await.expect(201).id().to_owned();
        let stage = stage(&admin).await;
        for day in ["2025-01-31", "2026-01-24", "2026-01-30", "2026-01-31", "2026-02-01", "2026-02-28", "2026-03-01"] {
            let body = json!({"name": day, "external_id": day, "account_id": account, "expected_close_on": day,
                "opened_on": "2025-01-01", "stage_id": stage});
            admin.post("/v1/opportunities", body).await.expect(201);
        }
        let asked = async |filter: &str| ids_of(&admin, "opportunities", filter).await;
        assert_eq!(asked("expected_close_on = today()").await, ["2026-01-31"]);
        assert_eq!(asked("expected_close_on = today()+1m").await, ["2026-02-28"], "a month lacks its 31st");
        assert_eq!(asked("expected_close_on = today()-1y").await, ["2025-01-31"]);
        assert_eq!(asked("expected_close_on BETWEEN today()-1w AND today()-1d").await, ["2026-01-24", "2026-01-30"]);
        assert!(asked("created_at < today()").await.is_empty(), "today has begun at 16:00 UTC the day before");
        assert_eq!(asked("created_at >= today() AND created_at <= now()").await.len(), 7);
        server.clock.set("2026-01-31T16:00:00Z");
        assert_eq!(asked("expected_close_on = today()").await, ["2026-02-01"]);
        assert_eq!(asked("created_at < today()").await.len(), 7);
        assert_eq!(asked("created_at >= now() - 1h").await.len(), 7);
        assert!(asked("created_at >= now()").await.is_empty());
    });
}

#[test]
fn all_pages_of_a_list_have_the_same_now() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let make = async |id: &str| {
            admin.post("/v1/accounts", json!({"name": id, "external_id": id})).await.expect(201);
        };
        for id in ["1", "2", "3"] {
            make(id).await;
        }
        let own = [("filter", "created_at <= now()"), ("sort", "id"), ("limit", "2"), ("fields", "external_id")];
        let first = admin.list("/v1/accounts", &own).await.expect(200);
        server.clock.advance(TimeDelta::minutes(1));
        make("4").await;
        let next = first.json["page"]["next"].as_str().unwrap();
        let rest = admin.list("/v1/accounts", &[&own[..], &[("cursor", next)]].concat()).await.expect(200);
        assert_eq!(rest.data(), &[json!({"external_id": "3"})], "the fourth came after the first page");
        assert_eq!(ids_of(&admin, "accounts", "created_at <= now()").await, ["1", "2", "3", "4"]);
    });
}

#[test]
fn relations_lead_back_to_what_refers_here_and_the_actor_may_see() {
    on_both(|server| async move {
        let (admin, rep) = (server.as_admin().await, server.as_person(Person::Rep).await);
        let me = rep.get("/v1/me").await.expect(200).json["user"]["id"].clone();
        let stage = stage(&admin).await;
        for id in ["a", "b"] {
            let account = json!({"external_id": id, "name": id, "owner_id": me});
            let account = admin.post("/v1/accounts", account).await.expect(201).id().to_owned();
            let theirs = if id == "a" { me.clone() } else { Json::Null };
            let contact = json!({"external_id": id, "last_name": id, "account_id": account, "owner_id": theirs});
            admin.post("/v1/contacts", contact).await.expect(201);
            let name = format!("deal {id}");
            let deal = json!({"external_id": id, "name": name, "account_id": account, "opened_on": "2026-01-01",
                "owner_id": theirs, "stage_id": stage});
            admin.post("/v1/opportunities", deal).await.expect(201);
        }
        for (caller, plural, filter, wanted) in [
            (&admin, "accounts", "any(contacts, last_name >= \"a\")", "ab"),
            (&admin, "accounts", "any(contacts, last_name = \"b\")", "b"),
            (&admin, "accounts", "NOT any(contacts, last_name = \"b\")", "a"),
            (&admin, "accounts", "any(contacts, account.name = \"a\")", "a"),
            (
                &admin,
                "accounts",
                "any(opportunities, contains(name, \"DEAL\")) AND any(contacts, NOT last_name = \"a\")",
                "b",
            ),
            (&admin, "contacts", "any(account.opportunities, name = \"deal a\")", "a"),
            (&admin, "accounts", "any(contacts, owner_id = me())", ""),
            (&rep, "accounts", "any(contacts, last_name >= \"a\")", "a"),
            (&rep, "accounts", "any(contacts, owner_id = me())", "a"),
            (&rep, "accounts", "NOT any(contacts, last_name = \"b\")", "ab"),
            (&rep, "contacts", "any(account.opportunities, name >= \"a\")", "a"),
        ] {
            assert_eq!(ids_of(caller, plural, filter).await.concat(), wanted, "{plural}: {filter}");
        }
        let owners = admin.list("/v1/users", &[("filter", "any(accounts, name = \"a\")")]).await.expect(200);
        assert_eq!(owners.data().iter().map(|row| &row["id"]).collect::<Vec<_>>(), [&me]);
        let teams = admin.list("/v1/users", &[("filter", "any(intrests, id IS NULL)")]).await.expect(400);
        let detail = teams.json["errors"][0]["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("accounts") && detail.contains("teams"), "{detail}");
        admin.delete(&format!("/v1/contacts/{}", contact_of(&admin, "a").await)).await.expect(204);
        assert_eq!(ids_of(&admin, "accounts", "any(contacts, last_name >= \"a\")").await.concat(), "b");
    });
}

async fn contact_of(admin: &Caller, id: &str) -> String {
    let found = admin.list("/v1/contacts", &[("filter", &format!("external_id = \"{id}\""))]).await.expect(200);
    found.data()[0]["id"].as_str().unwrap().to_owned()
}
