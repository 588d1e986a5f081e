//! What tenants make their own: fields of any kind, and kinds.
//!
//! Definitions are records (`custom_field`, `custom_object`) written like all others. From them each tenant gets its own
//! kinds ([`Registry`](crate::engine::Registry)), remembered with the tenant and made anew when its generation rises.
//! There is no DDL at run time: values live in the JSON column `custom` of each record, records of custom objects in the
//! one table `custom_record`.

mod check;
pub mod define;
mod kinds;
mod preview;
pub mod rules;

pub use self::{
    check::{Failure, Preview},
    kinds::kinds,
    preview::preview,
    rules::RESERVED_WORDS,
};
