//! `known_at`: what the system knew at an instant, read from the change log.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use ripen_core::{
    context::{Clock as _, Context},
    engine::{
        known,
        read::{self, ListQuery},
    },
};
use sea_orm::{
    ConnectionTrait, DbBackend, Statement,
    sea_query::{SelectStatement, SqliteQueryBuilder},
};
use serde_json::{Value as Json, json};

use crate::support::{Caller, Db, Person, TestServer, on, on_both};

/// The same numbers at every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len())]
    }
}

/// Every account by id, as the API showed it.
type State = BTreeMap<String, Json>;

/// Each state with the moment from which it held; the first is before everything.
struct Remembered(Vec<(DateTime<Utc>, State)>);

impl Remembered {
    /// Creates, updates and deletes at rising times, several of them within the same millisecond.
    async fn of(server: &TestServer, admin: &Caller, dice: &mut Dice, steps: usize) -> Self {
        let owner = admin.get("/v1/me").await.expect(200).json["user"]["id"].clone();
        let mut all = Self(vec![(server.clock.now() - TimeDelta::days(1), State::new())]);
        for _ in 0..steps {
            server.clock.advance(TimeDelta::milliseconds(dice.pick(&[0, 1, 1, 7, 999, 3000])));
            let mut state = all.0.last().unwrap().1.clone();
            let ids: Vec<String> = state.keys().cloned().collect();
            match dice.roll(if ids.is_empty() { 1 } else { 10 }) {
                0..=3 => {
                    let mut body = draft(dice, &ids);
                    body["name"] = json!(dice.pick(&["Acme", "acme", "北京公司", "Zed \"q\""]));
                    let made = admin.post("/v1/accounts", body).await.expect(201);
                    state.insert(made.id().to_owned(), made.json.clone());
                }
                4..=7 => {
                    let id = &ids[dice.roll(ids.len())];
                    let mut body = draft(dice, &[]);
                    body["owner_id"] = if dice.roll(3) == 0 { Json::Null } else { owner.clone() };
                    let answer = admin.patch(&format!("/v1/accounts/{id}"), body).await.expect(200);
                    state.insert(id.clone(), answer.json);
                }
                _ => {
                    let id = &ids[dice.roll(ids.len())];
                    // a parent cannot go
                    if admin.delete(&format!("/v1/accounts/{id}")).await.status == 204 {
                        state.remove(id);
                    }
                }
            }
            all.0.push((server.clock.now(), state));
        }
        all
    }

    /// The last state that held at `at`, oldest record first.
    fn at(&self, at: DateTime<Utc>) -> &State {
        let held = self.0.iter().rev().find(|(from, _)| *from <= at);
        held.map(|(_, state)| state).unwrap()
    }

    fn some_time(&self, dice: &mut Dice) -> DateTime<Utc> {
        let (at, _) = &self.0[dice.roll(self.0.len() - 1)];
        *at + TimeDelta::milliseconds(dice.pick(&[-1, 0, 0, 1, 500]))
    }
}

/// Fields of every type that has a column, money and JSON among them.
fn draft(dice: &mut Dice, parents: &[String]) -> Json {
    let mut body = json!({
        "grade": dice.pick(&[None, Some("A"), Some("B+")]),
        "employees": dice.pick(&[None, Some(0), Some(10), Some(200)]),
        "annual_revenue": dice.pick(&[None, Some("12.5"), Some("1000")]).map(|n| json!({"amount": n, "currency": "USD"})),
        "opt_outs": dice.pick(&[None, Some("call")]).map(|channel| [channel]),
    });
    if !parents.is_empty() && dice.roll(2) == 0 {
        body["parent_id"] = json!(parents[dice.roll(parents.len())]);
    }
    body
}

type Holds = fn(&State, &Json) -> bool;

const FILTERS: [(&str, Holds); 7] = [
    ("version >= 1", |_, _| true),
    ("employees >= 10", |_, row| row["employees"].as_i64().is_some_and(|n| n >= 10)),
    ("grade IS NULL OR owner_id IS NULL", |_, row| row["grade"].is_null() || row["owner_id"].is_null()),
    ("NOT (annual_revenue < 1000 USD)", |_, row| row["annual_revenue"]["amount"] != "12.50"),
    ("updated_at >= \"2026-01-31T11:30:40.5+02:00\"", |_, row| {
        row["updated_at"].as_str() >= Some("2026-01-31T09:30:40.500Z")
    }),
    ("any(accounts_by_parent, employees >= 10)", |state, row| {
        state.values().any(|child| child["parent_id"] == row["id"] && child["employees"].as_i64() >= Some(10))
    }),
    ("parent.grade = \"A\"", |state, row| parent(state, row)["grade"] == "A"),
];

fn parent(state: &State, row: &Json) -> Json {
    row["parent_id"].as_str().and_then(|id| state.get(id)).cloned().unwrap_or_default()
}

/// Null first, then by value, then by id in the direction of the key.
fn sorted(mut rows: Vec<Json>, key: &str) -> Vec<Json> {
    let name = key.trim_start_matches('-');
    rows.sort_by_key(|row| {
        let value = (row[name].as_i64(), row[name].as_str().map(str::to_owned));
        (value, row["id"].as_str().unwrap().to_owned())
    });
    if key.starts_with('-') {
        rows.reverse();
    }
    rows
}

async fn whole_list(caller: &Caller, parameters: &[(&str, &str)]) -> Vec<Json> {
    let (mut rows, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut parameters = parameters.to_vec();
        parameters.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let answer = caller.list("/v1/accounts", &parameters).await.expect(200);
        rows.extend(answer.data().clone());
        match answer.json["page"]["next"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return rows,
        }
    }
}

#[test]
fn every_past_state_reads_as_it_was_told() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let mut dice = Dice(3);
        let told = Remembered::of(&server, &admin, &mut dice, 120).await;
        server.clock.advance(TimeDelta::seconds(1));
        for _ in 0..60 {
            let at = told.some_time(&mut dice);
            let (state, text) = (told.at(at), at.to_rfc3339());
            let (filter, holds) = dice.pick(&FILTERS);
            let sort = dice.pick(&["id", "-id", "name", "-employees", "updated_at"]);
            let limit = dice.pick(&["1", "3", "200"]);
            let wanted = sorted(state.values().filter(|row| holds(state, row)).cloned().collect(), sort);
            let parameters = [("known_at", text.as_str()), ("filter", filter), ("sort", sort), ("limit", limit)];
            assert_eq!(whole_list(&admin, &parameters).await, wanted, "{parameters:?}");
            let counted = [&parameters[..], &[("count", "exact"), ("expand", "parent")]].concat();
            let answer = admin.list("/v1/accounts", &counted).await.expect(200);
            assert_eq!(answer.json["page"]["total"], wanted.len(), "{parameters:?}");
            for (row, wanted) in answer.data().iter().zip(&wanted) {
                assert_eq!((&row["id"], &row["parent"]), (&wanted["id"], &parent(state, wanted)), "{parameters:?}");
            }
            let ever: Vec<&String> = told.0.iter().flat_map(|(_, state)| state.keys()).collect();
            let id = dice.pick(&ever);
            let answer = admin.list(&format!("/v1/accounts/{id}"), &[("known_at", &text)]).await;
            match state.get(id) {
                Some(row) => assert_eq!((&answer.json, answer.header("etag")), (row, ""), "{id} at {text}"),
                None => assert_eq!(answer.expect(404).problem(), "not_found"),
            }
        }
    });
}

#[test]
fn the_past_is_seen_with_the_rights_of_today() {
    on_both(|server| async move {
        let (admin, rep) = (server.as_admin().await, server.as_person(Person::Rep).await);
        let me = rep.get("/v1/me").await.expect(200).json["user"]["id"].clone();
        let mine = admin.post("/v1/accounts", json!({"name": "Was mine", "owner_id": me})).await.expect(201);
        let other = admin.post("/v1/accounts", json!({"name": "Was not mine"})).await.expect(201);
        let (mine, other) = (format!("/v1/accounts/{}", mine.id()), format!("/v1/accounts/{}", other.id()));
        let before = [("known_at", "2026-01-31T09:30:00.500Z")];
        server.clock.advance(TimeDelta::seconds(1));
        admin.patch(&mine, json!({"owner_id": null})).await.expect(200);
        admin.patch(&other, json!({"owner_id": me})).await.expect(200);
        server.clock.advance(TimeDelta::seconds(1));
        assert_eq!(rep.list(&mine, &before).await.expect(200).json["name"], "Was mine", "they knew it then");
        rep.list(&other, &before).await.expect(404);
        rep.get(&mine).await.expect(404);
        let listed = rep.list("/v1/accounts", &before).await.expect(200);
        assert_eq!(listed.data().len(), 1);
        let stranger = server.as_person(Person::Stranger).await;
        stranger.list(&mine, &before).await.expect(404);
        assert!(stranger.list("/v1/accounts", &before).await.expect(200).data().is_empty());
    });
}

#[test]
fn what_has_not_passed_or_is_no_instant_is_refused() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let id = admin.post("/v1/accounts", json!({"name": "Acme"})).await.expect(201).id().to_owned();
        for path in ["/v1/accounts".to_owned(), format!("/v1/accounts/{id}")] {
            for at in
                ["2026-01-31T09:30:00Z", "9999-12-31T23:59:59Z", "2026-02-30T00:00:00Z", "yesterday", "", "2026-01-31"]
            {
                let refused = admin.list(&path, &[("known_at", at)]).await.expect(400);
                assert_eq!(refused.errors(), [("known_at", "invalid_parameter")], "{at}");
            }
        }
        let ancient = [("known_at", "0001-01-01T00:00:00Z")];
        assert!(admin.list("/v1/accounts", &ancient).await.expect(200).data().is_empty());
        assert_eq!(admin.list(&format!("/v1/accounts/{id}"), &ancient).await.expect(404).problem(), "not_found");
    });
}

#[test]
fn a_cursor_of_one_moment_does_not_serve_another() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        for name in ["a", "b", "c"] {
            admin.post("/v1/accounts", json!({"name": name})).await.expect(201);
        }
        server.clock.advance(TimeDelta::seconds(9));
        let page = [("limit", "2"), ("known_at", "2026-01-31T09:30:01Z")];
        let first = admin.list("/v1/accounts", &page).await.expect(200);
        assert!(first.header("link").contains("known_at="), "{}", first.header("link"));
        let cursor = ("cursor", first.json["page"]["next"].as_str().unwrap());
        let rest = admin.list("/v1/accounts", &[page[0], page[1], cursor]).await.expect(200);
        assert_eq!(rest.data().len(), 1);
        for other in [vec![page[0], cursor], vec![page[0], ("known_at", "2026-01-31T09:30:02Z"), cursor]] {
            let refused = admin.list("/v1/accounts", &other).await.expect(400);
            assert_eq!(refused.errors(), [("cursor", "invalid_cursor")], "{other:?}");
        }
    });
}

const SEARCH: &str = "/v1/accounts/search";
const AGGREGATE: &str = "/v1/accounts/aggregate";

/// What the bodies ask: a list by a field, a list over a relation, measures by group.
async fn answers(caller: &Caller, known_at: Option<&str>) -> Vec<Json> {
    let is = |field: &str, op: &str, value: Json| json!({"field": field, "op": op, "value": value});
    let sum = |field: &str| json!({"fn": "sum", "field": field});
    let measures = json!([{"fn": "count"}, sum("employees"), sum("annual_revenue")]);
    let mut answers = Vec::new();
    for (path, mut body) in [
        (
            SEARCH,
            json!({"where": is("employees", "gte", json!(10)), "sort": ["name"], "expand": ["parent"], "count": "exact"}),
        ),
        (SEARCH, json!({"where": is("parent.grade", "eq", json!("A")), "count": "exact"})),
        (AGGREGATE, json!({"group_by": ["grade", "parent.grade"], "measures": measures})),
    ] {
        if let Some(at) = known_at {
            body["known_at"] = json!(at);
        }
        answers.push(caller.post(path, body).await.expect(200).json);
    }
    answers
}

#[test]
fn searches_and_aggregates_of_the_past_answer_as_they_did_then() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let id = |n: u8| format!("019c1363-49c0-7000-8000-0000000000{n:02}");
        let (holding, child) = (format!("/v1/accounts/{}", id(1)), format!("/v1/accounts/{}", id(2)));
        let usd = |amount: &str| json!({"amount": amount, "currency": "USD"});
        let first = json!({"id": id(1), "name": "Holding", "grade": "A", "employees": 10});
        let second = json!({"id": id(2), "name": "Child", "parent_id": id(1), "employees": 200,
            "annual_revenue": usd("12.50")});
        let mut told = vec![(server.clock.now(), answers(&admin, None).await)];
        for (method, path, body) in [
            ("POST", "/v1/accounts", first),
            ("POST", "/v1/accounts", second),
            ("PATCH", holding.as_str(), json!({"grade": "B"})),
            ("PATCH", child.as_str(), json!({"employees": 201, "annual_revenue": usd("13")})),
            ("DELETE", child.as_str(), Json::Null),
            ("DELETE", holding.as_str(), Json::Null),
        ] {
            server.clock.advance(TimeDelta::seconds(1));
            let written = admin.send(admin.request(method, path).json(&body)).await;
            assert!(written.status < 300, "{method} {path}: {}", written.json);
            let now = answers(&admin, None).await;
            assert_ne!(told.last().unwrap().1, now, "{method} {path} is seen");
            told.push((server.clock.now(), now));
        }
        server.clock.advance(TimeDelta::seconds(1));
        let stranger = server.as_person(Person::Stranger).await;
        for (from, then) in &told {
            for late in [0, 999] {
                let at = (*from + TimeDelta::milliseconds(late)).to_rfc3339();
                assert_eq!(answers(&admin, Some(&at)).await, *then, "at {at}");
                let theirs = answers(&stranger, Some(&at)).await;
                assert!(theirs.iter().all(|answer| answer["data"] == json!([])), "at {at}: {theirs:?}");
            }
        }
    });
}

#[test]
fn a_body_that_asks_for_what_has_not_passed_or_is_not_kept_is_refused() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        for (kind, at) in [
            ("accounts", "2026-01-31T09:30:00Z"),
            ("accounts", "9999-12-31T23:59:59Z"),
            ("accounts", "2026-02-30T00:00:00Z"),
            ("accounts", "yesterday"),
            ("accounts", ""),
            ("jobs", "2026-01-30T00:00:00Z"),
        ] {
            let count = json!({"known_at": at, "measures": [{"fn": "count"}]});
            for (question, body) in [("search", json!({"known_at": at})), ("aggregate", count)] {
                let refused = admin.post(&format!("/v1/{kind}/{question}"), body).await.expect(400);
                assert_eq!(refused.errors(), [("/known_at", "invalid_parameter")], "{question} of {kind} at {at}");
            }
        }
    });
}

#[test]
fn sqlite_reads_the_past_of_every_kind_by_its_indexes() {
    on(Db::Sqlite, |server| async move {
        let cx = server.context(Person::Admin).await;
        let then = known(&cx, Some("2026-01-30T00:00:00Z")).unwrap();
        for shape in cx.world.registry.shapes().filter(|shape| shape.logged) {
            let list = read::statements(&then, shape, &ListQuery::default()).unwrap().remove(0).limit(51).take();
            let plan = plan(&cx, &list).await;
            assert!(plan.contains("MERGE (UNION ALL)"), "{}: both halves in order: {plan}", shape.name);
            assert!(plan.contains("USING INDEX change_kind_at_idx (tenant_id=? AND kind=? AND at>?)"), "{plan}");
            assert_eq!(
                plan.matches("change_kind_record_id_version_idx (tenant_id=? AND kind=? AND record_id=?").count(),
                2
            );
            assert_eq!(plan.matches("TEMP B-TREE").count(), 1, "only what changed since is sorted: {plan}");
        }
    });
}

async fn plan(cx: &Context, select: &SelectStatement) -> String {
    let sql = format!("explain query plan {}", select.to_string(SqliteQueryBuilder));
    let rows = cx.store().read.query_all_raw(Statement::from_string(DbBackend::Sqlite, sql)).await.unwrap();
    rows.iter().map(|row| row.try_get::<String>("", "detail").unwrap()).collect::<Vec<_>>().join("; ")
}
