//! One kind a file. Adding a kind adds its file, its line here and its migration.

pub mod account;
pub mod contact;
pub mod custom_field;
pub mod custom_object;
pub mod custom_record;
pub mod import_mapping;
pub mod installation;
pub mod interaction;
pub mod job;
pub mod label;
pub mod membership;
pub mod merge;
pub mod not_scored;
pub mod opportunity;
pub mod order;
pub mod order_line;
pub mod pipeline;
pub mod plugin;
pub mod plugin_run;
pub mod product;
pub mod role;
mod rules;
pub mod score;
pub mod share;
pub mod stage;
pub mod team;
mod totals;
pub mod user;

use crate::engine::Registry;

/// Every kind there is. The order is that of the API description.
pub fn all() -> Registry {
    Registry::default()
        .with(user::Entity)
        .with(role::Entity)
        .with(team::Entity)
        .with(membership::Entity)
        .with(account::Entity)
        .with(contact::Entity)
        .with(product::Entity)
        .with(pipeline::Entity)
        .with(stage::Entity)
        .with(opportunity::Entity)
        .with(order::Entity)
        .with(order_line::Entity)
        .with(interaction::Entity)
        .with(share::Entity)
        .with(merge::Entity)
        .with(plugin::Entity)
        .with(installation::Entity)
        .with(plugin_run::Entity)
        .with(score::Entity)
        .with(label::Entity)
        .with(not_scored::Entity)
        .with(job::Entity)
        .with(custom_field::Entity)
        .with(custom_object::Entity)
        .with(import_mapping::Entity)
}
