//! The whole server through its front door.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that meets what it did not expect fails"
)]

mod aggregate;
mod api_keys;
mod auth;
mod batch;
mod changes;
mod complaints;
mod composite;
mod contract;
mod corpora;
mod crash;
mod custom_fields;
mod custom_objects;
mod custom_types;
mod erasure;
mod every_kind;
mod export;
mod fence;
mod hostile;
mod idempotency;
mod import_cells;
mod imports;
mod jobs;
mod limits;
mod lines;
mod mass;
mod matrix;
mod merges;
mod one_time;
mod openapi;
mod pages;
mod past;
mod plans;
mod query;
mod queue;
mod races;
mod readiness;
mod role_fields;
mod role_rows;
mod roles;
mod sample_kind;
mod search;
mod shares;
mod statements;
mod strict;
#[path = "../support/mod.rs"]
mod support;
mod tenant;
mod uploads;
mod values;
mod words;
mod workbooks;
