//! Lines for the author and the operator: kept with the run, at most 100 of 1 KiB a call. Natively they go to standard
//! error. A panic logs its message by itself before it ends the call.

use std::fmt::Display;

/// Something failed.
pub fn error(message: impl Display) {
    write(1, &message);
}

/// Something looks wrong.
pub fn warn(message: impl Display) {
    write(2, &message);
}

/// Something worth knowing.
pub fn info(message: impl Display) {
    write(3, &message);
}

/// Something for the author.
pub fn debug(message: impl Display) {
    write(4, &message);
}

#[cfg(target_arch = "wasm32")]
fn write(level: u8, message: &dyn Display) {
    crate::bindings::shared::ripen::host::log::write(level, &message.to_string());
}

#[cfg(not(target_arch = "wasm32"))]
fn write(level: u8, message: &dyn Display) {
    eprintln!("{level} {message}");
}
