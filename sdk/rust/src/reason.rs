use std::borrow::Cow;

use crate::{
    Money,
    columns::{self, Column, Texts},
    few::Few,
    score::same,
};

/// Why a row has its value or label: a code of the manifest's `[outputs] reasons` with the arguments of its text.
///
/// ```
/// use ripen_plugin::{Money, Reason};
/// Reason::new("big_spender").arg(Money(1_250_00)).arg(365);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    code: Cow<'static, str>,
    args: Few<Arg, 2>,
}

impl Reason {
    /// A reason without arguments.
    pub fn new(code: impl Into<Cow<'static, str>>) -> Self {
        Self { code: code.into(), args: Few::new() }
    }

    /// Adds the next argument: the first is `{0}` in the text. A code has the same types of arguments in every row.
    #[must_use]
    #[inline]
    pub fn arg(mut self, arg: impl Into<Arg>) -> Self {
        self.args.push(arg.into());
        self
    }
}

impl From<&'static str> for Reason {
    fn from(code: &'static str) -> Self {
        Self::new(code)
    }
}

/// An argument of a [`Reason`].
#[derive(Clone, Debug, PartialEq)]
pub enum Arg {
    /// `{0}`.
    Number(f64),
    /// `{0}`, or `{0:money}` for minor units, or `{0:date}` for days since 1970-01-01.
    Integer(i64),
    /// `{0}`.
    Boolean(bool),
    /// `{0}`.
    Text(String),
}

impl From<f64> for Arg {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<i64> for Arg {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<Money> for Arg {
    fn from(value: Money) -> Self {
        Self::Integer(value.0)
    }
}

impl From<bool> for Arg {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<&str> for Arg {
    fn from(value: &str) -> Self {
        Self::Text(value.into())
    }
}

impl From<String> for Arg {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

/// Gathers the reasons of single rows into columns, one set of columns a code.
#[derive(Default)]
pub(crate) struct Collector(Vec<Columns>);

struct Columns {
    code: Cow<'static, str>,
    rows: Vec<u32>,
    args: Vec<Column>,
}

impl Collector {
    pub(crate) fn push(&mut self, row: u32, reason: Reason) -> Result<(), String> {
        let Reason { code, args } = reason;
        let known = self.0.iter().position(|known| same(&known.code, &code));
        let index = known.unwrap_or_else(|| {
            self.0.push(Columns { code, rows: Vec::new(), args: args.iter().map(empty_column).collect() });
            self.0.len() - 1
        });
        let Some(Columns { code, rows, args: columns }) = self.0.get_mut(index) else { return Ok(()) };
        if columns.len() != args.len() {
            return Err(format!(
                "reason `{code}`, row {row}: {} arguments, {} in rows before",
                args.len(),
                columns.len()
            ));
        }
        rows.push(row);
        for (index, (column, arg)) in columns.iter_mut().zip(args).enumerate() {
            append(column, arg)
                .ok_or_else(|| format!("reason `{code}`, row {row}: argument {index} has another type than before"))?;
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Vec<columns::Reason> {
        let reason = |Columns { code, rows, args }| columns::Reason { code: code.into_owned(), rows, args };
        self.0.into_iter().map(reason).collect()
    }
}

fn empty_column(arg: &Arg) -> Column {
    match arg {
        Arg::Number(_) => Column::Numbers(Vec::new()),
        Arg::Integer(_) => Column::Integers(Vec::new()),
        Arg::Boolean(_) => Column::Booleans(Vec::new()),
        Arg::Text(_) => Column::Texts(Texts { dict: Vec::new(), codes: Vec::new() }),
    }
}

fn append(column: &mut Column, arg: Arg) -> Option<()> {
    match (column, arg) {
        (Column::Numbers(values), Arg::Number(value)) => values.push(value),
        (Column::Integers(values), Arg::Integer(value)) => values.push(value),
        (Column::Booleans(values), Arg::Boolean(value)) => values.push(value.into()),
        (Column::Texts(texts), Arg::Text(text)) => {
            texts.codes.push(u32::try_from(texts.dict.len()).ok()?);
            texts.dict.push(text);
        }
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_become_columns_of_their_code() {
        let mut reasons = Collector::default();
        reasons.push(0, Reason::new("a").arg(1.5).arg("x")).unwrap();
        reasons.push(1, Reason::new("b").arg(true)).unwrap();
        reasons.push(2, Reason::new("a").arg(2.5).arg("y")).unwrap();
        let texts = Texts { dict: vec!["x".into(), "y".into()], codes: vec![0, 1] };
        let args = vec![Column::Numbers(vec![1.5, 2.5]), Column::Texts(texts)];
        let a = columns::Reason { code: "a".into(), rows: vec![0, 2], args };
        let b = columns::Reason { code: "b".into(), rows: vec![1], args: vec![Column::Booleans(vec![1])] };
        assert_eq!(reasons.finish(), [a, b]);
    }

    #[test]
    fn a_code_keeps_the_types_of_its_arguments() {
        let mut reasons = Collector::default();
        reasons.push(0, Reason::new("a").arg(1.5)).unwrap();
        let count = reasons.push(1, Reason::new("a")).unwrap_err();
        assert_eq!(count, "reason `a`, row 1: 0 arguments, 1 in rows before");
        let kind = reasons.push(2, Reason::new("a").arg("x")).unwrap_err();
        assert_eq!(kind, "reason `a`, row 2: argument 0 has another type than before");
    }
}
