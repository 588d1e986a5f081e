//! Conditions on a tenant's own fields: `custom.budget > 1000`, `custom.supplier.name = "Acme"`.
//!
//! In the present a record has a value in `custom_value` for which the check holds, found from either side: by the field's
//! index, or by the records that the rest of the filter leaves. The past has no such index: there the row itself is read.

use sea_orm::{
    Condition,
    sea_query::{Alias, Expr, ExprTrait, Query, SelectStatement},
};

use super::{
    Check,
    compile::{Compiler, Place, settled},
    value::Wrong,
};
use crate::{
    engine::{
        custom::CustomField,
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
        if !rest.is_empty() {
            let Some(relation) = relation(self.cx, place.shape, &field.field.name) else {
                return Err((Code::UnknownField, format!("`{}` has no fields of its own", field.field.name)));
            };
            return self.beyond(place, &relation, rest, check);
        }
        if self.cx.known_at.is_some() {
            let leaf = self.plain(&field.field.kind, field.value(self.cx.backend(), &place.alias), check)?;
            return Ok(Condition::all().add(settled(place, &field.field, check, leaf)));
        }
        let mut values = self.values(place, field);
        if !matches!(check, Check::IsNull | Check::IsNotNull) {
            values.and_where(self.plain(&field.field.kind, slot(place, field), check)?);
        }
        Ok(Condition::all().add(match check {
            Check::IsNull => place.id().not_in_subquery(values),
            _ => place.id().in_subquery(values),
        }))
    }

    /// The record at `at` refers to the record `to`.
    pub(super) fn refers(&self, at: &Place<'_>, relation: &Relation<'_>, to: Expr) -> Result<Expr, Wrong> {
        Ok(match relation.key {
            None => at.column(relation.id, 0)?.eq(to),
            Some(field) if self.cx.known_at.is_some() => field.value(self.cx.backend(), &at.alias).eq(to),
            Some(field) => at.id().in_subquery(self.values(at, field).and_where(slot(at, field).eq(to)).take()),
        })
    }

    /// The record at `at` refers to one of those that are found.
    pub(super) fn refers_among(&self, at: &Place<'_>, field: &CustomField, found: SelectStatement) -> Expr {
        at.id().in_subquery(self.values(at, field).and_where(slot(at, field).in_subquery(found)).take())
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
    Alias::new(format!("v{}", place.depth))
}

fn slot(place: &Place<'_>, field: &CustomField) -> Expr {
    Expr::col((values_of(place), Alias::new(field.slot().0)))
}
