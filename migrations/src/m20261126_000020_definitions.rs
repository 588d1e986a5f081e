//! A number of the tenant's definitions, and on PostgreSQL what a unit of work begins with: its turn beside those that change
//! them, and that number.

use sea_orm_migration::{
    MigrationTrait, SchemaManager, async_trait,
    prelude::DeriveMigrationName,
    sea_orm::{ConnectionTrait, DbBackend, DbErr},
};

/// In one statement of SQL the number would be read as it was before the turn was waited for; each statement of a volatile
/// function sees what is committed by then. The lock is in memory: no row is touched. Nobody waits for their turn longer than
/// five seconds, with a connection that others need.
const BEGIN: &str = "create function ripen_begin(of_tenant uuid, alone boolean) returns bigint language plpgsql volatile as $$ \
     begin \
       perform set_config('lock_timeout', '5s', true); \
       if alone then perform pg_advisory_xact_lock(hashtextextended(of_tenant::text, 0)); \
       else perform pg_advisory_xact_lock_shared(hashtextextended(of_tenant::text, 0)); \
       end if; \
       perform set_config('lock_timeout', '0', true); \
       return (select definitions from tenant where id = of_tenant); \
     end $$";

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        db.execute_unprepared("alter table \"tenant\" add column \"definitions\" bigint not null default 0").await?;
        if manager.get_database_backend() == DbBackend::Postgres {
            db.execute_unprepared(BEGIN).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        if manager.get_database_backend() == DbBackend::Postgres {
            db.execute_unprepared("drop function ripen_begin(uuid, boolean)").await?;
        }
        db.execute_unprepared("alter table \"tenant\" drop column \"definitions\"").await?;
        Ok(())
    }
}
