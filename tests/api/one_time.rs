//! Invitations and password resets by one-time token.

use std::sync::mpsc::{Receiver, channel};

use chrono::TimeDelta;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::json;

use crate::support::{Answer, Caller, Db, Person, TestServer, block_on, databases, on_both, prepare};

const NEW: &str = "seven blue plums";

async fn redeem(server: &TestServer, token: &str, password: &str) -> Answer {
    server.anonymous().post("/v1/auth/password", json!({"token": token, "password": password})).await
}

async fn log_in(server: &TestServer, email: &str, password: &str) -> Answer {
    let body = json!({"tenant": "acme", "email": email, "password": password});
    server.anonymous().post("/v1/auth/login", body).await
}

fn token(answer: &Answer) -> &str {
    answer.json["token"].as_str().unwrap()
}

async fn invited(admin: &Caller) -> String {
    let user = json!({"email": "new@acme.example", "name": "Nora New", "state": "invited"});
    format!("/v1/users/{}", admin.post("/v1/users", user).await.expect(201).id())
}

async fn path_of(server: &TestServer, person: Person) -> String {
    let me = server.as_person(person).await.get("/v1/me").await.expect(200);
    format!("/v1/users/{}", me.json["user"]["id"].as_str().unwrap())
}

#[test]
fn an_invited_user_chooses_a_password_once_and_is_active() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let user = invited(&admin).await;
        let invitation = admin.post(&format!("{user}/invite"), json!({})).await.expect(200);
        assert_eq!(invitation.header("cache-control"), "no-store");
        let in_a_week = (ripen_core::context::Clock::now(&server.clock) + TimeDelta::days(7))
            .to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        assert_eq!(invitation.json["expires_at"], json!(in_a_week));
        let weak = redeem(&server, token(&invitation), "short").await.expect(422);
        assert_eq!(weak.errors()[0].0, "/password");
        redeem(&server, token(&invitation), NEW).await.expect(204);
        assert_eq!(admin.get(&user).await.expect(200).json["state"], "active");
        log_in(&server, "new@acme.example", NEW).await.expect(200);
        let again = redeem(&server, token(&invitation), "other brown nuts").await.expect(401);
        assert_eq!(again.problem(), "invalid_token");
        log_in(&server, "new@acme.example", NEW).await.expect(200);
    });
}

#[test]
fn a_reset_ends_the_sessions_and_the_old_password() {
    on_both(|server| async move {
        let (admin, rep) = (server.as_admin().await, server.as_person(Person::Rep).await);
        let user = path_of(&server, Person::Rep).await;
        let reset = admin.post(&format!("{user}/reset-password"), json!({})).await.expect(200);
        rep.get("/v1/me").await.expect(200);
        redeem(&server, token(&reset), NEW).await.expect(204);
        assert_eq!(rep.get("/v1/me").await.expect(401).problem(), "invalid_token");
        log_in(&server, Person::Rep.email(), "nine green pears").await.expect(401);
        log_in(&server, Person::Rep.email(), NEW).await.expect(200);
    });
}

#[test]
fn a_token_works_until_it_expires() {
    on_both(|server| async move {
        let user = path_of(&server, Person::Rep).await;
        let reset = server.as_admin().await.post(&format!("{user}/reset-password"), json!({})).await.expect(200);
        server.clock.advance(TimeDelta::hours(1));
        assert_eq!(redeem(&server, token(&reset), NEW).await.expect(401).problem(), "token_expired");
        server.clock.advance(TimeDelta::milliseconds(-1));
        redeem(&server, token(&reset), NEW).await.expect(204);
    });
}

#[test]
fn a_new_token_or_a_new_password_replaces_the_token_before() {
    on_both(|server| async move {
        let (admin, user) = (server.as_admin().await, path_of(&server, Person::Rep).await);
        let path = format!("{user}/reset-password");
        let first = admin.post(&path, json!({})).await.expect(200);
        let second = admin.post(&path, json!({})).await.expect(200);
        assert_eq!(redeem(&server, token(&first), NEW).await.expect(401).problem(), "invalid_token");
        let put = admin.request("PUT", &format!("{user}/password")).json(&json!({"password": "other brown nuts"}));
        admin.send(put).await.expect(204);
        assert_eq!(redeem(&server, token(&second), NEW).await.expect(401).problem(), "invalid_token");
        log_in(&server, Person::Rep.email(), "other brown nuts").await.expect(200);
        let third = admin.post(&path, json!({})).await.expect(200);
        admin.patch(&user, json!({"email": "moved@acme.example"})).await.expect(200);
        let sent_elsewhere = redeem(&server, token(&third), NEW).await.expect(401);
        assert_eq!(sent_elsewhere.problem(), "invalid_token");
    });
}

#[test]
fn the_users_state_decides_what_they_may_be_given() {
    on_both(|server| async move {
        let (admin, rep) = (server.as_admin().await, path_of(&server, Person::Rep).await);
        let new = invited(&admin).await;
        let reset = admin.post(&format!("{rep}/reset-password"), json!({})).await.expect(200);
        for path in [format!("{rep}/invite"), format!("{new}/reset-password")] {
            assert_eq!(admin.post(&path, json!({})).await.expect(409).problem(), "invalid_state", "{path}");
        }
        let put = admin.request("PUT", &format!("{new}/password")).json(&json!({"password": NEW}));
        assert_eq!(admin.send(put).await.expect(409).problem(), "invalid_state", "it would not let them in");
        admin.patch(&rep, json!({"state": "suspended"})).await.expect(200);
        for path in [format!("{rep}/invite"), format!("{rep}/reset-password")] {
            assert_eq!(admin.post(&path, json!({})).await.expect(409).problem(), "invalid_state", "{path}");
        }
        assert_eq!(redeem(&server, token(&reset), NEW).await.expect(401).problem(), "invalid_token");
        admin.patch(&rep, json!({"state": "active"})).await.expect(200);
        log_in(&server, Person::Rep.email(), "nine green pears").await.expect(200);
    });
}

#[test]
fn only_admins_of_the_tenant_give_tokens() {
    on_both(|server| async move {
        let new = invited(&server.as_admin().await).await;
        for (action, right) in [("invite", "user:invite"), ("reset-password", "user:set_password")] {
            let path = format!("{new}/{action}");
            for person in [Person::Manager, Person::Rep] {
                let refused = server.as_person(person).await.post(&path, json!({})).await.expect(403);
                assert!(refused.json["detail"].as_str().unwrap().contains(right), "{:?}", refused.json);
            }
            server.as_person(Person::Stranger).await.post(&path, json!({})).await.expect(404);
            server.anonymous().post(&path, json!({})).await.expect(401);
        }
    });
}

#[test]
fn of_two_who_use_a_token_at_once_one_wins() {
    on_both(|server| async move {
        let user = path_of(&server, Person::Rep).await;
        let reset = server.as_admin().await.post(&format!("{user}/reset-password"), json!({})).await.expect(200);
        let passwords = [NEW, "other brown nuts"];
        let (one, two) =
            tokio::join!(redeem(&server, token(&reset), passwords[0]), redeem(&server, token(&reset), passwords[1]));
        let mut answers = [one.status, two.status];
        let winner = usize::from(answers[1] == 204);
        answers.sort_unstable();
        assert_eq!(answers, [204, 401]);
        log_in(&server, Person::Rep.email(), passwords[winner]).await.expect(200);
    });
}

#[test]
fn guessing_tokens_gets_slower_and_only_hashes_are_stored() {
    on_both(|server| async move {
        let user = path_of(&server, Person::Rep).await;
        let reset = server.as_admin().await.post(&format!("{user}/reset-password"), json!({})).await.expect(200);
        let store = &server.world().store;
        let statement = Statement::from_string(store.backend, "select hash from one_time_token");
        let hash: Vec<u8> = store.read.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap();
        assert_eq!(hash.len(), 32);
        assert!(!token(&reset).as_bytes().windows(32).any(|part| part == hash));
        let cut = &token(&reset)[1..];
        for guess in [cut, "", "\u{1}", "x".repeat(9000).as_str()] {
            let refused = redeem(&server, guess, NEW).await.expect(401);
            assert_eq!(refused.problem(), "invalid_token");
            assert!(guess.len() < 9 || !refused.json.to_string().contains(guess), "the answer repeats the token");
        }
        for n in 0..46 {
            redeem(&server, &format!("guess {n}"), NEW).await.expect(401);
        }
        let refused = redeem(&server, token(&reset), NEW).await.expect(429);
        assert_eq!((refused.problem(), refused.header("retry-after")), ("too_many_attempts", "1"));
        server.clock.advance(TimeDelta::seconds(1));
        redeem(&server, token(&reset), NEW).await.expect(204);
    });
}

/// A mail server that answers with every letter, and takes it then, or once it is told to.
fn mail_server(held: Option<Receiver<()>>) -> (u16, Receiver<String>) {
    use std::io::{BufRead as _, BufReader, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, (sender, letters)) = (listener.local_addr().unwrap().port(), channel());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut to = stream.try_clone().unwrap();
            let mut say = |line: &str| to.write_all(format!("{line}\r\n").as_bytes()).unwrap();
            let (mut letter, mut inside) = (String::new(), false);
            say("220 mail.example");
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                match line.as_str() {
                    "." if inside => {
                        inside = false;
                        sender.send(std::mem::take(&mut letter)).unwrap();
                        if let Some(held) = &held {
                            held.recv().unwrap();
                        }
                        say("250 taken");
                    }
                    _ if inside => letter.push_str(&(line + "\n")),
                    "DATA" => {
                        inside = true;
                        say("354 go on");
                    }
                    "QUIT" => say("221 bye"),
                    _ => say("250 ok"),
                }
            }
        }
    });
    (port, letters)
}

async fn mailing(db: Db, port: u16) -> TestServer {
    let settings = |config: &mut ripen::Config| {
        config.mail.url = Some(format!("smtp://127.0.0.1:{port}"));
        config.mail.from = Some("Ripen <crm@acme.example>".to_owned());
        config.mail.link = Some("https://crm.acme.example/password#{token}".to_owned());
    };
    TestServer::with(db, settings).await
}

#[test]
fn where_there_is_a_mail_server_the_token_goes_to_the_user_and_to_nobody_else() {
    for db in databases() {
        prepare(db);
        block_on(async {
            let (port, letters) = mail_server(None);
            let server = mailing(db, port).await;
            let admin = server.as_admin().await;
            let user = invited(&admin).await;
            let invitation = admin.post(&format!("{user}/invite"), json!({})).await.expect(200);
            let seen = (&invitation.json["token"], &invitation.json["mailed_to"]);
            assert_eq!(seen, (&json!(null), &json!("new@acme.example")));
            let letter = letters.recv_timeout(std::time::Duration::from_secs(10)).unwrap();
            assert!(letter.contains("Subject: You are invited to acme"), "{letter}");
            assert!(
                letter.contains("To: \"Nora New\" <new@acme.example>")
                    || letter.contains("To: Nora New <new@acme.example>"),
                "{letter}"
            );
            let text = letter.replace("=\n", "").replace("=3D", "=");
            let (_, rest) = text.split_once("https://crm.acme.example/password#").unwrap();
            redeem(&server, rest.split_whitespace().next().unwrap(), NEW).await.expect(204);
            log_in(&server, "new@acme.example", NEW).await.expect(200);
            server.end().await;
        });
    }
}

#[test]
fn a_letter_to_an_address_that_was_changed_meanwhile_opens_nothing() {
    for db in databases() {
        prepare(db);
        block_on(async {
            let (go, held) = channel();
            let (port, letters) = mail_server(Some(held));
            let server = mailing(db, port).await;
            let (admin, user) = (server.as_admin().await, path_of(&server, Person::Rep).await);
            let (path, asks) = (format!("{user}/reset-password"), admin.clone());
            let asked = tokio::spawn(async move { asks.post(&path, json!({})).await });
            let letter = letters.recv_timeout(std::time::Duration::from_secs(10)).unwrap();
            admin.patch(&user, json!({"email": "moved@acme.example"})).await.expect(200);
            go.send(()).unwrap();
            assert_eq!(asked.await.unwrap().expect(409).problem(), "conflict");
            let text = letter.replace("=\n", "").replace("=3D", "=");
            let (_, rest) = text.split_once("https://crm.acme.example/password#").unwrap();
            redeem(&server, rest.split_whitespace().next().unwrap(), NEW).await.expect(401);
            go.send(()).unwrap();
            let again = admin.post(&format!("{user}/reset-password"), json!({})).await.expect(200);
            assert_eq!(again.json["mailed_to"], "moved@acme.example");
            // as an earlier release took it
            let store = &server.world().store;
            let sql = "update \"user\" set email = 'ann..b@acme.example' where email = 'moved@acme.example'";
            store.write.execute_unprepared(sql).await.unwrap();
            let refused = admin.post(&format!("{user}/reset-password"), json!({})).await.expect(409);
            assert_eq!(refused.problem(), "invalid_state");
            server.end().await;
        });
    }
}

#[test]
fn where_the_mail_server_does_not_answer_nothing_is_sent_and_the_token_before_works_on() {
    for db in databases() {
        prepare(db);
        block_on(async {
            let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let server = TestServer::with(db, |config| {
                config.mail.url = Some(format!("smtp://user:hush-hush@127.0.0.1:{nobody}"));
                config.mail.from = Some("crm@acme.example".to_owned());
                config.mail.link = Some("https://crm.acme.example/{token}".to_owned());
            });
            let server = server.await;
            let admin = server.as_admin().await;
            let user = invited(&admin).await;
            let refused = admin.post(&format!("{user}/invite"), json!({})).await.expect(503);
            assert_eq!(refused.problem(), "mail_unavailable");
            assert!(!String::from_utf8_lossy(&refused.bytes).contains("hush"), "{}", refused.json);
            server.end().await;
        });
    }
}
