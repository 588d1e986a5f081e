//! What people complain of in other systems, shown not to happen here. `tests/README.md` lists each complaint with its tests;
//! those that no other test shows are here.

use serde_json::{Value as Json, json};

use crate::{
    plans::{ACCOUNTS, fill},
    support::{Caller, Person, on_both},
};

const HERE: &str = "/v1/accounts";

async fn names(caller: &Caller, parameters: &[(&str, &str)]) -> Vec<String> {
    let answer = caller.list(HERE, parameters).await.expect(200);
    answer.data().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
}

/// twentyhq/twenty#12526: of two relations to one kind only the first could be filtered.
#[test]
fn each_of_two_relations_to_one_kind_is_filtered_by_its_own_name() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let parent = admin.post(HERE, json!({"name": "Parent"})).await.expect(201).id().to_owned();
        let friend = admin.post(HERE, json!({"name": "Friend"})).await.expect(201).id().to_owned();
        admin.post(HERE, json!({"name": "Child", "parent_id": parent, "referred_by_id": friend})).await.expect(201);
        for (filter, found) in [
            ("parent.name = \"Parent\"", vec!["Child"]),
            ("referred_by.name = \"Friend\"", vec!["Child"]),
            ("parent.name = \"Friend\"", vec![]),
            ("referred_by.name = \"Parent\"", vec![]),
            ("any(accounts_by_parent, name = \"Child\")", vec!["Parent"]),
            ("any(accounts_by_referred_by, name = \"Child\")", vec!["Friend"]),
        ] {
            assert_eq!(names(&admin, &[("filter", filter)]).await, found, "{filter}");
        }
    });
}

/// twentyhq/twenty#12497, #6368: the shape of an answer depended on an earlier call, and relations came unasked.
#[test]
fn an_answer_has_the_shape_its_own_request_asks_for_and_no_relation_unasked() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let parent = admin.post(HERE, json!({"name": "Parent"})).await.expect(201).id().to_owned();
        let child = admin.post(HERE, json!({"name": "Child", "parent_id": parent})).await.expect(201);
        let place = format!("{HERE}/{}", child.id());
        let plain = admin.get(&place).await.expect(200);
        assert!(plain.object().get("parent").is_none() && plain.json["parent_id"] == parent, "{}", plain.json);
        let deep = admin.get(&format!("{place}?expand=parent.owner,owner")).await.expect(200);
        assert_eq!(deep.json["parent"]["owner"]["id"], deep.json["owner"]["id"]);
        assert_eq!(admin.get(&place).await.expect(200).bytes, plain.bytes);
    });
}

/// SuiteCRM/SuiteCRM#9760: totals were wrong with filters.
#[test]
fn a_total_is_exact_under_a_filter_and_absent_unless_asked_for() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        for n in 0..7 {
            let kind = if n % 3 == 0 { "person" } else { "company" };
            admin.post(HERE, json!({"name": format!("A{n}"), "kind": kind})).await.expect(201);
        }
        let asked = [("filter", "kind = \"person\""), ("limit", "1"), ("count", "exact")];
        assert_eq!(admin.list(HERE, &asked).await.expect(200).json["page"]["total"], 3);
        let plain = admin.list(HERE, &asked[..2]).await.expect(200);
        assert!(plain.json["page"].get("total").is_none(), "{}", plain.json);
    });
}

/// estuary/connectors#1743: lists ended at 10,000 rows.
#[test]
fn a_list_has_no_ceiling() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        admin.post(HERE, json!({"name": "First"})).await.expect(201);
        fill(&server, 1).await;
        let (mut met, mut cursor) = (0, None::<String>);
        loop {
            let mut page = vec![("limit", "200"), ("fields", "id"), ("sort", "name")];
            page.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let answer = admin.list(HERE, &page).await.expect(200);
            met += answer.data().len();
            cursor = answer.json["page"]["next"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(met, ACCOUNTS + 1);
    });
}

/// HubSpot/hubspot-api-php#59, estuary/connectors#1861: a search did not find what had just been written.
#[test]
fn what_was_written_is_found_by_the_next_request() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        for n in 0..20 {
            let name = format!("Fresh {n}");
            admin.post(HERE, json!({"name": name, "external_id": format!("x{n}")})).await.expect(201);
            assert_eq!(names(&admin, &[("search", &name)]).await, [name.as_str()]);
            assert_eq!(names(&admin, &[("filter", &format!("external_id = \"x{n}\""))]).await, [name]);
            let again =
                json!({"operations": [{"op": "upsert", "data": {"name": "Same", "external_id": format!("x{n}")}}]});
            let again = admin.post(&format!("{HERE}/batch"), again).await.expect(200);
            assert_eq!(again.json["results"][0]["status"], 200);
        }
        assert_eq!(names(&admin, &[("search", "fresh")]).await, Vec::<String>::new());
    });
}

/// twentyhq/twenty#14275: the database's own words about a unique value were shown to users.
#[test]
fn a_taken_value_is_told_by_its_field_in_words_of_the_product() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let body = json!({"name": "Acme", "external_id": "x"});
        admin.post(HERE, body.clone()).await.expect(201);
        let taken = admin.post(HERE, body).await.expect(422);
        assert_eq!((taken.problem(), taken.errors()), ("validation_failed", vec![("/external_id", "duplicate")]));
        let text = String::from_utf8(taken.bytes).unwrap().to_lowercase();
        for word in ["constraint", "sqlite", "postgres", "insert", "tenant_id", "_key", "relation", "23505"] {
            assert!(!text.contains(word), "{word}: {text}");
        }
    });
}

/// espocrm/espocrm#2979: an old value could neither be looked up nor put back.
#[test]
fn an_old_value_is_in_the_log_and_can_be_put_back() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let made = admin.post(HERE, json!({"name": "Acme", "source": "fair"})).await.expect(201);
        let place = format!("{HERE}/{}", made.id());
        admin.patch(&place, json!({"source": "website", "name": "Acme Ltd"})).await.expect(200);
        let change = loop {
            let log = admin.get("/v1/changes?kind=account").await.expect(200);
            if let Some(change) = log.data().iter().find(|change| change["version"] == 2) {
                break change.clone(); // another test's transaction may hold the log back
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        };
        let names = json!({"before": "Acme", "after": "Acme Ltd"});
        assert_eq!(change["changed"], json!({"name": names, "source": {"before": "fair", "after": "website"}}));
        let before = change["changed"].as_object().unwrap().iter().map(|(name, c)| (name.clone(), c["before"].clone()));
        let back = admin.patch(&place, Json::Object(before.collect())).await.expect(200);
        let state = |json: &Json| [json["name"].clone(), json["source"].clone()];
        assert_eq!(state(&back.json), state(&made.json));
    });
}

/// directus/directus#16203, #16974, #25020: under rules of rights, aliases broke and nested lists were refused.
#[test]
fn every_part_of_a_query_works_within_the_reach_of_a_rep() {
    on_both(|server| async move {
        let (rep, other) = (server.as_person(Person::Rep).await, server.as_person(Person::OtherRep).await);
        for caller in [&rep, &other] {
            let account = caller.post(HERE, json!({"name": "Acme"})).await.expect(201);
            let contact = json!({"last_name": "Jones", "account_id": account.id()});
            caller.post("/v1/contacts", contact).await.expect(201);
        }
        let asked = [
            ("filter", "any(contacts, last_name IN [\"Jones\"]) AND owner.name != \"\""),
            ("expand", "owner"),
            ("fields", "id,name,owner.name"),
            ("search", "acme"),
            ("sort", "-name"),
            ("count", "exact"),
        ];
        let found = rep.list(HERE, &asked).await.expect(200);
        assert_eq!((found.data().len(), &found.json["page"]["total"]), (1, &json!(1)), "{}", found.json);
        assert_eq!(found.data()[0]["owner"]["name"], "Rep");
    });
}

/// bitrix24/b24restdocs#8: the history of stages left out other pipelines.
#[test]
fn the_history_of_an_opportunity_goes_through_every_pipeline() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let mut places = Vec::new();
        for pipeline in ["Sales", "Renewals"] {
            let pipeline = admin.post("/v1/pipelines", json!({"name": pipeline})).await.expect(201).id().to_owned();
            let stage = json!({"pipeline_id": pipeline, "name": "Open", "position": 1, "kind": "open"});
            let stage = admin.post("/v1/stages", stage).await.expect(201).id().to_owned();
            places.push(json!({"pipeline_id": pipeline, "stage_id": stage}));
        }
        let deal = json!({"name": "Deal", "stage_id": places[0]["stage_id"]});
        let place = format!("/v1/opportunities/{}", admin.post("/v1/opportunities", deal).await.expect(201).id());
        admin.patch(&place, places[1].clone()).await.expect(200);
        admin.patch(&place, places[0].clone()).await.expect(200);
        let log = loop {
            let log = admin.get("/v1/changes?kind=opportunity").await.expect(200);
            if log.data().len() == 3 {
                break log;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        };
        let moves = |field: &str| log.data().iter().map(|c| c["changed"][field]["after"].clone()).collect::<Vec<_>>();
        for field in ["pipeline_id", "stage_id"] {
            assert_eq!(moves(field), [0, 1, 0].map(|place: usize| places[place][field].clone()));
        }
    });
}
