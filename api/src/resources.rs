//! Handlers for every kind of record; no kind is named here.

mod aggregate;
mod batch;
mod composite;
mod erase;
mod export;
mod mass;
mod merge;
mod restore;
mod search;

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    guard::{GuardContext, fn_guard},
    http::{Method, header},
    web,
};
use ripen_core::{
    context::Context,
    engine::{
        Operation, Since, Written, known, only,
        read::{self, Found, ListQuery},
    },
    error::{Code, Error, Result},
};
use uuid::Uuid;

use crate::{
    JSON,
    extract::{Caller, Draft, Id, Kind, NoBody, Parameters, number},
    openapi::not_here,
    precondition::{IfMatch, IfNoneMatch},
    problem::Problem,
};

type Answer = Result<HttpResponse, Problem>;

/// What is asked for most is looked for first: one record by its id. No action has a path of that form.
pub fn first(cfg: &mut web::ServiceConfig) {
    let one = |cx: &GuardContext<'_>| {
        let id = cx.head().uri.path().rsplit('/').next().unwrap_or_default();
        cx.head().method == Method::GET && Uuid::try_parse(id).is_ok()
    };
    cfg.service(web::resource("/v1/{kind}/{id}").guard(fn_guard(one)).route(web::get().to(get)));
}

pub fn routes(cfg: &mut web::ServiceConfig) {
    let composite = web::post().to(composite::composite);
    cfg.service(web::resource("/v1/composite").route(composite).default_service(web::to(not_here)));
    let many = web::resource("/v1/{kind}").route(web::get().to(list)).route(web::post().to(create));
    let export = web::resource("/v1/{kind}/export").route(web::get().to(export::export));
    let one = web::resource("/v1/{kind}/{id}")
        .route(web::get().to(get))
        .route(web::patch().to(update))
        .route(web::delete().to(delete));
    let search = web::resource("/v1/{kind}/search").route(web::post().to(search::search));
    cfg.service(search.default_service(web::to(not_here)));
    let aggregate = web::resource("/v1/{kind}/aggregate").route(web::post().to(aggregate::aggregate));
    cfg.service(aggregate.default_service(web::to(not_here)));
    let (batch, restore) = (web::post().to(batch::batch), web::post().to(restore::restore));
    cfg.service(web::resource("/v1/{kind}/batch").route(batch).default_service(web::to(not_here)));
    for (name, route) in [("update", web::post().to(mass::update)), ("delete", web::post().to(mass::delete))] {
        let many = web::resource(format!("/v1/{{kind}}/mass-{name}")).route(route);
        cfg.service(many.default_service(web::to(not_here)));
    }
    let erase = web::post().to(erase::erase);
    cfg.service(web::resource("/v1/{kind}/{id}/erase").route(erase).default_service(web::to(not_here)));
    let merge = web::post().to(merge::merge);
    cfg.service(web::resource("/v1/{kind}/{id}/merge").route(merge).default_service(web::to(not_here)));
    cfg.service(web::resource("/v1/{kind}/{id}/restore").route(restore).default_service(web::to(not_here)));
    cfg.service(export.default_service(web::to(not_here)));
    cfg.service(many.default_service(web::to(not_here))).service(one.default_service(web::to(not_here)));
}

async fn list(caller: Caller, kind: Kind, parameters: Parameters, request: HttpRequest) -> Answer {
    let names = ["filter", "sort", "fields", "expand", "limit", "cursor", "count", "known_at", "search"];
    let [filter, sort, fields, expand, limit, cursor, count, known_at, search] = parameters.take(names)?;
    let (limit, count) = (number("limit", limit)?, counted(count.as_deref())?);
    let query = ListQuery { filter: filter.map(Into::into), search, sort, fields, expand, limit, cursor, count };
    let cx = known(&caller, known_at.as_deref())?;
    let page = read::list(&cx, kind.shape(), &query).await?;
    let mut answer = HttpResponse::Ok();
    for (rel, cursor) in [("next", &page.next), ("prev", &page.prev)] {
        if let Some(cursor) = cursor {
            answer.append_header((header::LINK, link(&request, cursor, rel)));
        }
    }
    Ok(answer.content_type(JSON).body(page.body))
}

async fn get(caller: Caller, kind: Kind, id: Id, parameters: Parameters, seen: IfNoneMatch) -> Answer {
    let [fields, expand, known_at] = parameters.take(["fields", "expand", "known_at"])?;
    let cx = known(&caller, known_at.as_deref())?;
    let found = read::get(&cx, kind.shape(), id.0, fields.as_deref(), expand.as_deref()).await?;
    match found.etag {
        Some(etag) if seen.has(&etag) => Ok(HttpResponse::NotModified().insert_header((header::ETAG, etag)).finish()),
        _ => Ok(whole(HttpResponse::Ok(), found)),
    }
}

async fn create(caller: Caller, kind: Kind, parameters: Parameters, draft: Draft) -> Answer {
    let [] = parameters.take([])?;
    let operation = Operation::Create { data: draft.0, since: Since::default() };
    let (written, found) = write(&caller, &kind, operation).await?;
    let mut answer = HttpResponse::Created();
    answer.insert_header((header::LOCATION, format!("/v1/{}/{}", kind.shape().plural, written.id)));
    Ok(whole(answer, found))
}

async fn update(caller: Caller, kind: Kind, id: Id, parameters: Parameters, seen: IfMatch, draft: Draft) -> Answer {
    let [] = parameters.take([])?;
    let operation =
        Operation::Update { id: id.0, version: seen.version(&caller)?, data: draft.0, since: Since::default() };
    let (_, found) = write(&caller, &kind, operation).await?;
    Ok(whole(HttpResponse::Ok(), found))
}

async fn delete(caller: Caller, kind: Kind, id: Id, parameters: Parameters, seen: IfMatch, _: NoBody) -> Answer {
    let [] = parameters.take([])?;
    let version = seen.version(&caller)?;
    let unit = caller.begin_for([kind.shape()]).await?;
    only(kind.write(&unit, vec![Operation::Delete { id: id.0, version }]).await?)?;
    unit.commit().await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn write(cx: &Context, kind: &Kind, operation: Operation) -> Result<(Written, Found)> {
    let unit = cx.begin_for([kind.shape()]).await?;
    let written = kind.write_one(&unit, operation).await?;
    unit.commit().await?;
    Ok(written)
}

/// The record as it is now, as the answer to an action on it.
pub(crate) async fn record(
    cx: &Context,
    kind: &'static str,
    id: Uuid,
    answer: &mut HttpResponseBuilder,
) -> Result<HttpResponse> {
    let resource = cx.kind(kind);
    let resource = resource.ok_or_else(|| Error::internal("actions answer with kinds of the registry", kind))?;
    Ok(whole(answer.take(), read::get(cx, resource.shape(), id, None, None).await?))
}

fn whole(mut answer: HttpResponseBuilder, found: Found) -> HttpResponse {
    if let Some(etag) = found.etag {
        answer.insert_header((header::ETAG, etag));
    }
    answer.content_type(JSON).body(found.body)
}

/// `count=exact`, the only way there is to count.
fn counted(count: Option<&str>) -> Result<bool> {
    match count {
        None => Ok(false),
        Some("exact") => Ok(true),
        Some(_) => Err(Error::malformed("count", Code::InvalidParameter, "must be `exact`")),
    }
}

/// The same request at another cursor, as a web link (RFC 8288).
fn link(request: &HttpRequest, cursor: &str, rel: &str) -> String {
    let others = request.query_string().split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("cursor="));
    let query: Vec<_> = others.map(str::to_owned).chain([format!("cursor={cursor}")]).collect();
    format!("<{}?{}>; rel=\"{rel}\"", request.path(), query.join("&"))
}
