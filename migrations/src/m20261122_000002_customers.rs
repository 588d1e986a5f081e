//! Accounts and contacts.

use sea_orm_migration::{MigrationTrait, SchemaManager, async_trait, prelude::DeriveMigrationName, sea_orm::DbErr};

use crate::table::{
    Table,
    Type::{Date, Instant, Integer, Json, Text},
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
        Table::record(manager, "account")
            .owned()
            .required(&[("name", Text), ("kind", Text), ("lifecycle", Text)])
            .optional(&[("grade", Text), ("industry", Text), ("country", Text), ("region", Text)])
            .optional(&[("employees", Integer), ("year_founded", Integer)])
            .money("annual_revenue")
            .optional(&[("registration_id", Text), ("tax_id", Text), ("website", Text), ("phone", Text)])
            .optional(&[("billing_address", Json), ("shipping_address", Json), ("handles", Json), ("opt_outs", Json)])
            .optional(&[("source", Text), ("needs", Text), ("preferences", Text), ("last_contact_at", Instant)])
            .refers("parent_id", "account")
            .refers("referred_by_id", "account")
            .index(&["name"])
            .index(&["last_contact_at"])
            .create()
            .await?;
        Table::record(manager, "contact")
            .owned()
            .optional(&[("first_name", Text)])
            .required(&[("last_name", Text), ("name_order", Text)])
            .optional(&[("title", Text), ("email", Text), ("phone", Text), ("birthday", Date)])
            .optional(&[("other_emails", Json), ("other_phones", Json), ("handles", Json), ("opt_outs", Json)])
            .optional(&[("source", Text), ("last_contact_at", Instant)])
            .refers("account_id", "account")
            .index(&["last_name"])
            .index(&["email"])
            .create()
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["contact", "account"]).await
    }
}
