//! The WebAssembly plugin host: checks components, runs them in a sandbox, and checks what they answer.
//!
//! It knows no HTTP, no database and no records. A plugin sees the rows it is handed and nothing else.

pub mod author;
mod cache;
mod call;
mod capabilities;
mod check;
pub mod codes;
mod compile;
mod contract;
mod engine;
pub mod fixture;
mod host;
mod limits;
mod load;
mod manifest;
pub mod pack;
pub mod rows;
mod sections;
mod state;
pub mod toolchain;
pub mod trial;

pub use codes::{CODES, Code};
pub use compile::{Compiler, compile_child};
pub use contract::API;
pub use host::{CacheSettings, Host, HostError, HostSettings};
pub use limits::HostLimits;
pub use load::digest;
pub use sections::{API_SECTION, Inspection, MANIFEST_SECTION, inspect};
