//! Erasing a person, as a job: everything in one transaction, which ends with the proof.

mod inputs;

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::{
    access::{self, Verb},
    context::Context,
    engine::{
        Record, Resource,
        erase::{erasable, erase, prove, there},
    },
    error::{Error, Result},
    jobs::{self, Progress, Running, Work},
    records::user,
};

/// The kind of job.
const ERASURE: &str = "erasure";
const RIGHT: &str = "person:erase";

/// Erases people.
pub struct Erase;

/// Asks for the job that erases the person whom the record is about.
///
/// # Errors
/// `Forbidden`; `NotFound`: no such record, or none of a kind that is about people.
pub async fn ask(cx: &Context, resource: &dyn Resource, id: Uuid) -> Result<Uuid> {
    let shape = resource.shape();
    if !erasable(shape) {
        return Err(Error::NotFound { what: format!("an erasure of {}", shape.plural) });
    }
    let rights = vec![RIGHT.to_owned(), access::right(shape, Verb::Delete), jobs::READ.to_owned()];
    access::may_all(cx, &rights)?;
    let unit = cx.begin().await?;
    there(&unit, shape, id).await?;
    let job = jobs::enqueue(&unit, ERASURE, rights, json!({"kind": &*shape.name, "id": id})).await?;
    unit.commit().await?;
    Ok(job)
}

#[async_trait]
impl Work for Erase {
    fn kind(&self) -> &'static str {
        ERASURE
    }

    async fn run(&self, job: &Running) -> Result<Json> {
        if let Some(done) = job.checkpoint.get("done") {
            return Ok(done.clone()); // nothing is left from which it could be told again
        }
        let cx = &job.cx;
        let text = |name: &str| job.input.get(name).and_then(Json::as_str).unwrap_or_default();
        let (kind, id) = (text("kind"), text("id").parse().unwrap_or_default());
        let resource = cx.kind(kind).ok_or_else(|| Error::NotFound { what: format!("kind {kind}") })?;
        let unit = cx.begin().await?;
        let (mut erasure, texts) = erase(&unit, resource.shape(), id).await?;
        let texts = Arc::new(texts);
        inputs::throw_away(&unit, &texts, &mut erasure).await?;
        prove(&unit, &texts, &mut erasure).await?;
        if kind == user::Entity::NAME {
            access::forget_user(&unit, id).await?;
        }
        let records = erasure.records.values().sum::<usize>() as u64;
        let told = serde_json::to_value(&erasure).map_err(|source| Error::internal("an erasure is JSON", source))?;
        let progress = Progress { done: records, total: Some(records), ok: records, failed: 0 };
        let done = json!({"kind": kind, "id": id, "erased": told});
        job.save(&unit, progress, &json!({"done": done})).await?;
        unit.commit().await?;
        Ok(done)
    }
}
