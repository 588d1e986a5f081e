//! A person who asks to be forgotten is: in every table, the change log and stored answers included, and the answer proves it.

use std::time::Duration;

use chrono::{SecondsFormat, TimeDelta};
use ripen_core::{
    context::Clock as _,
    engine::{Operation, Since},
};
use serde_json::{Value as Json, json};

use crate::{
    crash::everything,
    imports::{ended, errors, imported, job, left},
    queue::failed_with_its_database,
    support::{Caller, Db, Person, databases, on, on_both},
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

#[test]
fn no_kept_answer_names_the_person_whatever_it_was_given_to() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let path = traces(&admin).await;
        let same = json!({"last_name": "Quartzmann"});
        let unchanged = || admin.send(admin.request("PATCH", &path).header("Idempotency-Key", "same").json(&same));
        let user = json!({"name": "Zebulon Quartzmann", "email": "zeb@example.com", "state": "invited"});
        let user = format!("/v1/users/{}", admin.post("/v1/users", user).await.expect(201).id());
        let invite =
            || admin.send(admin.request("POST", &format!("{user}/invite")).header("Idempotency-Key", "invite"));
        unchanged().await.expect(200);
        assert_eq!(unchanged().await.expect(200).header("idempotent-replayed"), "true");
        invite().await.expect(200);
        erased(&admin, &path).await;
        assert_eq!(unchanged().await.expect(409).problem(), "answer_erased");
        assert_eq!(invite().await.expect(409).problem(), "answer_erased");
        assert_eq!(admin.get(&path).await.expect(200).json["last_name"], "erased", "nothing was done again");
    });
}

#[test]
fn failed_imports_are_read_in_their_own_encoding_and_format() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let known = json!({"first_name": "Zo\u{eb} \"Zed\" Fox", "last_name": "石英曼", "external_id": "4930123456"});
        let path = admin.post("/v1/contacts", known).await.expect(201).id().to_owned();
        let spec = |more: Json| {
            let mut spec = json!({"kind": "contact", "mapping": {"last_name": {"column": "name"}}});
            spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            spec
        };
        let mut kept = String::new();
        for (more, file) in [
            (json!({"encoding": "gb18030"}), b"name\n\xca\xaf\xd3\xa2\xc2\xfc\n".to_vec()),
            (json!({"encoding": "windows-1252"}), b"name\n\"zo\xcb \"\"Zed\"\" Fox\"\n".to_vec()),
            (json!({"format": "ndjson"}), br#"{"name": "Somebody", "unread": "\u77f3\u82f1\u66fc"}"#.to_vec()),
            (json!({"format": "ndjson"}), br#"{"name": "Somebody", "phone": 4930123456}"#.to_vec()),
            (json!({"encoding": "gb18030"}), b"name\n\xca\xaf\n".to_vec()),
        ] {
            kept = failed_with_its_database(&server, &spec(more), file).await.1;
        }
        let admin = server.again(Person::Admin).await;
        let told = erased(&admin, &format!("/v1/contacts/{path}")).await;
        assert_eq!((&told["inputs"], &told["inputs_in_doubt"], &told["found"]), (&json!(4), &json!([]), &json!([])));
        assert_eq!(left(&server, "job_input").await, 1);
        admin.post(&format!("{kept}/retry"), json!({})).await.expect(202);
        job(&admin, &kept, ended).await;
    });
}

#[test]
fn refused_cells_in_another_case_or_cut_off_are_emptied_too() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let title = "Keeper of the seal ".repeat(10);
        let known = json!({"first_name": "Jürgen", "last_name": "Quartzmann", "email": "zeb@quartzmann.example",
                           "title": title.trim()});
        let path = format!("/v1/contacts/{}", admin.post("/v1/contacts", known).await.expect(201).id());
        let other = json!({"last_name": "Other", "title": "Deputy of ZEB@QUARTZMANN.EXAMPLE"});
        let other = admin.post("/v1/contacts", other).await.expect(201).id().to_owned();
        let mapping = json!({"last_name": {"column": "name"}, "email": {"column": "mail"}});
        let rows =
            format!("name,mail\nA,ZEB@Quartzmann.example or so\nB,{} {title}\nC,nobody\nD,JÜRGEN\n", "x".repeat(60));
        let (_, place) = imported(&admin, &json!({"kind": "contact", "mapping": mapping}), rows).await;
        let told = erased(&admin, &path).await;
        assert_eq!(told["refusals"], 3, "{told:#}");
        let values: Vec<_> = errors(&admin, &place).await.iter().map(|error| error["value"].clone()).collect();
        assert_eq!(values, [Json::Null, Json::Null, json!("nobody"), Json::Null]);
        assert_eq!(
            (&told["found"][0]["ids"], told["found"].as_array().unwrap().len()),
            (&json!([other]), 1),
            "{told:#}"
        );
    });
}

#[test]
fn short_names_are_found_as_words_and_what_cannot_be_decided_is_told() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let known = json!({"first_name": "Anna", "last_name": "Lee"});
        let path = format!("/v1/contacts/{}", admin.post("/v1/contacts", known).await.expect(201).id());
        let spec = json!({"kind": "contact", "replace": {"name": {"Lee": "Li", "sleeve": "Sleeve"}},
                          "mapping": {"last_name": {"column": "name"}, "email": {"column": "mail"}}});
        let rows =
            "name,mail\nA,Lee\nB,sleeve\nC,\"LEE, Anna\"\nD,Lee & Sons\nLee,d@example.com\nsleeve,e@example.com\n";
        let (_, place) = imported(&admin, &spec, rows).await;
        let spec = json!({"kind": "contact", "mapping": {"last_name": {"column": "name"}}});
        let (_, both) = failed_with_its_database(&server, &spec, "name,first\nLee,Anna\n").await;
        let (_, one) = failed_with_its_database(&server, &spec, "name,first\nLee,Bob\n").await;
        let (admin, none) = failed_with_its_database(&server, &spec, "name,first\nsleeve,planned\n").await;

        let told = erased(&admin, &path).await;
        assert_eq!((&told["refusals"], &told["results"]), (&json!(2), &json!(1)), "{told:#}");
        assert_eq!((&told["texts_searched"], &told["texts_too_short"]), (&json!(0), &json!(2)), "{told:#}");
        let values: Vec<_> = errors(&admin, &place).await.iter().map(|error| error["value"].clone()).collect();
        assert_eq!(values, [Json::Null, json!("sleeve"), Json::Null, json!("Lee & Sons")]);
        let replaced = admin.get(&place).await.expect(200).json["result"]["replaced"].clone();
        assert_eq!((&replaced[0]["from"], &replaced[1]["from"]), (&json!("erased"), &json!("sleeve")), "{replaced}");
        let doubted = one.rsplit('/').next().unwrap();
        assert_eq!((&told["inputs"], &told["inputs_in_doubt"]), (&json!(1), &json!([doubted])), "{told:#}");
        admin.post(&format!("{both}/retry"), json!({})).await.expect(409);
        for place in [one, none] {
            admin.post(&format!("{place}/retry"), json!({})).await.expect(202);
            job(&admin, &place, ended).await;
        }
    });
}

#[test]
fn who_is_changing_the_person_meanwhile_leaves_nothing_in_the_log() {
    if !databases().contains(&Db::Postgres) {
        return; // SQLite has one writer at a time
    }
    on(Db::Postgres, |server| async move {
        let admin = server.as_admin().await;
        let path = traces(&admin).await;
        let cx = server.context(Person::Admin).await;
        let unit = cx.begin().await.unwrap();
        let data = json!({"title": "older@quartzmann.example"}).as_object().unwrap().clone();
        let id = path.rsplit('/').next().unwrap().parse().unwrap();
        let change = Operation::Update { id, version: None, data, since: Since::default() };
        cx.kind("contact").unwrap().write(&unit, vec![change]).await.unwrap().remove(0).unwrap();
        let change = async {
            tokio::time::sleep(Duration::from_millis(500)).await; // the erasure has come as far as it can
            unit.commit().await.unwrap();
        };
        let (told, ()) = tokio::join!(erased(&admin, &path), change);
        assert_eq!(told["found"], json!([]), "{told:#}");
        for row in everything(&server).await {
            assert!(!WORDS.iter().any(|word| row.contains(word)), "{row}");
        }
    });
}
