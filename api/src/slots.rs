//! How many long answers a tenant may have under way at once: each holds memory, or a connection to the database.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use ripen_core::error::{Code, Error, Result};
use uuid::Uuid;

/// Seconds after which asking again may help.
const RETRY: u64 = 5;

/// The places of one kind of long answer.
pub struct Slots {
    what: &'static str,
    most: usize,
    taken: Mutex<HashMap<Uuid, usize>>,
}

/// A place, given back when it is dropped.
pub struct Slot {
    slots: Arc<Slots>,
    tenant: Uuid,
}

impl Slots {
    /// `most` a tenant; `what` they are, for people: `streams of changes`.
    pub fn new(what: &'static str, most: usize) -> Arc<Self> {
        Arc::new(Self { what, most, taken: Mutex::default() })
    }

    pub fn most(&self) -> usize {
        self.most
    }

    /// # Errors
    /// `too_many_at_once`.
    pub fn take(self: &Arc<Self>, tenant: Uuid) -> Result<Slot> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(tenant).or_default();
        if *count >= self.most {
            let detail =
                format!("the tenant has {} {} open, which is as many as it may; end one of them", count, self.what);
            return Err(Error::Limit { code: Code::TooManyAtOnce, detail, retry_after: Some(RETRY) });
        }
        *count += 1;
        Ok(Slot { slots: self.clone(), tenant })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.tenant);
            }
        }
    }
}
