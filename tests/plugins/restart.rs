//! A run whose server goes away in the middle, and one that nobody wants any more.

use std::time::Duration;

use sea_orm::{ConnectionTrait, Statement};
use serde_json::json;

use super::{
    data,
    support::{Person, TestServer, block_on, databases, on_both, prepare},
    work::{RFM, all, ended, install, run, upload},
};

#[test]
fn a_run_goes_on_where_it_stopped_and_ends_the_same() {
    for db in databases() {
        prepare(db);
        block_on(async {
            let mut server = TestServer::new(db).await;
            data::load(&server.context(Person::Admin).await).await;
            let admin = server.as_admin().await;
            upload(&admin, RFM).await;
            let customers = json!({"key": "rfm", "plugin": "rfm", "kind": "scorer", "where": "kind = \"person\""});
            install(&admin, customers).await;
            let wanted = json!({"installation": "rfm", "mode": "apply", "as_of": "1998-07-01"});
            let whole = run(&admin, wanted.clone()).await;

            let asked = admin.post("/v1/plugin-runs", wanted).await;
            let place = asked.header("location").to_owned();
            while admin.get(&place).await.expect(200).json["progress"]["done"] == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            server.restart().await;
            let admin = server.as_admin().await;
            let job = ended(&admin, asked).await;
            assert_eq!(job["state"], "succeeded", "{job:#}");
            let resumed = admin.get(&place.replace("jobs", "plugin-runs")).await.expect(200).json;
            for figure in ["input_digest", "rows", "scored", "not_scored", "fuel", "result", "ended"] {
                assert_eq!(resumed[figure], whole[figure], "{figure}");
            }
            assert_eq!(all(&admin, "/v1/scores", "version = 1", None).await.len(), 2357);
            server.end().await;
        });
    }
}

#[test]
fn a_cancelled_run_says_so_and_leaves_nothing_half_gathered() {
    on_both(|server| async move {
        data::load(&server.context(Person::Admin).await).await;
        let admin = server.as_admin().await;
        upload(&admin, RFM).await;
        let customers = json!({"key": "rfm", "plugin": "rfm", "kind": "scorer", "where": "kind = \"person\""});
        install(&admin, customers).await;
        let wanted = json!({"installation": "rfm", "mode": "simulate", "as_of": "1998-07-01"});
        let mut places = Vec::new();
        for _ in 0..6 {
            places.push(admin.post("/v1/plugin-runs", wanted.clone()).await.expect(202).header("location").to_owned());
        }
        let [first @ .., last] = places.as_slice() else { panic!("six runs") };
        admin.post(&format!("{last}/cancel"), json!({})).await.expect(200);
        let run = admin.get(&last.replace("jobs", "plugin-runs")).await.expect(200).json;
        assert_eq!((&run["ended"], &run["result"]), (&json!("cancelled"), &json!(null)));
        for place in first {
            while admin.get(place).await.expect(200).json["state"] != "succeeded" {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        let left = Statement::from_string(server.world().store.backend, "select count(*) from run_result");
        let left = server.world().store.read.query_one_raw(left).await.unwrap().unwrap();
        assert_eq!(left.try_get_by_index::<i64>(0).unwrap(), 0);
    });
}
