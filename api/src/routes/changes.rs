//! The change log, page by page and as a stream of server-sent events.

use std::{pin::pin, sync::atomic::Ordering, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, ContentEncoding},
    web::{self, Bytes},
};
use futures::stream;
use ripen_core::{
    context::Context,
    engine::feed::{Batch, Feed, Position},
    error::{Error, Result},
};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep, sleep_until};
use utoipa::{OpenApi, ToSchema};

use crate::{
    Problem, chain,
    extract::{Caller, Parameters, RequestId, bearer, number, single},
    server::App,
    slots::Slot,
};

type Answer = Result<HttpResponse, Problem>;

/// Changes that other processes commit are met by asking; those of this one wake the streams.
const POLL: Duration = Duration::from_secs(1);
/// A burst of commits is one reason to look.
const GATHER: Duration = Duration::from_millis(25);
/// Changes that a stream holds in memory at most, however slow its reader.
const PAGE: u64 = 100;

pub fn routes(cfg: &mut web::ServiceConfig) {
    cfg.route("/v1/changes", web::get().to(page)).route("/v1/changes/stream", web::get().to(stream));
}

#[derive(OpenApi)]
#[openapi(
    paths(page, stream),
    components(schemas(ChangePage, Change, ChangedField, ChangeOp, ChangePosition)),
    tags((name = "changes", description = "What happened to records: every committed change once, in commit order, with \
        what each field was and became."))
)]
pub(crate) struct Doc;

/// A page of the change log.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the answer, which is written as bytes")]
struct ChangePage {
    data: Vec<Change>,
    page: ChangePosition,
}

/// One committed change of one record.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the answer, which is written as bytes")]
struct Change {
    /// For `after`: the changes that follow this one.
    cursor: String,
    /// Kind of record.
    #[schema(example = "account")]
    kind: String,
    /// The record.
    id: uuid::Uuid,
    /// The record's version that the change made.
    version: i64,
    at: chrono::DateTime<chrono::Utc>,
    op: ChangeOp,
    /// By field; a create, a delete and a restore name every field that has a value.
    changed: std::collections::BTreeMap<String, ChangedField>,
    /// Who did it; null for the server itself.
    actor_id: Option<uuid::Uuid>,
    /// The request that did it, or the job.
    request_id: Option<String>,
}

/// What happened to the record.
#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the answer, which is written as bytes")]
enum ChangeOp {
    Create,
    Update,
    Delete,
    Restore,
}

/// What a field was and what it became; null before the record lived and after it was deleted.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the answer, which is written as bytes")]
struct ChangedField {
    before: serde_json::Value,
    after: serde_json::Value,
}

#[derive(Serialize, ToSchema)]
struct ChangePosition {
    /// For `after`: where to go on, also where nothing follows yet.
    next: String,
    /// There is more already.
    has_more: bool,
}

#[derive(Serialize)]
struct Printed {
    data: Vec<Box<RawValue>>,
    page: ChangePosition,
}

/// List changes
///
/// In commit order, each once; one that is committed late comes late, and none is ever skipped: keep `page.next` and come
/// back with it. You see the changes of records that you may see now. A page looks at `limit` changes and shows those you
/// may see, so that it can be short, or empty, while `has_more` is true.
#[utoipa::path(get, path = "/v1/changes", operation_id = "list_changes", tag = "changes",
    params(
        ("after" = Option<String>, Query, description = "A cursor; `latest` for the end of the log; the beginning where it \
            is left out."),
        ("kind" = Option<String>, Query, description = "Kinds of record: `account,contact`; all of them where it is left out."),
        ("limit" = Option<u64>, Query, description = "Changes a page, 1 to 1000; 100 where it is left out.")),
    extensions(("x-right" = json!("change:read"))),
    responses((status = 200, description = "Changes, and where to go on.", body = ChangePage)))]
async fn page(caller: Caller, parameters: Parameters) -> Answer {
    let [after, kind, limit] = parameters.take(["after", "kind", "limit"])?;
    let feed = Feed::new(&caller, kind.as_deref(), number("limit", limit)?)?;
    let Batch { items, next, has_more } = feed.read(&feed.position("after", after.as_deref()).await?).await?;
    let raw = |(_, json): (String, Vec<u8>)| {
        let text = String::from_utf8(json).map_err(|source| Error::internal("JSON is text", source))?;
        RawValue::from_string(text).map_err(|source| Error::internal("a change is JSON", source))
    };
    let data = items.into_iter().map(raw).collect::<Result<_>>()?;
    let page = ChangePosition { next: next.seal(&caller)?, has_more };
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(Printed { data, page }))
}

/// Stream changes
///
/// As server-sent events of the type `change`, from the beginning, from `after`, or from `Last-Event-ID`, which goes before.
/// The `id` of an event is its cursor, so that a client that comes back loses nothing and meets nothing twice. A comment is
/// sent when nothing else is. The stream ends when the token expires or its session is ended: come back with a fresh token.
#[utoipa::path(get, path = "/v1/changes/stream", operation_id = "stream_changes", tag = "changes",
    params(
        ("after" = Option<String>, Query, description = "A cursor; `latest` for the end of the log; the beginning where it \
            is left out."),
        ("kind" = Option<String>, Query, description = "Kinds of record: `account,contact`; all of them where it is left out."),
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event that was received.")),
    extensions(("x-right" = json!("change:read"))),
    responses((status = 200, description = "Events whose data is a `Change`.", content_type = "text/event-stream",
        body = String)))]
async fn stream(
    caller: Caller,
    parameters: Parameters,
    request: HttpRequest,
    request_id: RequestId,
    app: web::Data<App>,
) -> Answer {
    let [after, kind] = parameters.take(["after", "kind"])?;
    let last = single(&request, "Last-Event-ID")?;
    let (parameter, after) = last.map_or(("after", after), |last| ("Last-Event-ID", Some(last)));
    let feed = Feed::new(&caller, kind.as_deref(), Some(PAGE))?;
    let at = feed.position(parameter, after.as_deref()).await?;
    let slot = app.streams.take(caller.tenant.id)?;
    let heard = Instant::now();
    let tail = Tail { token: bearer(&request)?, request_id, kind, at, heard, _slot: slot, app };
    let hello = stream::iter([Ok::<_, Problem>(Bytes::from_static(b": changes follow\n\n"))]);
    let events = stream::try_unfold(tail, |tail| async move { Ok(tail.next().await) });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header(ContentEncoding::Identity) // compression would hold events back
        .streaming(futures::StreamExt::chain(hello, events)))
}

/// One stream and where it stands. The reader's pace is the stream's: nothing is read before the last page was taken.
struct Tail {
    app: web::Data<App>,
    token: String,
    request_id: RequestId,
    kind: Option<String>,
    at: Position,
    /// When the reader last got anything.
    heard: Instant,
    _slot: Slot,
}

impl Tail {
    /// The next events, or a sign of life; `None` at the end.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        loop {
            let app = self.app.clone();
            let mut woken = pin!(app.world.committed.notified());
            woken.as_mut().enable();
            if app.stopping.load(Ordering::Relaxed) {
                return None;
            }
            match self.read().await {
                Ok((events, _)) if !events.is_empty() => return Some((self.say(events), self)),
                Ok((_, true)) => return self.sign().await, // how far it has come among what the reader may not see
                Ok(_) => {}
                Err(error) => {
                    let unauthenticated = matches!(error, Error::Unauthenticated { .. } | Error::Forbidden { .. });
                    if !unauthenticated {
                        tracing::warn!(request_id = &*self.request_id.0, cause = chain(&error), "a stream has ended");
                    }
                    return None;
                }
            }
            tokio::select! {
                () = &mut woken => sleep(GATHER).await,
                () = sleep(POLL) => {}
                () = sleep_until(self.heard + app.limits.heartbeat) => return self.sign().await,
            }
        }
    }

    /// A sign of life: without data it is no event, and yet the client takes the id.
    async fn sign(mut self) -> Option<(Bytes, Self)> {
        let sign = self.context().await.and_then(|cx| self.at.seal(&cx)).ok()?;
        Some((self.say(format!(": nothing yet\nid: {sign}\n\n").into()), self))
    }

    fn say(&mut self, text: Vec<u8>) -> Bytes {
        self.heard = Instant::now();
        text.into()
    }

    /// Who asks, with the rights they have now.
    async fn context(&self) -> Result<Context> {
        let world = self.app.world.clone();
        let (tenant, actor) = world.gate.actor_of_token(&world, &self.token).await?;
        Ok(Context { world, tenant, actor, request_id: Some(self.request_id.0.clone()), known_at: None, attempt: None })
    }

    /// Events of the next page, and whether there are more.
    async fn read(&mut self) -> Result<(Vec<u8>, bool)> {
        let cx = self.context().await?;
        let Batch { items, next, has_more } = Feed::new(&cx, self.kind.as_deref(), Some(PAGE))?.read(&self.at).await?;
        self.at = next;
        let mut events = Vec::new();
        for (cursor, json) in items {
            events.extend_from_slice(format!("id: {cursor}\nevent: change\ndata: ").as_bytes());
            events.extend_from_slice(&json);
            events.extend_from_slice(b"\n\n");
        }
        Ok((events, has_more))
    }
}
