//! Records, metrics, decisions. Knows no HTTP and no wasm.

pub mod access;
pub mod context;
pub mod custom;
pub mod decisions;
pub mod engine;
pub mod erasure;
pub mod error;
#[doc(hidden)]
pub mod fuzz;
pub mod idempotency;
pub mod import;
pub mod jobs;
pub mod mass;
pub mod metrics;
pub mod ports;
pub mod records;
pub mod store;
pub mod values;
