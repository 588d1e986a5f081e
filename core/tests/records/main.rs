//! Tables, fields and the write path, without a server, on each database this machine has.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that meets what it did not expect fails"
)]

mod fields;
mod rules;
mod tables;
mod world;
mod write;

#[expect(dead_code, reason = "shared with the tests of the whole server")]
#[path = "../../../tests/support/outside.rs"]
mod outside;
#[path = "../../../tests/support/postgres.rs"]
mod postgres;
