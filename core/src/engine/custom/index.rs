//! `custom_value`: custom values as filters, uniqueness and references find them, written with the records.

use std::collections::{BTreeMap, HashMap};

use sea_orm::{
    ConnectionTrait, JoinType, Value,
    sea_query::{Alias, Expr, ExprTrait, Query},
};
use serde_json::Value as Json;
use uuid::Uuid;

use super::{Cell, CustomField};
use crate::{
    context::{Context, Unit},
    engine::{
        FieldType, Shape, outside,
        store::JsonChange as Change,
        unique::{Claim, Unique},
        visible,
    },
    error::{Error, Result, Violation},
};

const COLUMNS: [&str; 11] =
    ["tenant_id", "kind", "field_id", "record_id", "text", "num", "flag", "day", "time", "refers", "only"];
/// Of typed values, in the order of the columns.
const SLOTS: [&str; 6] = ["text", "num", "flag", "day", "time", "refers"];
const ROWS_PER_STATEMENT: usize = 1000;

/// The value of a field, where the write sets it anew.
fn fresh<'c>(change: &'c Change, field: &CustomField) -> Option<&'c Json> {
    let before = change.before.as_ref().and_then(|values| values.get(&*field.key));
    change.after.as_ref()?.get(&*field.key).filter(|now| before != Some(*now))
}

fn table() -> Alias {
    Alias::new("custom_value")
}

fn col(name: &str) -> Expr {
    Expr::col(Alias::new(name))
}

/// Two statements for up to a thousand values: the old ones go, the new ones come.
pub(in crate::engine) async fn follow(unit: &Unit<'_>, shape: &Shape, changes: &[Change]) -> Result<()> {
    let fields: Vec<_> = shape.custom.indexed().collect();
    if fields.is_empty() {
        return Ok(());
    }
    let old: Vec<_> = changes.iter().filter(|change| !change.created).map(|change| change.record).collect();
    forget_records(unit, &old).await?;
    let values = changes.iter().filter_map(|change| Some((change.record, change.after.as_ref()?)));
    index_values(unit, shape, &fields, values).await
}

/// Puts the values of `fields` where filters find them.
///
/// # Errors
/// `Conflict` where another writer has just stored a value that must be unique; the database.
pub async fn index_values<'v>(
    unit: &Unit<'_>,
    shape: &Shape,
    fields: &[&CustomField],
    values: impl Iterator<Item = (Uuid, &'v Json)>,
) -> Result<()> {
    let fields: Vec<_> =
        fields.iter().map(|field| (*field, field.cells())).filter(|(_, cells)| !cells.is_empty()).collect();
    let mut rows: Vec<(Uuid, &CustomField, &[Cell], &Json)> = Vec::new();
    for (record, values) in values {
        for (field, cells) in &fields {
            rows.extend(values.get(&*field.key).map(|value| (record, *field, cells.as_slice(), value)));
        }
    }
    for part in rows.chunks(ROWS_PER_STATEMENT) {
        let mut insert = Query::insert();
        insert.into_table(table()).columns(COLUMNS.map(Alias::new));
        for (record, field, cells, value) in part {
            let mut row =
                vec![Expr::val(unit.cx.tenant.id), Expr::val(&*shape.name), Expr::val(field.id), Expr::val(*record)];
            row.extend(SLOTS.map(|name| match cells.iter().find(|cell| cell.slot == name) {
                Some(cell) => Expr::val(cell.index(value)),
                None => Expr::cust("null"),
            }));
            row.push(Expr::val(field.only(value)));
            insert.values_panic(row);
        }
        unit.txn.execute(&insert).await.map_err(Error::from_write)?;
    }
    Ok(())
}

/// Takes out every value of these records.
pub(in crate::engine) async fn forget_records(unit: &Unit<'_>, records: &[Uuid]) -> Result<()> {
    for part in records.chunks(ROWS_PER_STATEMENT) {
        let delete = Query::delete()
            .from_table(table())
            .and_where(col("tenant_id").eq(unit.cx.tenant.id))
            .and_where(col("record_id").is_in(part.iter().copied()))
            .take();
        unit.txn.execute(&delete).await?;
    }
    Ok(())
}

/// Takes out every value of a field.
///
/// # Errors
/// The database.
pub async fn forget_values(unit: &Unit<'_>, field: Uuid) -> Result<()> {
    let delete = Query::delete()
        .from_table(table())
        .and_where(col("tenant_id").eq(unit.cx.tenant.id))
        .and_where(col("field_id").eq(field))
        .take();
    unit.txn.execute(&delete).await?;
    Ok(())
}

/// What the candidates want of each unique custom field. One statement a field for up to a thousand.
pub(in crate::engine) async fn claims(unit: &Unit<'_>, shape: &Shape, changes: &[Change]) -> Result<Vec<Unique>> {
    let everywhere = unit.cx.everywhere();
    let mut all = Vec::new();
    for field in shape.custom.in_use().filter(|field| field.unique) {
        let claim = |change: &Change| {
            let key = vec![fresh(change, field).and_then(|value| field.only(value))?.into()];
            Some(Claim { index: change.index, record: change.record, place: field.field.name.clone(), key })
        };
        let claims: Vec<_> = changes.iter().filter_map(claim).collect();
        let keys: Vec<_> = claims.iter().map(|claim| &claim.key).collect();
        let held = holders(unit, &everywhere, shape, field, &keys).await?;
        all.push(Unique { rule: "must be unique".to_owned(), claims, held });
    }
    Ok(all)
}

/// Which records that are seen have these values of a unique field, each as [`CustomField::only`] has it.
pub(in crate::engine) async fn holders(
    unit: &Unit<'_>,
    seen: &Context,
    shape: &Shape,
    field: &CustomField,
    keys: &[&Vec<Value>],
) -> Result<HashMap<Vec<Value>, Uuid>> {
    let own = |name: &str| Expr::col((table(), Alias::new(name)));
    let id = Expr::col((shape.table(), Alias::new("id")));
    let of_record = own("tenant_id").eq(unit.cx.tenant.id).and(own("record_id").eq(id.clone()));
    let select = visible(seen, shape)
        .exprs([own("only"), id])
        .join(JoinType::InnerJoin, table(), of_record.and(own("field_id").eq(field.id)))
        .take();
    let mut held = HashMap::new();
    for part in keys.chunks(ROWS_PER_STATEMENT) {
        let mut select = select.clone();
        select.and_where(own("only").is_in(part.iter().filter_map(|key| key.first().cloned())));
        for row in unit.txn.query_all(&select).await? {
            held.insert(vec![row.try_get_by_index::<String>(0)?.into()], row.try_get_by_index(1)?);
        }
    }
    Ok(held)
}

/// Candidates whose custom references lead nowhere. One statement a kind referred to.
pub(in crate::engine) async fn dangling(
    unit: &Unit<'_>,
    shape: &Shape,
    changes: &[Change],
) -> Result<Vec<(usize, Violation)>> {
    let mut wanted: BTreeMap<&str, Vec<outside::Wanted>> = BTreeMap::new();
    for field in shape.custom.in_use() {
        let FieldType::Reference(kind) = &field.field.kind else { continue };
        for change in changes {
            let id = fresh(change, field).and_then(|value| value.as_str()?.parse().ok());
            let one = id.map(|id| outside::Wanted { index: change.index, place: field.field.name.clone(), id });
            wanted.entry(kind).or_default().extend(one);
        }
    }
    let slice: Vec<_> = changes.iter().map(|change| change.record).collect();
    outside::lost(unit, shape, wanted, &slice).await
}

/// How many live records of each kind refer to these by a custom field. One statement, where the tenant has such fields.
pub(in crate::engine) async fn referrers(
    unit: &Unit<'_>,
    shape: &Shape,
    ids: &[Uuid],
) -> Result<Vec<(Uuid, String, i64)>> {
    let leads = |field: &CustomField| matches!(&field.field.kind, FieldType::Reference(kind) if *kind == shape.name);
    if !unit.cx.tenant.kinds.shapes().any(|other| other.custom.all().any(leads)) {
        return Ok(Vec::new());
    }
    let select = Query::select()
        .columns(["refers", "kind"].map(Alias::new))
        .expr(col("record_id").count())
        .from(table())
        .and_where(col("tenant_id").eq(unit.cx.tenant.id))
        .and_where(col("refers").is_in(ids.iter().copied()))
        .and_where(col("record_id").is_not_in(ids.iter().copied()))
        .group_by_columns(["refers", "kind"].map(Alias::new))
        .take();
    let rows = unit.txn.query_all(&select).await?;
    rows.iter()
        .map(|row| {
            let kind: String = row.try_get_by_index(1)?;
            let plural = unit.cx.kind(&kind).map_or(kind, |resource| resource.shape().plural.to_string());
            Ok((row.try_get_by_index(0)?, plural, row.try_get_by_index(2)?))
        })
        .collect()
}
