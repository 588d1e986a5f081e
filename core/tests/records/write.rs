//! The one write path: verdicts, log, intervals.

use ripen_core::{
    engine::{Operation, Since},
    error::Error,
};
use ripen_migrations::{Migrator, MigratorTrait};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::world::{Fixture, NOW, create, delete, import, object, on_both, refusal, trail, update, write};

/// `kind version changed-columns before?` of every change, oldest first.
async fn log(of: &Fixture, record: Uuid) -> Vec<String> {
    let changes = trail(of).await;
    let of_record = changes.iter().filter(|change| change.record == record);
    of_record
        .map(|c| {
            let before = c.before.as_ref().map_or(Json::Null, |before| before["version"].clone());
            format!("{} v{} before v{before} {}", c.kind, c.version, c.changed.join(","))
        })
        .collect()
}

#[test]
fn a_record_lives_and_leaves_its_trail() {
    on_both(async |of| {
        let id = of
            .create("account", json!({"name": "Acme", "annual_revenue": {"amount": "12.5", "currency": "USD"}}))
            .await;
        let stored = of.get("account", id).await;
        assert_eq!(stored["annual_revenue"], json!({"amount": "12.50", "currency": "USD"}));
        assert_eq!(stored["owner_id"], json!(of.admin));
        assert_eq!((&stored["version"], &stored["created_at"]), (&json!(1), &json!(NOW)));
        assert_eq!((&stored["kind"], &stored["lifecycle"]), (&json!("company"), &json!("prospect")));

        of.clock.set("2026-02-04T10:00:00.000Z");
        let patch =
            json!({"annual_revenue": {"amount": "13.00"}, "billing_address": {"city": "Oslo", "country": "NO"}});
        assert_eq!(of.update("account", id, patch.clone()).await.unwrap().version, 2);
        let again = of.update("account", id, patch).await.unwrap();
        assert_eq!((again.version, again.changed), (2, false), "the same again writes nothing");
        of.update("account", id, json!({"billing_address": {"city": null}})).await.unwrap();
        let stored = of.get("account", id).await;
        assert_eq!(stored["annual_revenue"], json!({"amount": "13.00", "currency": "USD"}));
        assert_eq!(stored["billing_address"], json!({"country": "NO"}));
        assert_eq!(stored["updated_at"], "2026-02-04T10:00:00.000Z");

        assert!(write(&of.cx, "account", vec![delete(id)]).await[0].is_ok());
        assert!(matches!(of.update("account", id, json!({})).await, Err(Error::NotFound { .. })));
        assert_eq!(
            log(&of, id).await,
            [
                "account v1 before vnull ",
                "account v2 before v1 version,updated_at,annual_revenue_minor,billing_address",
                "account v3 before v2 version,billing_address",
                "account v4 before v3 version,deleted_at",
            ]
        );
    });
}

#[test]
fn bad_rows_are_named_and_good_rows_stored() {
    on_both(async |of| {
        of.create("account", json!({"name": "Acme", "external_id": "a1"})).await;
        let nobody = Uuid::parse_str("01939e2b-6c00-7000-8000-00000000ffff").unwrap();
        let verdicts = write(
            &of.cx,
            "account",
            vec![
                create(json!({"name": "Good", "external_id": "a2"})),
                create(json!({"name": "Taken", "external_id": "a1"})),
                create(json!({"name": "Twice", "external_id": "a2"})),
                create(json!({"name": "Dangling", "parent_id": nobody})),
                create(json!({"nane": "Typo", "employees": "many", "version": 3})),
                create(json!({"name": "Wrong", "country": "XX", "employees": -1, "phone": "12",
                              "billing_address": {"country": "Norway"}, "opt_outs": ["smoke"], "year_founded": 0})),
                update(nobody, json!({"name": "Nobody"})),
                create(json!({"name": "Own id", "id": "9a0b1c2d-0000-4000-8000-000000000000"})),
            ],
        )
        .await;
        let words: Vec<_> = verdicts.iter().map(refusal).collect();
        assert!(verdicts[0].is_ok(), "{words:?}");
        assert_eq!(
            words[1..],
            [
                "duplicate /external_id",
                "duplicate /external_id",
                "reference_not_found /parent_id",
                "wrong_type /employees, unknown_field /nane, read_only /version, required /name",
                "invalid_value /billing_address/country, invalid_value /country, out_of_range /employees, \
                 invalid_value /opt_outs/0, invalid_value /phone, out_of_range /year_founded",
                "account 01939e2b-6c00-7000-8000-00000000ffff does not exist",
                "invalid_value /id",
            ]
        );
        let left = of.all("select name from account where tenant_id = $1").await;
        assert_eq!(left.len(), 2, "nothing half-written");
    });
}

#[test]
fn stale_and_referenced_records_stay_as_they_are() {
    on_both(async |of| {
        let id = of.create("account", json!({"name": "Acme"})).await;
        of.update("account", id, json!({"name": "Acme Ltd"})).await.unwrap();
        let stale =
            Operation::Update { id, version: Some(1), data: object(json!({"name": "Late"})), since: Since::default() };
        let twice = vec![stale, update(id, json!({"name": "Other"}))];
        let verdicts = write(&of.cx, "account", twice).await;
        assert_eq!(refusal(&verdicts[0]), "the record is at version 2");
        assert_eq!(refusal(&verdicts[1]), "conflict conflict", "one operation a record");
        of.create("contact", json!({"last_name": "Coyote", "account_id": id})).await;
        assert_eq!(refusal(&write(&of.cx, "account", vec![delete(id)]).await[0]), "conflict still_referenced");
        assert_eq!(of.get("account", id).await["name"], "Acme Ltd");
    });
}

/// An id of one's own is not looked up beforehand, so that a create which brings one that exists loses in the database.
#[test]
fn a_lost_race_costs_the_loser_only() {
    on_both(async |of| {
        let taken = of.create("account", json!({"name": "First"})).await;
        let mut slice: Vec<_> = (0..7).map(|n| create(json!({"name": format!("Row {n}")}))).collect();
        slice.insert(5, create(json!({"name": "Loser", "id": taken})));
        let verdicts = write(&of.cx, "account", slice).await;
        let lost: Vec<_> =
            verdicts.iter().enumerate().filter(|(_, v)| v.is_err()).map(|(at, v)| (at, refusal(v))).collect();
        assert_eq!(lost, [(5, "conflict duplicate".to_owned())]);
        assert_eq!(of.all("select id from account where tenant_id = $1").await.len(), 8);
        assert_eq!(log(&of, taken).await.len(), 1, "what was not stored is not logged");
        assert_eq!(
            refusal(&write(&of.cx, "account", vec![create(json!({"name": "Alone", "id": taken}))]).await[0]),
            "conflict duplicate"
        );
    });
}

#[test]
fn a_slice_may_store_a_child_before_its_parent_across_statements() {
    on_both(async |of| {
        let parent = of.cx.new_id();
        let mut slice: Vec<_> =
            (0..300).map(|n| create(json!({"name": format!("Child {n}"), "parent_id": parent}))).collect();
        slice.push(create(json!({"name": "Parent", "id": parent})));
        let verdicts = write(&of.cx, "account", slice).await;
        assert!(verdicts.iter().all(Result::is_ok));
    });
}

#[test]
fn reps_write_within_their_reach() {
    on_both(async |of| {
        let rep = of.create("user", json!({"email": "rep@example.com", "name": "Rob Rep"})).await;
        let theirs = of.as_rep(rep);
        let foreign = of.create("account", json!({"name": "Not theirs"})).await;
        let verdicts = write(
            &theirs,
            "account",
            vec![
                create(json!({"name": "Theirs"})),
                create(json!({"name": "Given away", "owner_id": of.admin})),
                update(foreign, json!({"name": "Taken"})),
            ],
        )
        .await;
        let words: Vec<_> = verdicts.iter().map(refusal).collect();
        assert!(verdicts[0].is_ok(), "{words:?}");
        assert_eq!(words[1], "outside_your_reach /owner_id");
        assert!(words[2].ends_with("does not exist"), "{}", words[2]);
        let unit = theirs.begin().await.unwrap();
        let stages = theirs.kind("stage").unwrap();
        let denied = stages.write(&unit, vec![create(json!({"name": "Mine"}))]).await;
        assert!(matches!(denied, Err(Error::Forbidden { .. })));
    });
}

/// `value from to` of each interval, oldest first.
async fn intervals(of: &Fixture, table: &str, value: &str) -> Vec<String> {
    let text = if of.postgres() { "::text" } else { "" };
    let at = |column: &str| {
        if of.postgres() {
            format!("to_char({column} at time zone 'UTC', 'YYYY-MM-DD')")
        } else {
            format!("substr({column}, 1, 10)")
        }
    };
    let sql = format!(
        "select {value}{text} as value, {} as from_day, {} as to_day from {table} where tenant_id = $1 \
         order by coalesce({}, ''), coalesce({}, '9')",
        at("from_at"),
        at("to_at"),
        at("from_at"),
        at("to_at")
    );
    let day = |row: &sea_orm::QueryResult, column| row.try_get::<Option<String>>("", column).unwrap();
    let rows = of.all(&sql).await;
    rows.iter()
        .map(|row| {
            let (from, to) = (day(row, "from_day"), day(row, "to_day"));
            let value: String = row.try_get("", "value").unwrap();
            format!("{value} {}..{}", from.unwrap_or_default(), to.unwrap_or_default())
        })
        .collect()
}

#[test]
fn intervals_follow_what_is_known() {
    on_both(async |of| {
        let today = of.create("account", json!({"name": "Entered today", "grade": "B"})).await;
        of.clock.set("2026-02-10T10:00:00.000Z");
        of.update("account", today, json!({"grade": "A"})).await.unwrap();
        assert_eq!(intervals(&of, "grade_interval", "grade").await, ["B 2026-02-03..2026-02-10", "A 2026-02-10.."]);

        let data = json!({"name": "Imported", "grade": "C"});
        let old = import(&of.cx, "account", vec![create(data)]).await[0].as_ref().unwrap().id;
        let since = Since { grade: Some("2025-07-01T00:00:00Z".parse().unwrap()), ..Since::default() };
        let mapped = Operation::Update { id: old, version: None, data: object(json!({"grade": "D"})), since };
        assert!(import(&of.cx, "account", vec![mapped]).await[0].is_ok());
        let early = Since { grade: Some("2025-01-01T00:00:00Z".parse().unwrap()), ..Since::default() };
        let early = Operation::Update { id: old, version: None, data: object(json!({"grade": "E"})), since: early };
        assert!(import(&of.cx, "account", vec![early]).await[0].is_ok());
        of.update("account", old, json!({"grade": null})).await.unwrap();
        of.clock.set("2026-02-12T10:00:00.000Z");
        assert!(import(&of.cx, "account", vec![update(old, json!({"grade": "F"}))]).await[0].is_ok());
        assert_eq!(
            intervals(&of, "grade_interval", "grade").await,
            [
                "C ..2025-07-01",
                "D 2025-07-01..2025-07-01",
                "E 2025-07-01..2026-02-10",
                "B 2026-02-03..2026-02-10",
                "A 2026-02-10..",
                "F 2026-02-12..",
            ],
            "the first is open to the past, none begins before the one it follows"
        );
    });
}

#[test]
fn intervals_outlive_migrations_down_and_up_again() {
    on_both(async |of| {
        let rep = of.create("user", json!({"email": "rep@example.com", "name": "Rob Rep"})).await;
        let id = of.create("account", json!({"name": "Acme", "grade": "B"})).await;
        of.clock.set("2026-02-10T10:00:00.000Z");
        of.update("account", id, json!({"owner_id": rep, "grade": "A"})).await.unwrap();
        let all = [("ownership", "how"), ("grade_interval", "grade")];
        let mut before = Vec::new();
        for (table, value) in all {
            before.push(intervals(&of, table, value).await);
        }
        assert_eq!(before.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
        let db = &of.cx.store().write;
        let names: Vec<_> = Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect();
        let slim = names.iter().position(|name| name.ends_with("slim_intervals")).unwrap();
        Migrator::down(db, Some(u32::try_from(names.len() - slim).unwrap())).await.unwrap();
        let rows = of.all("select id from ownership where tenant_id = $1").await;
        assert_eq!(rows.len(), 2, "each has a number again");
        Migrator::up(db, None).await.unwrap();
        for ((table, value), before) in all.into_iter().zip(before) {
            assert_eq!(intervals(&of, table, value).await, before, "{table}");
        }
    });
}

#[test]
fn ownership_is_kept() {
    on_both(async |of| {
        let rep = of.create("user", json!({"email": "rep@example.com", "name": "Rob Rep"})).await;
        let id = of.create("account", json!({"name": "Acme"})).await;
        of.clock.set("2026-02-10T10:00:00.000Z");
        of.update("account", id, json!({"owner_id": rep})).await.unwrap();
        assert_eq!(
            intervals(&of, "ownership", "how").await,
            ["assign 2026-02-03..2026-02-10", "transfer 2026-02-10.."]
        );
    });
}
