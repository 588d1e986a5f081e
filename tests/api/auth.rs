//! Who gets in, with what, and for how long.

use chrono::TimeDelta;
use ripen_core::context::Clock;
use sea_orm::ConnectionTrait;
use serde_json::{Value as Json, json};

use crate::support::{Answer, Caller, Person, TestServer, on_both};

const PASSWORD: &str = "nine green pears";

async fn log_in(caller: &Caller, person: Person, password: &str) -> Answer {
    let body = json!({"tenant": person.tenant(), "email": person.email(), "password": password});
    caller.post("/v1/auth/login", body).await
}

async fn refresh(caller: &Caller, token: &str) -> Answer {
    caller.post("/v1/auth/refresh", json!({"refresh_token": token})).await
}

fn text<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.json[name].as_str().unwrap()
}

async fn id_of(server: &TestServer, person: Person) -> String {
    let me = server.as_person(person).await.get("/v1/me").await.expect(200);
    me.json["user"]["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_login_opens_the_door_for_ten_minutes() {
    on_both(|server| async move {
        let answer = log_in(&server.anonymous(), Person::Rep, PASSWORD).await.expect(200);
        assert_eq!((&answer.json["token_type"], &answer.json["expires_in"]), (&json!("Bearer"), &json!(600)));
        assert_eq!(answer.header("cache-control"), "no-store");
        let rep = server.with_token(Some(text(&answer, "access_token")));
        let me = rep.get("/v1/me").await.expect(200).json;
        assert_eq!((&me["role"], &me["tenant"]["slug"]), (&json!("rep"), &json!("acme")));
        assert_eq!(me["user"]["email"], Person::Rep.email());
        let rights: Vec<_> = me["rights"].as_array().unwrap().iter().filter_map(Json::as_str).collect();
        assert!(rights.contains(&"account:create") && !rights.contains(&"account:delete"), "{rights:?}");
        server.clock.advance(TimeDelta::seconds(599));
        rep.get("/v1/me").await.expect(200);
        server.clock.advance(TimeDelta::seconds(1));
        let late = rep.get("/v1/me").await.expect(401);
        assert_eq!(late.problem(), "token_expired");
        assert_eq!(late.header("www-authenticate"), r#"Bearer realm="ripen", error="invalid_token""#);
    });
}

#[test]
fn whatever_is_wrong_the_answer_is_the_same() {
    on_both(|server| async move {
        let anonymous = server.anonymous();
        let (rep, long) = (Person::Rep.email(), "x".repeat(2000));
        let wrong = [
            ("acme", rep, "nine green pearS"),
            ("acme", rep, ""),
            ("acme", rep, long.as_str()),
            ("acme", "nobody@acme.example", PASSWORD),
            ("nowhere", rep, PASSWORD),
            ("globex", rep, PASSWORD),
            ("acme\u{1}", rep, PASSWORD),
            ("", "", ""),
        ];
        let mut bodies = Vec::new();
        for (tenant, email, password) in wrong {
            let body = json!({"tenant": tenant, "email": email, "password": password});
            let answer = anonymous.post("/v1/auth/login", body).await.expect(401);
            assert_eq!(answer.problem(), "invalid_credentials");
            let mut body = answer.json.clone();
            body.as_object_mut().unwrap().remove("request_id");
            bodies.push(body);
        }
        bodies.dedup();
        assert_eq!(bodies.len(), 1, "{bodies:?}");
        let upper = json!({"tenant": "acme", "email": "REP@Acme.Example", "password": PASSWORD});
        anonymous.post("/v1/auth/login", upper).await.expect(200);
    });
}

#[test]
fn guessing_gets_slower_and_the_wait_is_told() {
    on_both(|server| async move {
        let anonymous = server.anonymous();
        for _ in 0..5 {
            log_in(&anonymous, Person::Rep, "wrong wrong wrong").await.expect(401);
        }
        let refused = log_in(&anonymous, Person::Rep, PASSWORD).await.expect(429);
        assert_eq!((refused.problem(), refused.header("retry-after")), ("too_many_attempts", "1"));
        log_in(&anonymous, Person::Manager, PASSWORD).await.expect(200);
        server.clock.advance(TimeDelta::seconds(1));
        log_in(&anonymous, Person::Rep, "wrong wrong wrong").await.expect(401);
        let refused = log_in(&anonymous, Person::Rep, PASSWORD).await.expect(429);
        assert_eq!(refused.header("retry-after"), "2");
        server.clock.advance(TimeDelta::seconds(2));
        log_in(&anonymous, Person::Rep, PASSWORD).await.expect(200);
        log_in(&anonymous, Person::Rep, "wrong wrong wrong").await.expect(401);
    });
}

#[test]
fn a_refresh_token_works_once_and_its_second_use_ends_the_session() {
    on_both(|server| async move {
        let anonymous = server.anonymous();
        let first = log_in(&anonymous, Person::Rep, PASSWORD).await.expect(200);
        let other = log_in(&anonymous, Person::Rep, PASSWORD).await.expect(200);
        server.clock.advance(TimeDelta::minutes(20));
        let second = refresh(&anonymous, text(&first, "refresh_token")).await.expect(200);
        let third = refresh(&anonymous, text(&second, "refresh_token")).await.expect(200);
        let rep = server.with_token(Some(text(&third, "access_token")));
        rep.get("/v1/me").await.expect(200);
        let stolen = refresh(&anonymous, text(&first, "refresh_token")).await.expect(401);
        assert_eq!(stolen.problem(), "refresh_token_reused");
        assert_eq!(rep.get("/v1/me").await.expect(401).problem(), "invalid_token");
        let newest = refresh(&anonymous, text(&third, "refresh_token")).await.expect(401);
        assert_eq!(newest.problem(), "invalid_token");
        refresh(&anonymous, text(&other, "refresh_token")).await.expect(200);
    });
}

#[test]
fn of_two_refreshes_at_once_exactly_one_wins() {
    on_both(|server| async move {
        for _ in 0..10 {
            let login = log_in(&server.anonymous(), Person::Rep, PASSWORD).await.expect(200);
            let token = text(&login, "refresh_token").to_owned();
            let tries = (0..4).map(|_| {
                let (anonymous, token) = (server.anonymous(), token.clone());
                tokio::spawn(async move { refresh(&anonymous, &token).await })
            });
            let mut answers = Vec::new();
            for attempt in tries.collect::<Vec<_>>() {
                answers.push(attempt.await.unwrap());
            }
            let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
            assert_eq!((won.len(), lost.len()), (1, 3));
            assert!(lost.iter().all(|answer| answer.problem() == "refresh_token_reused"));
            refresh(&server.anonymous(), text(&won[0], "refresh_token")).await.expect(401);
        }
    });
}

#[test]
fn a_refresh_token_lives_thirty_days_from_its_issue() {
    on_both(|server| async move {
        let anonymous = server.anonymous();
        let first = log_in(&anonymous, Person::Rep, PASSWORD).await.expect(200);
        server.clock.advance(TimeDelta::days(29));
        let second = refresh(&anonymous, text(&first, "refresh_token")).await.expect(200);
        server.clock.advance(TimeDelta::days(30));
        let late = refresh(&anonymous, text(&second, "refresh_token")).await.expect(401);
        assert_eq!(late.problem(), "token_expired");
        log_in(&anonymous, Person::Rep, PASSWORD).await.expect(200);
        let gone = refresh(&anonymous, text(&second, "refresh_token")).await.expect(401);
        assert_eq!(gone.problem(), "invalid_token", "the next login sweeps what is over");
    });
}

#[test]
fn logging_out_stops_every_token_of_the_session_at_once() {
    on_both(|server| async move {
        let login = log_in(&server.anonymous(), Person::Rep, PASSWORD).await.expect(200);
        let rep = server.with_token(Some(text(&login, "access_token")));
        rep.get("/v1/me").await.expect(200);
        let body = json!({"refresh_token": text(&login, "refresh_token")});
        server.anonymous().post("/v1/auth/logout", body.clone()).await.expect(204);
        server.anonymous().post("/v1/auth/logout", body).await.expect(204);
        server.anonymous().post("/v1/auth/logout", json!({"refresh_token": "unknown"})).await.expect(204);
        assert_eq!(rep.get("/v1/me").await.expect(401).problem(), "invalid_token");
        let dead = refresh(&server.anonymous(), text(&login, "refresh_token")).await.expect(401);
        assert_eq!(dead.problem(), "invalid_token");
    });
}

#[test]
fn a_suspended_user_is_out_at_once() {
    on_both(|server| async move {
        let (admin, id) = (server.as_admin().await, id_of(&server, Person::Rep).await);
        let login = log_in(&server.anonymous(), Person::Rep, PASSWORD).await.expect(200);
        let rep = server.with_token(Some(text(&login, "access_token")));
        rep.get("/v1/me").await.expect(200);
        admin.patch(&format!("/v1/users/{id}"), json!({"state": "suspended"})).await.expect(200);
        assert_eq!(rep.get("/v1/me").await.expect(401).problem(), "invalid_token");
        let barred = refresh(&server.anonymous(), text(&login, "refresh_token")).await.expect(401);
        assert_eq!(barred.problem(), "invalid_token");
        let out = log_in(&server.anonymous(), Person::Rep, PASSWORD).await.expect(401);
        assert_eq!(out.problem(), "invalid_credentials");
        admin.patch(&format!("/v1/users/{id}"), json!({"state": "active"})).await.expect(200);
        rep.get("/v1/me").await.expect(200);
    });
}

#[test]
fn a_change_by_another_process_is_noticed_within_a_second() {
    on_both(|server| async move {
        let rep = server.as_person(Person::Rep).await;
        rep.get("/v1/me").await.expect(200);
        let sql = "update \"user\" set role = 'admin' where email = 'rep@acme.example'";
        server.world().store.write.execute_unprepared(sql).await.unwrap();
        let sql = "update tenant set generation = generation + 1 where slug = 'acme'";
        server.world().store.write.execute_unprepared(sql).await.unwrap();
        server.clock.advance(TimeDelta::seconds(1));
        assert_eq!(rep.get("/v1/me").await.expect(200).json["role"], "admin");
    });
}

#[test]
fn roles_reach_their_own_rows_their_tree_or_all() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        for person in [Person::Manager, Person::Rep, Person::OtherRep] {
            let body = json!({"name": format!("Account of {person:?}")});
            server.as_person(person).await.post("/v1/accounts", body).await.expect(201);
        }
        let seen = async |person: Person| {
            let page = server.as_person(person).await.list("/v1/accounts", &[("sort", "name")]).await.expect(200);
            page.data().iter().map(|row| row["name"].as_str().unwrap()[11..].to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(seen(Person::Admin).await, ["Manager", "OtherRep", "Rep"]);
        assert_eq!(seen(Person::Manager).await, ["Manager", "Rep"]);
        assert_eq!(seen(Person::Rep).await, ["Rep"]);
        assert!(seen(Person::Stranger).await.is_empty());

        // a team below one that the manager leads, from the first of February on
        let (manager, other) = (id_of(&server, Person::Manager).await, id_of(&server, Person::OtherRep).await);
        let top = admin.post("/v1/teams", json!({"name": "Top", "lead_id": manager})).await.expect(201);
        let below = admin.post("/v1/teams", json!({"name": "Below", "parent_id": top.id()})).await.expect(201);
        let member =
            json!({"team_id": below.id(), "user_id": other, "role": "member", "from_at": "2026-02-01T00:00:00Z"});
        admin.post("/v1/memberships", member).await.expect(201);
        assert_eq!(seen(Person::Manager).await, ["Manager", "Rep"]);
        server.clock.set("2026-01-31T23:59:59Z");
        let login = log_in(&server.anonymous(), Person::Manager, PASSWORD).await.expect(200);
        let manager = server.with_token(Some(text(&login, "access_token")));
        assert_eq!(manager.get("/v1/accounts").await.expect(200).data().len(), 2);
        server.clock.set("2026-02-01T00:00:59Z");
        assert_eq!(manager.get("/v1/accounts").await.expect(200).data().len(), 3);
    });
}

#[test]
fn a_change_of_teams_is_felt_at_once() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let (manager, other) = (id_of(&server, Person::Manager).await, id_of(&server, Person::OtherRep).await);
        server.as_person(Person::OtherRep).await.post("/v1/accounts", json!({"name": "Theirs"})).await.expect(201);
        let seen = async || server.as_person(Person::Manager).await.get("/v1/accounts").await.expect(200).data().len();
        assert_eq!(seen().await, 0);
        let team = admin.post("/v1/teams", json!({"name": "North"})).await.expect(201);
        let member = json!({"team_id": team.id(), "user_id": other, "role": "member"});
        let member = admin.post("/v1/memberships", member).await.expect(201);
        assert_eq!(seen().await, 0);
        admin.patch(&format!("/v1/teams/{}", team.id()), json!({"lead_id": manager})).await.expect(200);
        assert_eq!(seen().await, 1);
        admin.delete(&format!("/v1/memberships/{}", member.id())).await.expect(204);
        assert_eq!(seen().await, 0);
    });
}

#[test]
fn every_operation_names_a_right_there_is() {
    on_both(|server| async move {
        let me = server.as_admin().await.get("/v1/me").await.expect(200).json;
        let rights = me["rights"].as_array().unwrap();
        let document = server.anonymous().get("/openapi.json").await.expect(200).json;
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                for right in operation["x-right"].as_str().unwrap().split(" or ") {
                    assert!(right == "public" || rights.contains(&json!(right)), "{method} {path}: {right}");
                }
            }
        }
    });
}

#[test]
fn passwords_are_set_by_admins_and_changed_by_their_owners() {
    on_both(|server| async move {
        let (admin, rep) = (server.as_admin().await, server.as_person(Person::Rep).await);
        let id = id_of(&server, Person::Rep).await;
        let put =
            async |caller: &Caller, path: &str, body: Json| caller.send(caller.request("PUT", path).json(&body)).await;
        let of_rep = format!("/v1/users/{id}/password");
        let fresh = json!({"password": "four blue plums"});
        assert_eq!(put(&rep, &of_rep, fresh.clone()).await.expect(403).problem(), "forbidden");
        let stranger = server.as_person(Person::Stranger).await;
        assert_eq!(put(&stranger, &of_rep, fresh.clone()).await.expect(404).problem(), "not_found");
        for weak in ["short", "password123", "rep1234567890"] {
            let refused = put(&admin, &of_rep, json!({"password": weak})).await.expect(422);
            assert_eq!(refused.errors(), [("/password", "invalid_value")], "{weak}");
        }
        put(&admin, &of_rep, fresh).await.expect(204);
        assert_eq!(rep.get("/v1/me").await.expect(401).problem(), "invalid_token", "sessions have ended");
        log_in(&server.anonymous(), Person::Rep, PASSWORD).await.expect(401);
        let login = log_in(&server.anonymous(), Person::Rep, "four blue plums").await.expect(200);
        let rep = server.with_token(Some(text(&login, "access_token")));
        let mine = |current: &str| json!({"current_password": current, "password": "two red apples"});
        let wrong = put(&rep, "/v1/me/password", mine(PASSWORD)).await.expect(422);
        assert_eq!(wrong.errors(), [("/current_password", "invalid_credentials")]);
        put(&rep, "/v1/me/password", mine("four blue plums")).await.expect(204);
        log_in(&server.anonymous(), Person::Rep, "two red apples").await.expect(200);
    });
}

#[test]
fn bad_tokens_are_told_apart_from_none() {
    on_both(|server| async move {
        let login = log_in(&server.anonymous(), Person::Rep, PASSWORD).await.expect(200);
        let good = text(&login, "access_token");
        let none = server.anonymous().get("/v1/me").await.expect(401);
        assert_eq!((none.problem(), none.header("www-authenticate")), ("unauthenticated", r#"Bearer realm="ripen""#));
        let cut = &good[..good.len() - 2];
        for bad in [cut, "garbage", text(&login, "refresh_token"), "a.b.c", "x".repeat(8000).as_str()] {
            let answer = server.with_token(Some(bad)).get("/v1/me").await.expect(401);
            assert_eq!(answer.problem(), "invalid_token", "{bad:.80}");
            assert_eq!(answer.header("www-authenticate"), r#"Bearer realm="ripen", error="invalid_token""#);
        }
        let basic = server.anonymous();
        let basic = basic.send(basic.request("GET", "/v1/me").basic_auth("rep", Some(PASSWORD))).await.expect(401);
        assert_eq!(basic.problem(), "unauthenticated");
        for path in ["/v1/auth/login", "/v1/auth/refresh", "/v1/auth/logout"] {
            let answer = server.anonymous().post(path, json!({"nonsense": 1})).await.expect(422);
            assert_eq!(answer.errors()[0].1, "unknown_field", "{path}");
        }
        let keys = server.anonymous().get("/.well-known/jwks.json").await.expect(200);
        assert_eq!(keys.json["keys"][0]["crv"], "Ed25519");
    });
}

#[test]
fn only_hashes_are_stored() {
    on_both(|server| async move {
        let login = log_in(&server.anonymous(), Person::Rep, PASSWORD).await.expect(200);
        let sql = "select password_hash from credential";
        let statement = sea_orm::Statement::from_string(server.world().store.backend, sql);
        for row in server.world().store.read.query_all_raw(statement).await.unwrap() {
            let hash: String = row.try_get_by_index(0).unwrap();
            assert!(hash.starts_with("$argon2id$v=19$") && !hash.contains(PASSWORD), "{hash}");
        }
        let statement = sea_orm::Statement::from_string(server.world().store.backend, "select hash from refresh_token");
        for row in server.world().store.read.query_all_raw(statement).await.unwrap() {
            let hash: Vec<u8> = row.try_get_by_index(0).unwrap();
            assert_eq!(hash.len(), 32);
            assert_ne!(hash, text(&login, "refresh_token").as_bytes());
        }
    });
}

mod family {
    use chrono::{DateTime, Utc};
    use proptest::prelude::*;

    use super::*;
    use crate::support::{Db, on};

    /// One step of whoever holds tokens of one session.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        /// Presents the token that many issues ago.
        Refresh(usize),
        Logout(usize),
        /// Days.
        Wait(i64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => Just(Step::Refresh(0)),
            2 => (0..4_usize).prop_map(Step::Refresh),
            1 => (0..4_usize).prop_map(Step::Logout),
            2 => (1..20_i64).prop_map(Step::Wait),
        ]
    }

    /// The session as the rules alone say it must be.
    struct Model {
        /// Each token with the time of its issue, the newest last.
        issued: Vec<(String, DateTime<Utc>)>,
        alive: bool,
    }

    impl Model {
        fn nth(&self, back: usize) -> usize {
            self.issued.len().saturating_sub(1 + back)
        }

        /// Each issue sweeps the session's tokens that have expired by then.
        fn swept(&self, at: usize) -> bool {
            self.issued[self.issued.len() - 1].1 - self.issued[at].1 >= TimeDelta::days(30)
        }

        /// The code that must come; `None` where the token must work.
        fn refusal(&self, at: usize, now: DateTime<Utc>) -> Option<&'static str> {
            let newest = at + 1 == self.issued.len();
            match () {
                () if self.swept(at) => Some("invalid_token"),
                () if !newest => Some("refresh_token_reused"),
                () if !self.alive => Some("invalid_token"),
                () if now - self.issued[at].1 >= TimeDelta::days(30) => Some("token_expired"),
                () => None,
            }
        }
    }

    async fn follows_the_rules(server: &TestServer, steps: &[Step]) {
        let anonymous = server.anonymous();
        let login = log_in(&anonymous, Person::Rep, PASSWORD).await.expect(200);
        let first = (text(&login, "refresh_token").to_owned(), server.clock.now());
        let mut model = Model { issued: vec![first], alive: true };
        for step in steps {
            match *step {
                Step::Wait(days) => server.clock.advance(TimeDelta::days(days)),
                Step::Logout(back) => {
                    let at = model.nth(back);
                    let body = json!({"refresh_token": model.issued[at].0});
                    anonymous.post("/v1/auth/logout", body).await.expect(204);
                    model.alive &= model.swept(at);
                }
                Step::Refresh(back) => {
                    let (at, now) = (model.nth(back), server.clock.now());
                    let answer = refresh(&anonymous, &model.issued[at].0).await;
                    if let Some(code) = model.refusal(at, now) {
                        assert_eq!(answer.expect(401).problem(), code);
                        model.alive &= code != "refresh_token_reused";
                    } else {
                        model.issued.push((text(&answer.expect(200), "refresh_token").to_owned(), now));
                    }
                }
            }
        }
    }

    #[test]
    fn holds_for_any_order_of_steps() {
        on(Db::Sqlite, |server| async move {
            let runtime = tokio::runtime::Handle::current();
            let shared = server.clone();
            let run = std::thread::spawn(move || {
                let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
                    cases: 48,
                    failure_persistence: None,
                    ..ProptestConfig::default()
                });
                let steps = prop::collection::vec(step(), 1..14);
                runner.run(&steps, |steps| {
                    runtime.block_on(follows_the_rules(&shared, &steps));
                    Ok(())
                })
            });
            tokio::task::spawn_blocking(move || run.join()).await.unwrap().unwrap().unwrap();
        });
    }
}
