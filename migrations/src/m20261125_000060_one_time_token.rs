//! Tokens that set a password once: invitations and resets.

use sea_orm_migration::{MigrationTrait, SchemaManager, async_trait, prelude::DeriveMigrationName, sea_orm::DbErr};

use crate::table::{
    Table,
    Type::{Bytes, Id, Instant, Text},
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
        Table::new(manager, "one_time_token")
            .required(&[
                ("tenant_id", Id),
                ("user_id", Id),
                ("hash", Bytes),
                ("purpose", Text),
                ("expires_at", Instant),
            ])
            .key(&["tenant_id", "user_id"])
            .line("unique (\"hash\")")
            .line("foreign key (\"tenant_id\", \"user_id\") references \"user\" (\"tenant_id\", \"id\")")
            .create()
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["one_time_token"]).await
    }
}
