//! A person who asks to be forgotten is: in every table, the change log and stored answers included, and the answer proves it.

use chrono::{SecondsFormat, TimeDelta};
use ripen_core::context::Clock as _;
use serde_json::{Value as Json, json};

use crate::{
    crash::everything,
    imports::{ended, imported, job, left},
    queue::failed_with_its_database,
    support::{Caller, Person, on_both},
};

const WORDS: [&str; 9] = [
    "Zebulon",
    "Quartzmann",
    "zeb@quartzmann.example",
    "older@quartzmann.example",
    "+493012345678",
    "prefers tea",
    "allergic to",
    "crm-4711-zq",
    "石英曼",
];

async fn erased(admin: &Caller, path: &str) -> Json {
    let accepted = admin.send(admin.request("POST", &format!("{path}/erase"))).await.expect(202);
    let place = accepted.header("location").to_owned();
    let job = job(admin, &place, ended).await;
    assert_eq!((&job["state"], &job["kind"]), (&json!("succeeded"), &json!("erasure")), "{job:#}");
    job["result"]["erased"].clone()
}

fn person(account: &str) -> Json {
    json!({"first_name": "Zebulon", "last_name": "Quartzmann", "email": "older@quartzmann.example",
           "phone": "+49 30 12345678", "external_id": "crm-4711-zq", "account_id": account})
}

fn keyed(admin: &Caller, person: &Json) -> reqwest::RequestBuilder {
    admin.request("POST", "/v1/contacts").header("Idempotency-Key", "once").json(person)
}

/// Leaves traces of the person wherever there may be any; the record's path.
async fn traces(admin: &Caller) -> String {
    let field = json!({"kind": "contact", "name": "drinks", "type": "text", "unique": true});
    admin.post("/v1/custom-fields", field).await.expect(201);
    let account = admin.post("/v1/accounts", json!({"name": "Acme"})).await.expect(201).id().to_owned();
    let person = person(&account);
    let made = admin.send(keyed(admin, &person)).await.expect(201);
    let path = format!("/v1/contacts/{}", made.id());
    let newer = json!({"email": "zeb@quartzmann.example", "custom": {"drinks": "prefers tea"}});
    admin.patch(&path, newer).await.expect(200);
    let twin = json!({"last_name": "石英曼", "email": "zeb@quartzmann.example"});
    let twin = admin.post("/v1/contacts", twin).await.expect(201).id().to_owned();
    admin.post(&format!("{path}/merge"), json!({"from": twin})).await.expect(200);
    let call = json!({"contact_id": made.id(), "channel": "call", "start_at": "2026-01-30T09:00:00Z",
                      "note": "allergic to \"nuts\""});
    admin.post("/v1/interactions", call).await.expect(201);
    let mapping = json!({"last_name": {"column": "name"}, "email": {"column": "mail"}});
    let row = "name,mail\nZebulon Quartzmann,zeb@quartzmann.example or so\n";
    let (result, _) = imported(admin, &json!({"kind": "contact", "mapping": mapping}), row).await;
    assert_eq!(result["failed"], 1, "{result}");
    path
}

#[test]
fn an_erased_person_is_in_no_table_any_more_and_the_answer_says_where_others_mention_them() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let path = traces(&admin).await;
        let other = json!({"last_name": "Other", "title": "knows Quartzmann well"});
        let other = admin.post("/v1/contacts", other).await.expect(201).id().to_owned();
        let then = server.clock.now().to_rfc3339_opts(SecondsFormat::Millis, true);
        server.clock.advance(TimeDelta::seconds(1));
        let before = everything(&server).await;
        for word in WORDS {
            assert!(before.iter().any(|row| row.contains(word)), "{word} is nowhere");
        }
        let told = erased(&admin, &path).await;
        assert_eq!(told["records"], json!({"contact": 2, "interaction": 1, "merge": 1}), "{told:#}");
        let found = &told["found"];
        assert_eq!((&found[0]["table"], &found[0]["ids"]), (&json!("contact"), &json!([other])), "{told:#}");
        assert_eq!(found.as_array().unwrap().len(), 1, "{told:#}");
        assert!(told["refusals"] == 1 && told["changes"].as_u64().unwrap() >= 3, "{told:#}");
        for row in
            everything(&server).await.iter().filter(|row| !row.contains(&other) && !row.contains("knows Quartzmann"))
        {
            let word = WORDS.iter().find(|word| row.contains(**word));
            assert_eq!(word, None, "{row}");
        }
        let shell = admin.get(&path).await.expect(200).json;
        assert_eq!((&shell["last_name"], &shell["email"]), (&json!("erased"), &Json::Null));
        assert!(shell["account_id"].is_string() && shell["created_at"].is_string(), "{shell}");
        let past = admin.get(&format!("{path}?known_at={then}")).await.expect(200).json;
        assert_eq!((&past["last_name"], &past["email"], &past["custom"]), (&json!("erased"), &Json::Null, &Json::Null));
        assert!(
            admin.get("/v1/contacts?search=quartzmann").await.expect(200).data().iter().all(|row| row["id"] == other)
        );
        let again = erased(&admin, &path).await;
        assert_eq!((&again["texts_searched"], &again["found"]), (&json!(0), &json!([])), "nothing is left to look for");
    });
}

#[test]
fn a_deleted_person_is_erased_too_and_only_those_may_who_may() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let path = traces(&admin).await;
        for call in admin.get("/v1/interactions").await.expect(200).data() {
            admin.delete(&format!("/v1/interactions/{}", call["id"].as_str().unwrap())).await.expect(204);
        }
        admin.delete(&path).await.expect(204);
        for (person, status) in [(Person::Manager, 403), (Person::Rep, 403), (Person::Stranger, 404)] {
            let caller = server.as_person(person).await;
            caller.send(caller.request("POST", &format!("{path}/erase"))).await.expect(status);
        }
        let product = admin.post("/v1/products", json!({"sku": "x", "name": "X"})).await.expect(201).id().to_owned();
        let wrong = admin.request("POST", &format!("/v1/products/{product}/erase"));
        assert_eq!(admin.send(wrong).await.expect(404).problem(), "not_found");
        let told = erased(&admin, &path).await;
        assert_eq!(told["found"], json!([]), "{told:#}");
        for row in everything(&server).await {
            assert!(!WORDS.iter().any(|word| row.contains(word)), "{row}");
        }
    });
}

#[test]
fn neither_a_kept_answer_nor_a_failed_import_that_is_tried_again_brings_the_person_back() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let path = traces(&admin).await;
        let account = admin.get(&path).await.expect(200).json["account_id"].as_str().unwrap().to_owned();
        let again = admin.send(keyed(&admin, &person(&account))).await.expect(201);
        assert_eq!(again.header("idempotent-replayed"), "true");
        let spec = json!({"kind": "contact", "mapping": {"last_name": {"column": "name"}}});
        // the name lies across the border of two chunks
        let filler = "Somebody Else\n".repeat(74_897);
        let [with, without] = ["Quartzmann", "Somebody"].map(|name| format!("name\n{filler}Somebody\n{name}\n"));
        assert_eq!(with.find("Quartzmann"), Some((1 << 20) - 4));
        let (_, with) = failed_with_its_database(&server, &spec, with).await;
        let (admin, without) = failed_with_its_database(&server, &spec, without).await;

        let told = erased(&admin, &path).await;
        assert_eq!((&told["inputs"], &told["found"]), (&json!(1), &json!([])), "{told:#}");
        let refused = admin.send(keyed(&admin, &person(&account))).await.expect(409);
        assert_eq!(refused.problem(), "answer_erased");
        assert_eq!(admin.post(&format!("{with}/retry"), json!({})).await.expect(409).problem(), "invalid_state");
        assert_eq!(left(&server, "job_input").await, 2, "the other file has two chunks");
        admin.post(&format!("{without}/retry"), json!({})).await.expect(202);
        admin.post(&format!("{without}/cancel"), json!({})).await;
    });
}

#[test]
fn answers_about_others_are_kept_though_their_requests_had_the_same_id() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let send = async |key: &str, name: &str| {
            let contact = admin.request("POST", "/v1/contacts").json(&json!({"last_name": name}));
            admin.send(contact.header("Idempotency-Key", key).header("X-Request-Id", "nightly")).await
        };
        let gone = send("one", "Quartzmann").await.expect(201).id().to_owned();
        server.clock.advance(TimeDelta::milliseconds(1));
        let other = send("two", "Other").await.expect(201);
        erased(&admin, &format!("/v1/contacts/{gone}")).await;
        assert_eq!(send("one", "Quartzmann").await.expect(409).problem(), "answer_erased");
        let again = send("two", "Other").await.expect(201);
        assert_eq!((again.header("idempotent-replayed"), again.id()), ("true", other.id()));
    });
}

#[test]
fn a_user_who_has_left_is_erased_with_all_that_let_them_in() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let rep = server.as_person(Person::Rep).await;
        let id = rep.get("/v1/me").await.expect(200).json["user"]["id"].as_str().unwrap().to_owned();
        let account = rep.post("/v1/accounts", json!({"name": "Acme"})).await.expect(201).id().to_owned();
        let user = format!("/v1/users/{id}");
        let known =
            json!({"name": "Zebulon Quartzmann", "phone_extension": "4711-zq", "email": "zeb@quartzmann.example"});
        admin.patch(&user, known).await.expect(200);
        let team = admin.post("/v1/teams", json!({"name": "North"})).await.expect(201).id().to_owned();
        let member = json!({"team_id": team, "user_id": id, "external_id": "Zebulon Quartzmann"});
        admin.post("/v1/memberships", member).await.expect(201);
        let erase = || admin.request("POST", &format!("{user}/erase"));
        let early = admin.send(erase()).await.expect(409);
        assert_eq!(early.problem(), "invalid_state");
        assert!(early.json["detail"].as_str().unwrap().contains("once its `state` is `suspended`"), "{}", early.json);
        admin.patch(&user, json!({"state": "suspended"})).await.expect(200);
        let (passwords, sessions) = (left(&server, "credential").await, left(&server, "session").await);
        let told = erased(&admin, &user).await;
        assert_eq!((&told["records"], &told["found"]), (&json!({"membership": 1, "user": 1}), &json!([])), "{told:#}");
        for row in everything(&server).await {
            assert!(!WORDS.iter().chain(&["4711-zq", Person::Rep.email()]).any(|word| row.contains(*word)), "{row}");
        }
        assert_eq!((left(&server, "credential").await, left(&server, "session").await), (passwords - 1, sessions - 1));
        let shell = admin.get(&user).await.expect(200).json;
        let address = format!("erased-{id}@erased.invalid");
        assert_eq!((&shell["name"], &shell["email"]), (&json!("erased"), &json!(address)));
        let theirs = admin.get(&format!("/v1/accounts/{account}")).await.expect(200).json;
        assert_eq!(theirs["owner_id"], json!(id), "what they did stays theirs");
        let again = erased(&admin, &user).await;
        assert_eq!((&again["texts_searched"], &again["found"]), (&json!(0), &json!([])), "nothing is left to look for");
    });
}
