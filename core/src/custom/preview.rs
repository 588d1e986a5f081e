//! What a change of a definition would mean, without making it.

use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::{
    check::{self, Preview},
    define,
};
use crate::{
    access::{self, Verb},
    context::Context,
    engine::{Operation, Record, Since, load, merge_patch},
    error::{Code, Error, Result},
    records::custom_field,
};

/// The records that the patch of the definition would leave invalid. Nothing is written.
///
/// Cost: one statement a thousand records of the kind.
///
/// # Errors
/// `NotFound`; `Forbidden`; `Invalid` where the patch itself is wrong, as the update would answer.
pub async fn preview(cx: &Context, id: Uuid, patch: Map<String, Json>) -> Result<Preview> {
    let definitions = cx.tenant.kinds.of::<custom_field::Entity>()?;
    access::may(&cx.actor, Verb::Update, definitions.shape())?;
    let unit = cx.begin_for([definitions.shape()]).await?;
    let before = load::<custom_field::Entity>(&unit, vec![id]).await?.remove(&id);
    let before = before.ok_or_else(|| Error::not_found(custom_field::Entity::NAME, id))?;
    let tried = Operation::Update { id, version: None, data: patch.clone(), since: Since::default() };
    for verdict in definitions.write(&unit, vec![tried]).await? {
        match verdict {
            Err(Error::Invalid(broken)) if broken.iter().all(|violation| violation.code == Code::ExistingValues) => {}
            verdict => drop(verdict?),
        }
    }
    drop(unit);
    let whole = serde_json::to_value(&before).map_err(|source| Error::internal("a record is JSON", source))?;
    let after = serde_json::from_value(merge_patch(whole, &Json::Object(patch)));
    let after: custom_field::Model =
        after.map_err(|source| Error::internal("a checked candidate is a record", source))?;
    let field = define::field(&after).map_err(Error::Invalid)?;
    match cx.kind(&after.kind) {
        Some(kind) => check::check(cx, &cx.reader(), kind.shape(), &field).await,
        None => Ok(Preview::default()),
    }
}
