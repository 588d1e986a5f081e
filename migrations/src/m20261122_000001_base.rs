//! Tenants, the server's keys, the change log, and the people of a tenant.

use sea_orm_migration::{
    MigrationTrait, SchemaManager, async_trait,
    prelude::DeriveMigrationName,
    sea_orm::{DbBackend, DbErr},
};

use crate::table::{
    Table,
    Type::{Bytes, Date, Id, Instant, Integer, Json, Sequence, Text},
    drop,
};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Table::new(manager, "tenant")
            .required(&[("id", Id), ("slug", Text), ("name", Text), ("base_currency", Text), ("time_zone", Text)])
            .line("\"generation\" bigint not null default 0")
            .required(&[("created_at", Instant)])
            .key(&["id"])
            .line("unique (\"slug\")")
            .create()
            .await?;
        Table::new(manager, "server_secret")
            .required(&[("name", Text), ("value", Bytes)])
            .key(&["name"])
            .create()
            .await?;
        change(manager).await?;
        people(manager).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["membership", "team", "user", "change", "server_secret", "tenant"]).await
    }
}

/// PostgreSQL also keeps the transaction, so that readers can stay behind those still running; SQLite has one writer.
async fn change(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut table = Table::new(manager, "change")
        .required(&[("seq", Sequence), ("tenant_id", Id), ("kind", Text), ("record_id", Id)])
        .required(&[("version", Integer), ("at", Instant)])
        .optional(&[("before", Json)])
        .required(&[("changed", Json)])
        .optional(&[("actor_id", Id), ("request_id", Text)]);
    table = if table.backend() == DbBackend::Postgres {
        table.line("\"xid\" xid8 not null default pg_current_xact_id()").plain_index(&["tenant_id", "xid", "seq"], "")
    } else {
        table.plain_index(&["tenant_id", "seq"], "")
    };
    table.plain_index(&["tenant_id", "kind", "record_id", "version"], "").create().await
}

async fn people(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    Table::record(manager, "user")
        .required(&[("email", Text), ("name", Text), ("role", Text), ("state", Text)])
        .optional(&[("locale", Text), ("time_zone", Text), ("phone_extension", Text), ("skills", Json)])
        .optional(&[("hired_on", Date)])
        .refers("manager_id", "user")
        .line("foreign key (\"tenant_id\") references \"tenant\" (\"id\")")
        .unique(&["email"])
        .index(&["name"])
        .create()
        .await?;
    Table::record(manager, "team")
        .required(&[("name", Text)])
        .optional(&[("kind", Text)])
        .refers("parent_id", "team")
        .refers("lead_id", "user")
        .index(&["name"])
        .create()
        .await?;
    Table::record(manager, "membership")
        .required(&[("role", Text)])
        .optional(&[("from_at", Instant), ("to_at", Instant)])
        .belongs("user_id", "user")
        .belongs("team_id", "team")
        .create()
        .await
}
