//! Plugins, their installations and runs, and what they decide.

use sea_orm_migration::{MigrationTrait, SchemaManager, async_trait, prelude::DeriveMigrationName, sea_orm::DbErr};

use crate::table::{
    Table,
    Type::{self, Boolean, Bytes, Id, Instant, Integer, Json, Number, Text},
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
        plugins(manager).await?;
        runs(manager).await?;
        let said = [("reasons", Json), ("digest", Text), ("config_version", Integer), ("stale", Boolean)];
        let subject = ["tenant_id", "installation_id", "subject_id"];
        let score = [("value", Number), ("contributions", Json), ("figures", Json)];
        decision(manager, "score", &subject, &[&score[..], &said].concat())
            .index(&["installation_id", "value"])
            .create()
            .await?;
        let label = [("position", Integer), ("label", Text), ("weight", Number)];
        let place = [&subject[..], &["position"]].concat();
        decision(manager, "label", &place, &[&label[..], &said].concat())
            .index(&["installation_id", "label"])
            .create()
            .await?;
        decision(manager, "not_scored", &subject, &[("code", Text), ("args", Json)]).create().await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let decisions = ["not_scored", "label", "score"];
        let runs = ["run_result", "statistics", "plugin_run"];
        let plugins = ["installation_config", "installation", "plugin_bytes", "plugin"];
        drop(manager, &[&decisions[..], &runs[..], &plugins[..]].concat()).await
    }
}

async fn plugins(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    Table::record(manager, "plugin")
        .required(&[("name", Text), ("release", Text), ("description", Text), ("license", Text), ("kinds", Json)])
        .required(&[("subject", Text), ("digest", Text), ("size", Integer), ("api", Text), ("imports", Json)])
        .required(&[("fixtures", Integer), ("fuel_per_row", Integer), ("manifest", Json)])
        .unique(&["name", "release"])
        .create()
        .await?;
    Table::new(manager, "plugin_bytes")
        .required(&[("tenant_id", Id)])
        .required(&[("plugin_id", Id), ("bytes", Bytes)])
        .key(&["tenant_id", "plugin_id"])
        .foreign("plugin_id", "plugin")
        .create()
        .await?;
    Table::record(manager, "installation")
        .required(&[("key", Text)])
        .belongs("plugin_id", "plugin")
        .required(&[("kind", Text), ("subject", Text)])
        .optional(&[("where", Text)])
        .required(&[("config", Json), ("bindings", Json), ("state", Text), ("seed", Integer)])
        .required(&[("config_version", Integer)])
        .unique(&["key"])
        .create()
        .await?;
    Table::new(manager, "installation_config")
        .required(&[("tenant_id", Id), ("installation_id", Id), ("config_version", Integer), ("plugin_id", Id)])
        .optional(&[("where", Text)])
        .required(&[("config", Json), ("bindings", Json), ("created_at", Instant)])
        .optional(&[("created_by", Id)])
        .key(&["tenant_id", "installation_id", "config_version"])
        .foreign("installation_id", "installation")
        .foreign("plugin_id", "plugin")
        .create()
        .await
}

async fn runs(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    Table::record(manager, "plugin_run")
        .owned()
        .belongs("installation_id", "installation")
        .required(&[("mode", Text), ("as_of", Instant)])
        .optional(&[("where", Text), ("config", Json), ("outcome", Json)])
        .required(&[("config_version", Integer), ("plugin_digest", Text)])
        .optional(&[("input_digest", Text), ("rows", Integer), ("scored", Integer), ("not_scored", Integer)])
        .optional(&[("fuel", Integer), ("ms", Integer), ("peak_memory", Integer)])
        .optional(&[("ended", Text), ("problem", Text), ("result", Json)])
        .create()
        .await?;
    Table::new(manager, "statistics")
        .required(&[("tenant_id", Id), ("id", Id), ("installation_id", Id), ("config_version", Integer)])
        .required(&[("as_of", Instant), ("digest", Text), ("document", Json), ("created_at", Instant)])
        .key(&["tenant_id", "id"])
        .foreign("installation_id", "installation")
        .index(&["installation_id", "config_version", "as_of"])
        .create()
        .await?;
    Table::new(manager, "run_result")
        .required(&[("tenant_id", Id), ("run_id", Id), ("subject_id", Id)])
        .optional(&[("external_id", Text), ("value_before", Number), ("label_before", Text)])
        .optional(&[("value_after", Number), ("label_after", Text)])
        .key(&["tenant_id", "run_id", "subject_id"])
        .foreign("run_id", "plugin_run")
        .create()
        .await
}

/// A narrow table of decisions, whose rows are told apart by `key`.
fn decision<'a>(
    manager: &'a SchemaManager<'a>,
    name: &'static str,
    key: &[&str],
    own: &[(&'static str, Type)],
) -> Table<'a> {
    Table::new(manager, name)
        .required(&[("tenant_id", Id), ("id", Id), ("version", Integer), ("created_at", Instant)])
        .required(&[("updated_at", Instant)])
        .optional(&[("deleted_at", Instant)])
        .required(&[("installation_id", Id), ("plugin_run_id", Id)])
        .required(&[("subject_kind", Text), ("subject_id", Id), ("as_of", Instant)])
        .required(own)
        .key(&["tenant_id", "id"])
        .foreign("installation_id", "installation")
        .foreign("plugin_run_id", "plugin_run")
        .always_unique(key)
        .index(&["subject_id"])
}
