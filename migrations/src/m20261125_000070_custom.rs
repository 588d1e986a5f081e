//! Fields and kinds of a tenant's own.

use sea_orm_migration::{
    MigrationTrait, SchemaManager, async_trait,
    prelude::DeriveMigrationName,
    sea_orm::{ConnectionTrait, DbBackend, DbErr},
};

use crate::table::{
    Table,
    Type::{Boolean, Date, Id, Instant, Integer, Json, Number, Text},
    drop,
};

/// The kinds that people write, each with a column for what tenants add to it.
const EXTENDED: [&str; 11] = [
    "user",
    "team",
    "membership",
    "account",
    "contact",
    "product",
    "pipeline",
    "stage",
    "opportunity",
    "order",
    "interaction",
];

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let json = if manager.get_database_backend() == DbBackend::Postgres { "json" } else { "json_text" };
        for kind in EXTENDED {
            let add = format!("alter table \"{kind}\" add column \"custom\" {json}");
            manager.get_connection().execute_unprepared(&add).await?;
        }
        definitions(manager).await?;
        Table::new(manager, "custom_record")
            .required(&[("tenant_id", Id), ("id", Id)])
            .optional(&[("external_id", Text)])
            .required(&[("version", Integer), ("created_at", Instant), ("updated_at", Instant)])
            .optional(&[("created_by", Id), ("deleted_at", Instant)])
            .required(&[("object_id", Id)])
            .optional(&[("owner_id", Id)])
            .required(&[("name", Text)])
            .optional(&[("custom", Json)])
            .key(&["tenant_id", "id"])
            .foreign("created_by", "user")
            .foreign("owner_id", "user")
            .foreign("object_id", "custom_object")
            .unique_where(&["object_id", "external_id"], " where \"deleted_at\" is null")
            .plain_index(&["tenant_id", "object_id", "id"], " where \"deleted_at\" is null")
            .plain_index(&["tenant_id", "object_id", "created_at", "id"], " where \"deleted_at\" is null")
            .plain_index(&["tenant_id", "object_id", "name", "id"], " where \"deleted_at\" is null")
            .plain_index(&["tenant_id", "owner_id", "object_id", "id"], " where \"deleted_at\" is null")
            .create()
            .await?;
        values(manager).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["custom_value", "custom_record", "custom_field", "custom_object"]).await?;
        for kind in EXTENDED {
            let remove = format!("alter table \"{kind}\" drop column \"custom\"");
            manager.get_connection().execute_unprepared(&remove).await?;
        }
        Ok(())
    }
}

async fn definitions(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    Table::record(manager, "custom_object")
        .required(&[("name", Text), ("plural", Text)])
        .optional(&[("label", Json), ("description", Text)])
        .required(&[("scope", Text)])
        .unique(&["name"])
        .unique(&["plural"])
        .create()
        .await?;
    Table::record(manager, "custom_field")
        .required(&[("kind", Text), ("name", Text), ("type", Text)])
        .optional(&[("refers_to", Text), ("label", Json), ("description", Text)])
        .required(&[("required", Boolean), ("unique", Boolean)])
        .optional(&[("options", Json), ("default", Json), ("validation", Json)])
        .required(&[("filterable", Boolean), ("state", Text)])
        .unique(&["kind", "name"])
        .create()
        .await
}

/// Values that filters ask for, each in the column of its type; `only` is what no two live records may share.
async fn values(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    Table::new(manager, "custom_value")
        .required(&[("tenant_id", Id), ("kind", Text), ("field_id", Id), ("record_id", Id)])
        .optional(&[("text", Text), ("num", Number), ("flag", Boolean), ("day", Date), ("time", Instant)])
        .optional(&[("refers", Id), ("only", Text)])
        .key(&["tenant_id", "field_id", "record_id"])
        .foreign("field_id", "custom_field")
        .plain_index(&["tenant_id", "record_id"], "")
        .plain_index(&["tenant_id", "field_id", "text", "record_id"], " where \"text\" is not null")
        .plain_index(&["tenant_id", "field_id", "num", "record_id"], " where \"num\" is not null")
        .plain_index(&["tenant_id", "field_id", "flag", "record_id"], " where \"flag\" is not null")
        .plain_index(&["tenant_id", "field_id", "day", "record_id"], " where \"day\" is not null")
        .plain_index(&["tenant_id", "field_id", "time", "record_id"], " where \"time\" is not null")
        .plain_index(&["tenant_id", "refers", "field_id"], " where \"refers\" is not null")
        .unique_where(&["field_id", "only"], " where \"only\" is not null")
        .create()
        .await
}
