//! The gate every request passes: from a token to the tenant and the actor.
//!
//! Nothing here asks the database twice a second for the same thing. What users may do carries a generation, a number of
//! the tenant that rises in the transaction of any change to users, teams, memberships, sessions, custom fields or custom
//! objects. What is remembered is used
//! only while its generation is the tenant's, and the tenant's is read again after a second, or at once when this process
//! itself has committed such a change.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::jwk::JwkSet;
use moka::sync::Cache;
use sea_orm::DatabaseTransaction;
use uuid::Uuid;

use super::{
    Actor, Secrets, actor_of_user, api_key,
    password::{Cost, Passwords},
    secrets::digest,
    session, tenants,
    throttle::Throttle,
    token::{self, Signer},
};
use crate::{
    context::{Tenant, World},
    custom,
    error::Result,
};

/// How long a process may not notice what another one has changed.
const GENERATION_AGE: TimeDelta = TimeDelta::seconds(1);
/// Memberships also begin and end as time goes by, which no generation tells.
const ACTOR_AGE: TimeDelta = TimeDelta::seconds(60);
const TENANTS: u64 = 10_000;
const SESSIONS: u64 = 100_000;

/// What an installation may choose.
#[derive(Clone, Debug)]
pub struct GateOptions {
    /// The `iss` of access tokens.
    pub issuer: String,
    pub password_cost: Cost,
}

impl Default for GateOptions {
    fn default() -> Self {
        Self { issuer: "ripen".to_owned(), password_cost: Cost::default() }
    }
}

/// One a process, in the [`World`].
pub struct Gate {
    pub(super) issuer: String,
    pub(super) signer: Signer,
    pub(super) passwords: Passwords,
    pub(super) throttle: Throttle,
    tenants: Cache<Uuid, KnownTenant>,
    /// By session.
    actors: Cache<Uuid, KnownActor>,
    /// By the hash of the key.
    keys: Cache<[u8; 32], KnownKey>,
    /// Counts the changes this process has committed itself.
    own_changes: AtomicU64,
    /// The numbers of definitions that this process has committed, or was about to.
    defined: Mutex<HashMap<Uuid, i64>>,
}

#[derive(Clone)]
struct KnownTenant {
    tenant: Arc<Tenant>,
    read_at: DateTime<Utc>,
    own_changes: u64,
}

#[derive(Clone)]
struct KnownActor {
    actor: Arc<Actor>,
    generation: i64,
    read_at: DateTime<Utc>,
}

#[derive(Clone)]
struct KnownKey {
    tenant: Uuid,
    expires_at: Option<DateTime<Utc>>,
    holder: KnownActor,
}

impl Gate {
    /// Hashes one password at the chosen cost.
    ///
    /// # Errors
    /// A cost that argon2id does not take.
    pub fn new(secrets: &Secrets, options: GateOptions) -> Result<Self> {
        Ok(Self {
            signer: Signer::new(&secrets.signing, &options.issuer)?,
            issuer: options.issuer,
            passwords: Passwords::new(options.password_cost)?,
            throttle: Throttle::new(),
            tenants: Cache::new(TENANTS),
            actors: Cache::new(SESSIONS),
            keys: Cache::new(SESSIONS),
            own_changes: AtomicU64::new(0),
            defined: Mutex::default(),
        })
    }

    /// Who sent the access token, with the rights they have now.
    ///
    /// # Errors
    /// `invalid_token` for a token that is not ours, an ended session, a user who may not act; `token_expired`.
    pub async fn actor_of_token(&self, world: &World, access_token: &str) -> Result<(Arc<Tenant>, Arc<Actor>)> {
        let now = world.clock.now();
        if api_key::is_key(access_token) {
            return self.actor_of_key(world, access_token, now).await;
        }
        let claims = self.signer.verify(access_token, now)?;
        let known = self.known_tenant(world, claims.tid).await?.ok_or_else(token::invalid)?;
        let remembered = self.actors.get(&claims.sid);
        if let Some(KnownActor { actor, generation, read_at }) = remembered
            && generation == known.tenant.generation
            && is_younger(read_at, now, ACTOR_AGE)
        {
            return Ok((known.tenant, actor));
        }
        self.actors.invalidate(&claims.sid);
        if !session::is_alive(&world.store, claims.tid, claims.sid).await? {
            return Err(token::invalid());
        }
        let actor = actor_of_user(&world.store, &known.tenant, claims.sub, now).await?.ok_or_else(token::invalid)?;
        let actor = Arc::new(actor);
        let entry = KnownActor { actor: Arc::clone(&actor), generation: known.tenant.generation, read_at: now };
        self.actors.insert(claims.sid, entry);
        Ok((known.tenant, actor))
    }

    /// Who sent the key. What it says is read again after a minute, or when what users of its tenant may do has changed.
    async fn actor_of_key(&self, world: &World, key: &str, now: DateTime<Utc>) -> Result<(Arc<Tenant>, Arc<Actor>)> {
        let hash = digest(key);
        if let Some(KnownKey { tenant, expires_at, holder }) = self.keys.get(&hash)
            && let Some(known) = self.known_tenant(world, tenant).await?
            && holder.generation == known.tenant.generation
            && is_younger(holder.read_at, now, ACTOR_AGE)
            && expires_at.is_none_or(|at| now < at)
        {
            return Ok((known.tenant, holder.actor));
        }
        self.keys.invalidate(&hash);
        let said = api_key::known(world, key, now).await?;
        if !said.is_alive(now) {
            return Err(token::expired("key"));
        }
        let known = self.known_tenant(world, said.tenant).await?.ok_or_else(token::invalid)?;
        let actor = actor_of_user(&world.store, &known.tenant, said.user, now).await?.ok_or_else(token::invalid)?;
        let actor = Arc::new(said.holder(actor, &known.tenant.kinds));
        let holder = KnownActor { actor: Arc::clone(&actor), generation: known.tenant.generation, read_at: now };
        self.keys.insert(hash, KnownKey { tenant: said.tenant, expires_at: said.expires_at, holder });
        Ok((known.tenant, actor))
    }

    /// The tenant of that id, at most a second old.
    ///
    /// # Errors
    /// The database.
    pub async fn tenant(&self, world: &World, id: Uuid) -> Result<Option<Arc<Tenant>>> {
        Ok(self.known_tenant(world, id).await?.map(|known| known.tenant))
    }

    /// The public keys that check access tokens (RFC 7517).
    pub fn keys(&self) -> &JwkSet {
        self.signer.published()
    }

    /// This process has committed a change to what users may do.
    pub(crate) fn changed(&self) {
        self.own_changes.fetch_add(1, Ordering::AcqRel);
    }

    /// A unit of this process is about to give the tenant's definitions this number.
    pub(crate) fn defines(&self, tenant: Uuid, definitions: i64) {
        self.defined().insert(tenant, definitions);
    }

    /// Whether the tenant's definitions are other than these in a transaction on SQLite. Its one process asks it only where it
    /// has itself changed them, or was about to, after they were read.
    pub(crate) async fn is_outdated(&self, txn: &DatabaseTransaction, tenant: &Tenant) -> Result<bool> {
        let last = self.defined().get(&tenant.id).copied();
        if last.is_none_or(|last| last == tenant.definitions) {
            return Ok(false);
        }
        Ok(tenants::definitions(txn, tenant.id).await? != Some(tenant.definitions))
    }

    fn defined(&self) -> MutexGuard<'_, HashMap<Uuid, i64>> {
        self.defined.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn known_tenant(&self, world: &World, id: Uuid) -> Result<Option<KnownTenant>> {
        let now = world.clock.now();
        let own_changes = self.own_changes.load(Ordering::Acquire);
        let known = self.tenants.get(&id);
        if let Some(known) = &known
            && known.own_changes == own_changes
            && is_younger(known.read_at, now, GENERATION_AGE)
        {
            return Ok(Some(known.clone()));
        }
        let Some(mut tenant) = tenants::by_id(world, id).await? else { return Ok(None) };
        tenant.kinds = match known.filter(|known| known.tenant.generation == tenant.generation) {
            Some(known) => known.tenant.kinds.clone(),
            None => custom::kinds(world, id).await?, // read after the generation: never older than it says
        };
        let known = KnownTenant { tenant: Arc::new(tenant), read_at: now, own_changes };
        self.tenants.insert(id, known.clone());
        Ok(Some(known))
    }
}

/// A clock that was set back makes everything old.
fn is_younger(read_at: DateTime<Utc>, now: DateTime<Utc>, age: TimeDelta) -> bool {
    let passed = now - read_at;
    passed >= TimeDelta::zero() && passed < age
}
