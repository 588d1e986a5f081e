//! The whole server through its front door.

mod auth;
mod contract;
mod every_kind;
mod hostile;
mod openapi;
mod query;
#[path = "../support/mod.rs"]
mod support;
