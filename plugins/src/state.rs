//! What the host keeps beside a running instance: its log, its meters, and the limit it hit.

use ripen_core::ports::PluginFailure;
use wasmtime::{Error, ResourceLimiter, Result};

use crate::{
    codes,
    contract::{frame, log},
    limits::{HostLimits, show_size},
};

/// Level of the line the SDK's panic hook writes.
const ERROR: u8 = 1;

pub(crate) struct State {
    /// Most linear memory held so far, bytes.
    pub(crate) peak_memory: u64,
    /// The limit that ended the guest, where a host function or the limiter saw it.
    pub(crate) hit: Option<PluginFailure>,
    limits: GuestLimits,
    memory: u64,
    table_elements: usize,
    calls: u32,
    bytes: usize,
    lines: Vec<(u8, String)>,
    dropped: u32,
}

/// The limits that are counted here, after the manifest lowered them.
#[derive(Clone)]
pub(crate) struct GuestLimits {
    pub(crate) memory: u64,
    pub(crate) server: HostLimits,
}

impl State {
    pub(crate) fn new(limits: GuestLimits) -> Self {
        Self {
            peak_memory: 0,
            hit: None,
            limits,
            memory: 0,
            table_elements: 0,
            calls: 0,
            bytes: 0,
            lines: Vec::new(),
            dropped: 0,
        }
    }

    /// What the guest said when it panicked, or last complained about.
    pub(crate) fn last_error(&self) -> Option<&str> {
        self.lines.iter().rev().find(|(level, _)| *level == ERROR).map(|(_, message)| message.as_str())
    }

    pub(crate) fn into_log(self) -> Vec<String> {
        let dropped =
            (self.dropped > 0).then(|| format!("warn {} further lines were dropped by the server", self.dropped));
        self.lines.into_iter().map(|(level, line)| format!("{} {line}", level_name(level))).chain(dropped).collect()
    }

    fn stop(&mut self, failure: PluginFailure) -> Error {
        let error = Error::msg(failure.detail.clone());
        self.hit = Some(failure);
        error
    }
}

fn level_name(level: u8) -> &'static str {
    match level {
        ERROR => "error",
        2 => "warn",
        3 => "info",
        _ => "debug",
    }
}

impl log::Host for State {
    fn write(&mut self, level: u8, mut message: String) -> Result<()> {
        let limits = &self.limits.server;
        self.calls += 1;
        self.bytes = self.bytes.saturating_add(message.len());
        if self.calls > limits.host_calls {
            let detail = format!("more than {} calls of host functions in one call", limits.host_calls);
            return Err(self.stop(codes::HOST_CALLS_EXCEEDED.because(detail)));
        }
        if self.bytes > limits.guest_bytes {
            let detail = format!("host calls handed over {} bytes, the limit is {}", self.bytes, limits.guest_bytes);
            return Err(self.stop(codes::RETURNED_TOO_MUCH.because(detail)));
        }
        if self.lines.len() < limits.log_lines {
            message.truncate(message.floor_char_boundary(limits.log_line_bytes));
            self.lines.push((level, message));
        } else {
            self.dropped += 1;
        }
        Ok(())
    }
}

impl frame::Host for State {}

impl ResourceLimiter for State {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        let wanted = self.memory + (desired as u64).saturating_sub(current as u64);
        if wanted > self.limits.memory || maximum.is_some_and(|maximum| desired > maximum) {
            let limit = maximum.map_or(self.limits.memory, |maximum| self.limits.memory.min(maximum as u64));
            let detail = format!("asked for {} of memory, the limit is {}", show_size(wanted), show_size(limit));
            return Err(self.stop(codes::MEMORY_EXCEEDED.because(detail)));
        }
        self.memory = wanted;
        self.peak_memory = self.peak_memory.max(wanted);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: Error) -> Result<()> {
        self.hit.get_or_insert_with(|| codes::MEMORY_EXCEEDED.because("memory could not grow any further"));
        Err(error)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        let (wanted, limit) =
            (self.table_elements + desired.saturating_sub(current), self.limits.server.table_elements);
        if wanted > limit {
            let detail = format!("asked for tables of {wanted} elements, the limit is {limit}");
            return Err(self.stop(codes::TABLE_EXCEEDED.because(detail)));
        }
        self.table_elements = wanted;
        Ok(true)
    }

    fn table_grow_failed(&mut self, error: Error) -> Result<()> {
        self.hit.get_or_insert_with(|| codes::TABLE_EXCEEDED.because("a table could not grow any further"));
        Err(error)
    }

    fn memories(&self) -> usize {
        crate::engine::MEMORIES as usize
    }
}
