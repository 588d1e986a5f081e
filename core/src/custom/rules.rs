//! Rules of definitions that look at other rows, and what follows from a change of one.

use std::collections::{HashMap, HashSet};

use sea_orm::{
    Condition, ConnectionTrait,
    sea_query::{Alias, Expr, ExprTrait},
};

use super::{
    check::{self, Preview},
    define,
};
use crate::{
    access::Verb,
    context::Unit,
    engine::{
        Record, Saved, Scope, Shape,
        custom::{CUSTOM, CustomField, forget_values, index_values},
        visible,
    },
    error::{Code, Result, Violation, unknown},
    records::{
        custom_field::{self, Model, State},
        custom_object,
    },
};

/// Fields that a tenant may add to one kind.
pub const MAX_FIELDS: usize = 200;
/// Kinds that a tenant may have of its own.
pub const MAX_OBJECTS: usize = 100;
/// First segments of paths and first words of rights that are no kinds, and those kept for what is to come.
pub const RESERVED_WORDS: [&str; 38] = [
    "access",
    "admin",
    "aggregate",
    "api-key",
    "api-keys",
    "approvals",
    "audit",
    "auth",
    "batch",
    "change",
    "changes",
    "composite",
    "custom",
    "custom-record",
    "custom-records",
    "custom_record",
    "docs",
    "events",
    "export",
    "exports",
    "health",
    "idempotency",
    "import",
    "imports",
    "limits",
    "me",
    "metrics",
    "openapi.json",
    "plugin-uploads",
    "problems",
    "query",
    "rate-limits",
    "schema",
    "search",
    "settings",
    "share",
    "tenant",
    "tenants",
];

type Broken = Vec<(usize, Violation)>;

/// # Errors
/// The database.
pub async fn fields(unit: &Unit<'_>, slice: &[(Option<Model>, Model)]) -> Result<Broken> {
    let mut broken = Vec::new();
    for (at, (before, after)) in slice.iter().enumerate() {
        let lived = before.as_ref().filter(|before| before.deleted_at.is_none());
        broken.extend(kinds_of(unit, lived, after).into_iter().map(|violation| (at, violation)));
        let violation = match before {
            _ if after.deleted_at.is_some() => still_used(unit, after).await?,
            Some(before) => narrower(unit, before, after).await?,
            None => first(unit, after).await?,
        };
        broken.extend(violation.map(|violation| (at, violation)));
    }
    broken.extend(too_many(unit, slice).await?);
    Ok(broken)
}

fn kinds_of(unit: &Unit<'_>, before: Option<&Model>, after: &Model) -> Vec<Violation> {
    let Some(before) = before else {
        let extended = extended(unit, &after.kind).is_none().then(|| {
            let kinds = unit.cx.shapes().filter(|shape| shape.column(CUSTOM).is_some()).map(|shape| &*shape.name);
            Violation::field("kind", Code::InvalidValue, unknown("kind with custom fields", &after.kind, kinds))
        });
        let target = after.refers_to.as_deref().filter(|name| target(unit, name).is_none()).map(|name| {
            let kinds = unit.cx.shapes().filter(|shape| referable(shape)).map(|shape| &*shape.name);
            Violation::field("refers_to", Code::InvalidValue, unknown("kind to refer to", name, kinds))
        });
        return extended.into_iter().chain(target).collect();
    };
    let fixed = [
        ("kind", before.kind != after.kind),
        ("name", before.name != after.name),
        ("type", before.r#type != after.r#type),
        ("refers_to", before.refers_to != after.refers_to),
    ];
    let detail = "is fixed once the field is made: make another field, and retire this one";
    let moved = fixed.into_iter().filter(|(_, moved)| *moved);
    moved.map(|(name, _)| Violation::field(name, Code::ReadOnly, detail)).collect()
}

fn extended<'u>(unit: &'u Unit<'_>, kind: &str) -> Option<&'u Shape> {
    unit.cx.kind(kind).map(|resource| resource.shape()).filter(|shape| shape.column(CUSTOM).is_some())
}

fn target<'u>(unit: &'u Unit<'_>, kind: &str) -> Option<&'u Shape> {
    unit.cx.kind(kind).map(|resource| resource.shape()).filter(|shape| referable(shape))
}

fn referable(shape: &Shape) -> bool {
    shape.scope != Scope::Subject && shape.verbs.contains(&Verb::Read)
}

/// A new field must be one that the records there are can do without.
async fn first(unit: &Unit<'_>, after: &Model) -> Result<Option<Violation>> {
    if !after.required {
        return Ok(None);
    }
    refusal(unit, after, "required").await
}

/// A definition may become narrower only as far as every record still validates.
async fn narrower(unit: &Unit<'_>, before: &Model, after: &Model) -> Result<Option<Violation>> {
    let back = before.state == State::Retired || before.deleted_at.is_some();
    let narrower = [
        ("required", after.required && (back || !before.required)),
        ("unique", after.unique && (back || !before.unique)),
        ("options", before.options != after.options),
        ("validation", before.validation != after.validation),
        ("filterable", after.filterable && !before.filterable),
        ("state", back),
    ];
    match narrower.iter().find(|(_, narrower)| *narrower) {
        Some((place, _)) if after.state == State::Active => refusal(unit, after, place).await,
        _ => Ok(None),
    }
}

async fn refusal(unit: &Unit<'_>, after: &Model, place: &str) -> Result<Option<Violation>> {
    let (Some(shape), Ok(field)) = (extended(unit, &after.kind), define::field(after)) else { return Ok(None) };
    let Preview { would_fail, records, .. } = check::check(unit.cx, &unit.txn, shape, &field).await?;
    Ok(records.first().map(|first| {
        let detail = format!(
            "{would_fail} {} would no longer validate, the first of them {}, which {}; \
             POST /v1/custom-fields/{{id}}/preview names them",
            shape.plural, first.id, first.detail
        );
        Violation::field(place, Code::ExistingValues, detail)
    }))
}

/// A field whose values are still there is retired, not deleted.
async fn still_used(unit: &Unit<'_>, of: &Model) -> Result<Option<Violation>> {
    let Some(shape) = extended(unit, &of.kind) else { return Ok(None) };
    let mut last = None;
    loop {
        let rows = check::page(unit.cx, &unit.txn, shape, last).await?;
        let holder =
            rows.iter().find(|(_, custom)| custom.as_ref().is_some_and(|custom| custom.get(&of.name).is_some()));
        if let Some((id, _)) = holder {
            let detail = format!(
                "{} still have values, {id} among them: set `state` to `retired`, which hides the field and keeps them",
                shape.plural
            );
            return Ok(Some(Violation::field("state", Code::ExistingValues, detail)));
        }
        match rows.last() {
            Some((id, _)) => last = Some(*id),
            None => return Ok(None),
        }
    }
}

fn col(name: &str) -> Expr {
    Expr::col(Alias::new(name))
}

/// How many live records of the kind the tenant has, whoever asks.
async fn count(unit: &Unit<'_>, kind: &str, condition: Option<Expr>) -> Result<usize> {
    let Some(resource) = unit.cx.tenant.kinds.kind(kind) else { return Ok(0) };
    let mut select = visible(&unit.cx.everywhere(), resource.shape());
    select.expr(col("id").count()).cond_where(Condition::all().add_option(condition));
    let row = unit.txn.query_one(&select).await?;
    let n: i64 = row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default();
    Ok(usize::try_from(n).unwrap_or_default())
}

async fn too_many(unit: &Unit<'_>, slice: &[(Option<Model>, Model)]) -> Result<Broken> {
    let mut made: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, (before, after)) in slice.iter().enumerate() {
        if before.as_ref().is_none_or(|before| before.deleted_at.is_some()) {
            made.entry(&after.kind).or_default().push(at);
        }
    }
    let mut broken = Vec::new();
    for (kind, places) in made {
        let there = count(unit, custom_field::Entity::NAME, Some(col("kind").eq(kind))).await?;
        let room = MAX_FIELDS.saturating_sub(there);
        let detail = format!("{kind} has {MAX_FIELDS} custom fields, which is the most");
        let over = places.into_iter().skip(room);
        broken.extend(over.map(|at| (at, Violation::field("kind", Code::OutOfRange, detail.clone()))));
    }
    Ok(broken)
}

/// Keeps `custom_value` as the definitions say: values of fields that filters may name from now on are put there, those of
/// others are taken out.
///
/// # Errors
/// The database.
pub async fn reindexed(unit: &Unit<'_>, saved: &[Saved<Model>]) -> Result<()> {
    for Saved { before, after, .. } in saved {
        let Some(before) = before else { continue };
        let same = before.filterable == after.filterable && before.unique == after.unique;
        if same && before.deleted_at == after.deleted_at {
            continue;
        }
        forget_values(unit, after.id).await?;
        let (Some(shape), Ok(field)) = (extended(unit, &after.kind), define::field(after)) else { continue };
        if after.deleted_at.is_none() && field.indexed {
            fill(unit, shape, &field).await?;
        }
    }
    Ok(())
}

async fn fill(unit: &Unit<'_>, shape: &Shape, field: &CustomField) -> Result<()> {
    let mut last = None;
    loop {
        let rows = check::page(unit.cx, &unit.txn, shape, last).await?;
        let Some((id, _)) = rows.last() else { return Ok(()) };
        last = Some(*id);
        let values = rows.iter().filter_map(|(id, custom)| Some((*id, custom.as_ref()?)));
        index_values(unit, shape, &[field], values).await?;
    }
}

/// # Errors
/// The database.
pub async fn objects(
    unit: &Unit<'_>,
    slice: &[(Option<custom_object::Model>, custom_object::Model)],
) -> Result<Broken> {
    let mut broken = Vec::new();
    let there = count(unit, custom_object::Entity::NAME, None).await?;
    let mut room = MAX_OBJECTS.saturating_sub(there);
    for (at, (before, after)) in slice.iter().enumerate() {
        let mut add =
            |violations: Vec<Violation>| broken.extend(violations.into_iter().map(|violation| (at, violation)));
        match before.as_ref().filter(|before| before.deleted_at.is_none()) {
            _ if after.deleted_at.is_some() => add(still_there(unit, after).await?.into_iter().collect()),
            Some(before) => add(moved(before, after)),
            None if room == 0 => {
                let detail = format!("the tenant has {MAX_OBJECTS} kinds of its own, which is the most");
                add(vec![Violation::field("name", Code::OutOfRange, detail)]);
            }
            None => {
                room -= 1;
                add(reserved(unit, after));
            }
        }
    }
    Ok(broken)
}

/// Names that would stand in the way of a built-in kind, or of a path.
fn reserved(unit: &Unit<'_>, of: &custom_object::Model) -> Vec<Violation> {
    let taken: HashSet<&str> = unit
        .cx
        .world
        .registry
        .shapes()
        .flat_map(|shape| [&*shape.name, &*shape.plural])
        .chain(RESERVED_WORDS)
        .collect();
    let names = [("name", &of.name), ("plural", &of.plural)].into_iter();
    let refuse = |field: &str, name: &str| {
        let detail = format!("`{name}` means something else here; `own_{}` would do", of.name);
        Violation::field(field, Code::ReservedName, detail)
    };
    let mut broken: Vec<_> =
        names.filter(|(_, name)| taken.contains(name.as_str())).map(|(field, name)| refuse(field, name)).collect();
    if of.name == of.plural {
        broken.push(Violation::field("plural", Code::InvalidValue, "must differ from the name"));
    }
    broken
}

fn moved(before: &custom_object::Model, after: &custom_object::Model) -> Vec<Violation> {
    let fixed = [
        ("name", before.name != after.name),
        ("plural", before.plural != after.plural),
        ("scope", before.scope != after.scope),
    ];
    let moved = fixed.into_iter().filter(|(_, moved)| *moved);
    moved.map(|(name, _)| Violation::field(name, Code::ReadOnly, "is fixed once the kind is made")).collect()
}

/// A kind goes after its records, its fields, and the fields of others that refer to it.
async fn still_there(unit: &Unit<'_>, of: &custom_object::Model) -> Result<Option<Violation>> {
    let records = count(unit, &of.name, None).await?;
    let of_it = col("kind").eq(&*of.name).or(col("refers_to").eq(&*of.name));
    let fields = count(unit, custom_field::Entity::NAME, Some(of_it)).await?;
    let detail = format!("{records} {} and {fields} custom fields are still there; delete them first", of.plural);
    Ok((records + fields > 0).then(|| Violation::field("name", Code::ExistingValues, detail)))
}
