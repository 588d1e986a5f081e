//! What an admin does with plugins, as requests.

use ripen_core::context::Clock as _;
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::{Value as Json, json};

use super::support::{Answer, Caller, TestServer};

pub const RFM: &[u8] = include_bytes!("../../plugins/rfm/rfm.wasm");
pub const HOSTILE: &[u8] = include_bytes!("hostile/hostile.wasm");

/// The bytes as a request; the answer is the job's, accepted.
pub async fn send(caller: &Caller, bytes: &[u8]) -> Answer {
    let request = caller.request("POST", "/v1/plugins").header("content-type", "application/wasm");
    caller.send(request.body(bytes.to_vec())).await
}

/// The job of an accepted request, once it has ended.
pub async fn ended(caller: &Caller, accepted: Answer) -> Json {
    let accepted = accepted.expect(202);
    let place = accepted.header("location").to_owned();
    assert_eq!(place, format!("/v1/jobs/{}", accepted.id()));
    for _ in 0..10_000 {
        let job = caller.get(&place).await.expect(200).json;
        if !["queued", "running"].contains(&job["state"].as_str().unwrap()) {
            return job;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{place} does not end");
}

/// Uploads; answers with the job's result.
pub async fn upload(caller: &Caller, bytes: &[u8]) -> Json {
    let job = ended(caller, send(caller, bytes).await).await;
    assert_eq!(job["state"], "succeeded", "{job:#}");
    job["result"].clone()
}

/// Installs and activates.
pub async fn install(caller: &Caller, installation: Json) {
    let key = installation["key"].as_str().unwrap().to_owned();
    let made = caller.post("/v1/installations", installation).await.expect(201);
    assert_eq!(made.json["state"], "draft");
    let active = caller.post(&format!("/v1/installations/{key}/activate"), json!({})).await.expect(200);
    assert_eq!(active.json["state"], "active");
}

/// Runs to the end; answers with the plugin run as it is then.
pub async fn run(caller: &Caller, run: Json) -> Json {
    let job = ended(caller, caller.post("/v1/plugin-runs", run).await).await;
    assert_eq!(job["state"], "succeeded", "{job:#}");
    let run = caller.get(&format!("/v1/plugin-runs/{}", job["id"].as_str().unwrap())).await.expect(200).json;
    assert_eq!((&run["ended"], &run["result"]), (&json!("succeeded"), &job["result"]));
    run
}

/// Every row of a list, page after page.
pub async fn all(caller: &Caller, path: &str, filter: &str, expand: Option<&str>) -> Vec<Json> {
    let (mut rows, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut parameters = vec![("filter", filter), ("limit", "200")];
        parameters.extend(expand.map(|expand| ("expand", expand)));
        parameters.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page = caller.list(path, &parameters).await.expect(200);
        rows.extend(page.data().iter().cloned());
        match page.json["page"]["next"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return rows,
        }
    }
}

/// Once a job has failed with its database, and is to be tried again when time goes by.
pub async fn put_off(server: &TestServer) {
    let store = &server.world().store;
    let sql = "select count(*) from job_queue where worker is null and due_at > $1";
    loop {
        let asked = Statement::from_sql_and_values(store.backend, sql, [server.clock.now().into()]);
        let jobs: i64 = store.read.query_one_raw(asked).await.unwrap().unwrap().try_get_by_index(0).unwrap();
        if jobs > 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
