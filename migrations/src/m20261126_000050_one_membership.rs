//! Nobody is in a team twice at a time: ending one membership left what the other gave.

use sea_orm_migration::{
    MigrationTrait, SchemaManager, async_trait, prelude::DeriveMigrationName, sea_orm::ConnectionTrait, sea_orm::DbErr,
};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        db.execute_unprepared(END_DOUBLES).await?;
        db.execute_unprepared(ONE).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared("drop index \"membership_user_id_team_id_key\"").await?;
        Ok(())
    }
}

/// The oldest stays. The others end where they began, or were made.
const END_DOUBLES: &str = "update \"membership\" set \"version\" = \"version\" + 1, \
       \"to_at\" = case when \"from_at\" > \"created_at\" then \"from_at\" else \"created_at\" end \
     where \"to_at\" is null and \"deleted_at\" is null and exists (select 1 from \"membership\" as \"older\" \
       where \"older\".\"tenant_id\" = \"membership\".\"tenant_id\" and \"older\".\"user_id\" = \"membership\".\"user_id\" \
         and \"older\".\"team_id\" = \"membership\".\"team_id\" and \"older\".\"to_at\" is null \
         and \"older\".\"deleted_at\" is null and \"older\".\"id\" < \"membership\".\"id\")";

const ONE: &str = "create unique index \"membership_user_id_team_id_key\" \
     on \"membership\" (\"tenant_id\", \"user_id\", \"team_id\") where \"to_at\" is null and \"deleted_at\" is null";
