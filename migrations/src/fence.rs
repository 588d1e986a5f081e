//! Row-level security: the second fence between tenants, on PostgreSQL.
//!
//! The first is `visible` in the core, which gives every statement its tenant. Should one ever lack it, the database
//! refuses or finds nothing: a unit of work runs as the role `ripen_app`, which owns nothing, and sees and writes only
//! rows of the tenant that the transaction has named. What crosses tenants (the job queue, logging in) runs outside of
//! units, as the user the server connects as; that user owns the tables, so policies are not for it and nothing is
//! forced.

use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};

/// Tables of the schema with rows of tenants, the column that says whose, and whether they are fenced.
const TABLES: &str = "select c.oid::regclass::text as name, a.attname::text as tenant, c.relrowsecurity and exists \
     (select from pg_policy where polrelid = c.oid and polname = 'tenant') as fenced from pg_class c \
     join pg_attribute a on a.attrelid = c.oid and not a.attisdropped \
     and a.attname = case c.relname when 'tenant' then 'id' else 'tenant_id' end \
     where c.relkind in ('r', 'p') and c.relnamespace = current_schema()::regnamespace order by c.relname";

const ROLE: &str = "do $$ begin \
     if not exists (select from pg_roles where rolname = 'ripen_app') then \
       create role ripen_app nologin; \
     end if; \
     if not pg_has_role(current_user, 'ripen_app', 'member') then \
       execute format('grant ripen_app to %I', current_user); \
     end if; \
     execute format('grant usage on schema %I to ripen_app', current_schema()); \
   exception when duplicate_object or unique_violation then null; end $$";

/// Fences every table with rows of tenants that is not fenced yet. Nothing to do on SQLite.
///
/// # Errors
/// The database: the user may not make the role `ripen_app` and it is not there, or is not a member of it.
pub async fn fence(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    let open = unfenced(db).await?;
    if open.is_empty() {
        return Ok(());
    }
    db.execute_unprepared(ROLE).await?;
    for (table, tenant) in open {
        db.execute_unprepared(&format!(
            "grant select, insert, update, delete on {table} to ripen_app; \
             alter table {table} enable row level security; \
             create policy tenant on {table} to ripen_app \
             using ({tenant} = (select nullif(current_setting('app.tenant_id', true), '')::uuid))"
        ))
        .await?;
    }
    Ok(())
}

/// Tables with rows of tenants that lack the fence, and the column that says whose they are.
///
/// # Errors
/// The database.
pub async fn unfenced(db: &impl ConnectionTrait) -> Result<Vec<(String, String)>, DbErr> {
    let tables = db.query_all_raw(Statement::from_string(DbBackend::Postgres, TABLES)).await?;
    let mut open = Vec::new();
    for table in tables {
        if !table.try_get::<bool>("", "fenced")? {
            open.push((table.try_get("", "name")?, table.try_get("", "tenant")?));
        }
    }
    Ok(open)
}
