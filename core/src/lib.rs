//! Records, metrics, decisions. Knows no HTTP and no wasm.

pub mod ports;
