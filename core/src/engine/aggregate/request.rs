//! What an aggregate is asked for, as its body says it, and what of that can be done.

use chrono::NaiveDate;
use sea_orm::sea_query::{IntoIden, SelectStatement};
use serde::Deserialize;
use serde_json::Value as Json;

use super::{
    MAX_GROUP_BY, MAX_LIMIT, MAX_MEASURES, MAX_PERIODS,
    having::Having,
    measure::{Function, Measure},
    period::{Grain, Periods},
    source::{Source, Sources},
};
use crate::{
    context::Context,
    engine::{
        FieldType, Shape,
        filter::{Asked, Filter, compile_at, day},
        visible,
    },
    error::{Code, Error, Result, Violation, enough, unknown},
};

const DEFAULT_LIMIT: u64 = 200;
/// What a sort calls the periods of a time grain.
const PERIOD: &str = "period";

/// The body of the request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AggregateQuery {
    r#where: Option<Json>,
    #[serde(default)]
    group_by: Vec<String>,
    measures: Vec<NewMeasure>,
    time_grain: Option<TimeGrain>,
    having: Option<Json>,
    #[serde(default)]
    sort: Vec<String>,
    limit: Option<u64>,
    /// As [`known`](crate::engine::known) reads it.
    pub known_at: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewMeasure {
    r#fn: Function,
    field: Option<String>,
    r#as: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TimeGrain {
    field: String,
    grain: Grain,
    from: Json,
    to: Json,
}

/// A value that the groups differ by.
pub(super) struct Key {
    pub name: String,
    pub source: Source,
}

/// An aggregate, read and resolved.
pub(super) struct Plan {
    /// The rows, without columns.
    pub rows: SelectStatement,
    pub periods: Option<(Source, Periods)>,
    pub keys: Vec<Key>,
    pub measures: Vec<Measure>,
    pub having: Option<Having>,
    /// Columns of an answer, the most important first; true: descending.
    pub sort: Vec<(Column, bool)>,
    pub limit: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Period,
    Key(usize),
    Measure(usize),
}

/// Reads a query, noting everything that is wrong with it.
struct Reader<'a> {
    asked: Asked<'a>,
    sources: Sources<'a>,
    rows: SelectStatement,
    broken: Vec<Violation>,
}

impl Plan {
    /// # Errors
    /// `Malformed` with everything that is wrong with the query.
    pub fn of(cx: &Context, shape: &Shape, query: &AggregateQuery) -> Result<Self> {
        let asked = Asked { cx, now: cx.now() };
        let (sources, rows) = (Sources::new(cx, shape), visible(cx, shape));
        let mut reader = Reader { asked, sources, rows, broken: Vec::new() };
        reader.narrow(shape, query.r#where.as_ref());
        let periods = query.time_grain.as_ref().and_then(|grain| reader.periods(grain));
        let mut keys = reader.keys(&query.group_by);
        let measures = reader.measures(query, &mut keys);
        let having = query.having.as_ref().and_then(|having| reader.having(&measures, having));
        let sort = reader.sort(query, &keys, &measures);
        let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            reader.note("/limit", Code::InvalidParameter, format!("must be 1 to {MAX_LIMIT}"));
        }
        if !reader.broken.is_empty() {
            return Err(Error::Malformed(reader.broken));
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(Self { rows: reader.rows, periods, keys, measures, having, sort, limit })
    }
}

impl Reader<'_> {
    fn note(&mut self, pointer: &str, code: Code, detail: impl Into<String>) {
        self.broken.push(Violation { pointer: pointer.to_owned(), code, detail: detail.into() });
    }

    fn settle<T>(&mut self, result: Result<T, Vec<Violation>>) -> Option<T> {
        result.map_err(|wrong| self.broken.extend(wrong)).ok()
    }

    fn filter(&mut self, json: &Json, pointer: &str) -> Option<Filter> {
        match Filter::from_json(json, pointer) {
            Ok(filter) => Some(filter),
            Err(Error::Malformed(wrong)) => self.settle(Err(wrong)),
            Err(other) => self.settle(Err(vec![Violation::parameter(pointer, Code::FilterSyntax, other.to_string())])),
        }
    }

    fn narrow(&mut self, shape: &Shape, json: Option<&Json>) {
        let Some(filter) = json.and_then(|json| self.filter(json, "/where")) else { return };
        let alias = shape.table().into_iden();
        match compile_at(self.asked.cx, shape, &filter, alias, self.asked.now) {
            Ok(condition) => drop(self.rows.cond_where(condition)),
            Err(Error::Malformed(wrong)) => self.broken.extend(wrong),
            Err(other) => self.note("/where", Code::FilterSyntax, other.to_string()),
        }
    }

    fn source(&mut self, path: &str, pointer: &str) -> Option<Source> {
        let found = self.sources.of(&mut self.rows, path, pointer);
        self.settle(found.map_err(|violation| vec![violation]))
    }

    fn periods(&mut self, grain: &TimeGrain) -> Option<(Source, Periods)> {
        let source = self.source(&grain.field, "/time_grain/field");
        if source.as_ref().is_some_and(|source| !matches!(source.kind, FieldType::Date | FieldType::Instant)) {
            self.note("/time_grain/field", Code::WrongType, format!("`{}` is no date and no instant", grain.field));
        }
        let from = day(self.asked, &grain.from, "/time_grain/from");
        let to = day(self.asked, &grain.to, "/time_grain/to");
        let (from, to): (Option<NaiveDate>, _) = (self.settle(from), self.settle(to));
        let (from, to) = from.zip(to)?;
        if from >= to {
            self.note("/time_grain/to", Code::InvalidValue, "must be after `from`; it counts no more itself");
            return None;
        }
        let periods = Periods::new(grain.grain, from, to, MAX_PERIODS);
        if periods.is_none() {
            let detail = format!("are more than {MAX_PERIODS} periods; take a coarser grain or a shorter span");
            self.note("/time_grain", Code::QueryTooExpensive, detail);
        }
        source.zip(periods)
    }

    fn keys(&mut self, paths: &[String]) -> Vec<Key> {
        if paths.len() > MAX_GROUP_BY {
            self.note("/group_by", Code::QueryTooExpensive, format!("has at most {MAX_GROUP_BY} fields"));
        }
        let mut keys: Vec<Key> = Vec::new();
        for (i, path) in paths.iter().take(MAX_GROUP_BY).enumerate() {
            let pointer = format!("/group_by/{i}");
            let Some(source) = self.source(path, &pointer) else { continue };
            match source.kind {
                FieldType::Json => self.note(&pointer, Code::WrongType, "JSON values are no groups"),
                FieldType::Money => {
                    let detail = format!("amounts are measured; group by `{path}.currency`");
                    self.note(&pointer, Code::WrongType, detail);
                }
                _ if keys.iter().any(|key| key.name == *path) => {
                    self.note(&pointer, Code::InvalidValue, format!("`{path}` is named twice"));
                }
                _ => keys.push(Key { name: path.clone(), source }),
            }
        }
        keys
    }

    fn measures(&mut self, query: &AggregateQuery, keys: &mut Vec<Key>) -> Vec<Measure> {
        let wanted = &query.measures;
        if wanted.is_empty() || wanted.len() > MAX_MEASURES {
            let code = if wanted.is_empty() { Code::Required } else { Code::QueryTooExpensive };
            self.note("/measures", code, format!("has 1 to {MAX_MEASURES} measures"));
        }
        let mut measures: Vec<Measure> = Vec::new();
        for (i, new) in wanted.iter().take(MAX_MEASURES).enumerate() {
            let pointer = format!("/measures/{i}");
            let source = self.measured(new, &pointer).map_err(|violation| vec![violation]);
            let Some(source) = self.settle(source) else { continue };
            let name = new.r#as.clone().unwrap_or_else(|| match &new.field {
                Some(field) => format!("{}_{}", new.r#fn.name(), field.replace('.', "_")),
                None => new.r#fn.name().to_owned(),
            });
            if !is_name(&name) {
                let detail = "must be a name of lower case letters, digits and `_`, 60 at most";
                self.note(&format!("{pointer}/as"), Code::InvalidValue, detail);
            }
            let group = keys.iter().any(|key| key.name == name) || (query.time_grain.is_some() && name == PERIOD);
            if group || measures.iter().any(|measure| measure.name == name) {
                let detail = format!("`{name}` is the name of another measure or group; say `as`");
                self.note(&pointer, Code::Duplicate, detail);
            }
            let currency = source.as_ref().and_then(|source| source.currency.clone());
            if let (Some(value), Some(field), true) = (currency, &new.field, new.r#fn.is_by_currency()) {
                let key = format!("{field}.currency");
                if !keys.iter().any(|known| known.name == key) {
                    let (kind, column) = (FieldType::Currency, sea_orm::ColumnType::Text);
                    keys.push(Key { name: key, source: Source { kind, column, value, currency: None } });
                }
            }
            let currency = new.field.as_ref().map(|field| format!("{field}.currency"));
            let currency = currency.and_then(|name| keys.iter().position(|key| key.name == name));
            measures.push(Measure { name, function: new.r#fn, source, currency, pointer });
        }
        measures
    }

    /// What is measured; `None` where rows are counted.
    fn measured(&mut self, new: &NewMeasure, pointer: &str) -> Result<Option<Source>, Violation> {
        let pointer = format!("{pointer}/field");
        let Some(field) = &new.field else {
            if new.r#fn == Function::Count {
                return Ok(None);
            }
            let detail = format!("`{}` needs a field", new.r#fn.name());
            return Err(Violation { pointer, code: Code::Required, detail });
        };
        let source = self.sources.of(&mut self.rows, field, &pointer)?;
        new.r#fn.takes(&source.kind).map_err(|detail| {
            let detail = format!("`{}` {detail}", new.r#fn.name());
            Violation { pointer, code: Code::WrongType, detail }
        })?;
        Ok(Some(source))
    }

    fn having(&mut self, measures: &[Measure], json: &Json) -> Option<Having> {
        let filter = self.filter(json, "/having")?;
        let having = Having::new(self.asked, measures, &filter);
        self.settle(having)
    }

    /// As asked, then by period and keys, so that groups have one order.
    fn sort(&mut self, query: &AggregateQuery, keys: &[Key], measures: &[Measure]) -> Vec<(Column, bool)> {
        let period = query.time_grain.as_ref().map(|_| (PERIOD, Column::Period));
        let own = keys.iter().enumerate().map(|(i, key)| (key.name.as_str(), Column::Key(i)));
        let all: Vec<_> = period.into_iter().chain(own).collect();
        let values = measures.iter().enumerate().map(|(i, measure)| (measure.name.as_str(), Column::Measure(i)));
        let named: Vec<_> = all.iter().copied().chain(values).collect();
        let mut sort = Vec::new();
        for (i, name) in query.sort.iter().enumerate() {
            if enough(&self.broken) {
                break;
            }
            let (name, descending) = name.strip_prefix('-').map_or((name.as_str(), false), |name| (name, true));
            if let Some((_, column)) = named.iter().find(|(known, _)| *known == name) {
                sort.push((*column, descending));
            } else {
                let detail = unknown("measure or group", name, named.iter().map(|(name, _)| *name));
                self.note(&format!("/sort/{i}"), Code::UnknownField, detail);
            }
        }
        sort.extend(all.iter().map(|(_, column)| (*column, false)));
        sort
    }
}

fn is_name(name: &str) -> bool {
    let letters = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    letters && name.len() <= 60 && name.starts_with(|c: char| c.is_ascii_lowercase())
}
