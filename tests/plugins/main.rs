//! Plugins through the front door: uploaded, put to work, run over real data, and bad ones stopped.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that meets what it did not expect fails"
)]

mod data;
mod hostile;
mod installations;
mod meanwhile;
mod restart;
mod rfm;
#[path = "../support/mod.rs"]
mod support;
mod uploads;
mod work;
