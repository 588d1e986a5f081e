//! The tables, for SQLite and PostgreSQL.
//!
//! Knows nothing of the entities: a migration that imported one would change its meaning whenever the entity does.

mod fence;
mod m20261122_000001_base;
mod m20261122_000002_customers;
mod m20261122_000003_sales;
mod m20261122_000004_intervals;
mod m20261122_000010_jobs;
mod m20261122_000020_access;
mod m20261122_000030_plugins;
mod m20261125_000010_feed;
mod m20261125_000020_change_by_time;
mod m20261125_000021_search;
mod m20261125_000030_idempotency;
mod m20261125_000040_tenant_settings;
mod m20261125_000041_merge;
mod m20261125_000050_role;
mod m20261125_000051_api_key;
mod m20261125_000052_share;
mod m20261125_000060_one_time_token;
mod m20261125_000070_custom;
mod m20261125_000080_mass;
mod m20261125_000090_order_line;
mod m20261125_000100_import_mapping;
mod m20261125_000110_answer_request;
mod m20261126_000010_slim_intervals;
mod m20261126_000020_definitions;
mod m20261126_000030_job_rights;
mod m20261126_000040_answer_without_request;
mod m20261126_000050_one_membership;
pub mod table;

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::{MigrationTrait, async_trait};

pub use self::fence::{fence, unfenced};

/// All migrations, in order.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261122_000001_base::Migration),
            Box::new(m20261122_000002_customers::Migration),
            Box::new(m20261122_000003_sales::Migration),
            Box::new(m20261122_000004_intervals::Migration),
            Box::new(m20261122_000010_jobs::Migration),
            Box::new(m20261122_000020_access::Migration),
            Box::new(m20261122_000030_plugins::Migration),
            Box::new(m20261125_000010_feed::Migration),
            Box::new(m20261125_000020_change_by_time::Migration),
            Box::new(m20261125_000021_search::Migration),
            Box::new(m20261125_000030_idempotency::Migration),
            Box::new(m20261125_000040_tenant_settings::Migration),
            Box::new(m20261125_000041_merge::Migration),
            Box::new(m20261125_000050_role::Migration),
            Box::new(m20261125_000051_api_key::Migration),
            Box::new(m20261125_000052_share::Migration),
            Box::new(m20261125_000060_one_time_token::Migration),
            Box::new(m20261125_000070_custom::Migration),
            Box::new(m20261125_000080_mass::Migration),
            Box::new(m20261125_000090_order_line::Migration),
            Box::new(m20261125_000100_import_mapping::Migration),
            Box::new(m20261125_000110_answer_request::Migration),
            Box::new(m20261126_000010_slim_intervals::Migration),
            Box::new(m20261126_000020_definitions::Migration),
            Box::new(m20261126_000030_job_rights::Migration),
            Box::new(m20261126_000040_answer_without_request::Migration),
            Box::new(m20261126_000050_one_membership::Migration),
        ]
    }
}
