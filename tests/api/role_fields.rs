//! Fields that a role may not read or write, where records hold fields of others: merges and lines.

use serde_json::{Value as Json, json};

use crate::{
    roles::someone,
    support::{Answer, Caller, on_both},
};

fn usd(amount: &str) -> Json {
    json!({"amount": amount, "currency": "USD"})
}

async fn post(caller: &Caller, path: &str, body: Json) -> Answer {
    caller.post(path, body).await.expect(201)
}

fn text(answer: Answer) -> String {
    String::from_utf8(answer.expect(200).bytes).unwrap()
}

/// Everything that tells of the kind, as text.
async fn everything(caller: &Caller, kind: &str, plural: &str, changes: usize) -> String {
    let all = |what: &str| format!("/v1/{plural}{what}");
    let listed = caller.get(&all("")).await.expect(200);
    let id = listed.data()[0]["id"].as_str().unwrap();
    let mut texts = vec![text(caller.get(&all(&format!("/{id}"))).await)];
    texts.push(text(listed));
    for format in ["csv", "ndjson"] {
        texts.push(text(caller.get(&all(&format!("/export?format={format}"))).await));
    }
    loop {
        let log = caller.get(&format!("/v1/changes?kind={kind}")).await.expect(200);
        if log.data().len() >= changes {
            texts.push(text(log));
            return texts.join("\n"); // another test's transaction may hold the log back
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[test]
fn a_merge_shows_of_values_what_one_may_read_of_the_kind() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let stays = post(&admin, "/v1/accounts", json!({"name": "Acme", "phone": "+4930111"})).await.id().to_owned();
        let goes = json!({"name": "Acme Ltd", "phone": "+4930222", "annual_revenue": usd("4711.00")});
        let goes = post(&admin, "/v1/accounts", goes).await.id().to_owned();
        let wish = json!({"from": goes, "take": ["phone"]});
        admin.post(&format!("/v1/accounts/{stays}/merge"), wish).await.expect(200);
        let whole = everything(&admin, "merge", "merges", 1).await;
        assert_eq!((whole.matches("4711.00").count(), whole.matches("+4930111").count()), (5, 5), "{whole}");
        let rights = json!(["*:read", "merge:read", "change:read"]);
        let fields = json!({"account": {"annual_revenue": "none"}});
        let role = json!({"rights": rights, "rows": {"default": "all"}, "fields": fields});
        let intern = everything(&someone(&server, "intern", role).await, "merge", "merges", 1).await;
        assert!(!intern.contains("annual_revenue") && !intern.contains("4711"), "{intern}");
        assert_eq!(intern.matches("+4930111").count(), 5, "{intern}");
        let role = json!({"rights": ["merge:read", "change:read"], "rows": {"default": "all"}});
        let clerk = someone(&server, "clerk", role).await;
        let none = everything(&clerk, "merge", "merges", 1).await;
        assert!(!none.contains("+4930") && !none.contains("4711"), "{none}");
        let chosen = clerk.get("/v1/merges?fields=after").await.expect(200);
        assert_eq!(chosen.data()[..], [json!({"after": {}})]);
        let rows = json!({"default": "all", "kinds": {"account": {"where": "country = \"DE\""}, "merge": {"where": "id IS NOT NULL"}}});
        let abroad = someone(&server, "abroad", json!({"rights": rights, "rows": rows})).await;
        assert!(abroad.get("/v1/merges").await.expect(200).data().is_empty(), "a filter does not show more");
    });
}

/// An order of one line with a discount, at its path; a product with another cost.
async fn order(admin: &Caller) -> (String, String) {
    let account = post(admin, "/v1/accounts", json!({"name": "Acme"})).await.id().to_owned();
    let product = json!({"sku": "disk", "name": "Disk", "price": usd("100.00"), "cost": usd("47.11")});
    let product = post(admin, "/v1/products", product).await.id().to_owned();
    let line = json!({"product_id": product, "quantity": 2, "discount": 12.5, "tax": 19});
    let order = post(admin, "/v1/orders", json!({"number": "1", "account_id": account, "lines": [line]})).await;
    (format!("/v1/orders/{}", order.id()), product)
}

fn packer() -> Json {
    let rights = json!(["order:*", "order_line:read", "account:read", "product:read", "change:read"]);
    let fields =
        json!({"order_line": {"unit_cost": "none", "discount": "none", "tax": "read"}, "product": {"cost": "none"}});
    json!({"rights": rights, "rows": {"default": "all"}, "fields": fields})
}

#[test]
fn fields_of_a_line_one_may_not_read_are_not_in_its_order_either() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let (here, _) = order(&admin).await;
        admin
            .patch(&here, json!({"lines": [{"quantity": 1, "unit_price": usd("5.00"), "discount": 12.5}]}))
            .await
            .expect(200);
        let whole = everything(&admin, "order", "orders", 2).await;
        assert!(whole.contains("47.11") && whole.matches("discount").count() >= 5, "{whole}");
        let packer = someone(&server, "packer", packer()).await;
        let seen = everything(&packer, "order", "orders", 2).await;
        assert!(!seen.contains("unit_cost") && !seen.contains("47.11") && !seen.contains("discount"), "{seen}");
        assert!(seen.contains("quantity") && seen.contains("unit_price"), "{seen}");
        let then = "2026-01-31T09:30:00.000Z";
        server.clock.advance(chrono::TimeDelta::seconds(1));
        let past = text(packer.get(&format!("{here}?known_at={then}")).await);
        assert!(past.contains("quantity") && !past.contains("discount"), "{past}");
        let expanded = text(packer.get("/v1/order-lines?expand=order").await);
        assert!(expanded.contains("\"lines\"") && !expanded.contains("discount"), "{expanded}");
    });
}

#[test]
fn a_line_keeps_what_its_writer_may_not_set_and_names_it_where_they_try() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let (here, product) = order(&admin).await;
        let packer = someone(&server, "packer", packer()).await;
        let mut lines = packer.get(&here).await.expect(200).json["lines"].clone();
        assert_eq!(lines[0]["tax"], 19.0);
        lines[0]["quantity"] = json!(3);
        let written = packer.patch(&here, json!({"lines": lines})).await.expect(200);
        assert!(written.json["lines"][0].get("discount").is_none(), "{}", written.json);
        let stored = admin.get(&here).await.expect(200).json;
        let told = ["quantity", "discount", "tax", "unit_cost", "amount"].map(|name| stored["lines"][0][name].clone());
        assert_eq!(told, [json!(3.0), json!(12.5), json!(19.0), usd("47.11"), usd("262.50")]);
        let rows = admin.get("/v1/order-lines").await.expect(200);
        assert_eq!((&rows.data()[0]["discount"], &rows.data()[0]["unit_cost"]), (&json!(12.5), &usd("47.11")));
        let try_to = async |name: &str, value: Json| {
            let mut tried = lines.clone();
            tried[0][name] = value;
            let refused = packer.patch(&here, json!({"lines": tried})).await.expect(422);
            refused.errors().into_iter().map(|(place, code)| format!("{place} {code}")).collect::<Vec<_>>()
        };
        assert_eq!(try_to("tax", json!(7)).await, ["/lines/0/tax read_only"]);
        assert_eq!(try_to("tax", Json::Null).await, ["/lines/0/tax read_only"]);
        assert_eq!(try_to("discount", json!(12.5)).await, ["/lines/0/discount unknown_field"]);
        assert_eq!(try_to("unit_cost", usd("1")).await, ["/lines/0/unit_cost unknown_field"]);
        let more = json!({"lines": [lines[0], {"product_id": product, "quantity": 1}, {"quantity": 1, "tax": 7}]});
        assert_eq!(packer.patch(&here, more).await.expect(422).errors(), [("/lines/2/tax", "read_only")]);
        let more = json!({"lines": [lines[0], {"product_id": product, "quantity": 1}]});
        packer.patch(&here, more).await.expect(200);
        let stored = admin.get(&here).await.expect(200).json;
        assert_eq!((&stored["lines"][1]["unit_cost"], &stored["lines"][0]["discount"]), (&usd("47.11"), &json!(12.5)));
    });
}

#[test]
fn lines_that_are_seen_in_part_are_neither_taken_over_nor_put_back() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let (whole, _) = order(&admin).await;
        let lines = admin.get(&whole).await.expect(200).json["lines"].clone();
        let account = admin.get(&whole).await.expect(200).json["account_id"].clone();
        let empty = json!({"account_id": account, "placed_on": "2026-01-02", "amount": usd("5")});
        let empty = format!("/v1/orders/{}", post(&admin, "/v1/orders", empty).await.id());
        let role = json!({"rights": ["order:*", "order_line:*", "product:*", "account:*", "merge:read"],
            "rows": {"default": "all"}, "fields": {"order_line": {"unit_cost": "none"}}});
        let clerk = someone(&server, "clerk", role).await;
        let from = whole.rsplit('/').next().unwrap();
        let refused = clerk.post(&format!("{empty}/merge"), json!({"from": from, "take": ["lines"]})).await.expect(422);
        assert_eq!(refused.errors(), [("/take/0", "read_only")]);
        let merge = admin.post(&format!("{empty}/merge"), json!({"from": from})).await.expect(200);
        assert_eq!(admin.get(&empty).await.expect(200).json["lines"], lines, "{}", merge.json);
        let rows = admin.get("/v1/order-lines").await.expect(200);
        assert_eq!(rows.data().len(), 1, "they are lines of the one that stays");
        let merges = admin.get("/v1/merges").await.expect(200);
        let undo = format!("/v1/merges/{}/undo", merges.data()[0]["id"].as_str().unwrap());
        assert_eq!(clerk.post(&undo, json!({})).await.expect(422).errors(), [("/lines", "read_only")]);
        admin.post(&undo, json!({})).await.expect(200);
        assert_eq!(admin.get(&whole).await.expect(200).json["lines"], lines);
        assert_eq!(admin.get(&empty).await.expect(200).json["lines"], Json::Null);
    });
}
