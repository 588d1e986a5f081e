//! What comes from outside the product: time and fresh identifiers. Nothing else asks the world for them.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use ripen_core::context::{Clock, Ids};
use uuid::{ContextV7, Timestamp, Uuid};

/// The sources that a world is built on; tests bring their own.
pub struct Outside {
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
}

impl Outside {
    /// The system's clock, and random UUIDs of version 7.
    pub fn real() -> Self {
        Self { clock: Arc::new(SystemClock), ids: Arc::new(RandomIds(Mutex::new(ContextV7::new()))) }
    }
}

struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks for the time")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

struct RandomIds(Mutex<ContextV7>);

impl Ids for RandomIds {
    fn next(&self, now: DateTime<Utc>) -> Uuid {
        let context = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
        Uuid::new_v7(Timestamp::from_unix(&*context, seconds, now.timestamp_subsec_nanos()))
    }
}
