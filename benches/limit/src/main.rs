//! The limit: what the web framework and the database do at best, written by hand for six operations on contacts and
//! opportunities. It serves a database that the product has migrated and filled, so that tables, indexes and rows are
//! the same, and answers GETs with the same bytes. It knows one tenant and one user: no tokens, no rights, no change
//! log, no log lines. `benches/http.sh` measures the product beside it.
//!
//! `ripen-limit postgres://…|sqlite://… ADDRESS`

#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "written as one would without the house")]

mod contact;
mod postgres;
mod sqlite;

use std::error::Error;

/// As many as the product has on the machine this is compared on.
const WORKERS: usize = 2;

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(address)) = (arguments.next(), arguments.next()) else {
        return Err("usage: ripen-limit postgres://…|sqlite://… ADDRESS".into());
    };
    if url.starts_with("sqlite:") {
        sqlite::server::serve(sqlite::open(&url).await?, &address).await
    } else {
        postgres::server::serve(postgres::open(&url).await?, &address).await
    }
}
