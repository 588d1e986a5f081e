//! Who asks, in which tenant, at what time, on which store: one value, the first parameter everywhere.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use chrono::{DateTime, SubsecRound, Utc};
use chrono_tz::Tz;
use sea_orm::{DatabaseTransaction, DbBackend, TransactionTrait};
use uuid::Uuid;

use crate::{
    access::{Actor, Gate, Secrets, tenants},
    engine::{Registry, Resource, Shape},
    error::{Error, Result},
    idempotency::{Attempt, Done, Turn},
    ports::{Mailer, Sandbox},
    store::{Reader, Store},
    values::Currency,
};

/// The time, from outside. The product never asks the world for it elsewhere.
pub trait Clock: Send + Sync {
    fn now(&self) -> DateTime<Utc>;
}

/// Fresh identifiers, from outside.
pub trait Ids: Send + Sync {
    /// A UUIDv7 that sorts after every earlier one of this process.
    fn next(&self, now: DateTime<Utc>) -> Uuid;
}

/// One customer of the installation: everything stored belongs to exactly one.
#[derive(Clone, Debug)]
pub struct Tenant {
    pub id: Uuid,
    pub slug: String,
    pub name: String,
    pub base_currency: Currency,
    pub time_zone: Tz,
    /// Writers of existing records must say which version they change.
    pub require_preconditions: bool,
    /// Of its settings.
    pub version: i64,
    /// Rises with every change to what users may do and to its definitions: what is remembered is of one generation.
    pub generation: i64,
    /// Rises with every change to its definitions alone.
    pub definitions: i64,
    /// The kinds of record it has, as it has them: built-in ones with its own fields, and its own.
    pub kinds: Registry,
}

/// What one process shares.
pub struct World {
    pub store: Store,
    /// The kinds that every tenant has. Who asks for a tenant asks its [`Context`].
    pub registry: Registry,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    pub secrets: Secrets,
    pub gate: Gate,
    pub plugins: Sandbox,
    /// Where no mail server is named, what would be mailed is shown.
    pub mailer: Option<Arc<dyn Mailer>>,
    /// Woken after each commit, for readers of the change log and the job runner.
    pub committed: tokio::sync::Notify,
}

/// One call: everything a function needs to know about who asks.
#[derive(Clone)]
pub struct Context {
    pub world: Arc<World>,
    pub tenant: Arc<Tenant>,
    pub actor: Arc<Actor>,
    pub request_id: Option<Arc<str>>,
    /// Reads show what the system knew then, instead of the present (see `engine::known`). No write starts from it.
    pub known_at: Option<DateTime<Utc>>,
    /// With a key of the caller's, where one was sent: its units commit with the answer.
    pub attempt: Option<Arc<Attempt>>,
}

impl Context {
    /// Milliseconds are the finest time the product knows.
    pub fn now(&self) -> DateTime<Utc> {
        self.world.clock.now().trunc_subsecs(3)
    }

    pub fn new_id(&self) -> Uuid {
        self.world.ids.next(self.now())
    }

    /// The same call with the product's own rights, still in the actor's name.
    #[must_use]
    pub fn as_server(&self) -> Self {
        Self { actor: Arc::new(Actor::system_for(self.actor.user)), ..self.clone() }
    }

    /// The same call without its key: what it writes is there at once, whatever becomes of the request.
    #[must_use]
    pub fn at_once(&self) -> Self {
        Self { attempt: None, ..self.clone() }
    }

    /// The same caller with everybody's rows and fields in reach: for what must not depend on who asks.
    #[must_use]
    pub fn everywhere(&self) -> Self {
        Self { actor: Arc::new(self.actor.everywhere()), ..self.clone() }
    }

    /// The tenant's kinds as the caller sees them.
    pub fn kinds(&self) -> &Registry {
        self.actor.kinds(&self.tenant.kinds)
    }

    /// The tenant's kind of this name, `account`.
    pub fn kind(&self, name: &str) -> Option<&Arc<dyn Resource>> {
        self.kinds().kind(name)
    }

    /// The tenant's kind of this path segment, `accounts`.
    ///
    /// # Errors
    /// `NotFound` with the nearest kind there is.
    pub fn resolve(&self, segment: &str) -> Result<&Arc<dyn Resource>> {
        self.kinds().resolve(segment)
    }

    /// Every kind of the tenant.
    pub fn shapes(&self) -> impl Iterator<Item = &Shape> {
        self.kinds().shapes()
    }

    pub fn store(&self) -> &Store {
        &self.world.store
    }

    pub fn backend(&self) -> DbBackend {
        self.world.store.backend
    }

    /// Where the call reads, its own writes included: a request with a key commits only with its answer.
    pub fn reader(&self) -> Reader<'_> {
        let written = self.attempt.as_deref().and_then(Attempt::held);
        written.map_or_else(|| Reader::Stored { store: self.store(), tenant: self.tenant.id }, Reader::Written)
    }

    /// Opens a unit of work. Dropping it undoes everything; [`Unit::commit`] makes it so.
    pub async fn begin(&self) -> Result<Unit<'_>> {
        self.begin_for([]).await
    }

    /// The same for one that writes these kinds. One that changes definitions is the tenant's only one while it lasts: it waits
    /// for those under way, and others for it, so that no record is checked against what is about to change.
    pub async fn begin_for<'s>(&self, kinds: impl IntoIterator<Item = &'s Shape>) -> Result<Unit<'_>> {
        let alone = kinds.into_iter().any(|shape| shape.defines);
        match &self.attempt {
            Some(attempt) => attempt.begin(self, alone).await,
            None => self.begin_now(alone).await,
        }
    }

    /// The same whatever key the caller sent.
    pub(crate) async fn begin_now(&self, alone: bool) -> Result<Unit<'_>> {
        let (txn, definitions) = self.store().begin_unit(self.tenant.id, alone).await?;
        let outdated = match definitions {
            Some(now) => now != self.tenant.definitions,
            None => self.world.gate.is_outdated(&txn, &self.tenant).await?,
        };
        Ok(Unit { alone, outdated, ..self.unit(txn) })
    }

    fn unit(&self, txn: DatabaseTransaction) -> Unit<'_> {
        Unit {
            cx: self,
            txn,
            now: self.now(),
            history: false,
            server: false,
            alone: false,
            outdated: false,
            access_changed: AtomicBool::new(false),
            definitions_changed: AtomicBool::new(false),
            turn: None,
        }
    }
}

/// One transaction, and the only way anything is written. Several kinds may be saved in one unit.
#[expect(clippy::struct_excessive_bools, reason = "they do not depend on each other")]
pub struct Unit<'a> {
    pub cx: &'a Context,
    pub txn: DatabaseTransaction,
    /// One time for everything the unit writes.
    pub now: DateTime<Utc>,
    /// The writer may set `created_at`, `created_by` and `closed_at`, and first intervals reach back to the beginning
    /// of time unless they are mapped: set by imports, whose actor holds `import:history`.
    pub history: bool,
    /// The writer is the product itself and may set what only the server sets.
    pub server: bool,
    /// No other unit of the tenant is under way.
    alone: bool,
    /// The tenant's definitions have been changed since the context was made.
    outdated: bool,
    access_changed: AtomicBool,
    definitions_changed: AtomicBool,
    /// Of the caller's key.
    turn: Option<Box<Turn>>,
}

impl Unit<'_> {
    /// A part of the unit that can be undone alone; [`Unit::merge`] ends it.
    pub async fn part(&self) -> Result<Unit<'_>> {
        let txn = self.txn.begin().await?;
        Ok(Unit { history: self.history, server: self.server, ..self.within(self.cx.unit(txn)) })
    }

    /// A part of the unit that the product itself writes: any row of the tenant, fields that only the server sets, still
    /// in the actor's name. `cx` is this unit's [`Context::as_server`]; [`Unit::merge`] ends the part.
    pub async fn as_server<'b>(&self, cx: &'b Context) -> Result<Unit<'b>> {
        let txn = self.txn.begin().await?;
        Ok(Unit { server: true, ..self.within(cx.unit(txn)) })
    }

    /// As a part of this one.
    fn within<'b>(&self, part: Unit<'b>) -> Unit<'b> {
        Unit { now: self.now, alone: self.alone, outdated: self.outdated, ..part }
    }

    /// With the turn of the caller's key.
    pub(crate) fn in_turn(self, turn: Box<Turn>) -> Self {
        Self { turn: Some(turn), ..self }
    }

    /// What the unit writes is checked against definitions that stay as they are until it ends.
    ///
    /// # Errors
    /// `Limit`: the context is older than they are, and has to be made anew.
    pub(crate) fn is_current(&self) -> Result<()> {
        if self.outdated {
            self.cx.world.gate.changed(); // the next request asks
            return Err(Error::outdated());
        }
        Ok(())
    }

    /// The unit changes definitions: from now on it is the tenant's only one.
    ///
    /// # Errors
    /// The database; that of two units which come to it only here, each waits for the other.
    pub(crate) async fn defines(&self) -> Result<()> {
        if !self.alone {
            self.cx.store().wait_alone(&self.txn, self.cx.tenant.id).await?;
        }
        self.definitions_changed.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Hands what a part of a unit did to the whole.
    pub async fn merge(self, whole: &Unit<'_>) -> Result<()> {
        if self.access_changed.load(Ordering::Relaxed) {
            whole.changes_access();
        }
        whole.definitions_changed.fetch_or(self.definitions_changed.load(Ordering::Relaxed), Ordering::Relaxed);
        Ok(self.txn.commit().await?)
    }

    /// The unit changes what users may do: at its commit, what is remembered of the tenant's users is forgotten.
    pub fn changes_access(&self) {
        self.access_changed.store(true, Ordering::Relaxed);
    }

    /// Undoes everything and waits for it, where the same call begins again.
    pub async fn undo(self) -> Result<()> {
        Ok(self.txn.rollback().await?)
    }

    /// Makes it so; with a key of the caller's, once the answer is known.
    pub async fn commit(self) -> Result<()> {
        let access_changed = self.access_changed.load(Ordering::Relaxed);
        if access_changed {
            // last, so that the tenant's row is locked for a moment only
            tenants::raise_generation(&self, self.definitions_changed.load(Ordering::Relaxed)).await?;
        }
        let Self { cx, txn, turn, .. } = self;
        let done = Done::new(txn, access_changed, turn);
        let due = match &cx.attempt {
            Some(attempt) => attempt.keep(done),
            None => Some(done),
        };
        match due {
            Some(done) => done.commit(&cx.world).await,
            None => Ok(()),
        }
    }
}
