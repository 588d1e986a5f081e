//! One kind a file. Adding a kind adds its file, its line here and its migration.

pub mod account;
pub mod job;
pub mod user;

use crate::engine::Registry;

/// Every kind there is. The order is that of the API description.
pub fn all() -> Registry {
    Registry::default().with(user::Entity).with(account::Entity).with(job::Entity)
}
