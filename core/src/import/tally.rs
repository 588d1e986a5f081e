//! What became of the rows, in numbers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::spec::Spec;
use crate::jobs::Progress;

/// Counts over the rows that are settled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub rows: u64,
    pub created: u64,
    pub updated: u64,
    pub unchanged: u64,
    pub failed: u64,
    pub warnings: u64,
    /// Column -> text replaced -> accepted rows.
    pub replaced: BTreeMap<String, BTreeMap<String, u64>>,
    /// Column -> accepted rows whose cell is empty.
    pub empty: BTreeMap<String, u64>,
}

impl Tally {
    pub fn add(&mut self, page: &Self) {
        self.rows += page.rows;
        self.created += page.created;
        self.updated += page.updated;
        self.unchanged += page.unchanged;
        self.failed += page.failed;
        self.warnings += page.warnings;
        for (column, texts) in &page.replaced {
            let column = self.replaced.entry(column.clone()).or_default();
            for (text, rows) in texts {
                *column.entry(text.clone()).or_default() += rows;
            }
        }
        for (column, rows) in &page.empty {
            *self.empty.entry(column.clone()).or_default() += rows;
        }
    }

    pub fn progress(&self, total: u64) -> Progress {
        Progress {
            done: self.rows,
            total: Some(total.max(self.rows)),
            ok: self.rows.saturating_sub(self.failed),
            failed: self.failed,
        }
    }

    /// The job's result.
    pub fn result(&self, spec: &Spec, unread: &[String]) -> Json {
        let replaced: Vec<_> = self
            .replaced
            .iter()
            .flat_map(|(column, texts)| texts.iter().map(move |(from, rows)| (column, from, rows)))
            .map(|(column, from, rows)| {
                let to = spec.replace.get(column).and_then(|words| words.get(from));
                json!({"column": column, "from": from, "to": to, "rows": rows})
            })
            .collect();
        json!({
            "kind": &*spec.kind,
            "dry_run": spec.dry_run,
            "rows": self.rows,
            "created": self.created,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "failed": self.failed,
            "warnings": self.warnings,
            "replaced": replaced,
            "empty": self.empty,
            "columns_not_read": unread,
        })
    }
}
