//! Custom fields: defined by records, checked, filtered, referred to, previewed, retired.

use std::{future::Future, sync::Arc};

use chrono::{SecondsFormat, TimeDelta};
use ripen_core::context::Clock as _;
use serde_json::{Value as Json, json};

use crate::{
    query::walk,
    support::{Answer, Caller, Person, TestServer, on_both},
};

fn with_admin<F: Future<Output = ()>>(test: impl Fn(Arc<TestServer>, Caller) -> F) {
    on_both(|server| async {
        let admin = server.as_admin().await;
        test(server, admin).await;
    });
}

/// Defines a field of accounts.
async fn define(admin: &Caller, more: Json) -> Answer {
    let mut field = json!({"kind": "account", "name": "budget", "type": "integer"});
    field.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    admin.post("/v1/custom-fields", field).await
}

async fn account(admin: &Caller, custom: Json) -> Answer {
    admin.post("/v1/accounts", json!({"name": "Acme", "custom": custom})).await
}

fn places(answer: &Answer) -> Vec<(&str, &str)> {
    let mut errors = answer.errors();
    errors.sort_unstable();
    errors
}

async fn found(admin: &Caller, filter: &str) -> Vec<String> {
    let answer = admin.list("/v1/accounts", &[("filter", filter), ("sort", "id")]).await.expect(200);
    answer.data().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_field_takes_values_as_soon_as_it_is_defined_and_shows_them() {
    with_admin(|server, admin| async move {
        let early = account(&admin, json!({"budget": 5})).await.expect(422);
        assert_eq!(early.errors(), [("/custom/budget", "unknown_field")]);
        define(&admin, json!({})).await.expect(201);
        let made = account(&admin, json!({"budget": 5})).await.expect(201);
        assert_eq!(made.json["custom"], json!({"budget": 5}));
        let here = format!("/v1/accounts/{}", made.id());
        assert_eq!(admin.get(&here).await.expect(200).bytes, made.bytes);
        let chosen = admin.get(&format!("{here}?fields=custom.budget")).await.expect(200);
        assert_eq!(chosen.json, json!({"custom": {"budget": 5}}));
        let stranger = server.as_person(Person::Stranger).await;
        let theirs = account(&stranger, json!({"budget": 5})).await.expect(422);
        assert_eq!(theirs.errors(), [("/custom/budget", "unknown_field")], "definitions are a tenant's own");
    });
}

#[test]
fn a_patch_merges_inside_custom_and_null_takes_a_value_away() {
    with_admin(|_, admin| async move {
        define(&admin, json!({})).await.expect(201);
        define(&admin, json!({"name": "note", "type": "text"})).await.expect(201);
        let made = account(&admin, json!({"budget": 5, "note": "x"})).await.expect(201);
        let here = format!("/v1/accounts/{}", made.id());
        let one = admin.patch(&here, json!({"custom": {"budget": 6}})).await.expect(200);
        assert_eq!((&one.json["custom"], &one.json["version"]), (&json!({"budget": 6, "note": "x"}), &json!(2)));
        let same = admin.patch(&here, json!({"custom": {"budget": 6}})).await.expect(200);
        assert_eq!(same.bytes, one.bytes, "the same value is no change");
        let less = admin.patch(&here, json!({"custom": {"note": null}})).await.expect(200);
        assert_eq!(less.json["custom"], json!({"budget": 6}));
        let none = admin.patch(&here, json!({"custom": null})).await.expect(200);
        assert_eq!(none.json["custom"], Json::Null);
    });
}

#[test]
fn every_wrong_value_is_named_at_once_with_its_place() {
    with_admin(|_, admin| async move {
        let fields = [
            json!({"name": "budget", "validation": {"min": 1, "max": 9}}),
            json!({"name": "share", "type": "number"}),
            json!({"name": "signed", "type": "boolean"}),
            json!({"name": "since", "type": "date", "validation": {"min": "2020-01-01"}}),
            json!({"name": "seen", "type": "instant"}),
            json!({"name": "size", "type": "choice", "options": ["small", "large"]}),
            json!({"name": "mail", "type": "email"}),
            json!({"name": "code", "type": "text", "validation": {"pattern": "^[A-Z]{3}$", "max_length": 3}}),
            json!({"name": "site", "type": "url"}),
            json!({"name": "parent", "type": "reference", "refers_to": "account"}),
            json!({"name": "must", "type": "text", "required": true}),
        ];
        for field in fields {
            define(&admin, field).await.expect(201);
        }
        let wrong = json!({
            "budget": 10, "share": "a", "signed": 1, "since": "2026-02-30", "seen": "now", "size": "smal",
            "mail": "no", "code": "abcd", "site": "x", "parent": "x", "budgt": 1,
        });
        let refused = admin.post("/v1/accounts", json!({"name": "", "custom": wrong})).await.expect(422);
        assert_eq!(
            places(&refused),
            [
                ("/custom/budget", "out_of_range"),
                ("/custom/budgt", "unknown_field"),
                ("/custom/code", "too_long"),
                ("/custom/mail", "invalid_value"),
                ("/custom/must", "required"),
                ("/custom/parent", "invalid_value"),
                ("/custom/seen", "invalid_value"),
                ("/custom/share", "wrong_type"),
                ("/custom/signed", "wrong_type"),
                ("/custom/since", "invalid_value"),
                ("/custom/site", "invalid_value"),
                ("/custom/size", "invalid_value"),
                ("/name", "required"),
            ]
        );
        let text = refused.json["errors"].to_string();
        assert!(text.contains("did you mean `budget`?") && text.contains("did you mean `small`?"), "{text}");
        let early = account(&admin, json!({"must": "x", "since": "2019-12-31", "code": "abc"})).await.expect(422);
        assert_eq!(places(&early), [("/custom/code", "invalid_value"), ("/custom/since", "out_of_range")]);
        let not = account(&admin, json!([1])).await.expect(422);
        assert_eq!(not.errors(), [("/custom", "wrong_type")]);
    });
}

#[test]
fn a_default_is_stored_by_a_create_that_names_nothing_and_by_no_update() {
    with_admin(|_, admin| async move {
        let old = account(&admin, json!(null)).await.expect(201);
        define(&admin, json!({"default": 7})).await.expect(201);
        assert_eq!(account(&admin, json!({})).await.expect(201).json["custom"], json!({"budget": 7}));
        assert_eq!(account(&admin, json!({"budget": null})).await.expect(201).json["custom"], Json::Null);
        let renamed = admin.patch(&format!("/v1/accounts/{}", old.id()), json!({"name": "New"})).await.expect(200);
        assert_eq!(renamed.json["custom"], Json::Null);
        let wrong = define(&admin, json!({"name": "other", "default": "x"})).await.expect(422);
        assert_eq!(wrong.errors(), [("/default", "wrong_type")]);
    });
}

#[test]
fn every_type_filters_and_a_missing_value_is_null() {
    with_admin(|_, admin| async move {
        let fields = [
            ("integer", json!(5), "custom.f BETWEEN 4 AND 5", "custom.f > 5"),
            ("number", json!(2.5), "custom.f = 2.5", "custom.f < 2.5"),
            ("boolean", json!(true), "custom.f = true", "custom.f = false"),
            ("date", json!("2026-01-02"), "custom.f >= \"2026-01-02\"", "custom.f != \"2026-01-02\""),
            ("instant", json!("2026-01-02T00:00:00.000Z"), "custom.f > \"2026-01-01T23:59:59Z\"", "custom.f IS NULL"),
            ("text", json!("Größe"), "starts_with(custom.f, \"GR\")", "contains(custom.f, \"x\")"),
            ("choice", json!("b"), "custom.f IN [\"a\", \"b\"]", "custom.f = \"a\""),
            ("email", json!("a@b.example"), "contains(custom.f, \"@B\")", "custom.f = \"x@b.example\""),
            ("url", json!("https://a.example/"), "custom.f IS NOT NULL", "custom.f != \"https://a.example/\""),
        ];
        for (n, (kind, value, yes, no)) in fields.into_iter().enumerate() {
            let name = format!("f{n}");
            let options = (kind == "choice").then(|| json!(["a", "b"]));
            define(&admin, json!({"name": name, "type": kind, "options": options})).await.expect(201);
            let mine = account(&admin, json!({&name: value})).await.expect(201).id().to_owned();
            let empty = account(&admin, json!({})).await.expect(201).id().to_owned();
            let of = |filter: &str| {
                format!(
                    "id IN [\"{mine}\", \"{empty}\"] AND ({})",
                    filter.replace("custom.f", &format!("custom.{name}"))
                )
            };
            assert_eq!(found(&admin, &of(yes)).await, std::slice::from_ref(&mine), "{kind}: {yes}");
            if no != "custom.f IS NULL" {
                assert!(found(&admin, &of(no)).await.is_empty(), "{kind}: {no}");
            }
            assert_eq!(found(&admin, &of("custom.f IS NULL")).await, std::slice::from_ref(&empty), "{kind}");
            assert_eq!(
                found(&admin, &of(&format!("NOT ({yes})"))).await,
                std::slice::from_ref(&empty),
                "{kind}: NOT {yes}"
            );
            admin.patch(&format!("/v1/accounts/{mine}"), json!({"custom": {&name: null}})).await.expect(200);
            assert!(found(&admin, &of("custom.f IS NOT NULL")).await.is_empty(), "{kind}");
        }
    });
}

#[test]
fn fields_of_every_type_have_an_order_and_pages_keep_to_it() {
    with_admin(|_, admin| async move {
        let parent = account(&admin, json!({})).await.expect(201).id().to_owned();
        let fields = [
            ("text", vec![json!("B"), json!("a"), json!("ä")]),
            ("choice", vec![json!("high"), json!("low")]),
            ("integer", vec![json!(-20), json!(-3), json!(100)]),
            ("number", vec![json!(-0.5), json!(2), json!(2.5), json!(10)]),
            ("boolean", vec![json!(false), json!(true)]),
            ("date", vec![json!("2025-12-31"), json!("2026-02-01")]),
            ("instant", vec![json!("2026-01-01T00:00:00.000Z"), json!("2026-01-01T00:00:00.001Z")]),
            ("reference", vec![json!(parent)]),
        ];
        for (n, (kind, values)) in fields.into_iter().enumerate() {
            let name = format!("f{n}");
            let options = (kind == "choice").then(|| json!(["low", "high"]));
            let leads = (kind == "reference").then_some("account");
            define(&admin, json!({"name": name, "type": kind, "options": options, "refers_to": leads}))
                .await
                .expect(201);
            let mut rows: Vec<(usize, Json)> = Vec::new();
            for i in 0..9 {
                let rank = i * 7 % (values.len() + 1); // 0: none
                let custom = rank.checked_sub(1).map_or_else(|| json!({}), |at| json!({&name: values[at]}));
                let made = admin.post("/v1/accounts", json!({"name": name, "custom": custom})).await.expect(201);
                rows.push((rank, made.json));
            }
            let filter = format!("name = \"{name}\"");
            for (sort, descending) in [(format!("custom.{name}"), false), (format!("-custom.{name},-id"), true)] {
                rows.sort_by_key(|(rank, row)| (*rank, row["id"].to_string()));
                if descending {
                    rows.reverse();
                }
                let wanted: Vec<_> = rows.iter().map(|(_, row)| row.clone()).collect();
                for limit in ["2", "4", "200"] {
                    let parameters = [("sort", sort.as_str()), ("filter", filter.as_str()), ("limit", limit)];
                    let (forth, last) = walk(&admin, &parameters, "next", None).await;
                    assert_eq!(forth.concat(), wanted, "{kind}: {sort} by {limit}");
                    let (mut back, _) = walk(&admin, &parameters, "prev", last).await;
                    back.reverse();
                    let back = [back.concat(), forth.last().unwrap().clone()].concat();
                    assert_eq!(back, wanted, "{kind}: {sort} back by {limit}");
                }
            }
        }
    });
}

#[test]
fn wrong_paths_and_orders_say_what_there_is() {
    with_admin(|_, admin| async move {
        define(&admin, json!({})).await.expect(201);
        define(&admin, json!({"name": "note", "type": "text", "filterable": false})).await.expect(201);
        let refusals = [
            ("filter", "custom.budgt = 1", "unknown_field", "did you mean `budget`?"),
            ("filter", "custom.budget = \"x\"", "wrong_type", "a whole number"),
            ("filter", "custom.note = \"x\"", "not_filterable", "filterable"),
            ("filter", "custom.budget.name = \"x\"", "unknown_field", "no fields"),
            ("filter", "custm.budget = 1", "unknown_field", "custm"),
            ("sort", "custom.budget,custom.budget", "invalid_parameter", "named twice"),
            ("sort", "custom.budgt", "unknown_field", "custom.budgt"),
            ("fields", "custom.budgt", "unknown_field", "did you mean `budget`?"),
            ("expand", "custom.budget", "unknown_field", "custom.budget"),
        ];
        for (parameter, value, code, says) in refusals {
            let refused = admin.list("/v1/accounts", &[(parameter, value)]).await.expect(400);
            assert_eq!(refused.errors(), [(parameter, code)], "{value}");
            let text = refused.json["errors"].to_string();
            assert!(text.contains(says), "{value}: {text}");
        }
    });
}

#[test]
fn a_unique_value_is_held_by_one_live_record() {
    with_admin(|_, admin| async move {
        define(&admin, json!({"name": "code", "type": "text", "unique": true})).await.expect(201);
        let first = account(&admin, json!({"code": "A"})).await.expect(201);
        let second = account(&admin, json!({"code": "A"})).await.expect(422);
        assert_eq!(second.errors(), [("/custom/code", "duplicate")]);
        let other = account(&admin, json!({"code": "B"})).await.expect(201);
        let late = admin.patch(&format!("/v1/accounts/{}", other.id()), json!({"custom": {"code": "A"}})).await;
        assert_eq!(late.expect(422).errors(), [("/custom/code", "duplicate")]);
        admin.delete(&format!("/v1/accounts/{}", first.id())).await.expect(204);
        account(&admin, json!({"code": "A"})).await.expect(201);
    });
}

#[test]
fn references_must_exist_hold_what_they_refer_to_and_are_followed() {
    with_admin(|_, admin| async move {
        define(&admin, json!({"name": "supplier", "type": "reference", "refers_to": "account"})).await.expect(201);
        let supplier = admin.post("/v1/accounts", json!({"name": "Globex"})).await.expect(201);
        let mine = account(&admin, json!({"supplier": supplier.id()})).await.expect(201);
        let nowhere = account(&admin, json!({"supplier": "01939e2b-6c00-7000-8000-000000000001"})).await.expect(422);
        assert_eq!(nowhere.errors(), [("/custom/supplier", "reference_not_found")]);
        let held = admin.delete(&format!("/v1/accounts/{}", supplier.id())).await.expect(409);
        assert_eq!(held.problem(), "still_referenced");
        assert!(held.json["detail"].as_str().unwrap().contains("1 accounts"), "{}", held.json);
        assert_eq!(found(&admin, "custom.supplier.name = \"Globex\"").await, [mine.id()]);
        assert_eq!(found(&admin, &format!("custom.supplier = \"{}\"", supplier.id())).await, [mine.id()]);
        assert!(found(&admin, "custom.supplier.name = \"Initech\"").await.is_empty());
        let here = format!("/v1/accounts/{}", mine.id());
        let shown = admin.get(&format!("{here}?expand=custom.supplier")).await.expect(200);
        assert_eq!(shown.json["custom.supplier"], admin.get(&format!("/v1/accounts/{}", supplier.id())).await.json);
        let chosen = admin.get(&format!("{here}?fields=id,custom.supplier.name")).await.expect(200);
        assert_eq!(chosen.json, json!({"id": mine.id(), "custom.supplier": {"name": "Globex"}}));
        admin.patch(&here, json!({"custom": {"supplier": null}})).await.expect(200);
        admin.delete(&format!("/v1/accounts/{}", supplier.id())).await.expect(204);
    });
}

#[test]
fn hostile_definitions_are_refused_each_at_its_place() {
    with_admin(|_, admin| async move {
        let refusals = [
            (json!({"name": "预算"}), "/name", "invalid_value", "label"),
            (json!({"name": "My Budget"}), "/name", "invalid_value", "`my_budget` would do"),
            (json!({"name": "owner_id"}), "/name", "reserved_name", "own_owner_id"),
            (json!({"name": "x".repeat(64)}), "/name", "too_long", "63"),
            (json!({"kind": "acount"}), "/kind", "invalid_value", "did you mean `account`?"),
            (json!({"kind": "score"}), "/kind", "invalid_value", "score"),
            (
                json!({"type": "reference", "refers_to": "acount"}),
                "/refers_to",
                "invalid_value",
                "did you mean `account`?",
            ),
            (json!({"type": "reference"}), "/refers_to", "required", "which kind"),
            (json!({"refers_to": "account"}), "/refers_to", "invalid_value", "only a reference"),
            (json!({"type": "cash"}), "/type", "invalid_value", "one of"),
            (json!({"type": "choice"}), "/options", "required", "1 to 200"),
            (json!({"type": "choice", "options": ["a", "a"]}), "/options", "invalid_value", "different"),
            (json!({"options": ["a"]}), "/options", "invalid_value", "only a choice"),
            (json!({"validation": {"min": 2, "max": 1}}), "/validation", "invalid_value", "between"),
            (json!({"validation": {"mim": 2}}), "/validation/mim", "unknown_field", "did you mean `min`?"),
            (json!({"validation": {"min": "2"}}), "/validation/min", "wrong_type", "number"),
            (
                json!({"type": "text", "validation": {"pattern": "(a"}}),
                "/validation/pattern",
                "invalid_value",
                "regular",
            ),
            (
                json!({"type": "text", "validation": {"pattern": "(?=a)"}}),
                "/validation/pattern",
                "invalid_value",
                "look-around",
            ),
            (
                json!({"type": "text", "validation": {"pattern": "((a{100}){100}){100}"}}),
                "/validation/pattern",
                "invalid_value",
                "simpler",
            ),
            (json!({"label": {"english": ""}}), "/label", "invalid_value", "200 characters"),
            (json!({"type": "boolean", "unique": true}), "/unique", "invalid_value", "no records apart"),
            (json!({"unique": true, "default": 1}), "/default", "invalid_value", "no default"),
        ];
        for (more, place, code, says) in refusals {
            let refused = define(&admin, more.clone()).await.expect(422);
            assert_eq!(refused.errors(), [(place, code)], "{more}");
            let text = refused.json["errors"].to_string();
            assert!(text.contains(says), "{more}: {text}");
        }
        let several = define(&admin, json!({"name": "X", "options": ["a"], "validation": {"x": 1}})).await.expect(422);
        assert_eq!(several.errors().len(), 3, "all at once");
        // linear however the pattern is written
        define(&admin, json!({"type": "text", "validation": {"pattern": "^(a+)+$"}})).await.expect(201);
        let slow = account(&admin, json!({"budget": format!("{}!", "a".repeat(499))})).await.expect(422);
        assert_eq!(slow.errors(), [("/custom/budget", "invalid_value")]);
    });
}

#[test]
fn a_kind_takes_two_hundred_fields_and_no_more() {
    with_admin(|server, admin| async move {
        let cx = server.context(Person::Admin).await;
        let unit = cx.begin().await.unwrap();
        let operations = (0..200).map(|n| {
            let data = json!({"kind": "account", "name": format!("field_{n}"), "type": "integer"});
            ripen_core::engine::Operation::Create {
                data: data.as_object().unwrap().clone(),
                since: ripen_core::engine::Since::default(),
            }
        });
        let written = cx.kind("custom_field").unwrap().write(&unit, operations.collect()).await.unwrap();
        assert!(written.iter().all(Result::is_ok));
        unit.commit().await.unwrap();
        let refused = define(&admin, json!({})).await.expect(422);
        assert_eq!(refused.errors(), [("/kind", "out_of_range")]);
        define(&admin, json!({"kind": "contact"})).await.expect(201);
    });
}

#[test]
fn what_is_fixed_about_a_field_is_refused_and_only_admins_define() {
    with_admin(|server, admin| async move {
        let made = define(&admin, json!({})).await.expect(201);
        let here = format!("/v1/custom-fields/{}", made.id());
        let moved = json!({"kind": "contact", "name": "money", "type": "text"});
        let refused = admin.patch(&here, moved).await.expect(422);
        assert_eq!(places(&refused), [("/kind", "read_only"), ("/name", "read_only"), ("/type", "read_only")]);
        let twice = define(&admin, json!({})).await.expect(422);
        assert_eq!(twice.errors(), [("/kind", "duplicate")]);
        let rep = server.as_person(Person::Rep).await;
        assert_eq!(define(&rep, json!({"name": "other"})).await.expect(403).problem(), "forbidden");
        rep.get(&here).await.expect(200);
    });
}

#[test]
fn a_narrower_definition_is_previewed_and_refused_while_records_would_break() {
    with_admin(|_, admin| async move {
        let field = define(&admin, json!({})).await.expect(201);
        let here = format!("/v1/custom-fields/{}", field.id());
        let big = account(&admin, json!({"budget": 50})).await.expect(201);
        let same = account(&admin, json!({"budget": 50})).await.expect(201);
        let none = account(&admin, json!({})).await.expect(201);
        let cases = [
            (json!({"validation": {"max": 9}}), "/validation", 2, "out_of_range", big.id()),
            (json!({"required": true}), "/required", 1, "required", none.id()),
            (json!({"unique": true}), "/unique", 1, "duplicate", same.id()),
        ];
        for (patch, place, fail, code, first) in cases {
            let preview = admin.post(&format!("{here}/preview"), patch.clone()).await.expect(200);
            assert_eq!((&preview.json["checked"], &preview.json["would_fail"]), (&json!(3), &json!(fail)), "{patch}");
            assert_eq!(preview.json["records"].as_array().unwrap().len(), fail);
            assert_eq!(
                (&preview.json["records"][0]["id"], &preview.json["records"][0]["code"]),
                (&json!(first), &json!(code))
            );
            let refused = admin.patch(&here, patch).await.expect(422);
            assert_eq!(refused.errors(), [(place, "existing_values")]);
            assert!(refused.json["errors"].to_string().contains(first));
        }
        assert_eq!(admin.get(&here).await.expect(200).bytes, field.bytes, "nothing has changed");
        for (row, value) in [(&same, 51), (&none, 52)] {
            admin.patch(&format!("/v1/accounts/{}", row.id()), json!({"custom": {"budget": value}})).await.expect(200);
        }
        let preview =
            admin.post(&format!("{here}/preview"), json!({"required": true, "unique": true})).await.expect(200);
        assert_eq!(preview.json, json!({"checked": 3, "would_fail": 0, "records": []}));
        admin.patch(&here, json!({"required": true, "unique": true})).await.expect(200);
        let twice = account(&admin, json!({"budget": 51})).await.expect(422);
        assert_eq!(twice.errors(), [("/custom/budget", "duplicate")], "values from before are held too");
        assert_eq!(account(&admin, json!({})).await.expect(422).errors(), [("/custom/budget", "required")]);
        let wrong = admin.post(&format!("{here}/preview"), json!({"requird": true})).await.expect(422);
        assert_eq!(wrong.errors(), [("/requird", "unknown_field")]);
        let late = define(&admin, json!({"name": "late", "required": true})).await.expect(422);
        assert_eq!(late.errors(), [("/required", "existing_values")]);
    });
}

#[test]
fn a_retired_field_is_hidden_and_keeps_its_values() {
    with_admin(|_, admin| async move {
        let field = define(&admin, json!({})).await.expect(201);
        let here = format!("/v1/custom-fields/{}", field.id());
        let mine = account(&admin, json!({"budget": 5})).await.expect(201);
        let record = format!("/v1/accounts/{}", mine.id());
        let kept = admin.delete(&here).await.expect(422);
        assert_eq!(kept.errors(), [("/state", "existing_values")]);
        assert!(kept.json["errors"].to_string().contains("retired"));
        admin.patch(&here, json!({"state": "retired"})).await.expect(200);
        assert_eq!(admin.get(&record).await.expect(200).json["custom"], json!({}));
        let refused = account(&admin, json!({"budget": 5})).await.expect(422);
        assert_eq!(refused.errors(), [("/custom/budget", "unknown_field")]);
        admin.list("/v1/accounts", &[("filter", "custom.budget = 5")]).await.expect(400);
        admin.patch(&record, json!({"name": "Renamed", "custom": null})).await.expect(200);
        admin.patch(&here, json!({"state": "active"})).await.expect(200);
        assert_eq!(admin.get(&record).await.expect(200).json["custom"], json!({"budget": 5}));
        assert_eq!(found(&admin, "custom.budget = 5").await, [mine.id()]);
        admin.patch(&record, json!({"custom": {"budget": null}})).await.expect(200);
        admin.delete(&here).await.expect(204);
    });
}

#[test]
fn a_field_becomes_filterable_with_the_values_it_already_has() {
    with_admin(|_, admin| async move {
        let field = define(&admin, json!({"filterable": false})).await.expect(201);
        let here = format!("/v1/custom-fields/{}", field.id());
        let mine = account(&admin, json!({"budget": 5})).await.expect(201);
        admin.list("/v1/accounts", &[("filter", "custom.budget = 5")]).await.expect(400);
        admin.patch(&here, json!({"filterable": true})).await.expect(200);
        assert_eq!(found(&admin, "custom.budget = 5").await, [mine.id()]);
        admin.patch(&here, json!({"filterable": false})).await.expect(200);
        admin.list("/v1/accounts", &[("filter", "custom.budget = 5")]).await.expect(400);
    });
}

#[test]
fn the_change_log_names_the_custom_field_that_changed() {
    with_admin(|_, admin| async move {
        define(&admin, json!({})).await.expect(201);
        define(&admin, json!({"name": "note", "type": "text"})).await.expect(201);
        let mine = account(&admin, json!({"budget": 5, "note": "x"})).await.expect(201);
        let patch = json!({"name": "Renamed", "custom": {"budget": 6}});
        admin.patch(&format!("/v1/accounts/{}", mine.id()), patch).await.expect(200);
        let mut seen = Vec::new();
        while seen.len() < 2 {
            let feed = admin.list("/v1/changes", &[("kind", "account")]).await.expect(200);
            seen = feed.data().iter().filter(|change| change["id"] == mine.id()).cloned().collect();
            tokio::time::sleep(std::time::Duration::from_millis(20)).await; // others on the server hold back the log
        }
        assert_eq!(seen[0]["changed"]["custom.budget"], json!({"before": null, "after": 5}));
        let changed =
            json!({"name": {"before": "Acme", "after": "Renamed"}, "custom.budget": {"before": 5, "after": 6}});
        assert_eq!(seen[1]["changed"], changed, "only what has changed");
    });
}

#[test]
fn the_tenants_own_description_has_its_fields_and_changes_with_them() {
    with_admin(|server, admin| async move {
        let property = "/components/schemas/Account/properties/custom/properties/budget";
        let before = admin.get("/v1/openapi.json").await.expect(200);
        assert_eq!(before.json.pointer(property), None);
        let label = json!({"en": "Budget", "zh": "预算"});
        let field = json!({"description": "What they may spend.", "validation": {"max": 9}, "label": label});
        let field = define(&admin, field).await.expect(201);
        let after = admin.get("/v1/openapi.json").await.expect(200);
        let wanted = json!({"type": "integer", "description": "What they may spend.", "maximum": 9, "x-labels": label});
        assert_eq!(after.json.pointer(property), Some(&wanted));
        assert_eq!(admin.get("/v1/openapi.json").await.expect(200).bytes, after.bytes);
        let stranger = server.as_person(Person::Stranger).await;
        assert_eq!(stranger.get("/v1/openapi.json").await.expect(200).json.pointer(property), None);
        assert_eq!(server.anonymous().get("/v1/openapi.json").await.expect(401).problem(), "unauthenticated");
        admin.patch(&format!("/v1/custom-fields/{}", field.id()), json!({"state": "retired"})).await.expect(200);
        assert_eq!(admin.get("/v1/openapi.json").await.expect(200).json.pointer(property), None);
    });
}

#[test]
fn a_field_that_comes_back_is_checked_as_one_that_is_made() {
    with_admin(|_, admin| async move {
        let object = json!({"name": "project", "plural": "projects", "scope": "tenant"});
        let object = format!("/v1/custom-objects/{}", admin.post("/v1/custom-objects", object).await.expect(201).id());
        let leads =
            define(&admin, json!({"name": "proj", "type": "reference", "refers_to": "project"})).await.expect(201);
        let must = define(&admin, json!({"name": "must", "required": true})).await.expect(201);
        let [leads, must] = [leads, must].map(|field| format!("/v1/custom-fields/{}", field.id()));
        for gone in [&leads, &must, &object] {
            admin.delete(gone).await.expect(204);
        }
        let restore = async |here: &str| admin.post(&format!("{here}/restore"), Json::Null).await;
        account(&admin, Json::Null).await.expect(201);
        assert_eq!(restore(&leads).await.expect(422).errors(), [("/refers_to", "invalid_value")]);
        assert_eq!(restore(&must).await.expect(422).errors(), [("/required", "existing_values")]);
        restore(&object).await.expect(200);
        restore(&leads).await.expect(200);
        let project = admin.post("/v1/projects", json!({"name": "Moon"})).await.expect(201).id().to_owned();
        let made = account(&admin, json!({"proj": project})).await.expect(201).id().to_owned();
        assert_eq!(found(&admin, &format!("custom.proj = \"{project}\"")).await, [made]);
    });
}

#[test]
fn a_record_that_comes_back_fits_what_was_defined_meanwhile() {
    with_admin(|_, admin| async move {
        let text = define(&admin, json!({"name": "code", "type": "text"})).await.expect(201);
        let text = format!("/v1/custom-fields/{}", text.id());
        let here = format!("/v1/accounts/{}", account(&admin, json!({"code": "abc"})).await.expect(201).id());
        let restore = async |here: &str| admin.post(&format!("{here}/restore"), Json::Null).await;
        admin.delete(&here).await.expect(204);
        admin.delete(&text).await.expect(204);
        assert_eq!(restore(&here).await.expect(422).errors(), [("/custom/code", "unknown_field")]);
        let number = define(&admin, json!({"name": "code", "type": "integer"})).await.expect(201);
        let number = format!("/v1/custom-fields/{}", number.id());
        assert_eq!(restore(&here).await.expect(422).errors(), [("/custom/code", "wrong_type")]);
        admin.delete(&number).await.expect(204);
        restore(&text).await.expect(200);
        let needed = define(&admin, json!({"name": "must", "required": true})).await.expect(201);
        assert_eq!(restore(&here).await.expect(422).errors(), [("/custom/must", "required")]);
        admin.patch(&format!("/v1/custom-fields/{}", needed.id()), json!({"required": false})).await.expect(200);
        restore(&here).await.expect(200);
        assert_eq!(found(&admin, "custom.code = \"abc\"").await.len(), 1);
    });
}

/// Defines `code` of this type, gives accounts these values and takes them and the field away again. Answers with a time at
/// which they were there.
async fn once(server: &TestServer, admin: &Caller, kind: &str, values: &[Json]) -> String {
    let field = define(admin, json!({"name": "code", "type": kind})).await.expect(201);
    for value in values {
        account(admin, json!({"code": value})).await.expect(201);
    }
    server.clock.advance(TimeDelta::seconds(1));
    let then = server.clock.now().to_rfc3339_opts(SecondsFormat::Millis, true);
    server.clock.advance(TimeDelta::seconds(1));
    for id in found(admin, "custom.code IS NOT NULL").await {
        admin.patch(&format!("/v1/accounts/{id}"), json!({"custom": {"code": null}})).await.expect(200);
    }
    admin.delete(&format!("/v1/custom-fields/{}", field.id())).await.expect(204);
    then
}

#[test]
fn of_the_past_a_field_has_the_values_of_its_type_whatever_its_name_meant_then() {
    with_admin(|server, admin| async move {
        let texts =
            ["abc", "2026-02-30", "2026-02-28", "2024-02-29", "0000-01-01", "2026-01-31T25:00:00.000Z", "5", "true"];
        let texts = once(&server, &admin, "text", &texts.map(Json::from)).await;
        let integers = once(&server, &admin, "integer", &[json!(5)]).await;
        let numbers = once(&server, &admin, "number", &[json!(1.5), json!(2.0)]).await;
        let booleans = once(&server, &admin, "boolean", &[json!(true)]).await;
        let then = [texts, integers, numbers, booleans];
        for (kind, counts) in [
            ("text", [8, 0, 0, 0]),
            ("integer", [0, 1, 0, 0]),
            ("number", [0, 1, 2, 0]),
            ("boolean", [0, 0, 0, 1]),
            ("date", [2, 0, 0, 0]),
            ("instant", [0, 0, 0, 0]),
        ] {
            let field = define(&admin, json!({"name": "code", "type": kind})).await.expect(201);
            for (at, count) in then.iter().zip(counts) {
                for sort in ["custom.code", "-custom.code"] {
                    admin.list("/v1/accounts", &[("sort", sort), ("known_at", at)]).await.expect(200);
                }
                let there = [("filter", "custom.code IS NOT NULL"), ("known_at", at.as_str())];
                let there = admin.list("/v1/accounts", &there).await.expect(200).data().len();
                assert_eq!(there, count, "{kind} at {at}");
            }
            admin.delete(&format!("/v1/custom-fields/{}", field.id())).await.expect(204);
        }
    });
}
