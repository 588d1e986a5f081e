//! Plugins through the front door: uploaded, put to work, run over real data, and bad ones stopped.

mod data;
mod hostile;
mod installations;
mod restart;
mod rfm;
#[path = "../support/mod.rs"]
mod support;
mod uploads;
mod work;
