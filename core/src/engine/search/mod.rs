//! Text search: which records of a kind have the words of a text in the fields the kind declares.
//!
//! The core makes the tokens and the databases only keep them, so that both find the same: PostgreSQL as a `tsvector` with
//! a GIN index, SQLite in a contentless FTS5 table. Each token begins with a mark of its tenant and kind: a look into the
//! index meets no other tenant's rows, however common the word is elsewhere. Tokens are written with the record, in its
//! unit; the condition narrows what `visible` gives, and never widens it.

mod fill;
mod readable;
mod store;
mod tokens;

use std::collections::BTreeSet;

use sea_orm::{
    DbBackend, Value,
    sea_query::{Alias, BinOper, Expr, ExprTrait},
};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub(super) use self::readable::{readable, some_are_hidden};
pub(super) use self::store::{Documents, documents, put};
use self::tokens::{Token, Wanted};
pub use self::{fill::fill, readable::CANDIDATES};
use super::Shape;
use crate::{
    context::Context,
    error::{Code, Error, Result},
};

/// Characters of a text that is looked for.
pub const LONGEST: usize = 200;

/// The fields that a search of the kind reads.
pub fn fields(shape: &Shape) -> impl Iterator<Item = &'static str> {
    shape.search.iter().flat_map(|text| text.split(' '))
}

/// The condition that a record of the kind has every word of `text`, the last one at least as the beginning of a word. Where
/// [`some_are_hidden`], what it finds is for [`readable`] to decide.
///
/// # Errors
/// `Malformed`: the kind declares no fields, the text is too long or has nothing to look for, or the past is read.
pub(super) fn condition(cx: &Context, shape: &Shape, text: &str) -> Result<Expr> {
    let wrong = |code, detail: &str| Error::malformed("search", code, detail);
    if fields(shape).all(|name| shape.hides(name)) {
        let detail = format!("{} have no fields to search; use `filter`", shape.plural);
        return Err(wrong(Code::UnknownParameter, &detail));
    }
    if cx.known_at.is_some() {
        return Err(wrong(
            Code::InvalidParameter,
            "finds only what is there now; leave out `known_at`, or use `filter`",
        ));
    }
    if text.chars().count() > LONGEST {
        return Err(wrong(Code::TooLong, &format!("must have at most {LONGEST} characters")));
    }
    let wanted = tokens::wanted(text);
    if wanted.words.is_empty() {
        return Err(wrong(Code::InvalidParameter, "has no letter and no digit to look for"));
    }
    let query = query(cx.backend(), &mark(cx.tenant.id, shape), &wanted);
    let values: [Value; 3] = [query.into(), cx.tenant.id.into(), (&*shape.name).into()];
    // The words lead to few documents, the tenant to all of its own; both planners believe the opposite of a rare word, and
    // are kept from the tenant's index: by `offset 0`, and by `+`.
    let found = match cx.backend() {
        DbBackend::Postgres => {
            "(select record_id from (select * from search_document where tokens @@ $1::tsquery offset 0) as d \
             where tenant_id = $2 and kind = $3)"
        }
        _ => {
            "(select record_id from search_document \
             where seq in (select rowid from search_token where search_token match ?) and +tenant_id = ? and +kind = ?)"
        }
    };
    let id = Expr::col((shape.table(), Alias::new("id")));
    Ok(id.binary(BinOper::In, Expr::cust_with_values(found, values)))
}

/// The same question in each database's own words. Tokens are letters, digits and marks, so nothing in them is an
/// operator of either.
fn query(backend: DbBackend, mark: &str, wanted: &Wanted) -> String {
    let postgres = backend == DbBackend::Postgres;
    let one = |token: &Token| match (postgres, token.prefix) {
        (true, true) => format!("'{mark}{}':*", token.text),
        (true, false) => format!("'{mark}{}'", token.text),
        (false, true) => format!("\"{mark}{}\"*", token.text),
        (false, false) => format!("\"{mark}{}\"", token.text),
    };
    let (and, or) = if postgres { (" & ", " | ") } else { (" AND ", " OR ") };
    let any = |choice: &Vec<Token>| format!("({})", choice.iter().map(one).collect::<Vec<_>>().join(or));
    let words = wanted.words.iter().map(any).collect::<Vec<_>>().join(and);
    if wanted.number.is_empty() { words } else { format!("({words}){or}{}", any(&wanted.number)) }
}

/// What stands before each token of a tenant's records of a kind. Two that were equal would cost time, nothing else: the
/// document says whose it is.
fn mark(tenant: Uuid, shape: &Shape) -> String {
    short(&[tenant.as_bytes().as_slice(), shape.name.as_bytes()])
}

/// By which rule the tokens of a kind are made.
fn rule(shape: &Shape) -> String {
    short(&[&tokens::RULE.to_be_bytes(), shape.search.join(",").as_bytes()])
}

fn short(parts: &[&[u8]]) -> String {
    let hash = parts.iter().fold(Sha256::new(), Digest::chain_update).finalize();
    hash.iter().take(6).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// The columns of [`fields`], in that order.
pub(super) fn columns(shape: &Shape) -> Vec<usize> {
    fields(shape).filter_map(|name| shape.column(name)).collect()
}

/// One record's tokens as both databases take them: marked, with spaces between. `cells` are those of [`columns`].
fn document(mark: &str, shape: &Shape, cells: &[Value]) -> String {
    let tokens = words(shape.search, cells);
    let mut document = String::with_capacity(tokens.iter().map(|token| mark.len() + token.len() + 1).sum());
    for token in &tokens {
        if !document.is_empty() {
            document.push(' ');
        }
        document.push_str(mark);
        document.push_str(token);
    }
    document
}

/// One record's tokens; `cells` are those of [`columns`], `search` is the [`Shape::search`] they are of.
fn words(search: &[&str], cells: &[Value]) -> BTreeSet<String> {
    let mut tokens = BTreeSet::new();
    let mut cells = cells.iter();
    for text in search {
        let parts: Vec<String> = cells.by_ref().take(text.split(' ').count()).flat_map(texts).collect();
        tokens::add(&mut tokens, &parts);
    }
    tokens
}

fn texts(cell: &Value) -> Vec<String> {
    match cell {
        Value::String(text) => text.iter().cloned().collect(),
        Value::Json(json) => json.as_deref().map(leaves).unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// The texts anywhere in a JSON value.
fn leaves(json: &Json) -> Vec<String> {
    match json {
        Json::String(text) => vec![text.clone()],
        Json::Array(all) => all.iter().flat_map(leaves).collect(),
        Json::Object(all) => all.values().flat_map(leaves).collect(),
        _ => Vec::new(),
    }
}
