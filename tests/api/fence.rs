//! PostgreSQL keeps tenants apart by itself, whatever a statement forgets. The whole suite runs behind this fence, its reads included.

use ripen::{Outside, StartError};
use ripen_core::store::Fence;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::json;

use crate::support::{Db, Person, TestServer, block_on, databases, on, prepare};

fn behind_the_fence<F: Future<Output = ()>>(test: impl Fn(std::sync::Arc<TestServer>) -> F) {
    if databases().contains(&Db::Postgres) {
        on(Db::Postgres, test);
    }
}

fn sql(text: &str) -> Statement {
    Statement::from_string(sea_orm::DbBackend::Postgres, text)
}

async fn count(db: &impl ConnectionTrait, text: &str) -> i64 {
    db.query_one_raw(sql(text)).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

#[test]
fn every_table_with_rows_of_tenants_is_fenced_by_the_database() {
    behind_the_fence(async |server| {
        let tables = "select count(*), count(*) filter (where relrowsecurity and exists (select from pg_policies p \
            where p.tablename = relname and p.policyname = 'tenant' and p.cmd = 'ALL' and p.roles = '{ripen_app}')) \
            from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace and (relname = 'tenant' \
            or exists (select from pg_attribute where attrelid = pg_class.oid and attname = 'tenant_id'))";
        let row = server.world().store.read.query_one_raw(sql(tables)).await.unwrap().unwrap();
        let (all, fenced): (i64, i64) = (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap());
        assert!(all > 20, "{all} tables: is the test still reading the catalogue?");
        assert_eq!(fenced, all);
        let role = "select count(*) from pg_roles where rolname = 'ripen_app' and not rolsuper and not rolbypassrls \
            and not rolcanlogin and not exists (select from pg_class where relowner = pg_roles.oid)";
        assert_eq!(count(&server.world().store.read, role).await, 1, "ripen_app owns nothing and bypasses nothing");
    });
}

#[test]
fn a_unit_reads_and_writes_no_other_tenants_rows_even_where_the_statement_forgets_its_tenant() {
    behind_the_fence(async |server| {
        let acme = server.context(Person::Admin).await;
        let globex = server.context(Person::Stranger).await.tenant.id;
        let store = &server.world().store;
        let everybody = "select count(*) from \"user\"";
        assert_eq!(count(&store.read, everybody).await, 5);
        let unit = acme.begin().await.unwrap();
        assert_eq!(count(&unit.txn, everybody).await, 4);
        assert_eq!(count(&unit.txn, "select count(*) from tenant").await, 1);
        let renamed = unit.txn.execute_raw(sql("update \"user\" set name = 'X'")).await.unwrap();
        assert_eq!(renamed.rows_affected(), 4);
        drop(unit);
        let planted = format!(
            "insert into team (tenant_id, id, version, created_at, updated_at, name) \
             values ('{globex}', gen_random_uuid(), 1, now(), now(), 'Planted')"
        );
        let moved = format!("update \"user\" set tenant_id = '{globex}'");
        let foreign = "select * from server_secret".to_owned();
        for (statement, why) in
            [(planted, "row-level security"), (moved, "row-level security"), (foreign, "permission denied")]
        {
            let unit = acme.begin().await.unwrap();
            let refusal = unit.txn.execute_raw(sql(&statement)).await.unwrap_err().to_string();
            assert!(refusal.contains(why), "{statement}: {refusal}");
        }
        assert_eq!(count(&store.read, everybody).await, 5, "the connection is as it was");
        assert_eq!(count(&store.read, "select count(*) from \"user\" where name = 'X'").await, 0);
    });
}

#[test]
fn a_server_does_not_start_on_tables_without_the_fence_unless_it_is_told_to() {
    behind_the_fence(async |server| {
        server.world().store.write.execute_unprepared("drop policy tenant on account").await.unwrap();
        let mut config = server.config.clone();
        match ripen::world(&config, Outside::real()).await.err() {
            Some(StartError::Unfenced(why)) => assert!(why.contains("account"), "{why}"),
            other => panic!("{other:?}"),
        }
        config.database.row_security = Fence::Off;
        assert!(ripen::world(&config, Outside::real()).await.is_ok());
        ripen::migrate(&server.config).await.unwrap();
        assert!(ripen::world(&server.config, Outside::real()).await.is_ok());
    });
}

#[test]
fn reads_that_forget_their_tenant_find_nothing_of_others_where_the_settings_say_so() {
    if !databases().contains(&Db::Postgres) {
        return;
    }
    prepare(Db::Postgres);
    block_on(async {
        let server = TestServer::with(Db::Postgres, |config| config.database.row_security = Fence::Reads).await;
        let acme = server.context(Person::Admin).await;
        assert_eq!(count(&acme.reader(), "select count(*) from \"user\"").await, 4);
        assert_eq!(
            count(&server.world().store.read, "select count(*) from \"user\"").await,
            5,
            "not on the connection"
        );
        assert!(acme.reader().execute_unprepared("select 1").await.is_err(), "a reader does not write");
        let (admin, stranger) = (server.as_admin().await, server.as_person(Person::Stranger).await);
        let account = admin.post("/v1/accounts", serde_json::json!({"name": "Acme"})).await.expect(201);
        let shapes: Vec<_> = acme.shapes().map(|shape| shape.plural.to_string()).collect();
        for plural in shapes {
            admin.get(&format!("/v1/{plural}?count=exact")).await.expect(200);
        }
        let path = format!("/v1/accounts/{}", account.id());
        let read = admin.get(&format!("{path}?expand=owner")).await.expect(200);
        assert_eq!(read.json["owner"]["email"], Person::Admin.email());
        stranger.get(&path).await.expect(404);
        server.end().await;
    });
}

/// Behind the fence there is nothing of these tables, so that whatever is read of them was read beside it.
#[test]
fn no_request_reads_records_beside_the_fence_where_the_settings_put_reads_behind_it() {
    if !databases().contains(&Db::Postgres) {
        return;
    }
    prepare(Db::Postgres);
    block_on(async {
        let server = TestServer::with(Db::Postgres, |config| config.database.row_security = Fence::Reads).await;
        let admin = server.as_admin().await;
        let account = admin.post("/v1/accounts", json!({"name": "Acme"})).await.expect(201).id().to_owned();
        let contact = json!({"last_name": "Jones", "account_id": account});
        let contact = admin.post("/v1/contacts", contact).await.expect(201).id().to_owned();
        let field = json!({"kind": "account", "name": "tier", "type": "text"});
        let field = admin.post("/v1/custom-fields", field).await.expect(201).id().to_owned();
        let nothing = "create policy nothing on account as restrictive to ripen_app using (false)";
        server.world().store.write.execute_unprepared(nothing).await.unwrap();
        admin.get(&format!("/v1/accounts/{account}")).await.expect(404);
        let list = admin.get("/v1/accounts?count=exact&known_at=2026-01-31T09:29:00Z").await.expect(200);
        assert_eq!((list.data().len(), &list.json["page"]["total"]), (0, &json!(0)));
        let expanded = admin.get(&format!("/v1/contacts/{contact}?expand=account")).await.expect(200);
        assert!(expanded.json["account"].is_null(), "{}", expanded.json);
        let count = json!({"measures": [{"fn": "count"}]});
        let all = admin.post("/v1/accounts/aggregate", count).await.expect(200);
        assert_eq!(all.data()[0]["measures"]["count"], 0);
        let file = admin.get("/v1/accounts/export?fields=name").await.expect(200);
        assert_eq!(file.bytes, b"name\r\n");
        let preview = format!("/v1/custom-fields/{field}/preview");
        let preview = admin.post(&preview, json!({"required": true})).await.expect(200);
        assert_eq!(preview.json["checked"], 0);
        assert!(admin.get("/v1/changes?kind=account").await.expect(200).data().is_empty());
        server.end().await;
    });
}
