//! The tree as text, which [`parse`](super::parse) reads back.

use std::fmt;

use super::{Call, Check, Filter, Function, Literal, Test};

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (all, word) = match self {
            Self::Test(test) => return test.fmt(f),
            Self::Any(any) => return write!(f, "any({}, {})", any.relation, any.filter),
            Self::Not(inner) => {
                return match inner.as_ref() {
                    Self::And(_) | Self::Or(_) => write!(f, "NOT ({inner})"),
                    _ => write!(f, "NOT {inner}"),
                };
            }
            Self::And(all) => (all, " AND "),
            Self::Or(all) => (all, " OR "),
        };
        for (i, inner) in all.iter().enumerate() {
            f.write_str(if i > 0 { word } else { "" })?;
            match inner {
                Self::And(_) | Self::Or(_) => write!(f, "({inner})")?,
                _ => inner.fmt(f)?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = &self.field;
        match &self.check {
            Check::Eq(value) => write!(f, "{field} = {value}"),
            Check::Ne(value) => write!(f, "{field} != {value}"),
            Check::Lt(value) => write!(f, "{field} < {value}"),
            Check::Lte(value) => write!(f, "{field} <= {value}"),
            Check::Gt(value) => write!(f, "{field} > {value}"),
            Check::Gte(value) => write!(f, "{field} >= {value}"),
            Check::Has(value) => write!(f, "{field} : {value}"),
            Check::In(values) => {
                let values: Vec<String> = values.iter().map(Literal::to_string).collect();
                write!(f, "{field} IN [{}]", values.join(", "))
            }
            Check::Between([low, high]) => write!(f, "{field} BETWEEN {low} AND {high}"),
            Check::Contains(part) => write!(f, "contains({field}, {})", quoted(part)),
            Check::StartsWith(part) => write!(f, "starts_with({field}, {})", quoted(part)),
            Check::IsNull => write!(f, "{field} IS NULL"),
            Check::IsNotNull => write!(f, "{field} IS NOT NULL"),
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(flag) => flag.fmt(f),
            Self::Number(number) => number.normalize().fmt(f),
            Self::Text(text) => f.write_str(&quoted(text)),
            Self::Call(call) => call.fmt(f),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}()", self.function.name())?;
        self.offset.map_or(Ok(()), |offset| offset.fmt(f))
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}()", self.name())
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
