//! The way the core calls plugins: off the async workers, and never more at once than the machine can carry.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::{PluginFailure, PluginHost};
use crate::error::{Error, Result};

const CALLS_PER_TENANT: usize = 2;

/// The plugin host with its queue: processors - 1 calls at once, at most two of them for one tenant.
pub struct Sandbox {
    host: Arc<dyn PluginHost>,
    all: Arc<Semaphore>,
    tenants: Mutex<HashMap<Uuid, Arc<Semaphore>>>,
}

impl Sandbox {
    pub fn new(host: Arc<dyn PluginHost>) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let all = Arc::new(Semaphore::new(processors.saturating_sub(1).max(1)));
        Self { host, all, tenants: Mutex::default() }
    }

    /// Waits for its turn, then runs `act` on a thread that may block. A caller that goes away does not free the place
    /// of a guest that still runs.
    ///
    /// # Errors
    /// What `act` answers.
    pub async fn call<T: Send + 'static>(
        &self,
        tenant: Uuid,
        act: impl FnOnce(&dyn PluginHost) -> Result<T, PluginFailure> + Send + 'static,
    ) -> Result<T> {
        let of_tenant = place(self.queue(tenant)).await?;
        let of_all = place(self.all.clone()).await?;
        let host = self.host.clone();
        let done = tokio::task::spawn_blocking(move || {
            let _places = (of_tenant, of_all);
            act(host.as_ref())
        });
        Ok(done.await.map_err(|source| Error::internal("a plugin call ends", source))??)
    }

    /// The tenant's queue; those that nobody waits in are forgotten.
    fn queue(&self, tenant: Uuid) -> Arc<Semaphore> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.retain(|of, queue| *of == tenant || Arc::strong_count(queue) > 1);
        tenants.entry(tenant).or_insert_with(|| Arc::new(Semaphore::new(CALLS_PER_TENANT))).clone()
    }
}

async fn place(queue: Arc<Semaphore>) -> Result<OwnedSemaphorePermit> {
    queue.acquire_owned().await.map_err(|source| Error::internal("the queue of plugin calls stays open", source))
}
