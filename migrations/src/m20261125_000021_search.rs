//! Which words each record has. What makes them is the core's; records that are there already get theirs by the step of
//! `ripen migrate` that follows the migrations.

use sea_orm_migration::{
    MigrationTrait, SchemaManager, async_trait,
    prelude::DeriveMigrationName,
    sea_orm::{ConnectionTrait, DbBackend, DbErr},
};

use crate::table::{
    Table,
    Type::{Id, Sequence, Text},
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
        let own = [("tenant_id", Id), ("kind", Text), ("record_id", Id), ("rule", Text)];
        let mut table = Table::new(manager, "search_document");
        let key = ["tenant_id", "kind", "record_id"];
        let index = if table.backend() == DbBackend::Postgres {
            table = table.required(&own).line("\"tokens\" tsvector not null").key(&key);
            "create index \"search_document_tokens_idx\" on \"search_document\" using gin (\"tokens\")"
        } else {
            table = table.required(&[("seq", Sequence)]).required(&own).always_unique(&key);
            // the ASCII tokenizer leaves tokens as they are: lower case, without ASCII punctuation
            "create virtual table \"search_token\" using fts5(\"tokens\", content='', contentless_delete=1, \
             tokenize='ascii', detail=none)"
        };
        table.create().await?;
        manager.get_connection().execute_unprepared(index).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() == DbBackend::Sqlite {
            drop(manager, &["search_token"]).await?;
        }
        drop(manager, &["search_document"]).await
    }
}
