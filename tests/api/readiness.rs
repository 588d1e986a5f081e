//! `/readyz` names what keeps requests from being served; `/livez` tells of the process alone.

use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use serde_json::json;

use crate::support::{TestServer, on_both};

/// Not ready for this reason, and alive.
async fn waits(server: &TestServer, reason: &str) {
    let anyone = server.anonymous();
    let answer = anyone.get("/readyz").await.expect(503);
    assert_eq!(answer.json, json!({"status": reason, "feed_lag_s": null}));
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(anyone.get("/livez").await.expect(200).json["status"], "ok");
}

async fn serves(server: &TestServer) {
    assert_eq!(server.anonymous().get("/readyz").await.expect(200).json["status"], "ok");
}

#[test]
fn a_database_that_lacks_any_migration_is_not_ready_until_it_has_it() {
    on_both(|server| async move {
        let store = &server.world().store;
        let sql = async |text: String| store.write.execute_unprepared(&text).await.unwrap();
        let all = "select version, applied_at from seaql_migrations order by version";
        let rows = store.read.query_all_raw(Statement::from_string(store.backend, all)).await.unwrap();
        assert!(rows.len() > 10, "only {} migrations", rows.len());
        serves(&server).await;
        for row in &rows {
            let (version, at): (String, i64) =
                (row.try_get("", "version").unwrap(), row.try_get("", "applied_at").unwrap());
            sql(format!("delete from seaql_migrations where version = '{version}'")).await;
            waits(&server, "the database lacks migrations of this release").await;
            sql(format!("insert into seaql_migrations (version, applied_at) values ('{version}', {at})")).await;
            serves(&server).await;
        }
        sql("insert into seaql_migrations (version, applied_at) values ('m29991231_000000_later', 0)".to_owned()).await;
        waits(&server, "the database is of a later release").await;
    });
}

#[test]
fn a_database_that_has_hung_up_is_an_outage_and_not_our_fault() {
    on_both(|server| async move {
        let store = &server.world().store;
        if store.backend != DbBackend::Postgres {
            return;
        }
        let admin = server.as_admin().await;
        let end = "select pg_terminate_backend(pid) from pg_stat_activity \
                   where datname = current_database() and pid <> pg_backend_pid()";
        let (mut served, mut away) = (0, 0);
        for n in 0..40 {
            if n % 10 == 0 {
                store.write.execute_unprepared(end).await.unwrap();
            }
            let answer = match n % 2 {
                0 => admin.get("/v1/accounts").await,
                _ => admin.post("/v1/accounts", json!({"name": format!("Acme {n}")})).await,
            };
            match answer.status {
                200 | 201 => served += 1,
                _ => {
                    assert_eq!(answer.expect(503).problem(), "database_unavailable");
                    away += 1;
                }
            }
        }
        assert!(away > 0 && served > away, "{served} served, {away} not");
    });
}

#[test]
fn a_server_without_its_database_lives_and_is_not_ready() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        admin.get("/v1/accounts").await.expect(200);
        serves(&server).await;
        // the server has the same connections, and none from now on
        server.world().store.clone().close().await.unwrap();
        waits(&server, "the database does not answer").await;
        let refused = admin.get("/v1/accounts").await.expect(503);
        assert_eq!((refused.problem(), refused.header("retry-after")), ("database_unavailable", "1"));
        assert!(!refused.json.to_string().contains("onnection"), "causes do not leak: {}", refused.json);
    });
}
