//! From a bearer token to who asks.

use std::sync::Arc;

use ripen_core::{
    access::Actor,
    context::{Tenant, World},
    error::{Code, Error, Result},
};

/// # Errors
/// The token is none that may act.
#[expect(clippy::unused_async, reason = "the access branch brings the look-up")]
pub(crate) async fn actor_of_token(_world: &Arc<World>, _token: &str) -> Result<(Arc<Tenant>, Arc<Actor>)> {
    Err(Error::Unauthenticated { code: Code::InvalidToken, detail: "the token is not one of ours".to_owned() })
}
