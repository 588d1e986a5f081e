//! A tenant's kinds: the built-in ones with its own fields, and its own.

use std::collections::HashMap;

use sea_orm::{
    ConnectionTrait, FromQueryResult, Order,
    sea_query::{Alias, Expr, ExprTrait, Query},
};
use uuid::Uuid;

use super::define;
use crate::{
    context::World,
    engine::{Record, Registry, Scope, Shape, custom::CustomField, typed},
    error::Result,
    records::{custom_field, custom_object, custom_record},
};

/// Two statements, whatever the number of fields and kinds.
///
/// # Errors
/// The database.
pub async fn kinds(world: &World, tenant: Uuid) -> Result<Registry> {
    let fields: Vec<custom_field::Model> = definitions::<custom_field::Entity>(world, tenant).await?;
    let objects: Vec<custom_object::Model> = definitions::<custom_object::Entity>(world, tenant).await?;
    if fields.is_empty() && objects.is_empty() {
        return Ok(world.registry.clone());
    }
    let mut by_kind: HashMap<String, Vec<CustomField>> = HashMap::new();
    for model in fields {
        // a definition that an older release took and this one does not is left out, not everyone locked out
        match define::field(&model) {
            Ok(field) => by_kind.entry(model.kind).or_default().push(field),
            Err(broken) => tracing::error!(field = %model.id, ?broken, "a stored custom field cannot be read"),
        }
    }
    let objects = objects.iter().map(|object| typed::<custom_record::Entity>(shape(object)));
    let fields = by_kind.into_iter().map(|(kind, fields)| (kind, fields.into_iter().collect())).collect();
    Ok(world.registry.clone().extended(objects, fields))
}

/// Every live one, in the order in which they were made. The caller is nobody yet: this is read before they are known.
async fn definitions<R: Record>(world: &World, tenant: Uuid) -> Result<Vec<R::Model>> {
    let shape = world.registry.of::<R>()?.shape();
    let select = Query::select()
        .columns(shape.columns.iter().map(|column| Alias::new(column.name.as_str())))
        .from(shape.table())
        .and_where(Expr::col(Alias::new("tenant_id")).eq(tenant))
        .and_where(Expr::col(Alias::new("deleted_at")).is_null())
        .order_by(Alias::new("id"), Order::Asc)
        .take();
    let rows = world.store.read.query_all(&select).await?;
    Ok(rows.iter().map(|row| R::Model::from_query_result(row, "")).collect::<std::result::Result<_, _>>()?)
}

fn shape(of: &custom_object::Model) -> Shape {
    let said = define::described(of.description.as_deref(), of.label.as_ref());
    let scope = match of.scope {
        custom_object::Scope::Owner => Scope::Owner,
        custom_object::Scope::Tenant => Scope::Tenant,
    };
    let description = said.map_or_else(|| format!("A {}.", of.name.replace('_', " ")), str::to_owned);
    let mut shape = Shape::of::<custom_record::Entity>().of_object(of.id, &of.name, &of.plural, description, scope);
    shape.labels.clone_from(&of.label);
    shape
}
