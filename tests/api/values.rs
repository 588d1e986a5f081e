//! Dates, instants and amounts: what is written is what is read, and what there is not is refused.

use serde_json::{Value as Json, json};

use crate::support::on_both;

#[test]
fn instants_and_dates_are_those_of_the_calendar() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let account = admin.post("/v1/accounts", json!({"name": "Acme"})).await.expect(201);
        let meeting = |at: &str| json!({"channel": "call", "start_at": at, "account_id": account.id()});
        for (written, read) in [
            ("2026-01-31T09:30:00Z", "2026-01-31T09:30:00.000Z"),
            ("2026-01-31T10:30:00.1239+01:00", "2026-01-31T09:30:00.123Z"),
            ("2024-02-29T23:59:59.999-00:30", "2024-03-01T00:29:59.999Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
            ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
        ] {
            let made = admin.post("/v1/interactions", meeting(written)).await.expect(201);
            assert_eq!(made.json["start_at"], read, "{written}");
            let filter = format!("start_at = \"{written}\"");
            let found = admin.list("/v1/interactions", &[("filter", &filter)]).await.expect(200);
            assert_eq!(found.data().len(), 1, "{written}");
        }
        let sorted = admin.list("/v1/interactions", &[("sort", "start_at"), ("fields", "start_at")]).await.expect(200);
        let years: Vec<_> = sorted.data().iter().map(|row| row["start_at"].as_str().unwrap()[..4].to_owned()).collect();
        assert_eq!(years, ["0001", "2024", "2026", "2026", "9999"]);
        for wrong in [
            "2026-02-30T00:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-12-31T23:59:60Z",
            "2026-01-31T09:30:00",
            "2026-01-31T09:30:00 Europe/Berlin",
            "2026-01-31",
            "9999-12-31T23:59:59-01:00",
            "0001-01-01T00:00:00+01:00",
            "+12026-01-31T09:30:00Z",
            "",
        ] {
            let refused = admin.post("/v1/interactions", meeting(wrong)).await.expect(422);
            assert_eq!(refused.errors(), [("/start_at", "invalid_value")], "{wrong}");
        }
        let person = |birthday: &str| json!({"last_name": "Jones", "birthday": birthday});
        let made = admin.post("/v1/contacts", person("2024-02-29")).await.expect(201);
        assert_eq!(made.json["birthday"], "2024-02-29");
        for wrong in ["2026-02-30", "2025-02-29", "2026-2-3", "0000-01-01", "2026-01-31T00:00:00Z", "31.01.2026"] {
            let refused = admin.post("/v1/contacts", person(wrong)).await.expect(422);
            assert_eq!(refused.errors(), [("/birthday", "invalid_value")], "{wrong}");
        }
        let zone = admin.list("/v1/contacts", &[("filter", "birthday > \"2026-02-30\"")]).await.expect(400);
        assert_eq!(zone.errors(), [("filter", "invalid_value")]);
    });
}

#[test]
fn amounts_have_the_decimals_of_their_currency() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let product = |n: usize, price: Json| json!({"sku": format!("S{n}"), "name": "Pear", "price": price});
        let money = |amount: &str, currency: &str| json!({"amount": amount, "currency": currency});
        for (n, (written, currency, read)) in [
            ("1234.5", "USD", "1234.50"),
            ("-0.01", "EUR", "-0.01"),
            ("1000", "JPY", "1000"),
            ("1000.00", "JPY", "1000"),
            ("0.125", "BHD", "0.125"),
            ("92233720368547758.07", "USD", "92233720368547758.07"),
        ]
        .into_iter()
        .enumerate()
        {
            let made = admin.post("/v1/products", product(n, money(written, currency))).await.expect(201);
            assert_eq!(made.json["price"], money(read, currency));
        }
        for wrong in [
            money("1.005", "USD"),
            money("1.5", "JPY"),
            money("92233720368547758.08", "USD"),
            money("1", "XXQ"),
            money("1", "usd"),
            money("1e3", "USD"),
            money("1,000", "USD"),
            money(" 1", "USD"),
            money("", "USD"),
            money(".5", "USD"),
        ] {
            let refused = admin.post("/v1/products", product(99, wrong.clone())).await.expect(422);
            let [(place, code)] = refused.errors()[..] else { panic!("{}", refused.json) };
            assert!(place.starts_with("/price") && code == "invalid_value", "{wrong}: {place} {code}");
        }
        let left = admin.list("/v1/products", &[("filter", "sku = \"S99\"")]).await.expect(200);
        assert!(left.data().is_empty());
    });
}

#[test]
fn a_number_is_found_by_what_was_printed_of_it() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let pipeline = admin.post("/v1/pipelines", json!({"name": "Sales"})).await.expect(201);
        for (n, chance) in [90.333_333_333_333_33, 33.333_333_333_333_336, 66.666_666_666_666_67, 0.1, 0.000_01, 100.0]
            .into_iter()
            .enumerate()
        {
            let name = format!("Stage {n}");
            let stage = json!({"name": name, "pipeline_id": pipeline.id(), "probability": chance});
            let printed = admin.post("/v1/stages", stage).await.expect(201).json["probability"].clone();
            assert_eq!(printed, json!(chance));
            for (text, json) in [("=", "eq"), ("<=", "lte"), (">=", "gte")] {
                let filter = format!("name = \"{name}\" AND probability {text} {printed}");
                let listed = admin.list("/v1/stages", &[("filter", &filter)]).await.expect(200);
                assert_eq!(listed.data().len(), 1, "{filter}");
                let wanted = json!({"field": "probability", "op": json, "value": printed});
                let both = json!({"and": [{"field": "name", "op": "eq", "value": name}, wanted]});
                let found = admin.post("/v1/stages/search", json!({"where": both})).await.expect(200);
                assert_eq!(found.data().len(), 1, "{both}");
                let having = json!({"field": "most", "op": json, "value": printed});
                let most = json!({"where": {"field": "name", "op": "eq", "value": name}, "having": having,
                                  "measures": [{"fn": "max", "field": "probability", "as": "most"}]});
                let groups = admin.post("/v1/stages/aggregate", most.clone()).await.expect(200);
                assert_eq!(groups.data().len(), 1, "{most}");
            }
        }
    });
}

#[test]
fn numbers_in_json_read_back_as_they_were_answered_from_both_databases() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let field = json!({"kind": "account", "name": "size", "type": "number", "filterable": true});
        admin.post("/v1/custom-fields", field).await.expect(201);
        for (written, read) in [
            ("5", "5.0"),
            ("0.1", "0.1"),
            ("-0.0", "0.0"),
            ("1e15", "1000000000000000.0"),
            ("1e16", "10000000000000000"),
            ("-1e17", "-100000000000000000"),
            ("1.2345678901234567e19", "12345678901234567000"),
            ("1e20", "1e+20"),
            ("1.5e300", "1.5e+300"),
            ("1e-7", "1e-7"),
        ] {
            let body = format!(r#"{{"name": "Acme", "custom": {{"size": {written}}}}}"#);
            let body: Json = serde_json::from_str(&body).unwrap();
            let made = admin.post("/v1/accounts", body.clone()).await.expect(201);
            let text = String::from_utf8_lossy(&made.bytes);
            assert!(text.contains(&format!(r#""size":{read}}}"#)), "{written}: {text}");
            let here = format!("/v1/accounts/{}", made.id());
            assert_eq!(admin.get(&here).await.expect(200).bytes, made.bytes, "{written}");
            assert_eq!(admin.patch(&here, body).await.expect(200).bytes, made.bytes, "{written} is no change");
        }
        let bounded = json!({"kind": "account", "name": "bounded", "type": "number", "validation": {"max": 1e16}});
        let made = admin.post("/v1/custom-fields", bounded).await.expect(201);
        let here = format!("/v1/custom-fields/{}", made.id());
        assert_eq!(admin.get(&here).await.expect(200).bytes, made.bytes, "so do numbers within a document");
    });
}

#[test]
fn an_address_is_one_that_letters_can_be_sent_to() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let person = |email: &str| json!({"last_name": "Jones", "email": email});
        let long = |local: usize, label: usize| format!("{}@{}.example", "a".repeat(local), "b".repeat(label));
        for right in [
            "Ann.O'Brien+crm@acme.example",
            "!#$%&'*-/=?^_`{|}~@acme.example",
            "アン@例え.example",
            "a@xn--r8jz45g.b-c.d2",
            &long(64, 63),
        ] {
            let made = admin.post("/v1/contacts", person(right)).await.expect(201);
            assert_eq!(made.json["email"], right.to_lowercase());
        }
        for wrong in [
            "ann..b@acme.example",
            ".ann@acme.example",
            "ann.@acme.example",
            "ann:x@acme.example",
            "ann[1]@acme.example",
            "\"ann\"@acme.example",
            "ann@b@acme.example",
            "ann b@acme.example",
            "ann@acme",
            "ann@acme..example",
            "ann@-acme.example",
            "ann@acme_.example",
            "ann@[10.0.0.1]",
            "@acme.example",
            &long(65, 63),
            &long(64, 64),
        ] {
            let refused = admin.post("/v1/contacts", person(wrong)).await.expect(422);
            assert_eq!(refused.errors(), [("/email", "invalid_value")], "{wrong}");
        }
    });
}
