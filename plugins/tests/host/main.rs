//! The host through its port: what it accepts, what it refuses, what it stops. One binary, see the modules.
#![expect(clippy::expect_used, reason = "a test may stop where it stands")]

mod artefact;
mod author;
mod cache;
mod guest;
mod hostile;
mod limits;
mod pack;
mod support;
