//! Conditions on a tenant's own fields: `custom.budget > 1000`, `custom.supplier.name = "Acme"`.
//!
//! In the present a record has a value in `custom_value` for which the check holds, found from either side: by the field's
//! index, or by the records that the rest of the filter leaves. The past has no such index: there the row itself is read.

use sea_orm::{
    Condition,
    sea_query::{Alias, Expr, ExprTrait, Query, SelectStatement},
};

use super::{
    Check, Literal,
    compile::{Compiler, Place, settled},
    money::Columns,
    value::Wrong,
};
use crate::{
    engine::{
        FieldType,
        custom::{Cell, CustomField, REFERS},
        field::choose,
        relation::{Relation, relation},
    },
    error::{Code, unknown},
};

impl Compiler<'_> {
    pub(super) fn own(
        &mut self,
        place: &Place<'_>,
        key: &str,
        rest: &[&str],
        check: &Check,
    ) -> Result<Condition, Wrong> {
        let custom = &place.shape.custom;
        let Some(field) = custom.get(key) else {
            let names = custom.active().map(|field| &*field.key);
            return Err((Code::UnknownField, unknown("custom field", key, names)));
        };
        if !field.indexed {
            let detail = "is not filterable; an admin can set `filterable` of the custom field".to_owned();
            return Err((Code::NotFilterable, detail));
        }
        let money = field.field.kind == FieldType::Money;
        let currency = money && rest == ["currency"];
        if !rest.is_empty() && !currency {
            if let Some(relation) = relation(self.cx, place.shape, &field.field.name) {
                return self.beyond(place, &relation, rest, check);
            }
            let name = &field.field.name;
            let detail = if money {
                format!("money has only `{name}.currency` beside itself")
            } else {
                format!("`{name}` has no fields of its own")
            };
            return Err((Code::UnknownField, detail));
        }
        if let FieldType::Choices(options) = &field.field.kind {
            let leaf = self.several(place, field, options, check)?;
            return Ok(Condition::all().add(settled(place, &field.field, check, leaf)));
        }
        let kind = if currency { &FieldType::Currency } else { &field.field.kind };
        if self.cx.known_at.is_some() {
            let leaf = self.cell(kind, field, |cell| cell.value(self.cx.backend(), &place.alias), check)?;
            return Ok(Condition::all().add(settled(place, &field.field, check, leaf)));
        }
        let mut values = self.values(place, field);
        if !matches!(check, Check::IsNull | Check::IsNotNull) {
            values.and_where(self.cell(kind, field, |cell| slot(place, cell.slot), check)?);
        }
        Ok(Condition::all().add(match check {
            Check::IsNull => place.id().not_in_subquery(values),
            _ => place.id().in_subquery(values),
        }))
    }

    /// The check on a value of this kind, whose cells `read` finds.
    fn cell(
        &self,
        kind: &FieldType,
        field: &CustomField,
        read: impl Fn(&Cell) -> Expr,
        check: &Check,
    ) -> Result<Expr, Wrong> {
        match (kind, field.cells().as_slice()) {
            (FieldType::Money, [minor, currency]) => {
                Columns { minor: read(minor), currency: read(currency) }.check(check)
            }
            (_, [.., last]) => self.plain(kind, read(last), check),
            (_, []) => Err((Code::WrongType, format!("`{}` has no value to compare", field.field.name))),
        }
    }

    /// Which choices are among several: no index, each row is read.
    fn several(
        &self,
        place: &Place<'_>,
        field: &CustomField,
        options: &[String],
        check: &Check,
    ) -> Result<Expr, Wrong> {
        let backend = self.cx.backend();
        let has = |literal: &Literal| match literal {
            Literal::Text(word) => choose(word, options)
                .map(|word| field.has(backend, &place.alias, &word))
                .map_err(|detail| (Code::InvalidValue, detail)),
            _ => Err((Code::WrongType, "must be one of its options in a string".to_owned())),
        };
        match check {
            Check::IsNull => Ok(field.is_there(backend, &place.alias).not()),
            Check::IsNotNull => Ok(field.is_there(backend, &place.alias)),
            Check::Has(word) => has(word),
            Check::In(words) => {
                let any = words.iter().map(has).collect::<Result<Vec<_>, _>>()?;
                Ok(any.into_iter().fold(Expr::val(false), Expr::or))
            }
            _ => {
                let name = &field.field.name;
                let detail = format!("holds several choices: ask `{name}:\"one\"`, `{name} IN [..]` or IS NULL");
                Err((Code::WrongType, detail))
            }
        }
    }

    /// The record at `at` refers to the record `to`.
    pub(super) fn refers(&self, at: &Place<'_>, relation: &Relation<'_>, to: Expr) -> Result<Expr, Wrong> {
        Ok(match relation.key {
            None => at.column(relation.id, 0)?.eq(to),
            Some(field) if self.cx.known_at.is_some() => field.target(self.cx.backend(), &at.alias).eq(to),
            Some(field) => at.id().in_subquery(self.values(at, field).and_where(slot(at, REFERS).eq(to)).take()),
        })
    }

    /// The record at `at` refers to one of those that are found.
    pub(super) fn refers_among(&self, at: &Place<'_>, field: &CustomField, found: SelectStatement) -> Expr {
        at.id().in_subquery(self.values(at, field).and_where(slot(at, REFERS).in_subquery(found)).take())
    }

    /// Which records have a value.
    fn values(&self, place: &Place<'_>, field: &CustomField) -> SelectStatement {
        let alias = values_of(place);
        let of = |column: &str| Expr::col((alias.clone(), Alias::new(column)));
        Query::select()
            .expr(of("record_id"))
            .from_as(Alias::new("custom_value"), alias.clone())
            .and_where(of("tenant_id").eq(self.cx.tenant.id))
            .and_where(of("field_id").eq(field.id))
            .take()
    }
}

fn values_of(place: &Place<'_>) -> Alias {
    Alias::new(format!("{}_v", place.alias))
}

fn slot(place: &Place<'_>, slot: &'static str) -> Expr {
    Expr::col((values_of(place), Alias::new(slot)))
}
