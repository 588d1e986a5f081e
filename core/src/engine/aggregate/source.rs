//! What a path of an aggregate reads: a column of the kind, or of a record its relations lead to.

use std::collections::BTreeMap;

use sea_orm::{
    ColumnType, JoinType,
    sea_query::{Alias, Expr, ExprTrait, Func, IntoIden, SelectStatement},
};

use crate::{
    context::Context,
    engine::{
        Field, FieldType, Shape, past,
        relation::{last_step, relation, relations, steps},
        selection, within,
    },
    error::{Code, Violation, unknown},
};

/// A value of each row.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub kind: FieldType,
    /// The column's type; of money, the type of its currency, which is what it is grouped by.
    pub column: ColumnType,
    pub value: Expr,
    /// Of money.
    pub currency: Option<Expr>,
}

/// Records of one kind joined to each row, or the row itself.
#[derive(Clone)]
struct Joined<'a> {
    alias: Alias,
    shape: &'a Shape,
}

/// The tables that paths lead to, each joined once. A record the actor may not see is not there.
pub(super) struct Sources<'a> {
    cx: &'a Context,
    shape: &'a Shape,
    joined: BTreeMap<String, Vec<Joined<'a>>>,
    count: usize,
}

impl<'a> Sources<'a> {
    pub fn new(cx: &'a Context, shape: &'a Shape) -> Self {
        let own = Joined { alias: shape.table(), shape };
        Self { cx, shape, joined: BTreeMap::from([(String::new(), vec![own])]), count: 0 }
    }

    /// The value at the end of `path`, with what it takes joined to `rows`.
    ///
    /// # Errors
    /// The path leads nowhere, or over too many relations; the violation is at `pointer`.
    pub fn of(&mut self, rows: &mut SelectStatement, path: &str, pointer: &str) -> Result<Source, Violation> {
        let refuse = |code, detail: String| Violation { pointer: pointer.to_owned(), code, detail };
        let (way, name) = last_step(path);
        // `amount.currency` is a field of its own
        let (way, name, currency) = match last_step(way) {
            (before, money) if name == "currency" && self.is_money(rows, before, money) => (before, money, true),
            _ => (way, name, false),
        };
        let there = self.follow(rows, way).map_err(|(code, detail)| refuse(code, detail))?;
        let mut found: Option<Source> = None;
        for (joined, field) in there.iter().filter_map(|joined| Some((joined, joined.shape.any_field(name)?))) {
            let mut cells = joined.shape.cells(self.cx.backend(), field, &joined.alias).into_iter();
            let source = match (cells.next(), cells.next()) {
                (Some(_), Some((column, value))) if currency => {
                    Source { kind: FieldType::Currency, column, value, currency: None }
                }
                (Some((_, value)), Some((column, currency))) => {
                    Source { kind: field.kind.clone(), column, value, currency: Some(currency) }
                }
                (Some((column, value)), None) => Source { kind: field.kind.clone(), column, value, currency: None },
                (None, _) => continue,
            };
            found = Some(match found {
                None => source,
                Some(other) => other.or(source),
            });
        }
        found.ok_or_else(|| {
            let several = |field: &Field| matches!(field.kind, FieldType::Choices(_));
            if there.iter().any(|joined| joined.shape.any_field(name).is_some_and(several)) {
                let detail = format!("`{path}` holds several choices, which are neither measured nor groups");
                return refuse(Code::WrongType, detail);
            }
            let names: Vec<&str> = there.iter().flat_map(|joined| joined.shape.all_names()).collect();
            let detail = match there.as_slice() {
                [one] if way.is_empty() && relation(self.cx, one.shape, name).is_some() => {
                    format!("`{path}` is a relation; name one of its fields")
                }
                _ => unknown("field", path, names),
            };
            refuse(Code::UnknownField, detail)
        })
    }

    fn is_money(&mut self, rows: &mut SelectStatement, way: &str, name: &str) -> bool {
        let there = self.follow(rows, way).unwrap_or_default();
        there.iter().any(|joined| joined.shape.any_field(name).is_some_and(|field| field.kind == FieldType::Money))
    }

    fn follow(&mut self, rows: &mut SelectStatement, way: &str) -> Result<Vec<Joined<'a>>, (Code, String)> {
        if let Some(known) = self.joined.get(way) {
            return Ok(known.clone());
        }
        if steps(way) > selection::MAX_DEPTH {
            let detail = format!("`{way}` follows more than {} relations", selection::MAX_DEPTH);
            return Err((Code::QueryTooExpensive, detail));
        }
        let (before, name) = last_step(way);
        let mut there = Vec::new();
        for from in self.follow(rows, before)? {
            let Some(relation) = relation(self.cx, from.shape, name) else { continue };
            let column = |field: &Field| {
                let column = from.shape.columns_of(field).next();
                column.map(|column| Expr::col((from.alias.clone(), Alias::new(column.name.as_str()))))
            };
            let id = match relation.key {
                Some(own) => Some(own.target(self.cx.backend(), &from.alias.clone().into_iden())),
                None => column(relation.id),
            };
            let Some(id) = id else { continue };
            for target in &relation.targets {
                self.count += 1;
                let alias = Alias::new(format!("j{}", self.count));
                let mut on = within(self.cx, target, alias.clone())
                    .add(Expr::col((alias.clone(), Alias::new("id"))).eq(id.clone()));
                if let Some(kind) = relation.kind.and_then(column) {
                    on = on.add(kind.eq(&*target.name));
                }
                rows.join(
                    JoinType::LeftJoin,
                    past::rows(self.cx, target, alias.clone().into_iden(), past::By::Any),
                    on,
                );
                there.push(Joined { alias, shape: target });
            }
        }
        if there.is_empty() {
            let names: Vec<&str> = relations(self.cx, self.shape).map(|relation| relation.name).collect();
            return Err((Code::UnknownField, unknown("relation", way, names)));
        }
        self.joined.insert(way.to_owned(), there.clone());
        Ok(there)
    }
}

impl Source {
    /// The same field of another kind the relation leads to: at most one of them is there.
    fn or(self, other: Self) -> Self {
        if self.kind != other.kind {
            return self;
        }
        let first = |a: Expr, b: Expr| -> Expr { Func::coalesce([a, b]).into() };
        let currency = self.currency.zip(other.currency).map(|(a, b)| first(a, b));
        Self { value: first(self.value, other.value), currency, ..self }
    }
}
