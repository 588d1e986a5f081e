use std::borrow::Cow;

use crate::{Reason, columns::Segments, few::Few, reason, score::same};

/// The label of one row, or several with weights.
///
/// ```
/// use ripen_plugin::{Reason, Segment};
/// Segment::of("champion").reason(Reason::new("best_fifth").arg(5));
/// Segment::none().and("price", 0.7).and("service", 0.3);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    labels: Few<(Cow<'static, str>, f64), 1>,
    reasons: Few<Reason, 1>,
}

impl Segment {
    /// Exactly one label of the manifest's `[outputs] labels`.
    pub fn of(label: impl Into<Cow<'static, str>>) -> Self {
        Self::none().and(label, 1.0)
    }

    /// No label yet: where the manifest allows several (`multiple = true`), [`Segment::and`] adds each.
    pub fn none() -> Self {
        Self { labels: Few::new(), reasons: Few::new() }
    }

    /// Adds a label with its weight.
    #[must_use]
    #[inline]
    pub fn and(mut self, label: impl Into<Cow<'static, str>>, weight: f64) -> Self {
        self.labels.push((label.into(), weight));
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

/// Gathers the labels of single rows into columns.
pub(crate) struct Collector {
    labels: Vec<Cow<'static, str>>,
    offsets: Vec<u32>,
    codes: Vec<u32>,
    weights: Vec<f64>,
    reasons: reason::Collector,
}

impl Collector {
    pub(crate) fn new(rows: u32) -> Self {
        let rows = rows as usize;
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self {
            labels: Vec::new(),
            offsets,
            codes: Vec::with_capacity(rows),
            weights: Vec::with_capacity(rows),
            reasons: reason::Collector::default(),
        }
    }

    pub(crate) fn push(&mut self, segment: Segment) -> Result<(), String> {
        let row = u32::try_from(self.offsets.len() - 1).map_err(|_| "too many rows")?;
        for (label, weight) in segment.labels {
            let known = self.labels.iter().position(|known| same(known, &label));
            let code = known.unwrap_or_else(|| {
                self.labels.push(label);
                self.labels.len() - 1
            });
            self.codes.push(u32::try_from(code).map_err(|_| "too many labels")?);
            self.weights.push(weight);
        }
        self.offsets.push(u32::try_from(self.codes.len()).map_err(|_| "too many labels")?);
        segment.reasons.into_iter().try_for_each(|reason| self.reasons.push(row, reason))
    }

    pub(crate) fn finish(self) -> Segments {
        Segments {
            labels: self.labels.into_iter().map(Cow::into_owned).collect(),
            offsets: self.offsets,
            codes: self.codes,
            weights: self.weights,
            reasons: self.reasons.finish(),
        }
    }
}
