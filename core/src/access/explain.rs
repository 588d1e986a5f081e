//! Why somebody may or may not: the same questions that requests are asked, with their answers told.

use sea_orm::{
    ConnectionTrait,
    sea_query::{Alias, Expr, ExprTrait},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Extent, Verb, actor_of_user, may, may_act};
use crate::{
    context::Context,
    engine::{FieldAccess, Resource, Scope, Shape, changeable, visible},
    error::{Code, Error, Result, unknown},
};

/// What is asked about.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Who.
    pub user: Uuid,
    /// Kind of record.
    #[schema(example = "account")]
    pub kind: String,
    /// One record of it.
    pub id: Option<Uuid>,
    /// One field of it.
    pub field: Option<String>,
    /// `read` (default), `create`, `update` or `delete`.
    #[schema(value_type = Option<String>)]
    pub verb: Option<Verb>,
}

/// Whether they may, and why.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Explanation {
    pub allowed: bool,
    /// What was looked at, in that order; the first that is not passed decides.
    pub steps: Vec<Step>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ExplanationStep)]
pub struct Step {
    /// `user`, `right`, `rows`, `record` or `field`.
    pub check: &'static str,
    pub passed: bool,
    /// For people.
    pub detail: String,
}

/// # Errors
/// `Forbidden`; `Invalid` for a kind or field there is not; `NotFound` for a user or record that whoever asks does not see.
pub async fn explain(cx: &Context, question: &Question) -> Result<Explanation> {
    may_act(&cx.actor, "access:explain")?;
    let resource = cx.kind(&question.kind).ok_or_else(|| {
        let detail = unknown("kind", &question.kind, cx.shapes().map(|shape| &*shape.name));
        Error::invalid("kind", Code::InvalidValue, detail)
    })?;
    if let Some(field) = question.field.as_deref().filter(|field| resource.shape().any_field(field).is_none()) {
        let detail = unknown("field", field, resource.shape().all_names());
        return Err(Error::invalid("field", Code::UnknownField, detail));
    }
    exists(cx, cx, "user", question.user, false).await?;
    if let Some(id) = question.id {
        exists(cx, cx, &question.kind, id, false).await?;
    }
    let steps = steps(cx, resource, question).await?;
    Ok(Explanation { allowed: steps.iter().all(|step| step.passed), steps })
}

async fn steps(cx: &Context, resource: &Arc<dyn Resource>, question: &Question) -> Result<Vec<Step>> {
    let verb = question.verb.unwrap_or(Verb::Read);
    let step = |check, passed, detail: String| Step { check, passed, detail };
    let Some(actor) = actor_of_user(cx.store(), &cx.tenant, question.user, cx.now()).await? else {
        let detail = "is not active, or has a role that is not there".to_owned();
        return Ok(vec![step("user", false, detail)]);
    };
    let role = Arc::clone(&actor.role);
    let theirs = Context { actor: Arc::new(actor), ..cx.clone() };
    let mut steps = vec![step("user", true, format!("is active, in the role `{role}`"))];
    let shape = theirs.kind(&question.kind).unwrap_or(resource).shape();
    let right = format!("{}:{}", shape.name, verb.as_str());
    let may = may(&theirs.actor, verb, shape).is_ok() && shape.verbs.contains(&verb);
    steps.push(step("right", may, format!("the role {} {right}", if may { "has" } else { "does not have" })));
    steps.push(step("rows", true, rows(&theirs, shape)));
    if let Some(id) = question.id {
        let changes = matches!(verb, Verb::Update | Verb::Delete);
        let seen = exists(cx, &theirs, &question.kind, id, false).await.is_ok();
        let passed = seen && (!changes || exists(cx, &theirs, &question.kind, id, true).await.is_ok());
        let shared = theirs.actor.shared(&shape.name, cx.now(), false).contains(&id);
        let detail = match (seen, passed, shared) {
            (false, ..) => "is not among these rows",
            (true, false, true) => "is shared with them to be read",
            (true, false, false) => "is about a record that is shared with them to be read",
            (true, true, true) => "is shared with them",
            (true, true, false) => "is among these rows",
        };
        steps.push(step("record", passed, format!("the {} {detail}", shape.name)));
    }
    if let Some(name) = &question.field {
        let (passed, detail) = match (shape.any_field(name).map(|field| field.access), verb) {
            (None, _) => (false, "the role may not read it"),
            (Some(_), Verb::Read | Verb::Delete) => (true, "the role may read it"),
            (Some(FieldAccess::Write), _) | (Some(FieldAccess::Create), Verb::Create) => {
                (true, "the role may write it")
            }
            (Some(_), _) => (false, "the role may read it, and not write it"),
        };
        steps.push(step("field", passed, detail.to_owned()));
    }
    Ok(steps)
}

fn rows(theirs: &Context, shape: &Shape) -> String {
    let plural = &shape.plural;
    match (theirs.actor.grants().extent(shape), shape.scope) {
        (_, Scope::Asker) if !theirs.actor.sees_all() => format!("they see the {plural} that they asked for"),
        (Extent::Where(filter), _) => format!("they see the {plural} that `{filter}` keeps"),
        (Extent::All, _) | (_, Scope::Tenant | Scope::Asker) => format!("they see all {plural}"),
        (_, Scope::Subject) => format!("they see the {plural} about records that they see"),
        (_, Scope::Part) => format!("they see the {plural} of records that they see"),
        (Extent::Own, _) => format!("they see the {plural} that they own"),
        (Extent::Team, _) => format!("they see the {plural} that members of their teams own"),
        (Extent::TeamTree, _) => format!("they see the {plural} that they and those below them own"),
    }
}

/// # Errors
/// `NotFound` where `whose` does not see the record, or may not change it.
async fn exists(cx: &Context, whose: &Context, kind: &str, id: Uuid, to_change: bool) -> Result<()> {
    let none = || Error::not_found(kind, id);
    let shape = whose.kind(kind).ok_or_else(none)?.shape();
    let rows = if to_change { changeable } else { visible };
    let select = rows(whose, shape).column(Alias::new("id")).and_where(Expr::col(Alias::new("id")).eq(id)).take();
    cx.reader().query_one(&select).await?.map(drop).ok_or_else(none)
}
