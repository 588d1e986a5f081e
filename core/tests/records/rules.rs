//! Rules and effects of single kinds.

use ripen_core::access::{Secret, set_password};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::world::{Fixture, create, delete, import, on_both, refusal, trail, update, write};

#[test]
fn every_example_creates_a_record() {
    on_both(async |of| {
        for kind in [
            "user",
            "team",
            "membership",
            "account",
            "contact",
            "product",
            "pipeline",
            "stage",
            "opportunity",
            "order",
            "interaction",
        ] {
            let shape = of.cx.kind(kind).unwrap().shape();
            let mut example = shape.example.clone();
            for (field, target) in shape.references() {
                if field.required || example.get(&field.name).is_some() {
                    let sql =
                        format!("select id from \"{target}\" where tenant_id = $1 and deleted_at is null limit 1");
                    let rows = of.all(&sql).await;
                    example[&field.name] = json!(rows[0].try_get::<Uuid>("", "id").unwrap());
                }
            }
            let id = of.create(kind, example.clone()).await;
            let stored = of.get(kind, id).await;
            for (name, value) in example.as_object().unwrap() {
                assert_eq!(&stored[name], value, "{kind}.{name}");
            }
        }
    });
}

/// Open, won and lost stages of one pipeline.
async fn stages(of: &Fixture) -> (Uuid, [Uuid; 3]) {
    let pipeline = of.create("pipeline", json!({"name": "Sales"})).await;
    let mut made = [Uuid::nil(); 3];
    for (place, kind) in made.iter_mut().zip(["open", "won", "lost"]) {
        *place = of.create("stage", json!({"name": kind, "kind": kind, "pipeline_id": pipeline})).await;
    }
    (pipeline, made)
}

#[test]
fn deals_close_when_their_stage_says_so() {
    on_both(async |of| {
        let (pipeline, [open, won, lost]) = stages(&of).await;
        let deal = of.create("opportunity", json!({"name": "Deal", "stage_id": open})).await;
        let stored = of.get("opportunity", deal).await;
        assert_eq!((&stored["pipeline_id"], &stored["closed_at"]), (&json!(pipeline), &Json::Null));
        of.update("opportunity", deal, json!({"stage_id": won})).await.unwrap();
        assert_eq!(of.get("opportunity", deal).await["closed_at"], "2026-02-03T10:00:00.000Z");
        of.clock.set("2026-02-05T10:00:00.000Z");
        of.update("opportunity", deal, json!({"won_reason": "Price"})).await.unwrap();
        assert_eq!(of.get("opportunity", deal).await["closed_at"], "2026-02-03T10:00:00.000Z");
        of.update("opportunity", deal, json!({"stage_id": lost})).await.unwrap();
        assert_eq!(of.get("opportunity", deal).await["closed_at"], "2026-02-05T10:00:00.000Z");
        of.update("opportunity", deal, json!({"stage_id": open})).await.unwrap();
        assert_eq!(of.get("opportunity", deal).await["closed_at"], Json::Null);

        let history = json!({"name": "Old", "stage_id": won, "closed_at": "2017-03-01T00:00:00.000Z"});
        assert_eq!(
            refusal(&write(&of.cx, "opportunity", vec![create(history.clone())]).await[0]),
            "read_only /closed_at"
        );
        let old = import(&of.cx, "opportunity", vec![create(history)]).await[0].as_ref().unwrap().id;
        assert_eq!(of.get("opportunity", old).await["closed_at"], "2017-03-01T00:00:00.000Z");
        let wrong = json!({"name": "Open", "stage_id": open, "closed_at": "2017-03-01T00:00:00.000Z"});
        assert_eq!(refusal(&import(&of.cx, "opportunity", vec![create(wrong)]).await[0]), "invalid_state /closed_at");

        let other = of.create("pipeline", json!({"name": "Renewals"})).await;
        let strange = json!({"name": "Strange", "stage_id": open, "pipeline_id": other});
        assert_eq!(
            refusal(&write(&of.cx, "opportunity", vec![create(strange)]).await[0]),
            "invalid_value /pipeline_id"
        );
        assert_eq!(refusal(&of.update("stage", open, json!({"kind": "won"})).await), "invalid_state /kind");
        assert!(of.update("stage", open, json!({"probability": 12.5})).await.is_ok());
        assert_eq!(
            refusal(&of.update("stage", open, json!({"probability": 100.5})).await),
            "out_of_range /probability"
        );
        let kept = of.all("select stage_id from stage_interval where tenant_id = $1").await;
        assert_eq!(kept.len(), 5, "four stages of one deal, one of the imported one");
    });
}

#[test]
fn interactions_date_their_accounts_and_contacts() {
    on_both(async |of| {
        let account = of.create("account", json!({"name": "Acme"})).await;
        let contact = of.create("contact", json!({"last_name": "Coyote", "account_id": account})).await;
        let call = |day: &str, who: Json| {
            let mut data = json!({"channel": "call", "start_at": format!("{day}T09:00:00.000Z")});
            data.as_object_mut().unwrap().extend(who.as_object().unwrap().clone());
            create(data)
        };
        let slice = vec![
            call("2026-01-10", json!({"account_id": account})),
            call("2026-01-20", json!({"contact_id": contact, "source": "pbx", "source_key": "7"})),
            call("2026-01-15", json!({"account_id": account})),
            call("2026-01-15", json!({})),
        ];
        let verdicts = write(&of.cx, "interaction", slice).await;
        assert_eq!(refusal(&verdicts[3]), "required /account_id");
        let of_contact = verdicts[1].as_ref().unwrap().id;
        assert_eq!(of.get("interaction", of_contact).await["account_id"], json!(account), "the contact's");
        let last = async |kind, id| of.get(kind, id).await["last_contact_at"].clone();
        assert_eq!(last("account", account).await, "2026-01-20T09:00:00.000Z");
        assert_eq!(last("contact", contact).await, "2026-01-20T09:00:00.000Z");

        let again = call("2026-01-21", json!({"account_id": account, "source": "pbx", "source_key": "7"}));
        assert_eq!(refusal(&write(&of.cx, "interaction", vec![again]).await[0]), "duplicate /source");
        assert!(write(&of.cx, "interaction", vec![delete(of_contact)]).await[0].is_ok());
        assert_eq!(last("account", account).await, "2026-01-15T09:00:00.000Z");
        assert_eq!(last("contact", contact).await, Json::Null);
        assert_eq!(
            refusal(&of.update("account", account, json!({"last_contact_at": null})).await),
            "read_only /last_contact_at"
        );

        let log = trail(&of).await;
        let of_account: Vec<_> = log.iter().filter(|change| change.record == account && change.version > 1).collect();
        assert_eq!(of_account.len(), 2, "each move of the date is a change of the account");
        assert!(of_account.iter().all(|change| change.actor == Some(of.admin)));
        assert!(of_account.iter().all(|change| change.changed.contains(&"last_contact_at".to_owned())));
    });
}

#[test]
fn the_last_admin_stays() {
    on_both(async |of| {
        for patch in [json!({"role": "rep"}), json!({"state": "suspended"})] {
            assert_eq!(refusal(&of.update("user", of.admin, patch).await), "invalid_state /role");
        }
        assert_eq!(refusal(&write(&of.cx, "user", vec![delete(of.admin)]).await[0]), "invalid_state /role");
        let second = of.create("user", json!({"email": "b@example.com", "name": "B", "role": "admin"})).await;
        let both = vec![update(second, json!({"role": "rep"})), update(of.admin, json!({"role": "rep"}))];
        let words: Vec<_> = write(&of.cx, "user", both).await.iter().map(refusal).collect();
        assert_eq!(words, ["invalid_state /role", "invalid_state /role"], "not both at once either");
        let alone = of.update("user", of.admin, json!({"role": "rep"})).await;
        assert_eq!(refusal(&alone), "invalid_state /role", "nobody can log in as the second");
        set_password(&of.cx, second, &Secret::new("nine green pears")).await.unwrap();
        assert!(of.update("user", of.admin, json!({"role": "rep"})).await.is_ok());
    });
}

#[test]
fn trees_have_no_circles() {
    on_both(async |of| {
        let top = of.create("team", json!({"name": "Top"})).await;
        let middle = of.create("team", json!({"name": "Middle", "parent_id": top})).await;
        let leaf = of.create("team", json!({"name": "Leaf", "parent_id": middle})).await;
        assert_eq!(refusal(&of.update("team", top, json!({"parent_id": leaf})).await), "invalid_value /parent_id");
        assert_eq!(refusal(&of.update("team", top, json!({"parent_id": top})).await), "invalid_value /parent_id");
        let turned = vec![update(top, json!({"parent_id": leaf})), update(middle, json!({"parent_id": null}))];
        assert!(write(&of.cx, "team", turned).await.iter().all(Result::is_ok), "the slice as a whole counts");
        let crossed = vec![update(middle, json!({"parent_id": top})), update(leaf, json!({"parent_id": null}))];
        assert!(write(&of.cx, "team", crossed).await.iter().all(Result::is_ok));
    });
}

#[test]
fn dates_and_states_fit() {
    on_both(async |of| {
        let account = of.create("account", json!({"name": "Acme"})).await;
        let order = async |data: Json| {
            let mut whole = json!({"account_id": account});
            whole.as_object_mut().unwrap().extend(data.as_object().unwrap().clone());
            write(&of.cx, "order", vec![create(whole)]).await.into_iter().next().unwrap()
        };
        for (data, state) in [
            (json!({"placed_on": "2026-01-05"}), "placed"),
            (json!({"placed_on": "2026-01-05", "state": "draft"}), "draft"),
            (json!({}), "draft"),
        ] {
            let id = order(data).await.unwrap().id;
            assert_eq!(of.get("order", id).await["state"], state);
        }
        assert_eq!(refusal(&order(json!({"state": "placed"})).await), "required /placed_on");
        let late = json!({"placed_on": "2026-01-05", "due_on": "2026-01-04", "fulfilled_on": "2026-01-01"});
        assert_eq!(refusal(&order(late).await), "invalid_value /due_on, invalid_value /fulfilled_on");
        let (_, [open, ..]) = stages(&of).await;
        let deal = json!({"name": "D", "stage_id": open, "opened_on": "2026-01-05", "expected_close_on": "2026-01-04"});
        assert_eq!(
            refusal(&write(&of.cx, "opportunity", vec![create(deal)]).await[0]),
            "invalid_value /expected_close_on"
        );
        let zone = json!({"email": "x@example.com", "name": "X", "time_zone": "Mars/Olympus"});
        assert_eq!(refusal(&write(&of.cx, "user", vec![create(zone)]).await[0]), "invalid_value /time_zone");
    });
}
