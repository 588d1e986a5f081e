//! The HTTP surface. It knows no kind of record by name, and no plugin.

mod address;
mod docs;
pub mod extract;
mod head;
mod health;
mod idempotency;
mod log;
mod metrics;
mod openapi;
mod precondition;
mod problem;
mod rate;
mod resources;
pub mod routes;
mod server;
mod slots;

pub use self::{
    extract::Limits,
    metrics::{Metrics, MetricsError},
    openapi::Document,
    problem::{Catalogue, Problem, chain},
    rate::{Quotas, Rates},
    server::{App, Http, Readiness, Settings, start},
    slots::Slots,
};

const JSON: &str = "application/json";
