//! A run whose server goes away in the middle.

use std::time::Duration;

use serde_json::json;

use super::{
    data,
    support::{Person, TestServer, block_on, databases, prepare},
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
