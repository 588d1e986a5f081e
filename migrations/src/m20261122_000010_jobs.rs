//! Jobs: what callers see of them, the queue behind, their files, the rows they refused or put off.

use sea_orm_migration::{MigrationTrait, SchemaManager, async_trait, prelude::DeriveMigrationName, sea_orm::DbErr};

use crate::table::{
    Table,
    Type::{Bytes, Id, Instant, Integer, Json, Text},
    drop,
};

#[derive(DeriveMigrationName)]
pub struct Migration;

const KEY: &[(&str, crate::table::Type)] = &[("tenant_id", Id), ("job_id", Id)];
const OF_JOB: &str = "foreign key (\"tenant_id\", \"job_id\") references \"job\" (\"tenant_id\", \"id\")";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Table::record(manager, "job")
            .required(&[("kind", Text), ("state", Text), ("progress", Json)])
            .optional(&[("result", Json), ("problem", Json), ("started_at", Instant), ("finished_at", Instant)])
            .create()
            .await?;
        Table::new(manager, "job_queue")
            .required(KEY)
            .required(&[("kind", Text), ("input", Json), ("checkpoint", Json), ("due_at", Instant)])
            .optional(&[("user_id", Id), ("worker", Id), ("lease_until", Instant)])
            .required(&[("attempts", Integer)])
            .key(&["tenant_id", "job_id"])
            .line(OF_JOB)
            .plain_index(&["due_at", "job_id"], "")
            .create()
            .await?;
        // Chunks arrive before their job is there: a slow upload must not hold a transaction open.
        Table::new(manager, "job_input")
            .required(KEY)
            .required(&[("n", Integer), ("bytes", Bytes), ("at", Instant)])
            .key(&["tenant_id", "job_id", "n"])
            .create()
            .await?;
        Table::new(manager, "job_row_error")
            .required(KEY)
            .required(&[("line", Integer), ("n", Integer), ("severity", Text), ("code", Text), ("detail", Text)])
            .optional(&[("column_name", Text), ("field", Text), ("value", Text)])
            .key(&["tenant_id", "job_id", "line", "n"])
            .line(OF_JOB)
            .create()
            .await?;
        Table::new(manager, "import_deferred")
            .required(KEY)
            .required(&[("line", Integer), ("cells", Json), ("state", Text)])
            .optional(&[("wants", Text), ("provides", Text), ("match_key", Text)])
            .key(&["tenant_id", "job_id", "line"])
            .line(OF_JOB)
            .plain_index(&["tenant_id", "job_id", "wants"], "")
            .plain_index(&["tenant_id", "job_id", "provides"], "")
            .plain_index(&["tenant_id", "job_id", "match_key"], "")
            .plain_index(&["tenant_id", "job_id", "state", "line"], "")
            .create()
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["import_deferred", "job_row_error", "job_input", "job_queue", "job"]).await
    }
}
