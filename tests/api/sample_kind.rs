//! A kind is one file, one line and one migration, and gets everything for them: `tests/support/sample.rs` is one. The tests
//! of every kind run over it too.

use std::time::Duration;

use chrono::{SecondsFormat, TimeDelta};
use ripen_core::context::Clock as _;
use serde_json::{Value as Json, json};

use crate::{
    imports::imported,
    support::{Caller, Person, TestServer, on_both_with_the_sample},
};

const VEHICLES: &str = "/v1/vehicles";

async fn names(caller: &Caller, path: &str, parameters: &[(&str, &str)]) -> Vec<String> {
    let answer = caller.list(path, parameters).await.expect(200);
    answer.data().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
}

/// Three vehicles of two owners, the first of an account.
async fn garage(admin: &Caller, rep: &Caller) -> String {
    let account = admin.post("/v1/accounts", json!({"name": "Acme"})).await.expect(201).id().to_owned();
    let price = |amount: &str| json!({"amount": amount, "currency": "EUR"});
    let operations = json!([
        {"op": "create", "data": {"plate": "B-RP 1", "name": "Kestrel 2", "mileage": 10, "price": price("100.00"),
                                  "account_id": account, "owner_id": null}},
        {"op": "upsert", "by": "plate", "data": {"plate": "B-RP 2", "name": "Kestrel 3", "mileage": 20, "price": price("0.50")}},
    ]);
    let made = admin.post(&format!("{VEHICLES}/batch"), json!({"operations": operations, "atomic": true})).await;
    assert_eq!(made.expect(200).json["results"][1]["status"], 201);
    rep.post(VEHICLES, json!({"plate": "HH-X 3", "name": "Lorry", "mileage": 30})).await.expect(201);
    account
}

#[test]
fn a_kind_of_one_file_one_line_and_one_migration_has_every_mechanism() {
    on_both_with_the_sample(|server| async move {
        let (admin, rep) = (server.as_admin().await, server.as_person(Person::Rep).await);
        let before = server.clock.now().to_rfc3339_opts(SecondsFormat::Millis, true);
        server.clock.advance(TimeDelta::seconds(1));
        let account = garage(&admin, &rep).await;
        reads(&admin, &account).await;
        own_fields(&admin).await;
        rights(&server, &rep).await;
        let row = "Plate,Who\nHH-X 4,Acme\nHH-X 4,Nobody\n";
        let lookup = json!({"kind": "account", "by": "name", "missing": "error"});
        let mapping = json!({"plate": {"column": "Plate"}, "name": {"constant": "Van"},
                             "account_id": {"column": "Who", "lookup": lookup}});
        let spec = json!({"kind": "vehicle", "mapping": mapping});
        let (result, _) = imported(&admin, &spec, row).await;
        assert_eq!((&result["created"], &result["failed"]), (&json!(1), &json!(1)), "{result}");
        assert_eq!(names(&admin, VEHICLES, &[("known_at", &before)]).await, Vec::<String>::new());
        let file = admin.get(&format!("{VEHICLES}/export?fields=plate,price&filter=mileage<20")).await.expect(200);
        assert_eq!(file.bytes, b"plate,price.amount,price.currency\r\nB-RP 1,100.00,EUR\r\n");
        feed(&admin).await;
        let document = admin.get("/openapi.json").await.expect(200).json;
        assert_eq!(document["paths"][VEHICLES]["get"]["operationId"], "list_vehicles");
        assert_eq!(document["components"]["schemas"]["Vehicle"]["properties"]["plate"]["maxLength"], 20);
    });
}

async fn reads(admin: &Caller, account: &str) {
    for (parameters, wanted) in [
        (vec![("filter", "price > 1"), ("sort", "name")], vec!["Kestrel 2"]),
        (vec![("filter", "account.name = \"Acme\"")], vec!["Kestrel 2"]),
        (vec![("search", "kest"), ("sort", "-mileage")], vec!["Kestrel 3", "Kestrel 2"]),
        (vec![("filter", "mileage BETWEEN 15 AND 30"), ("sort", "mileage")], vec!["Kestrel 3", "Lorry"]),
    ] {
        assert_eq!(names(admin, VEHICLES, &parameters).await, wanted, "{parameters:?}");
    }
    let drivers = [("filter", "any(vehicles, plate = \"B-RP 1\")")];
    assert_eq!(names(admin, "/v1/accounts", &drivers).await, ["Acme"]);
    let expanded = admin.list(VEHICLES, &[("expand", "account"), ("filter", "plate = \"B-RP 1\"")]).await.expect(200);
    assert_eq!(expanded.data()[0]["account"]["id"], account);
    let sums = json!({"measures": [{"fn": "sum", "field": "price"}, {"fn": "count"}], "group_by": ["price.currency"]});
    let sums = admin.post(&format!("{VEHICLES}/aggregate"), sums).await.expect(200);
    assert_eq!(
        sums.data()[1]["measures"]["sum_price"],
        json!({"amount": "100.50", "currency": "EUR"}),
        "{}",
        sums.json
    );
    let taken = admin.post(VEHICLES, json!({"plate": "B-RP 1", "name": "Again"})).await.expect(422);
    assert_eq!(taken.errors(), [("/plate", "duplicate")]);
}

async fn own_fields(admin: &Caller) {
    let field = json!({"kind": "vehicle", "name": "winter_tyres", "type": "boolean"});
    admin.post("/v1/custom-fields", field).await.expect(201);
    let data = json!({"plate": "B-RP 2", "custom": {"winter_tyres": true}});
    let one = json!({"operations": [{"op": "upsert", "by": "plate", "data": data}]});
    assert_eq!(admin.post(&format!("{VEHICLES}/batch"), one).await.expect(200).json["results"][0]["status"], 200);
    assert_eq!(names(admin, VEHICLES, &[("filter", "custom.winter_tyres = true")]).await, ["Kestrel 3"]);
}

async fn rights(server: &TestServer, rep: &Caller) {
    assert_eq!(names(rep, VEHICLES, &[]).await, ["Lorry"]);
    let other = server.as_person(Person::OtherRep).await;
    assert!(names(&other, VEHICLES, &[]).await.is_empty());
    let stranger = server.as_person(Person::Stranger).await;
    assert!(names(&stranger, VEHICLES, &[]).await.is_empty());
}

async fn feed(admin: &Caller) {
    for _ in 0..2000 {
        let shown = admin.get("/v1/changes?kind=vehicle").await.expect(200);
        if shown.data().len() == 5 {
            let made = shown.data().iter().filter(|change| change["op"] == "create");
            let plates: Vec<&Json> = made.map(|change| &change["changed"]["plate"]["after"]).collect();
            assert_eq!(plates, ["B-RP 1", "B-RP 2", "HH-X 3", "HH-X 4"]);
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await; // another test's transaction may hold the log back
    }
    panic!("the log does not show the vehicles");
}
