//! What must not be seen: the server's own keys, and texts that callers hand over in confidence.

use sea_orm::{
    ConnectionTrait,
    sea_query::{Alias, Expr, ExprTrait, OnConflict, Query},
};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::{
    error::{Error, Result},
    store::Store,
};

/// A password or token in a request: prints as `Secret(..)`, is never serialised.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = "password")]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// SHA-256: what is kept of a token, and what it is looked up by.
pub(super) fn digest(bytes: impl AsRef<[u8]>) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// 32-byte keys, one a purpose, that the server makes for itself at its first start and keeps in its database, so that
/// every process of one installation has the same. Never logged, never exported.
#[derive(Clone)]
pub struct Secrets {
    /// Seals page cursors.
    pub cursor: [u8; 32],
    /// Seed of the Ed25519 key that signs access tokens.
    pub signing: [u8; 32],
    /// Authenticates compiled plugins on disk.
    pub plugin_cache: [u8; 32],
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(..)")
    }
}

impl Secrets {
    /// Reads the keys, making those that are not there yet. Two processes that start at once end with the same.
    ///
    /// # Errors
    /// The database.
    pub async fn load(store: &Store) -> Result<Self> {
        Ok(Self {
            cursor: key(store, "cursor").await?,
            signing: key(store, "signing").await?,
            plugin_cache: key(store, "plugin_cache").await?,
        })
    }
}

async fn key(store: &Store, name: &str) -> Result<[u8; 32]> {
    let fresh: [u8; 32] = rand::random();
    let mut insert = Query::insert();
    insert
        .into_table(Alias::new("server_secret"))
        .columns(["name", "value"].map(Alias::new))
        .values_panic([Expr::val(name), Expr::val(fresh.to_vec())])
        .on_conflict(OnConflict::column(Alias::new("name")).do_nothing().to_owned());
    store.write.execute(&insert).await?;
    let select = Query::select()
        .column(Alias::new("value"))
        .from(Alias::new("server_secret"))
        .and_where(Expr::col(Alias::new("name")).eq(name))
        .take();
    let row = store.write.query_one(&select).await?;
    let stored: Vec<u8> = row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default();
    stored.try_into().map_err(|_| Error::internal("a server secret has 32 bytes", name.to_owned()))
}
