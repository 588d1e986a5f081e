//! `POST /v1/{kind}/search`: a list whose question is a JSON body.

use actix_web::HttpResponse;
use ripen_core::{
    engine::{
        filter::Written,
        known,
        read::{self, ListQuery},
    },
    error::{Code, Error, Result, Violation},
};
use serde::Deserialize;
use serde_json::Value as Json;

use super::Answer;
use crate::{
    JSON,
    extract::{Body, Caller, Parameters, Readable},
};

/// The parameters of a list, as members.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    r#where: Option<Json>,
    #[serde(default)]
    sort: Vec<String>,
    #[serde(default)]
    fields: Vec<String>,
    #[serde(default)]
    expand: Vec<String>,
    limit: Option<u64>,
    cursor: Option<String>,
    count: Option<Count>,
    known_at: Option<String>,
    search: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Count {
    Exact,
}

pub(super) async fn search(caller: Caller, kind: Readable, parameters: Parameters, body: Body<Question>) -> Answer {
    let [] = parameters.take([])?;
    let cx = known(&caller, body.0.known_at.as_deref()).map_err(in_body)?;
    let page = read::list(&cx, kind.shape(), &body.0.query()?).await.map_err(in_body)?;
    Ok(HttpResponse::Ok().content_type(JSON).body(page.body))
}

impl Question {
    fn query(&self) -> Result<ListQuery> {
        Ok(ListQuery {
            filter: self.r#where.clone().map(Written::Json),
            search: self.search.clone(),
            sort: listed("sort", &self.sort)?,
            fields: listed("fields", &self.fields)?,
            expand: listed("expand", &self.expand)?,
            limit: self.limit,
            cursor: self.cursor.clone(),
            count: matches!(self.count, Some(Count::Exact)),
        })
    }
}

/// Names as the parameter of a list has them; none say nothing.
pub(super) fn listed(member: &str, names: &[String]) -> Result<Option<String>> {
    let several = names.iter().position(|name| name.contains(','));
    if let Some(i) = several {
        let detail = "must be one name; a list has one a string";
        return Err(Error::malformed(&format!("/{member}/{i}"), Code::InvalidValue, detail));
    }
    Ok(Some(names.join(",")).filter(|_| !names.is_empty()))
}

/// What is wrong with a parameter of the list is wrong with the member of that name.
pub(super) fn in_body(error: Error) -> Error {
    let place = |mut violation: Violation| {
        if !violation.pointer.starts_with('/') {
            violation.pointer.insert(0, '/');
        }
        violation
    };
    match error {
        Error::Malformed(violations) => Error::Malformed(violations.into_iter().map(place).collect()),
        other => other,
    }
}
