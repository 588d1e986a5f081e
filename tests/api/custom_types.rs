//! Custom fields of more than one cell: money does what built-in money does, several choices are asked one by one.

use chrono::TimeDelta;
use serde_json::{Value as Json, json};

use crate::{
    imports::imported,
    query::walk,
    support::{Answer, Caller, on_both},
};

async fn define(admin: &Caller, name: &str, kind: &str, more: Json) -> Answer {
    let mut field = json!({"kind": "account", "name": name, "type": kind});
    field.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    admin.post("/v1/custom-fields", field).await
}

async fn account(admin: &Caller, custom: Json) -> Answer {
    admin.post("/v1/accounts", json!({"name": "Acme", "custom": custom})).await
}

async fn names(caller: &Caller, parameters: &[(&str, &str)]) -> Vec<String> {
    let answer = caller.list("/v1/accounts", parameters).await.expect(200);
    answer.data().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
}

/// Accounts whose custom `budget` is their built-in `annual_revenue`.
async fn budgets(admin: &Caller) {
    define(admin, "budget", "money", json!({})).await.expect(201);
    let amounts = [("10.05", "USD"), ("1000", "JPY"), ("-0.01", "USD"), ("0.125", "BHD"), ("1000", "USD")];
    for i in 0..17_usize {
        let money = amounts.get(i % 6).map(|(amount, currency)| json!({"amount": amount, "currency": currency}));
        let body = json!({"name": format!("A{i}"), "external_id": i.to_string(), "annual_revenue": money,
            "custom": {"budget": money}});
        let made = admin.post("/v1/accounts", body).await.expect(201).json;
        assert_eq!(made["custom"]["budget"], made["annual_revenue"]);
    }
}

#[test]
fn custom_money_filters_and_sorts_as_built_in_money_does_now_and_in_the_past() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        budgets(&admin).await;
        server.clock.advance(TimeDelta::seconds(5));
        let then = "2026-01-31T09:30:02.000Z";
        let checks = [
            "M > 10",
            "M >= 10.05",
            "M < 0",
            "M <= 0.1250",
            "M = 1000",
            "M != 1000",
            "M = \"1000 JPY\"",
            "M > \"0 USD\"",
            "M BETWEEN 0 AND 11",
            "M IN [1000, \"-0.01 USD\"]",
            "M IS NULL",
            "M IS NOT NULL",
            "M.currency = \"USD\"",
            "M.currency != \"USD\"",
            "M.currency IN [\"JPY\", \"BHD\"]",
            "NOT (M > 10)",
            "NOT (M.currency = \"USD\")",
            "M > 99999999999999999",
        ];
        for check in checks {
            let as_now = |field: &str| check.replace('M', field);
            for at in [None, Some(("known_at", then))] {
                let found = |filter: String| {
                    let admin = &admin;
                    async move {
                        let parameters: Vec<_> =
                            [("filter", filter.as_str()), ("sort", "id")].into_iter().chain(at).collect();
                        names(admin, &parameters).await
                    }
                };
                assert_eq!(
                    found(as_now("custom.budget")).await,
                    found(as_now("annual_revenue")).await,
                    "{check} {at:?}"
                );
            }
        }
        for descending in ["", "-"] {
            let sorts = ["custom.budget", "annual_revenue"].map(|field| format!("{descending}{field},name"));
            let whole = names(&admin, &[("sort", &sorts[1])]).await;
            assert_eq!(names(&admin, &[("sort", &sorts[0])]).await, whole, "{descending}");
            let (found, _) = walk(&admin, &[("sort", &sorts[0]), ("limit", "3")], "next", None).await;
            let paged: Vec<_> = found.concat().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect();
            assert_eq!(paged, whole, "{descending}");
        }
    });
}

#[test]
fn custom_money_is_added_by_currency_as_built_in_money_is() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        budgets(&admin).await;
        let asked = |field: &'static str| {
            let admin = &admin;
            let of = |function: &str| json!({"fn": function, "field": field, "as": function});
            let body = json!({"measures": [of("sum"), of("min"), of("max"), of("avg"), of("count"), of("count_distinct")],
                "having": {"field": "count", "op": "gte", "value": 0}});
            async move {
                let answer = admin.post("/v1/accounts/aggregate", body).await.expect(200);
                serde_json::to_string(answer.data()).unwrap().replace(field, "M")
            }
        };
        let own = asked("custom.budget").await;
        assert_eq!(own, asked("annual_revenue").await);
        assert!(own.contains(r#""sum":{"amount":"3030.12","currency":"USD"}"#), "{own}");
        let grouped = json!({"group_by": ["custom.budget.currency"], "measures": [{"fn": "count"}]});
        let grouped = admin.post("/v1/accounts/aggregate", grouped).await.expect(200);
        let counts: Vec<_> = grouped.data().iter().map(|row| row["measures"]["count"].as_i64().unwrap()).collect();
        assert_eq!(counts, [2, 3, 3, 9], "none, BHD, JPY, USD");
        let whole = json!({"group_by": ["custom.budget"], "measures": [{"fn": "count"}]});
        let refused = admin.post("/v1/accounts/aggregate", whole).await.expect(400);
        assert_eq!(refused.errors(), [("/group_by/0", "wrong_type")]);
    });
}

#[test]
fn money_is_written_whole_or_in_part_and_bad_amounts_are_named() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let default = json!({"default": {"amount": "5", "currency": "EUR"}});
        define(&admin, "budget", "money", default).await.expect(201);
        let made = account(&admin, json!({})).await.expect(201);
        let five = json!({"budget": {"amount": "5.00", "currency": "EUR"}});
        assert_eq!(made.json["custom"], five);
        let here = format!("/v1/accounts/{}", made.id());
        let more = admin.patch(&here, json!({"custom": {"budget": {"amount": "7.5"}}})).await.expect(200);
        assert_eq!(more.json["custom"]["budget"], json!({"amount": "7.50", "currency": "EUR"}));
        let same = admin.patch(&here, json!({"custom": {"budget": {"amount": "7.500"}}})).await.expect(200);
        assert_eq!(same.bytes, more.bytes, "the same amount is no change");
        let wrong = [
            (json!({"amount": "1.234", "currency": "EUR"}), "/custom/budget", "invalid_value"),
            (json!({"amount": "1", "currency": "EURO"}), "/custom/budget", "invalid_value"),
            (json!({"amount": "1"}), "/custom/budget/currency", "required"),
            (json!({"amount": 1, "currency": "EUR"}), "/custom/budget/amount", "required"),
            (json!({"amount": "1", "currency": "EUR", "tax": "0"}), "/custom/budget/tax", "unknown_field"),
            (json!({"amount": "90071992547409.92", "currency": "EUR"}), "/custom/budget", "out_of_range"),
            (json!({"amount": "-92233720368547758.08", "currency": "EUR"}), "/custom/budget", "out_of_range"),
            (json!("5 EUR"), "/custom/budget", "wrong_type"),
        ];
        for (value, place, code) in wrong {
            let refused = account(&admin, json!({"budget": value})).await.expect(422);
            assert_eq!(refused.errors(), [(place, code)], "{value}");
        }
        account(&admin, json!({"budget": {"amount": "-90071992547409.91", "currency": "EUR"}})).await.expect(201);
        assert_eq!(names(&admin, &[("filter", "custom.budget = -90071992547409.91")]).await.len(), 1);
        assert_eq!(names(&admin, &[("filter", "custom.budget = -90071992547409.90")]).await.len(), 0);
        let described = admin.get("/v1/openapi.json").await.expect(200).json;
        let schema = &described["components"]["schemas"]["Account"]["properties"]["custom"]["properties"]["budget"];
        assert_eq!(
            (&schema["required"], schema.get("description")),
            (&json!(["amount", "currency"]), None),
            "{schema}"
        );
        let unique = define(&admin, "code", "money", json!({"unique": true})).await.expect(422);
        assert_eq!(unique.errors(), [("/unique", "invalid_value")]);
        let path = admin.list("/v1/accounts", &[("filter", "custom.budget.amount > 5")]).await.expect(400);
        assert!(path.json["errors"].to_string().contains("only `custom.budget.currency`"), "{}", path.json);
    });
}

#[test]
fn several_choices_are_a_list_in_the_order_of_the_options() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let options = json!({"options": ["red", "green", "dark \"blue\""]});
        define(&admin, "colours", "choices", options).await.expect(201);
        let made = account(&admin, json!({"colours": ["dark \"blue\"", "red"]})).await.expect(201);
        assert_eq!(made.json["custom"]["colours"], json!(["red", "dark \"blue\""]));
        let here = format!("/v1/accounts/{}", made.id());
        let same = admin.patch(&here, json!({"custom": {"colours": ["red", "dark \"blue\""]}})).await.expect(200);
        assert_eq!(same.bytes, made.bytes, "the same choices are no change");
        let none = account(&admin, json!({"colours": []})).await.expect(201);
        assert_eq!(none.json["custom"], Json::Null, "no choice is no value");
        let wrong = [
            (json!(["red", "red"]), "/custom/colours/1", "invalid_value"),
            (json!(["red", "gren"]), "/custom/colours/1", "invalid_value"),
            (json!(["red", 5]), "/custom/colours/1", "wrong_type"),
            (json!("red"), "/custom/colours", "wrong_type"),
        ];
        for (value, place, code) in wrong {
            let refused = account(&admin, json!({"colours": value})).await.expect(422);
            assert_eq!(refused.errors(), [(place, code)], "{value}");
        }
        let must =
            define(&admin, "sizes", "choices", json!({"options": ["s", "l"], "required": true})).await.expect(422);
        assert_eq!(must.errors(), [("/required", "existing_values")]);
        let less = format!("/v1/custom-fields/{}", field(&admin, "colours").await);
        let refused = admin.patch(&less, json!({"options": ["green", "dark \"blue\""]})).await.expect(422);
        assert_eq!(refused.errors(), [("/options", "existing_values")]);
        admin.patch(&here, json!({"custom": {"colours": []}})).await.expect(200);
        admin.patch(&less, json!({"options": ["green"], "required": false})).await.expect(200);
        define(&admin, "tags", "choices", json!({"options": ["a"], "default": []})).await.expect(201);
        assert_eq!(account(&admin, json!({})).await.expect(201).json["custom"], Json::Null, "no choice is no default");
        for row in admin.get("/v1/accounts").await.expect(200).data() {
            admin.delete(&format!("/v1/accounts/{}", row["id"].as_str().unwrap())).await.expect(204);
        }
        define(&admin, "sizes", "choices", json!({"options": ["s", "l"], "required": true})).await.expect(201);
        let none = account(&admin, json!({"sizes": []})).await.expect(422);
        assert_eq!(none.errors(), [("/custom/sizes", "required")]);
    });
}

async fn field(admin: &Caller, name: &str) -> String {
    let filter = format!("name = \"{name}\"");
    let found = admin.list("/v1/custom-fields", &[("filter", &filter)]).await.expect(200);
    found.data()[0]["id"].as_str().unwrap().to_owned()
}

#[test]
fn several_choices_are_asked_one_by_one_now_and_in_the_past() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        define(&admin, "colours", "choices", json!({"options": ["red", "green", "o'blue"]})).await.expect(201);
        let rows = [
            ("none", json!(null)),
            ("red", json!(["red"])),
            ("both", json!(["red", "o'blue"])),
            ("green", json!(["green"])),
        ];
        for (name, colours) in rows {
            let body = json!({"name": name, "custom": {"colours": colours}});
            admin.post("/v1/accounts", body).await.expect(201);
        }
        server.clock.advance(TimeDelta::seconds(5));
        let checks = [
            ("custom.colours:\"red\"", vec!["red", "both"]),
            ("custom.colours:\"o'blue\"", vec!["both"]),
            ("NOT custom.colours:\"red\"", vec!["none", "green"]),
            ("custom.colours IN [\"o'blue\", \"green\"]", vec!["both", "green"]),
            ("custom.colours IS NULL", vec!["none"]),
            ("custom.colours IS NOT NULL AND NOT custom.colours:\"green\"", vec!["red", "both"]),
        ];
        for (filter, wanted) in checks {
            for at in [None, Some(("known_at", "2026-01-31T09:30:02.000Z"))] {
                let parameters: Vec<_> = [("filter", filter), ("sort", "id")].into_iter().chain(at).collect();
                assert_eq!(names(&admin, &parameters).await, wanted, "{filter} {at:?}");
            }
        }
        let refusals = [
            ("filter", "custom.colours = \"red\"", "wrong_type"),
            ("filter", "custom.colours:\"rd\"", "invalid_value"),
            ("filter", "custom.colours:5", "wrong_type"),
            ("sort", "custom.colours", "wrong_type"),
        ];
        for (parameter, value, code) in refusals {
            let refused = admin.list("/v1/accounts", &[(parameter, value)]).await.expect(400);
            assert_eq!(refused.errors(), [(parameter, code)], "{value}");
        }
        let grouped = json!({"group_by": ["custom.colours"], "measures": [{"fn": "count"}]});
        let refused = admin.post("/v1/accounts/aggregate", grouped).await.expect(400);
        assert_eq!(refused.errors(), [("/group_by/0", "wrong_type")]);
    });
}

#[test]
fn what_is_exported_of_custom_money_choices_and_countries_is_imported_again() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        budgets(&admin).await;
        define(&admin, "colours", "choices", json!({"options": ["red", "green"]})).await.expect(201);
        define(&admin, "origin", "country", json!({})).await.expect(201);
        let body = json!({"name": "B", "external_id": "b", "custom": {"colours": ["green", "red"], "origin": "DE"}});
        admin.post("/v1/accounts", body).await.expect(201);
        let chosen = [("fields", "external_id,name,custom"), ("sort", "id")];
        let file = admin.list("/v1/accounts/export", &chosen).await.expect(200);
        let text = String::from_utf8(file.bytes.clone()).unwrap();
        let columns = [
            "external_id",
            "name",
            "custom.budget.amount",
            "custom.budget.currency",
            "custom.colours",
            "custom.origin",
        ];
        assert_eq!(text.lines().next().unwrap(), columns.join(","));
        assert!(text.contains(r#"b,B,,,"[""red"",""green""]",DE"#), "{text}");
        for row in admin.get("/v1/accounts?limit=200").await.expect(200).data() {
            admin.delete(&format!("/v1/accounts/{}", row["id"].as_str().unwrap())).await.expect(204);
        }
        let mapping: serde_json::Map<_, _> =
            columns.iter().map(|name| ((*name).to_owned(), json!({"column": name}))).collect();
        let spec = json!({"kind": "account", "mapping": mapping});
        let (result, _) = imported(&admin, &spec, file.bytes).await;
        assert_eq!((&result["created"], &result["failed"]), (&json!(18), &json!(0)), "{result}");
        let again = admin.list("/v1/accounts/export", &chosen).await.expect(200);
        assert_eq!(String::from_utf8(again.bytes).unwrap(), text);
        let short = json!({"kind": "account", "match": "external_id", "mode": "update", "mapping": {
            "external_id": {"column": "id"}, "custom.budget": {"column": "budget"}, "custom.colours": {"column": "colours"},
            "custom.origin": {"constant": "CN"}}});
        let (result, _) = imported(&admin, &short, "id,budget,colours\nb,12.5,green; red\n0,,\n1,5,blue\n").await;
        assert_eq!((&result["updated"], &result["failed"]), (&json!(2), &json!(1)), "{result}");
        let filter = [("filter", "external_id IN [\"b\", \"0\"]"), ("sort", "external_id"), ("fields", "custom")];
        let rows = admin.list("/v1/accounts", &filter).await.expect(200);
        let b = json!({"budget": {"amount": "12.50", "currency": "USD"}, "colours": ["red", "green"], "origin": "CN"});
        assert_eq!(rows.data(), &[json!({"custom": {"origin": "CN"}}), json!({"custom": b})]);
    });
}
