//! Where every read starts: tenant, soft delete, row access. There is no second check anywhere.

use sea_orm::{
    Condition,
    sea_query::{Alias, DynIden, Expr, ExprTrait, IntoIden, Query, SelectStatement},
};

use super::{
    Scope, Shape,
    filter::{Filter, compile},
    past::{By, rows},
};
use crate::{
    access::{self, Reach, Verb},
    context::Context,
};

/// `SELECT .. FROM kind WHERE` the actor may see it; the caller adds columns and conditions. The rows are those of the
/// present, or of [`Context::known_at`].
pub fn visible(cx: &Context, shape: &Shape) -> SelectStatement {
    start(cx, shape, By::Any)
}

/// The same for the records that the actor may change: all that they see, but for what is shared with them to be read.
pub fn changeable(cx: &Context, shape: &Shape) -> SelectStatement {
    let table = shape.table();
    let lives = Expr::col((table.clone(), Alias::new("deleted_at"))).is_null();
    let condition = writable(cx, shape, &table.clone().into_iden()).add(lives);
    Query::select().from(table).cond_where(condition).take()
}

/// The same where the caller names the ids of the rows.
pub(super) fn visible_by_id(cx: &Context, shape: &Shape) -> SelectStatement {
    start(cx, shape, By::Id)
}

fn start(cx: &Context, shape: &Shape, by: By) -> SelectStatement {
    let table = shape.table();
    Query::select().from(rows(cx, shape, table.clone().into_iden(), by)).cond_where(within(cx, shape, table)).take()
}

/// The same as a condition on the rows of `alias`, for joins and subqueries.
pub fn within(cx: &Context, shape: &Shape, alias: impl IntoIden) -> Condition {
    let alias = alias.into_iden();
    reachable(cx, shape, &alias).add(Expr::col((alias, Alias::new("deleted_at"))).is_null())
}

/// The same whether the record lives or was deleted: for the change log, which tells of both.
pub(super) fn reachable(cx: &Context, shape: &Shape, alias: &DynIden) -> Condition {
    reached(cx, shape, alias, false)
}

/// The rows of `alias` that the actor may change, whether they live or not.
pub(super) fn writable(cx: &Context, shape: &Shape, alias: &DynIden) -> Condition {
    reached(cx, shape, alias, true)
}

/// The alias of rows that a condition on the rows of `alias` looks into. It is longer with each step, so that conditions may
/// stand within each other, a role's filter within a caller's, and no name hides another.
pub(super) fn beneath(alias: &DynIden) -> DynIden {
    Alias::new(format!("{alias}_r")).into_iden()
}

fn reached(cx: &Context, shape: &Shape, alias: &DynIden, write: bool) -> Condition {
    let of = |column: &'static str| Expr::col((alias.clone(), Alias::new(column)));
    let base = Condition::all().add(of("tenant_id").eq(cx.tenant.id));
    let base = if shape.object.is_some() { base.add(shape.rows(alias.clone())) } else { base };
    let base = match shape.scope {
        Scope::Part if !cx.actor.sees_all() => base.add(parents(cx, shape, alias)),
        Scope::Asker if !cx.actor.sees_all() => base.add(of("created_by").eq(cx.actor.user)),
        Scope::Subject if !cx.actor.sees_all() => base.add(subjects(cx, alias, write)),
        _ => base,
    };
    // An alternative costs the planner its choice of index: it is there where something is shared.
    let or_shared = |condition: Condition| match cx.actor.shared(&shape.name, cx.now(), write) {
        none if none.is_empty() => condition,
        shared => Condition::any().add(condition).add(of("id").is_in(shared)),
    };
    match (cx.actor.reach(shape), shape.scope) {
        (Reach::Where(filter), _) => base.add(or_shared(kept(cx, shape, filter, alias))),
        (Reach::Users(users), Scope::Owner) => {
            let owned = of("owner_id").is_in(users.iter().copied());
            base.add(or_shared(Condition::all().add(owned)))
        }
        _ => base,
    }
}

/// The rows that the filter of a role keeps. Relations in it lead to everybody's rows: what a role sees of one kind does not
/// change what it sees of another. A filter that was read when the role was made and cannot be any more keeps nothing.
fn kept(cx: &Context, shape: &Shape, filter: &Filter, alias: &DynIden) -> Condition {
    let everyone = cx.everywhere();
    let shape = everyone.kind(&shape.name).map_or(shape, |resource| resource.shape());
    compile(&everyone, shape, filter, alias.clone()).unwrap_or_else(|error| {
        tracing::error!(role = %cx.actor.role, kind = %shape.name, %error, "the filter of a role cannot be read");
        Condition::all().add(Expr::val(false))
    })
}

/// An owned child is seen by those who see its parent, and the list that it is in.
fn parents(cx: &Context, shape: &Shape, alias: &DynIden) -> Condition {
    let parent = shape.parent.and_then(|(column, kind)| Some((column, cx.kind(kind)?.shape())));
    let listed = |parent: &Shape| parent.parts.as_ref().is_some_and(|parts| parent.field(parts.field).is_some());
    let Some((column, parent)) = parent.filter(|(_, parent)| listed(parent)) else {
        return Condition::all().add(Expr::val(false));
    };
    let of = beneath(alias);
    let exists = Query::select()
        .expr(Expr::val(1))
        .from_as(parent.table(), of.clone())
        .cond_where(within(cx, parent, of.clone()))
        .and_where(Expr::col((of, Alias::new("id"))).eq(Expr::col((alias.clone(), Alias::new(column)))))
        .take();
    Condition::all().add(Expr::exists(exists))
}

/// A decision is seen by those who see what it is about, and changed by those who may change that. What is everybody's can only
/// be decided about where other systems know it.
fn subjects(cx: &Context, alias: &DynIden, write: bool) -> Condition {
    let mut any = Condition::any();
    let subject = beneath(alias);
    let of = |column: &'static str| Expr::col((subject.clone(), Alias::new(column)));
    let verb = if write { Verb::Update } else { Verb::Read };
    let possible = |shape: &&Shape| {
        let whole = shape.scope == Scope::Tenant && shape.column("external_id").is_some();
        shape.scope == Scope::Owner || whole && access::may(&cx.actor, verb, shape).is_ok()
    };
    for shape in cx.shapes().filter(possible) {
        let exists = Query::select()
            .expr(Expr::val(1))
            .from_as(shape.table(), subject.clone())
            .cond_where(reached(cx, shape, &subject, write))
            .and_where(of("deleted_at").is_null())
            .and_where(of("id").eq(Expr::col((alias.clone(), Alias::new("subject_id")))))
            .take();
        any = any.add(
            Condition::all()
                .add(Expr::col((alias.clone(), Alias::new("subject_kind"))).eq(&*shape.name))
                .add(Expr::exists(exists)),
        );
    }
    any
}
