//! Who asks, in which tenant, at what time, on which store: one value, the first parameter everywhere.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use chrono::{DateTime, SubsecRound, Utc};
use chrono_tz::Tz;
use sea_orm::{DatabaseTransaction, DbBackend};
use uuid::Uuid;

use crate::{
    access::{Actor, Gate, Secrets, tenants},
    engine::Registry,
    error::Result,
    ports::Sandbox,
    store::Store,
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
}

/// What one process shares.
pub struct World {
    pub store: Store,
    pub registry: Registry,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    pub secrets: Secrets,
    pub gate: Gate,
    pub plugins: Sandbox,
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
}

impl Context {
    /// Milliseconds are the finest time the product knows.
    pub fn now(&self) -> DateTime<Utc> {
        self.world.clock.now().trunc_subsecs(3)
    }

    pub fn new_id(&self) -> Uuid {
        self.world.ids.next(self.now())
    }

    pub fn store(&self) -> &Store {
        &self.world.store
    }

    pub fn backend(&self) -> DbBackend {
        self.world.store.backend
    }

    /// Opens a unit of work. Dropping it undoes everything; [`Unit::commit`] makes it so.
    pub async fn begin(&self) -> Result<Unit<'_>> {
        let txn = self.world.store.begin().await?;
        Ok(Unit { cx: self, txn, now: self.now(), history: false, access_changed: AtomicBool::new(false) })
    }
}

/// One transaction, and the only way anything is written. Several kinds may be saved in one unit.
pub struct Unit<'a> {
    pub cx: &'a Context,
    pub txn: DatabaseTransaction,
    /// One time for everything the unit writes.
    pub now: DateTime<Utc>,
    /// The writer may set `created_at`, `created_by` and `closed_at`, and first intervals reach back to the beginning
    /// of time unless they are mapped: set by imports, whose actor holds `imports:history`.
    pub history: bool,
    access_changed: AtomicBool,
}

impl Unit<'_> {
    /// The unit changes what users may do: at its commit, what is remembered of the tenant's users is forgotten.
    pub fn changes_access(&self) {
        self.access_changed.store(true, Ordering::Relaxed);
    }

    pub async fn commit(self) -> Result<()> {
        let access_changed = self.access_changed.load(Ordering::Relaxed);
        if access_changed {
            tenants::raise_generation(&self).await?; // last, so that the tenant's row is locked for a moment only
        }
        self.txn.commit().await?;
        if access_changed {
            self.cx.world.gate.changed();
        }
        self.cx.world.committed.notify_waiters();
        Ok(())
    }
}
