//! From bytes to a plugin of the tenant, after every check. Nothing of a plugin that fails one is kept.

use std::sync::Arc;

use async_trait::async_trait;
use sea_orm::sea_query::{Alias, Expr, ExprTrait};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::{artefact, create, newest, object};
use crate::{
    access,
    context::{Context, Unit},
    error::{Code, Error, Result},
    jobs::{self, Running, Work},
    ports::Verified,
    records::plugin::{Entity, Model as Plugin},
};

/// Bytes of the largest upload.
pub const LARGEST: usize = 24 << 20;

const KIND: &str = "plugin_upload";

/// Takes the bytes of a component and asks for the job that checks and stores it; its result is
/// `{"plugin_id", "name", "version", "digest"}`, its problem that of the first check that failed.
///
/// # Errors
/// `Forbidden`, `Limit` above [`LARGEST`], the database.
pub async fn upload(cx: &Context, bytes: &[u8]) -> Result<Uuid> {
    let rights = ["plugin:create", jobs::READ].map(str::to_owned).to_vec();
    access::may_all(cx, &rights)?;
    if bytes.len() > LARGEST {
        let detail = format!("a plugin has at most {} MiB", LARGEST >> 20);
        return Err(Error::Limit { code: Code::BodyTooLarge, detail, retry_after: None });
    }
    let unit = cx.begin().await?;
    let job = cx.new_id();
    jobs::enqueue_as(&unit, job, KIND, rights, json!({})).await?;
    for (n, chunk) in (0..).zip(bytes.chunks(jobs::input::CHUNK)) {
        jobs::input::append(&unit, job, n, chunk.to_vec()).await?;
    }
    unit.commit().await?;
    Ok(job)
}

pub struct Upload;

#[async_trait]
impl Work for Upload {
    fn kind(&self) -> &'static str {
        KIND
    }

    async fn run(&self, job: &Running) -> Result<Json> {
        let mut bytes = Vec::new();
        let mut n = 0;
        while let Some(chunk) = jobs::input::read(&job.cx, job.id, n).await? {
            bytes.extend(chunk);
            n += 1;
        }
        let bytes: Arc<[u8]> = bytes.into();
        let verified = job.cx.world.plugins.call(job.cx.tenant.id, move |host| host.verify(bytes)).await?;
        store(&job.cx, &verified).await
    }
}

async fn store(cx: &Context, verified: &Verified) -> Result<Json> {
    let artefact = &verified.artefact;
    let info = &artefact.manifest.plugin;
    let answer = |id: Uuid| {
        let digest = artefact.digest.as_ref();
        json!({"plugin_id": id, "name": info.name, "version": info.version, "digest": digest})
    };
    let unit = cx.begin().await?;
    if let Some(known) = same_name(&unit, &info.name, &info.version).await? {
        if known.digest == artefact.digest.as_ref() {
            return Ok(answer(known.id));
        }
        let (name, version) = (&info.name, &info.version);
        let detail =
            format!("{name}@{version} is there with other bytes (SHA-256 {}); raise the version", known.digest);
        return Err(Error::conflict(Code::Conflict, detail));
    }
    let (major, minor, patch) = verified.api;
    let manifest = serde_json::to_value(artefact.manifest.as_ref())
        .map_err(|source| Error::internal("a manifest can be written as JSON", source))?;
    let data = json!({
        "name": info.name, "release": info.version, "description": info.description, "license": info.license,
        "kinds": info.kinds, "subject": info.subject, "digest": artefact.digest.as_ref(), "size": artefact.bytes.len(),
        "api": format!("{major}.{minor}.{patch}"), "imports": verified.imports, "fixtures": verified.fixtures,
        "fuel_per_row": verified.fuel_per_row, "manifest": manifest,
    });
    let written = create::<Entity>(&unit, object(data)).await?;
    artefact::keep(&unit, written.id, &artefact.bytes).await?;
    unit.commit().await?;
    Ok(answer(written.id))
}

async fn same_name(unit: &Unit<'_>, name: &str, release: &str) -> Result<Option<Plugin>> {
    let col = |name: &'static str| Expr::col(Alias::new(name));
    newest::<Entity>(unit.cx, &unit.txn, col("name").eq(name).and(col("release").eq(release))).await
}
