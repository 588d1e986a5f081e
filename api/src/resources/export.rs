//! `GET /v1/{kind}/export`: everything a filter keeps, as a file.

use actix_web::{
    HttpResponse,
    http::header::{self, ContentEncoding},
    web::{self, Bytes},
};
use futures::{StreamExt as _, stream};
use ripen_core::engine::{
    export::{self, Format, Sink},
    known,
    read::ListQuery,
};

use super::Answer;
use crate::{
    Problem, chain,
    extract::{Caller, Kind, Parameters},
    server::App,
};

/// The file is written by a task of its own, at the pace of its reader. What is wrong before its first piece is answered as
/// a problem; after that the connection breaks, so that nobody takes a part for the whole.
pub(super) async fn export(caller: Caller, kind: Kind, parameters: Parameters, app: web::Data<App>) -> Answer {
    let names = ["format", "filter", "search", "sort", "fields", "known_at"];
    let [format, filter, search, sort, fields, known_at] = parameters.take(names)?;
    let format = Format::parse(format.as_deref())?;
    let query = ListQuery { filter: filter.map(Into::into), search, sort, fields, ..ListQuery::default() };
    let cx = known(&caller, known_at.as_deref())?.into_owned();
    export::check(&cx, kind.shape(), &query).await?;
    let slot = app.exports.take(caller.tenant.id)?;
    let name = format!("attachment; filename=\"{}.{}\"", kind.shape().plural, format.extension());
    let (sink, mut pieces) = Sink::new();
    tokio::spawn(async move {
        let _slot = slot;
        if let Err(error) = export::export(&cx, kind.shape(), &query, format, &sink).await {
            tracing::warn!(request_id = cx.request_id.as_deref(), cause = chain(&error), "an export has failed");
            sink.fail(error).await;
        }
    });
    let first = pieces.recv().await.transpose()?.unwrap_or_default();
    let rest = stream::poll_fn(move |cx| pieces.poll_recv(cx));
    let pieces = stream::iter([Ok(first)]).chain(rest).map(|piece| piece.map(Bytes::from).map_err(Problem::from));
    let mut answer = HttpResponse::Ok();
    if format == Format::Xlsx {
        answer.insert_header(ContentEncoding::Identity); // compressed already
    }
    answer.insert_header((header::CONTENT_DISPOSITION, name)).insert_header((header::CACHE_CONTROL, "no-store"));
    Ok(answer.content_type(format.media_type()).streaming(pieces))
}
