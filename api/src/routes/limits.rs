//! Every limit there is, from where it is kept.

use actix_web::{HttpResponse, web};
use ripen_core::{
    access,
    custom::{define, rules},
    decisions::LARGEST as PLUGIN,
    engine::{
        MAX_DEPTH, MAX_NAMES, aggregate, batch, custom::MAX_INDEXED, erase, feed, filter, merge, parts, read, search,
    },
    idempotency, import,
    values::json::DEPTH,
};
use serde_json::{Value as Json, json};
use utoipa::OpenApi;

use crate::{
    Problem,
    extract::{Caller, MANY, Parameters, UPLOAD_TIME},
    routes::imports::SPEC,
    server::App,
};

pub fn routes(cfg: &mut web::ServiceConfig) {
    cfg.route("/v1/limits", web::get().to(limits));
}

#[derive(OpenApi)]
#[openapi(paths(limits), tags((name = "limits", description = "What one may ask for at most.")))]
pub(crate) struct Doc;

/// Every limit
///
/// Sizes in bytes, times in seconds, everything else in pieces; `null` where there is none. Answers carry
/// `RateLimit-Policy` and `RateLimit` where requests are counted.
#[utoipa::path(get, path = "/v1/limits", operation_id = "get_limits", tag = "limits",
    extensions(("x-right" = json!("me:read"))),
    responses((status = 200, description = "The limits, by what they are of.", body = Object)))]
async fn limits(app: web::Data<App>, caller: Caller, parameters: Parameters) -> Result<HttpResponse, Problem> {
    let [] = parameters.take([])?;
    access::may_act(&caller.actor, "me:read")?;
    Ok(HttpResponse::Ok().json(all(&app)))
}

fn all(app: &App) -> Json {
    let quota = |requests: u32| if requests == 0 { Json::Null } else { requests.into() };
    json!({
        "requests": {
            "per_minute_of_tenant": quota(app.rates.quotas.tenant),
            "per_minute_of_token": quota(app.rates.quotas.token),
        },
        "bodies": {
            "json_bytes": app.limits.body,
            "json_depth": DEPTH,
            "seconds": app.limits.body_time.as_secs(),
            "batch_bytes": MANY,
            "plugin_bytes": PLUGIN,
            "upload_seconds": UPLOAD_TIME.as_secs(),
        },
        "lists": {"page": read::MAX_LIMIT, "expand_depth": MAX_DEPTH, "names": MAX_NAMES},
        "searches": {"characters": search::LONGEST, "records_where_fields_are_hidden": search::CANDIDATES},
        "filters": {
            "nodes": filter::MAX_NODES,
            "depth": filter::MAX_DEPTH,
            "values": filter::MAX_VALUES,
            "relations": MAX_DEPTH,
            "letters_beyond_ascii": filter::MAX_LETTERS,
        },
        "aggregates": {
            "measures": aggregate::MAX_MEASURES,
            "group_by": aggregate::MAX_GROUP_BY,
            "periods": aggregate::MAX_PERIODS,
            "groups": aggregate::MAX_LIMIT,
            "groups_looked_at": aggregate::MAX_GROUPS,
        },
        "lines": {"of_record": parts::MOST},
        "merges": {"records": merge::MOST},
        "erasures": {"records": erase::MOST},
        "custom": {
            "fields": rules::MAX_FIELDS,
            "objects": rules::MAX_OBJECTS,
            "options": define::MAX_OPTIONS,
            "indexed_characters": MAX_INDEXED,
        },
        "passwords": {"least_characters": access::SHORTEST_PASSWORD, "bytes": access::LONGEST_PASSWORD},
        "batches": {"operations": batch::LARGEST},
        "composites": {"operations": batch::LARGEST_COMPOSITE},
        "changes": {
            "page": feed::MAX_LIMIT,
            "streams_of_tenant": app.streams.most(),
            "heartbeat_seconds": app.limits.heartbeat.as_secs(),
        },
        "exports": {"at_once_of_tenant": app.exports.most()},
        "imports": {
            "spec_bytes": SPEC,
            "row_bytes": import::LONGEST_ROW,
            "workbook_bytes": import::LARGEST_WORKBOOK,
        },
        "idempotency": {"key_characters": idempotency::LONGEST, "kept_seconds": idempotency::KEPT.num_seconds()},
        "api_keys": {"of_user": access::MOST_KEYS},
    })
}
