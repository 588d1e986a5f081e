//! What a mapping may name, and what becomes of single cells: of a file's own numbers and times, of what is absent, blank or
//! broken.

use rust_xlsxwriter::{ExcelDateTime, Format, Formula, Workbook};
use serde_json::{Value as Json, json};

use crate::{
    imports::{errors, imported, post},
    support::{Caller, on_both},
};

/// An import of accounts that finds them by `external_id`, with these entries of the mapping too.
fn spec(format: &str, more: &Json) -> Json {
    let mut mapping = json!({"external_id": {"column": "id"}, "name": {"column": "name"}});
    mapping.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"kind": "account", "format": format, "mode": "upsert", "match": "external_id", "mapping": mapping})
}

fn column(name: &str) -> Json {
    json!({"column": name})
}

/// `(line, code)` of each row error.
async fn places(caller: &Caller, place: &str) -> Vec<(i64, String)> {
    let errors = errors(caller, place).await;
    errors.iter().map(|e| (e["line"].as_i64().unwrap(), e["code"].as_str().unwrap().to_owned())).collect()
}

/// Fields of each account, by its `external_id`.
async fn accounts(caller: &Caller, fields: &str) -> Vec<Json> {
    let answer = caller.list("/v1/accounts", &[("fields", fields), ("sort", "external_id")]).await.expect(200);
    answer.data().clone()
}

async fn field(admin: &Caller, name: &str, kind: &str) {
    admin.post("/v1/custom-fields", json!({"kind": "account", "name": name, "type": kind})).await.expect(201);
}

#[test]
fn what_an_entry_of_a_mapping_cannot_do_is_refused_before_any_row_is_read() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        field(&admin, "budget", "money").await;
        let lookup = json!({"column": "x", "lookup": {"by": "name"}});
        let deep = format!("billing_address.{}", vec!["a"; 100_000].join("."));
        for (name, entry, code, at) in [
            (deep.as_str(), column("x"), "unknown_field", ""),
            ("billing_address.cty", column("x"), "unknown_field", ""),
            ("billing_address.city.name", column("x"), "unknown_field", ""),
            ("opt_outs.call", column("x"), "unknown_field", ""),
            ("custom.budget.amont", column("x"), "unknown_field", ""),
            ("owner_since", lookup.clone(), "invalid_value", "/lookup"),
            ("annual_revenue.currency", lookup.clone(), "invalid_value", "/lookup"),
            ("billing_address.city", lookup, "invalid_value", "/lookup"),
            ("annual_revenue.currency", column("x"), "invalid_value", ""),
            ("owner_since", json!({"constant": "yesterday"}), "invalid_value", "/constant"),
            ("annual_revenue.amount", json!({"constant": "a lot"}), "invalid_value", "/constant"),
            ("custom.budget.amount", json!({"constant": 12}), "wrong_type", "/constant"),
            ("billing_address.country", json!({"constant": "Atlantis"}), "invalid_value", "/constant"),
        ] {
            let refused = post(&admin, &spec("csv", &json!({name: entry})), "id,name,x\n1,Acme,y\n").await;
            let refused = refused.expect(422);
            let shown: String = name.chars().take(60).collect();
            assert_eq!(refused.errors(), [(format!("/mapping/{name}{at}").as_str(), code)], "{shown}");
        }
        let right = json!({"billing_address.city": {"constant": "Oslo"}, "billing_address.country": column("country"),
            "annual_revenue.amount": {"constant": "12.5"}, "annual_revenue.currency": column("currency"),
            "custom.budget.amount": column("budget"), "custom.budget.currency": {"constant": "EUR"}});
        imported(&admin, &spec("csv", &right), "id,name,country,currency,budget\n1,Acme,NO,NOK,7\n").await;
        let money = |amount, currency| json!({"amount": amount, "currency": currency});
        let made = json!({"billing_address": {"city": "Oslo", "country": "NO"}, "annual_revenue": money("12.50", "NOK"),
            "custom": {"budget": money("7.00", "EUR")}});
        assert_eq!(accounts(&admin, "billing_address,annual_revenue,custom").await, [made]);
    });
}

#[test]
fn what_a_row_does_not_name_stays_and_what_has_only_blank_parts_is_null() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        field(&admin, "budget", "money").await;
        let money = json!({"amount": "100.00", "currency": "USD"});
        let made = json!({"name": "Acme", "external_id": "a", "annual_revenue": money, "custom": {"budget": money}});
        admin.post("/v1/accounts", made).await.expect(201);
        let spec = spec(
            "ndjson",
            &json!({"annual_revenue.amount": column("amount"), "annual_revenue.currency": column("currency"),
                "custom.budget.amount": column("budget"), "custom.budget.currency": column("of_budget"),
                "billing_address.city": column("city"), "billing_address.street": column("street")}),
        );
        let fields = "annual_revenue,custom,billing_address";
        let stays = json!([money, money, null]);
        for (row, counted, now) in [
            (json!({"id": "a", "name": "Acme"}), "unchanged", stays.clone()),
            (json!({"id": "a", "name": "Acme", "currency": "EUR", "of_budget": "EUR"}), "unchanged", stays.clone()),
            (json!({"id": "a", "name": "Acme", "city": "", "street": null}), "unchanged", stays),
            (
                json!({"id": "a", "name": "Acme", "amount": "5", "currency": "EUR", "budget": null, "city": "Oslo"}),
                "updated",
                json!([{"amount": "5.00", "currency": "EUR"}, null, {"city": "Oslo"}]),
            ),
            (
                json!({"id": "a", "name": "Acme", "amount": null, "currency": "EUR", "city": null}),
                "updated",
                json!([null, null, null]),
            ),
        ] {
            let (result, place) = imported(&admin, &spec, row.to_string()).await;
            assert_eq!(result[counted], 1, "{row}: {result} {:?}", errors(&admin, &place).await);
            let stored = accounts(&admin, fields).await;
            let told =
                json!([&stored[0]["annual_revenue"], &stored[0]["custom"]["budget"], &stored[0]["billing_address"]]);
            assert_eq!(told, now, "{row}");
        }
        let new = json!({"id": "b", "name": "New", "city": null, "street": "", "currency": "EUR"});
        assert_eq!(imported(&admin, &spec, new.to_string()).await.0["created"], 1);
        let without = [("filter", "billing_address IS NULL AND annual_revenue IS NULL")];
        assert_eq!(admin.list("/v1/accounts", &without).await.expect(200).data().len(), 2);
    });
}

#[test]
fn numbers_of_the_file_itself_are_read_as_they_are_whatever_the_format_of_the_column() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        field(&admin, "size", "number").await;
        let mapping = json!({"annual_revenue.amount": column("amount"), "custom.size": column("size")});
        let file = [
            json!({"id": 1, "name": "A", "amount": 1234.5, "size": 1e-7}),
            json!({"id": "2", "name": "B", "amount": "1.234,50", "size": 1e17}),
            json!({"id": 3.0, "name": "C", "amount": 12.34, "size": "0,5"}),
        ];
        let sized = json!({"thousands": ".", "decimal": ","});
        let formats = json!({"annual_revenue.amount": sized, "custom.size": sized});
        let [mut lines, mut book] = ["ndjson", "xlsx"].map(|format| spec(format, &mapping));
        lines["formats"] = formats.clone();
        book["formats"] = formats;
        let (result, place) = imported(&admin, &lines, file.map(|row| row.to_string()).join("\n")).await;
        assert_eq!(result["created"], 3, "{:?}", errors(&admin, &place).await);
        let stored = accounts(&admin, "external_id,annual_revenue,custom").await;
        let number = |row: &Json| row["custom"]["size"].as_f64();
        let amounts: Vec<_> =
            stored.iter().map(|row| json!([row["external_id"], row["annual_revenue"]["amount"]])).collect();
        assert_eq!(json!(amounts), json!([["1", "1234.50"], ["2", "1234.50"], ["3", "12.34"]]));
        assert_eq!(stored.iter().map(number).collect::<Vec<_>>(), [Some(1e-7), Some(1e17), Some(0.5)]);

        let mut sheets = Workbook::new();
        let sheet = sheets.add_worksheet();
        for (place, name) in (0..).zip(["id", "name", "amount", "size"]) {
            sheet.write_string(0, place, name).unwrap();
        }
        for (row, amount) in (1..).zip([12.34, 12.345]) {
            sheet.write_number(row, 0, f64::from(row)).unwrap();
            sheet.write_string(row, 1, "S").unwrap();
            sheet.write_number(row, 2, amount).unwrap();
            sheet.write_number(row, 3, 12.345).unwrap();
        }
        let (result, place) = imported(&admin, &book, sheets.save_to_buffer().unwrap()).await;
        assert_eq!((&result["updated"], &result["failed"]), (&json!(1), &json!(1)), "{result}");
        assert_eq!(places(&admin, &place).await, [(3, "invalid_value".to_owned())], "no thousandfold dollars");
        let stored = accounts(&admin, "annual_revenue,custom").await;
        assert_eq!((&stored[0]["annual_revenue"]["amount"], number(&stored[0])), (&json!("12.34"), Some(12.345)));
    });
}

#[test]
fn what_readers_or_databases_take_differently_costs_its_row_and_no_more() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let unreadable = |line| (line, "unreadable_row".to_owned());
        let (result, place) = imported(&admin, &spec("csv", &json!({})), "id,name\n1,a\0b\n2,B\n").await;
        assert_eq!((&result["created"], &result["failed"]), (&json!(1), &json!(1)), "{result}");
        assert_eq!(places(&admin, &place).await, [unreadable(2)]);
        let refused = post(&admin, &spec("csv", &json!({})), "id,name,no\0te\n1,A,\n").await.expect(422);
        assert_eq!(refused.errors(), [("/file", "unreadable_file")]);
        let lines = [
            r#"{"id":"3","name":"a\u0000b"}"#,
            r#"{"id":"4","name":"A","name":"B"}"#,
            r#"{"id":"5","name":"E","address":{"city":"a\u0000b"}}"#,
            r#"{"id":"6","name":"F","address":{"city":"Oslo"}}"#,
            r#"{"id":"9","name":"I","address":{"city":"Oslo","city":"Rome"}}"#,
            r#"["7","G"]"#,
            r#""8""#,
        ];
        let mapping = json!({"billing_address": column("address")});
        let (result, place) = imported(&admin, &spec("ndjson", &mapping), lines.join("\n")).await;
        assert_eq!((&result["created"], &result["failed"]), (&json!(1), &json!(6)), "{result}");
        assert_eq!(places(&admin, &place).await, [1, 2, 3, 5, 6, 7].map(unreadable));
        let cells = "id,name,address\n10,J,\"{\"\"city\"\": \"\"a\\u0000b\"\"}\"\n";
        let (result, place) = imported(&admin, &spec("csv", &mapping), cells).await;
        assert_eq!((&result["created"], &result["failed"]), (&json!(0), &json!(1)), "{result}");
        let told = [(2, "invalid_value".to_owned())];
        assert_eq!(places(&admin, &place).await, told);
        let keys = accounts(&admin, "external_id").await;
        assert_eq!(keys, ["2", "6"].map(|key| json!({"external_id": key})));
    });
}

/// A sheet of calls whose remarks are not read.
fn calls() -> Vec<u8> {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    for (place, name) in (0..).zip(["Key", "When", "Remarks"]) {
        sheet.write_string(0, place, name).unwrap();
    }
    let time = Format::new().set_num_format("yyyy-mm-dd hh:mm:ss");
    let day = |hour| ExcelDateTime::from_ymd(2026, 1, 31).unwrap().and_hms(hour, 30, 0).unwrap();
    sheet.write_string(1, 0, "half past nine").unwrap();
    sheet.write_with_format(1, 1, day(9), &time).unwrap();
    sheet.write_string(2, 0, "midnight").unwrap();
    sheet.write_with_format(2, 1, ExcelDateTime::from_ymd(2026, 1, 31).unwrap(), &time).unwrap();
    sheet.write_string(3, 0, "elsewhere").unwrap();
    sheet.write_string(3, 1, "2026-01-31T09:30:00+01:00").unwrap();
    sheet.write_string(4, 2, "nothing that is read").unwrap();
    sheet.write_formula(5, 0, Formula::new("=NA()").set_result("#N/A")).unwrap();
    sheet.write_with_format(5, 1, day(10), &time).unwrap();
    sheet.write_string(7, 0, "late").unwrap();
    sheet.write_with_format(7, 1, day(23), &time).unwrap();
    sheet.write_formula(7, 2, Formula::new("=NA()").set_result("#N/A")).unwrap();
    book.save_to_buffer().unwrap()
}

#[test]
fn times_of_a_sheet_are_of_the_tenants_zone_and_no_row_that_has_something_is_passed_over() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        admin.patch("/v1/tenant", json!({"time_zone": "Asia/Shanghai"})).await.expect(200);
        let account = admin.post("/v1/accounts", json!({"name": "Acme"})).await.expect(201);
        let mapping = json!({"account_id": {"constant": account.id()}, "channel": {"constant": "call"},
            "external_id": column("Key"), "start_at": column("When")});
        let spec = json!({"kind": "interaction", "format": "xlsx", "mapping": mapping});
        let (result, place) = imported(&admin, &spec, calls()).await;
        let told = errors(&admin, &place).await;
        let counts = [&result["rows"], &result["created"], &result["failed"]];
        assert_eq!(counts, [&json!(6), &json!(4), &json!(2)], "{result} {told:?}");
        let of = |n: usize| (told[n]["line"].as_i64().unwrap(), told[n]["code"].as_str().unwrap());
        assert_eq!((of(0), of(1)), ((5, "required"), (6, "unreadable_row")), "{told:?}");
        assert_eq!(told[1]["detail"], "has the error #N/A in the column `Key`");
        let made = admin.list("/v1/interactions", &[("fields", "external_id,start_at"), ("sort", "start_at")]).await;
        let at = |key: &str, at: &str| json!({"external_id": key, "start_at": at});
        let wanted = [
            at("midnight", "2026-01-30T16:00:00.000Z"),
            at("half past nine", "2026-01-31T01:30:00.000Z"),
            at("elsewhere", "2026-01-31T08:30:00.000Z"),
            at("late", "2026-01-31T15:30:00.000Z"),
        ];
        assert_eq!(made.expect(200).data(), &wanted);
    });
}
