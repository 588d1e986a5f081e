//! Lines of orders: written with the order, whole, and read as records of their own.

use chrono::{SecondsFormat, TimeDelta};
use ripen_core::context::Clock as _;
use serde_json::{Value as Json, json};

use crate::{
    imports::{errors, imported},
    support::{Answer, Caller, Person, TestServer, on_both},
};

fn usd(amount: &str) -> Json {
    json!({"amount": amount, "currency": "USD"})
}

async fn product(admin: &Caller, sku: &str, price: &str, cost: &str) -> String {
    let data = json!({"sku": sku, "name": sku, "price": usd(price), "cost": usd(cost)});
    admin.post("/v1/products", data).await.expect(201).id().to_owned()
}

async fn account(caller: &Caller) -> String {
    caller.post("/v1/accounts", json!({"name": "Acme"})).await.expect(201).id().to_owned()
}

async fn order(caller: &Caller, account: &str, number: &str, lines: Json) -> Answer {
    caller.post("/v1/orders", json!({"account_id": account, "number": number, "lines": lines})).await
}

async fn sum(caller: &Caller, group: &str) -> Vec<(Json, Json)> {
    let question = json!({"measures": [{"fn": "sum", "field": "amount"}], "group_by": [group]});
    let answer = caller.post("/v1/order-lines/aggregate", question).await.expect(200);
    answer
        .data()
        .iter()
        .map(|row| (row["group"][group].clone(), row["measures"]["sum_amount"]["amount"].clone()))
        .collect()
}

#[test]
fn a_document_is_written_and_read_whole_and_its_lines_are_found_added_up_and_counted() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let account = account(&admin).await;
        let (disk, care) =
            (product(&admin, "disk", "99.95", "60.00").await, product(&admin, "care", "12.00", "1.00").await);
        let lines = json!([
            {"product_id": disk, "quantity": 3, "discount": 10, "tax": 19},
            {"product_id": care, "quantity": 1.5, "unit_price": usd("10.01")},
            {"description": "Delivery", "quantity": 1, "unit_price": usd("5.00")},
        ]);
        let made = order(&admin, &account, "1", lines).await.expect(201);
        let lines = made.json["lines"].as_array().unwrap();
        let amounts: Vec<_> = lines.iter().map(|line| line["amount"]["amount"].as_str().unwrap()).collect();
        assert_eq!(amounts, ["269.87", "15.02", "5.00"], "269.865 and 15.015 round away from zero");
        assert_eq!((&lines[0]["unit_price"], &lines[0]["unit_cost"]), (&usd("99.95"), &usd("60.00")));
        assert_eq!(made.json["amount"], usd("289.89"), "the order is worth its lines");
        let here = format!("/v1/orders/{}", made.id());
        assert_eq!(admin.get(&here).await.expect(200).bytes, made.bytes);

        let listed =
            admin.list("/v1/order-lines", &[("sort", "position"), ("expand", "order,product")]).await.expect(200);
        let places: Vec<_> = listed.data().iter().map(|line| (&line["position"], &line["product"]["sku"])).collect();
        assert_eq!(places, [(&json!(1), &json!("disk")), (&json!(2), &json!("care")), (&json!(3), &Json::Null)]);
        assert_eq!(listed.data()[0]["id"], lines[0]["id"]);
        assert_eq!(listed.data()[0]["order"]["number"], "1");
        assert_eq!(sum(&admin, "product.sku").await[2], (json!("disk"), json!("269.87")));
        let found =
            admin.list("/v1/orders", &[("filter", "any(order_lines, product.sku = \"care\" AND quantity > 1)")]).await;
        assert_eq!(found.expect(200).data().len(), 1);
        admin.post("/v1/order-lines", json!({"quantity": 1})).await.expect(405);

        rewritten(&server, &admin, &made, &disk).await;

        admin.delete(&here).await.expect(204);
        assert_eq!(admin.get("/v1/order-lines").await.expect(200).data().len(), 0);
        admin.post(&format!("{here}/restore"), json!({})).await.expect(200);
        assert_eq!(admin.get("/v1/order-lines").await.expect(200).data().len(), 1);
    });
}

/// One line changed, one gone, one new; what the server works out may come along.
async fn rewritten(server: &TestServer, admin: &Caller, made: &Answer, disk: &str) {
    let (here, lines) = (format!("/v1/orders/{}", made.id()), made.json["lines"].as_array().unwrap());
    admin
        .patch(&format!("/v1/products/{disk}"), json!({"cost": usd("70.00"), "price": usd("120.00")}))
        .await
        .expect(200);
    let mut again = made.json["lines"].clone();
    let list = again.as_array_mut().unwrap();
    list[0]["quantity"] = json!(4);
    list.remove(1);
    list.push(json!({"product_id": disk, "quantity": 1}));
    let then = server.clock.now().to_rfc3339_opts(SecondsFormat::Millis, true);
    server.clock.advance(TimeDelta::seconds(1));
    let changed = admin.patch(&here, json!({"lines": again})).await.expect(200);
    let now = changed.json["lines"].as_array().unwrap();
    assert_eq!((&now[0]["id"], &now[0]["unit_cost"]), (&lines[0]["id"], &usd("60.00")), "a stored line keeps its cost");
    assert_eq!((&now[2]["unit_price"], &now[2]["unit_cost"]), (&usd("120.00"), &usd("70.00")));
    assert_eq!(changed.json["amount"], usd("484.82"));
    let fixed = admin.patch(&here, json!({"amount": usd("480.00")})).await.expect(200);
    let kept = admin.patch(&here, json!({"lines": [{"quantity": 1, "unit_price": usd("1.00")}]})).await.expect(200);
    assert_eq!((&fixed.json["amount"], &kept.json["amount"]), (&usd("480.00"), &usd("480.00")), "what was given stays");
    let past = admin.get(&format!("{here}?known_at={then}")).await.expect(200);
    assert_eq!(past.json["lines"], made.json["lines"], "the past has its lines");
}

#[test]
fn the_total_follows_the_lines_until_it_is_given_and_a_line_keeps_its_price() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let (account, disk) = (account(&admin).await, product(&admin, "disk", "100.00", "60.00").await);
        let priced = |quantity: i64, price: &str| json!([{"quantity": quantity, "unit_price": usd(price)}]);
        let made = order(&admin, &account, "1", priced(2, "100.00")).await.expect(201);
        let here = format!("/v1/orders/{}", made.id());
        let change = async |data: Json| admin.patch(&here, data).await.expect(200).json;
        for (nothing, n) in [(json!([]), 1), (Json::Null, 2)] {
            let empty = change(json!({"lines": nothing})).await;
            assert_eq!((&empty["lines"], &empty["amount"]), (&Json::Null, &Json::Null));
            let again = change(json!({"lines": priced(n, "1.00")})).await;
            assert_eq!(again["amount"], usd(&format!("{n}.00")));
        }
        let unpriced = change(json!({"lines": [{"description": "Delivery", "quantity": 1}]})).await;
        assert_eq!(unpriced["amount"], Json::Null, "what has no price is worth nothing");

        let first = change(json!({"lines": [{"product_id": disk, "quantity": 1}]})).await;
        admin.patch(&format!("/v1/products/{disk}"), json!({"price": usd("120.00")})).await.expect(200);
        let line = |quantity: i64| json!([{"id": first["lines"][0]["id"], "product_id": disk, "quantity": quantity}]);
        let more = change(json!({"lines": line(2)})).await;
        assert_eq!((&more["lines"][0]["unit_price"], &more["amount"]), (&usd("100.00"), &usd("200.00")));
        assert_eq!(change(json!({"lines": line(2)})).await["version"], more["version"], "the same again is no change");

        let given = change(json!({"lines": line(3), "amount": usd("200.00")})).await;
        assert_eq!(given["amount"], usd("200.00"), "what is given stays, though the lines came to it before");
        assert_eq!(change(json!({"lines": line(4)})).await["amount"], usd("200.00"));
        assert_eq!(change(json!({"amount": null})).await["amount"], usd("400.00"), "until it is taken back");
        assert_eq!(change(json!({"lines": line(5)})).await["amount"], usd("500.00"));
    });
}

#[test]
fn every_wrong_line_is_named_at_its_place_and_nothing_is_written() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let account = account(&admin).await;
        let nobody = "01939e2b-6c00-7000-8000-000000000009";
        let wrong = json!([
            {"quantity": "3"},
            {"quantty": 1},
            7,
            {"quantity": 1, "discount": 101},
            {"quantity": 1, "unit_price": usd("1.001")},
        ]);
        let refused = order(&admin, &account, "1", wrong).await.expect(422);
        let mut places = refused.errors();
        places.sort_unstable();
        assert_eq!(
            places,
            [
                ("/lines/0/quantity", "wrong_type"),
                ("/lines/1/quantity", "required"),
                ("/lines/1/quantty", "unknown_field"),
                ("/lines/2", "wrong_type"),
                ("/lines/3/discount", "out_of_range"),
                ("/lines/4/unit_price", "invalid_value"),
            ]
        );
        let one = json!({"quantity": 1});
        for (lines, wanted) in [
            (json!({"quantity": 1}), ("/lines", "wrong_type")),
            (json!(vec![one; 501]), ("/lines", "out_of_range")),
            (json!([{"id": nobody, "quantity": 1}, {"id": nobody, "quantity": 2}]), ("/lines/1/id", "duplicate")),
            (
                json!([{"quantity": 1}, {"product_id": nobody, "quantity": 1}]),
                ("/lines/1/product_id", "reference_not_found"),
            ),
            (json!([{"quantity": 1e9, "unit_price": usd("90000000000000000")}]), ("/lines/0", "out_of_range")),
            (
                json!([{"quantity": 1, "unit_price": usd("1")}, {"quantity": 1, "unit_price": {"amount": "1", "currency": "EUR"}}]),
                ("/lines/1/unit_price", "invalid_value"),
            ),
        ] {
            let refused = order(&admin, &account, "1", lines).await.expect(422);
            assert_eq!(refused.errors(), [wanted], "{}", refused.json);
        }
        assert_eq!(admin.get("/v1/orders").await.expect(200).data().len(), 0);
        assert_eq!(admin.get("/v1/order-lines").await.expect(200).data().len(), 0);
        let line = json!([{"id": nobody, "quantity": 1}]);
        order(&admin, &account, "1", line.clone()).await.expect(201);
        let taken = order(&admin, &account, "2", line).await.expect(422);
        assert_eq!(taken.errors(), [("/lines/0/id", "duplicate")], "a line is in one order");
    });
}

#[test]
fn lines_are_seen_with_their_order_hold_their_product_and_follow_a_merge() {
    on_both(|server| async move {
        let (admin, rep) = (server.as_admin().await, server.as_person(Person::Rep).await);
        let (disk, twin) =
            (product(&admin, "disk", "10.00", "6.00").await, product(&admin, "disc", "11.00", "7.00").await);
        let mine = account(&rep).await;
        let made =
            order(&rep, &mine, "1", json!([{"product_id": twin, "quantity": 2}, {"product_id": disk, "quantity": 1}]))
                .await;
        let made = made.expect(201);
        let theirs = account(&admin).await;
        order(&admin, &theirs, "2", json!([{"product_id": disk, "quantity": 5}])).await.expect(201);
        assert_eq!(rep.get("/v1/order-lines").await.expect(200).data().len(), 2);
        let other = server.as_person(Person::OtherRep).await;
        assert_eq!(other.get("/v1/order-lines").await.expect(200).data().len(), 0);
        assert_eq!(sum(&rep, "product.sku").await, [(json!("disc"), json!("22.00")), (json!("disk"), json!("10.00"))]);
        let held = admin.delete(&format!("/v1/products/{twin}")).await.expect(409);
        assert!(held.json["detail"].as_str().unwrap().contains("1 order-lines"), "{}", held.json);

        admin.post(&format!("/v1/products/{disk}/merge"), json!({"from": twin})).await.expect(200);
        let here = format!("/v1/orders/{}", made.id());
        let moved = rep.get(&here).await.expect(200).json;
        assert_eq!((&moved["lines"][0]["product_id"], &moved["lines"][0]["unit_cost"]), (&json!(disk), &usd("7.00")));
        assert_eq!(sum(&rep, "product.sku").await, [(json!("disk"), json!("32.00"))]);
        let merge = admin.get("/v1/merges").await.expect(200).data()[0]["id"].as_str().unwrap().to_owned();
        admin.post(&format!("/v1/merges/{merge}/undo"), json!({})).await.expect(200);
        assert_eq!(rep.get(&here).await.expect(200).json["lines"], made.json["lines"]);
    });
}

#[test]
fn lines_travel_in_files_and_a_role_that_may_not_read_them_finds_none() {
    on_both(|server| async move {
        let (admin, stranger) = (server.as_admin().await, server.as_person(Person::Stranger).await);
        let account = account(&admin).await;
        order(&admin, &account, "1", json!([{"description": "a, \"b\"", "quantity": 2, "unit_price": usd("3.50")}]))
            .await
            .expect(201);
        let path = "/v1/orders/export?fields=number,lines,account_id&format=csv";
        let file = admin.get(path).await.expect(200).bytes;
        let copy = stranger.post("/v1/accounts", json!({"id": account, "name": "Acme"})).await;
        copy.expect(201);
        let mapping = json!({"number": {"column": "number"}, "lines": {"column": "lines"}, "account_id": {"column": "account_id"}});
        let spec = json!({"kind": "order", "mapping": mapping, "formula_guard": true});
        let (result, place) = imported(&stranger, &spec, file.clone()).await;
        assert_eq!(result["created"], 1, "{:?}", errors(&stranger, &place).await);
        assert_eq!(stranger.get(path).await.expect(200).bytes, file);
        assert_eq!(stranger.get("/v1/order-lines").await.expect(200).data().len(), 1);

        let role = json!({"key": "packer", "name": "Packer", "rights": ["order:read", "order_line:read"], "rows": {"default": "all"},
                          "fields": {"order": {"lines": "none"}}});
        admin.post("/v1/roles", role).await.expect(201);
        let rep = server.as_person(Person::Rep).await;
        let me = rep.get("/v1/me").await.expect(200).json["user"]["id"].as_str().unwrap().to_owned();
        admin.patch(&format!("/v1/users/{me}"), json!({"role": "packer"})).await.expect(200);
        assert!(rep.get("/v1/orders").await.expect(200).data()[0]["lines"].is_null());
        assert_eq!(rep.get("/v1/order-lines").await.expect(200).data().len(), 0);
    });
}

#[test]
fn the_id_of_a_line_is_of_one_order_and_costs_another_its_own_row_alone() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let account = account(&admin).await;
        let [first, second] = ["01939e2b-6c00-7000-8000-0000000000a1", "01939e2b-6c00-7000-8000-0000000000a2"];
        let line = |id: &str| json!([{"id": id, "quantity": 1, "unit_price": usd("1.00")}]);
        let held = order(&admin, &account, "held", line(first)).await.expect(201);
        let create = |number: &str, lines: Json| json!({"op": "create", "data": {"account_id": account, "number": number, "lines": lines}});
        let rows =
            [create("1", line(first)), create("2", line(second)), create("3", line(second)), create("4", json!([]))];
        let answer = admin.post("/v1/orders/batch", json!({"operations": rows})).await.expect(200);
        let result = |n: usize| &answer.json["results"][n];
        let statuses: Vec<_> = (0..4).map(|n| result(n)["status"].clone()).collect();
        assert_eq!(statuses, [422, 201, 422, 201], "{}", answer.json);
        let wrong = &result(0)["problem"]["errors"][0];
        assert_eq!((&wrong["pointer"], &wrong["code"]), (&json!("/operations/0/data/lines/0/id"), &json!("duplicate")));
        let here = format!("/v1/orders/{}", held.id());
        admin.patch(&here, json!({"lines": line(first)})).await.expect(200);
        admin.delete(&here).await.expect(204);
        order(&admin, &account, "5", line(first)).await.expect(201);
        let back = admin.post(&format!("{here}/restore"), Json::Null).await.expect(422);
        assert_eq!(back.errors(), [("/lines/0/id", "duplicate")]);
    });
}
