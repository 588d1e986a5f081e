//! Facts and answers as columns: the shape in which they cross into a plugin and back.

/// Text by dictionary: row i is `dict[codes[i]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    pub dict: Vec<String>,
    pub codes: Vec<u32>,
}

/// Row i has the words `dict[codes[offsets[i]..offsets[i + 1]]]`; `offsets` has rows + 1 entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    pub dict: Vec<String>,
    pub offsets: Vec<u32>,
    pub codes: Vec<u32>,
}

/// Row i has the numbers `values[offsets[i]..offsets[i + 1]]`; `offsets` has rows + 1 entries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    pub offsets: Vec<u32>,
    pub values: Vec<f64>,
}

/// One fact of every row. Where a row has no value the entry is 0 or empty and `FrameField::present` says so.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    Numbers(Vec<f64>),
    /// Within +-(2^53 - 1), both ways.
    Integers(Vec<i64>),
    /// 0 or 1.
    Booleans(Vec<u8>),
    Texts(Texts),
    Words(Words),
    Series(Series),
}

/// A named column. `unit`: ISO 4217 code (money in minor units), `ms` (instant), `day` (local date, days since
/// 1970-01-01), `days`, `ratio`, ..
#[derive(Clone, Debug, PartialEq)]
pub struct FrameField {
    pub name: String,
    pub unit: Option<String>,
    pub column: Column,
    /// 1 where the row has a value; `None` where every row has one.
    pub present: Option<Vec<u8>>,
}

/// The rows of one call, by column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frame {
    pub rows: u32,
    pub fields: Vec<FrameField>,
}

/// Everything a run depends on besides its rows and its configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunContext {
    /// Business time, milliseconds since 1970-01-01T00:00Z.
    pub as_of_ms: i64,
    /// IANA name of the tenant's zone.
    pub timezone: String,
    /// ISO 4217 code of the tenant's base currency and its number of decimals.
    pub currency: String,
    pub currency_digits: u8,
    /// Fixed per installation.
    pub seed: u32,
    /// JSON object by name of the manifest's `[statistics]`: `{"recency_cuts": {"values": [..], "count": n}}`.
    pub statistics: String,
    /// JSON object made by a fit, where one is pinned.
    pub model: Option<String>,
}

/// One code, the rows it holds for, and its arguments: columns as long as `rows`.
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    pub code: String,
    pub rows: Vec<u32>,
    pub args: Vec<Column>,
}

/// One number a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    pub code: String,
    pub values: Vec<f64>,
}

/// A scorer's answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    pub values: Vec<f64>,
    /// Add up to `values` as the manifest says.
    pub contributions: Vec<Figure>,
    /// Further figures of the same rows, not added up.
    pub figures: Vec<Figure>,
    pub reasons: Vec<Reason>,
    /// Rows the plugin declines to score, each once; their values, contributions and figures are 0.
    pub declined: Vec<Reason>,
}

/// A segmenter's answer: row i has `labels[codes[k]]` with `weights[k]`, k in `offsets[i]..offsets[i + 1]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Segments {
    pub labels: Vec<String>,
    pub offsets: Vec<u32>,
    pub codes: Vec<u32>,
    pub weights: Vec<f64>,
    pub reasons: Vec<Reason>,
}
