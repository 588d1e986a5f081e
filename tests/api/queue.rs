//! One queue, several processes: a job is done once, and one whose worker has died is taken up by another.

use std::sync::{
    Arc, Mutex, OnceLock,
    atomic::{AtomicUsize, Ordering},
    mpsc::{self, Receiver},
};

use chrono::TimeDelta;
use ripen_core::records::job::State;
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::{Value as Json, json};

use crate::{
    imports::{ended, job, left, many, post},
    support::{Caller, Db, Person, TestClock, TestServer, block_on, databases, prepare},
};

#[test]
fn a_job_whose_worker_has_died_is_taken_up_where_it_stopped_once_its_lease_runs_out() {
    for db in databases() {
        prepare(db);
        block_on(async {
            let server = TestServer::new(db).await;
            let admin = server.as_admin().await;
            let spec =
                json!({"kind": "account", "mapping": {"external_id": {"column": "id"}, "name": {"column": "name"}}});
            let place = post(&admin, &spec, many()).await.expect(202).header("location").to_owned();
            job(&admin, &place, |job| job["progress"]["done"].as_u64().unwrap() > 0).await;
            // someone took it, and was never heard of again
            let store = &server.world().store;
            let until = server.context(Person::Admin).await.now() + TimeDelta::seconds(30);
            let taken = "update job_queue set worker = $1, lease_until = $2";
            let values = [uuid::Uuid::from_u128(7).into(), until.into()];
            let taken = Statement::from_sql_and_values(store.backend, taken, values);
            let taken = store.write.execute_raw(taken).await.unwrap().rows_affected();
            if taken == 1 {
                let held = job(&admin, &place, |_| true).await;
                assert_eq!(held["state"], "running", "{held}");
                server.clock.advance(TimeDelta::seconds(31));
            }
            let done = job(&admin, &place, ended).await;
            assert_eq!((&done["state"], &done["result"]["created"]), (&json!("succeeded"), &json!(6_000)), "{done}");
            assert_eq!((left(&server, "account").await, left(&server, "job_input").await), (6_000, 0));
            server.end().await;
        });
    }
}

/// The place of an import during which the database did not work, and its admin, who logged in again after so long.
pub async fn failed_with_its_database(server: &TestServer, spec: &Json, file: impl Into<Vec<u8>>) -> (Caller, String) {
    let admin = server.again(Person::Admin).await;
    server.fails("change", true).await;
    let place = post(&admin, spec, file.into()).await.expect(202).header("location").to_owned();
    let id: uuid::Uuid = place.rsplit('/').next().unwrap().parse().unwrap();
    let cx = server.context(Person::Admin).await;
    loop {
        match ripen_core::jobs::find(&cx, id).await.unwrap().state {
            state if state.is_final() => break,
            State::Queued => server.clock.advance(TimeDelta::seconds(10)), // it is tried five times, ever later
            _ => {}                                                        // its lease is to last
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    server.fails("change", false).await;
    (server.again(Person::Admin).await, place)
}

#[test]
fn a_job_that_failed_with_its_database_is_kept_and_can_be_tried_again() {
    for db in databases() {
        prepare(db);
        block_on(async {
            let server = TestServer::new(db).await;
            let spec = json!({"kind": "account", "mapping": {"name": {"column": "name"}}});
            let (admin, place) = failed_with_its_database(&server, &spec, many()).await;
            let failed = admin.get(&place).await.expect(200).json;
            assert_eq!(
                (&failed["state"], &failed["problem"]["code"]),
                (&json!("failed"), &json!("database_unavailable"))
            );
            assert_eq!(left(&server, "account").await, 0);
            admin.post(&format!("{place}/cancel"), json!({})).await.expect(409);

            admin.post(&format!("{place}/retry"), json!({})).await.expect(202);
            let done = job(&admin, &place, ended).await;
            assert_eq!((&done["state"], &done["result"]["created"]), (&json!("succeeded"), &json!(6_000)), "{done}");
            assert_eq!((&done["problem"], left(&server, "job_input").await), (&json!(null), 0));
            let again = admin.post(&format!("{place}/retry"), json!({})).await.expect(409).json;
            assert_eq!(again["code"], "invalid_state", "{again}");
            server.end().await;
        });
    }
}

#[test]
fn two_processes_on_one_queue_do_each_job_once() {
    if !databases().contains(&Db::Postgres) {
        return; // one process uses an SQLite file
    }
    prepare(Db::Postgres);
    block_on(async {
        let server = TestServer::new(Db::Postgres).await;
        let other = server.beside().await;
        let admin = server.as_admin().await;
        let mut places = Vec::new();
        for file in 0..6 {
            let rows: Vec<_> = (0..400).map(|n| format!("{file}-{n},Customer {n}\n")).collect();
            let spec =
                json!({"kind": "account", "mapping": {"external_id": {"column": "id"}, "name": {"column": "name"}}});
            let answer = post(&admin, &spec, format!("id,name\n{}", rows.concat())).await.expect(202);
            places.push(answer.header("location").to_owned());
        }
        for place in places {
            let done = job(&admin, &place, ended).await;
            assert_eq!((&done["state"], &done["result"]["created"]), (&json!("succeeded"), &json!(400)), "{done}");
        }
        assert_eq!(left(&server, "account").await, 2_400);
        other.stop().await.unwrap();
        server.end().await;
    });
}

/// Lets two seconds go by with each page of a job, and holds each but the first before it is committed.
struct Pages {
    clock: OnceLock<TestClock>,
    kept: AtomicUsize,
    go: Mutex<Receiver<()>>,
}

impl Pages {
    fn after(&self, statement: &Statement) {
        if !statement.sql.starts_with("UPDATE \"job\" SET") || !statement.sql.contains("\"progress\"") {
            return;
        }
        self.clock.get().unwrap().advance(TimeDelta::seconds(2));
        if self.kept.fetch_add(1, Ordering::SeqCst) > 0 {
            // an error where the test has let go, or has failed
            let _ = tokio::task::block_in_place(|| self.go.lock().unwrap().recv());
        }
    }
}

#[test]
fn the_seconds_that_are_left_are_told_while_a_job_runs() {
    for db in databases() {
        prepare(db);
        block_on(async {
            let (go, wait) = mpsc::channel();
            let pages = Pages { clock: OnceLock::new(), kept: AtomicUsize::new(0), go: Mutex::new(wait) };
            let pages = Arc::new(pages);
            let seen = Arc::clone(&pages);
            let server = TestServer::observed(db, |_| {}, move |statement: &Statement| seen.after(statement)).await;
            assert!(pages.clock.set(server.clock.clone()).is_ok());
            let admin = server.as_admin().await;
            let spec =
                json!({"kind": "account", "mapping": {"external_id": {"column": "id"}, "name": {"column": "name"}}});
            let place = post(&admin, &spec, many()).await.expect(202).header("location").to_owned();
            let told =
                |done: u64, eta: Json| json!({"done": done, "total": 6_000, "ok": done, "failed": 0, "eta_s": eta});
            // a thousand rows in two seconds; of the first page it is not known how long it took
            let left = [json!(null), json!(8), json!(6), json!(4), json!(2)];
            for (done, eta) in [1_000, 2_000, 3_000, 4_000, 5_000].into_iter().zip(left) {
                let met = job(&admin, &place, |job| job["progress"]["done"] == done).await;
                assert_eq!((&met["state"], &met["progress"]), (&json!("running"), &told(done, eta)), "{met}");
                go.send(()).unwrap();
            }
            drop(go);
            let done = job(&admin, &place, ended).await;
            assert_eq!((&done["state"], &done["progress"]), (&json!("succeeded"), &told(6_000, json!(0))), "{done}");
            server.end().await;
        });
    }
}
