//! How users prove who they are: password hashes, and sessions with their refresh tokens.

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
        Table::new(manager, "credential")
            .required(&[("tenant_id", Id), ("user_id", Id), ("password_hash", Text), ("changed_at", Instant)])
            .key(&["tenant_id", "user_id"])
            .line("foreign key (\"tenant_id\", \"user_id\") references \"user\" (\"tenant_id\", \"id\")")
            .create()
            .await?;
        Table::new(manager, "session")
            .required(&[("tenant_id", Id), ("id", Id)])
            .belongs("user_id", "user")
            .required(&[("created_at", Instant)])
            .optional(&[("ended_at", Instant)])
            .key(&["tenant_id", "id"])
            .create()
            .await?;
        Table::new(manager, "refresh_token")
            .required(&[("tenant_id", Id), ("hash", Bytes), ("session_id", Id)])
            .required(&[("issued_at", Instant), ("expires_at", Instant)])
            .optional(&[("used_at", Instant)])
            .key(&["hash"])
            .line(
                "foreign key (\"tenant_id\", \"session_id\") references \"session\" (\"tenant_id\", \"id\") \
                 on delete cascade",
            )
            .plain_index(&["tenant_id", "session_id"], "")
            .create()
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["refresh_token", "session", "credential"]).await
    }
}
