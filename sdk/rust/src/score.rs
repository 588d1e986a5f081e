use std::borrow::Cow;

use crate::{
    Reason,
    columns::{Figure, Scores},
    reason,
};

/// The answer for one row: a value with what it is made of, or a refusal to score it.
///
/// ```
/// use ripen_plugin::{Reason, Score};
/// let (base, bonus) = (40.0, 12.5);
/// Score::new(base + bonus)
///     .contribution("base", base)
///     .contribution("bonus", bonus)
///     .figure("expected_orders", 1.7)
///     .reason(Reason::new("many_orders").arg(14));
/// Score::declined("too_young");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    value: f64,
    contributions: Vec<(Cow<'static, str>, f64)>,
    figures: Vec<(Cow<'static, str>, f64)>,
    reasons: Vec<Reason>,
    /// Boxed to keep the answer small: it is moved at each step of its making.
    declined: Option<Box<Reason>>,
}

impl Score {
    /// A value; finite, and within the manifest's range.
    pub fn new(value: f64) -> Self {
        Self { value, contributions: Vec::new(), figures: Vec::new(), reasons: Vec::new(), declined: None }
    }

    /// No value for this row, and why.
    pub fn declined(reason: impl Into<Reason>) -> Self {
        Self { declined: Some(Box::new(reason.into())), ..Self::new(0.0) }
    }

    /// Adds a term of the value. In the order of adding they make up the value as the manifest's
    /// `contributions` says: `sum`, `log_odds` or `none`.
    #[must_use]
    #[inline]
    pub fn contribution(mut self, code: impl Into<Cow<'static, str>>, value: f64) -> Self {
        self.contributions.push((code.into(), value));
        self
    }

    /// Adds a result that is no part of the value.
    #[must_use]
    #[inline]
    pub fn figure(mut self, code: impl Into<Cow<'static, str>>, value: f64) -> Self {
        self.figures.push((code.into(), value));
        self
    }

    /// Adds a reason.
    #[must_use]
    #[inline]
    pub fn reason(mut self, reason: impl Into<Reason>) -> Self {
        self.reasons.push(reason.into());
        self
    }
}

/// Gathers the scores of single rows into columns.
pub(crate) struct Collector {
    rows: usize,
    values: Vec<f64>,
    contributions: Columns,
    figures: Columns,
    reasons: reason::Collector,
    declined: reason::Collector,
}

impl Collector {
    pub(crate) fn new(rows: u32) -> Self {
        let rows = rows as usize;
        Self {
            rows,
            values: Vec::with_capacity(rows),
            contributions: Columns::default(),
            figures: Columns::default(),
            reasons: reason::Collector::default(),
            declined: reason::Collector::default(),
        }
    }

    pub(crate) fn push(&mut self, score: Score) -> Result<(), String> {
        let row = self.values.len();
        let row_number = u32::try_from(row).map_err(|_| "too many rows")?;
        self.values.push(score.value);
        if let Some(reason) = score.declined {
            return self.declined.push(row_number, *reason);
        }
        self.contributions.place(score.contributions, row, self.rows);
        self.figures.place(score.figures, row, self.rows);
        score.reasons.into_iter().try_for_each(|reason| self.reasons.push(row_number, reason))
    }

    pub(crate) fn finish(self) -> Scores {
        Scores {
            values: self.values,
            contributions: self.contributions.finish(),
            figures: self.figures.finish(),
            reasons: self.reasons.finish(),
            declined: self.declined.finish(),
        }
    }
}

/// Figures by code, in the order in which rows first named them.
#[derive(Default)]
struct Columns(Vec<(Cow<'static, str>, Vec<f64>)>);

impl Columns {
    /// Writes one row's figures; rows that lack a figure hold 0. Rows mostly name the same codes in the same order, so
    /// the place in the list is tried before a search.
    fn place(&mut self, figures: Vec<(Cow<'static, str>, f64)>, row: usize, rows: usize) {
        for (position, (code, value)) in figures.into_iter().enumerate() {
            let here = self.0.get(position).is_some_and(|(known, _)| same(known, &code));
            let found = if here { Some(position) } else { self.0.iter().position(|(known, _)| same(known, &code)) };
            let index = found.unwrap_or_else(|| {
                self.0.push((code, vec![0.0; rows]));
                self.0.len() - 1
            });
            if let Some(cell) = self.0.get_mut(index).and_then(|(_, values)| values.get_mut(row)) {
                *cell += value;
            }
        }
    }

    fn finish(self) -> Vec<Figure> {
        self.0.into_iter().map(|(code, values)| Figure { code: code.into_owned(), values }).collect()
    }
}

/// Codes are mostly literals, the same bytes in every row: comparing where they lie is cheaper than what they are.
pub(crate) fn same(a: &str, b: &str) -> bool {
    std::ptr::eq(a, b) || a == b
}
