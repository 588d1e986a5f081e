//! The whole server through its front door.

mod auth;
mod contract;
mod hostile;
mod openapi;
mod query;
#[path = "../support/mod.rs"]
mod support;
