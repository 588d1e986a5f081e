//! The whole server through its front door.

mod auth;
mod contract;
mod hostile;
mod openapi;
#[path = "../support/mod.rs"]
mod support;
