//! What a plugin may use, on this server and after its manifest lowered it.

use std::time::Duration;

use ripen_core::ports::{Limits, Manifest};

pub(crate) const KIB: u64 = 1 << 10;
pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const GIB: u64 = 1 << 30;

/// The server's limits. A manifest may lower `fuel`, `fuel_per_row` and `memory`, never raise one.
#[derive(Clone, Debug)]
pub struct HostLimits {
    /// Bytes of a component, and of one whose manifest says `large = true`.
    pub component: u64,
    pub large_component: u64,
    /// Bytes of the `ripen:manifest` section, fixtures and schema included.
    pub manifest: u64,
    /// Fuel of a call (its `init` included), plus so much a row.
    pub fuel: u64,
    pub fuel_per_row: u64,
    /// Bytes of linear memory of one instance.
    pub memory: u64,
    /// Elements of all tables of one instance.
    pub table_elements: usize,
    /// Bytes of WebAssembly stack.
    pub stack: usize,
    /// Wall clock of instantiation, and as much again of `init`.
    pub init_time: Duration,
    /// Wall clock of a call, plus so much a row.
    pub call_time: Duration,
    pub call_time_per_row: Duration,
    /// Calls of host functions in one call.
    pub host_calls: u32,
    /// Bytes handed from guest to host: by the answer, and by all host calls of one call.
    pub guest_bytes: usize,
    /// Lines kept of what the guest logs in one call, and bytes kept of each.
    pub log_lines: usize,
    pub log_line_bytes: usize,
    /// Rows of one call.
    pub rows: u32,
    /// Instances alive at a time before the pooling allocator refuses another.
    pub instances: u32,
    /// Processor time and address space of the process that compiles.
    pub compile_time: Duration,
    pub compile_memory: u64,
}

impl Default for HostLimits {
    fn default() -> Self {
        Self {
            component: 4 * MIB,
            large_component: 24 * MIB,
            manifest: 256 * KIB,
            fuel: 20_000_000,
            fuel_per_row: 1_000_000,
            memory: 32 * MIB,
            table_elements: 4_000,
            stack: 512 << 10,
            init_time: Duration::from_secs(1),
            call_time: Duration::from_millis(250),
            call_time_per_row: Duration::from_millis(5),
            host_calls: 1_000,
            guest_bytes: 8 << 20,
            log_lines: 100,
            log_line_bytes: 1 << 10,
            rows: 10_000,
            instances: 50,
            compile_time: Duration::from_mins(1),
            compile_memory: GIB,
        }
    }
}

impl HostLimits {
    /// Fuel for `init` and one call over `rows` rows.
    pub(crate) fn fuel_for(&self, rows: u32, wanted: &Limits) -> u64 {
        let base = wanted.fuel.map_or(self.fuel, |fuel| fuel.min(self.fuel));
        let per_row = wanted.fuel_per_row.map_or(self.fuel_per_row, |fuel| fuel.min(self.fuel_per_row));
        per_row.saturating_mul(u64::from(rows)).saturating_add(base)
    }

    pub(crate) fn memory_for(&self, wanted: &Limits) -> u64 {
        wanted.memory.as_deref().and_then(parse_size).map_or(self.memory, |memory| memory.min(self.memory))
    }

    pub(crate) fn time_for(&self, rows: u32) -> Duration {
        self.call_time.saturating_add(self.call_time_per_row.saturating_mul(rows))
    }

    pub(crate) fn component_for(&self, manifest: &Manifest) -> u64 {
        if manifest.limits.large { self.large_component } else { self.component }
    }
}

/// Bytes of `16 MiB`, `512 KiB` or `65536 B`.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = text.trim().split_once(' ')?;
    let unit = match unit.trim() {
        "B" => 1,
        "KiB" => KIB,
        "MiB" => MIB,
        "GiB" => GIB,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// `33554432` as `32 MiB`: the largest unit that divides it, as [`parse_size`] reads it.
pub(crate) fn show_size(bytes: u64) -> String {
    [(GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")]
        .into_iter()
        .find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit))
        .map_or_else(|| format!("{bytes} B"), |(unit, name)| format!("{} {name}", bytes / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_they_are_shown() {
        for bytes in [0, 1, 1023, 1024, 1536, 16 * MIB, 4 * GIB, 5 * MIB + 1] {
            assert_eq!(parse_size(&show_size(bytes)), Some(bytes), "{}", show_size(bytes));
        }
        for bad in ["", "16", "16MiB", "16 MB", "-1 MiB", "1.5 MiB", "99999999999 GiB"] {
            assert_eq!(parse_size(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_manifest_lowers_but_never_raises() {
        let server = HostLimits::default();
        let low = Limits { memory: Some("1 MiB".into()), fuel: Some(10), fuel_per_row: Some(2), large: false };
        assert_eq!((server.memory_for(&low), server.fuel_for(5, &low)), (MIB, 20));
        let high = Limits { memory: Some("9 GiB".into()), fuel: Some(u64::MAX), fuel_per_row: None, large: false };
        assert_eq!((server.memory_for(&high), server.fuel_for(1, &high)), (32 * MIB, 21_000_000));
    }
}
