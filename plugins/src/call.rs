//! One call in an instance of its own: start, run within limits, account, and say what went wrong.

use std::time::Duration;

use ripen_core::ports::{Answer, Manifest, PluginFailure};
use wasmtime::{Engine, Error, PoolConcurrencyLimitError, Store, Trap};

use crate::{
    capabilities::{Kind, Said},
    codes::{self, Code},
    engine::ticks,
    limits::{HostLimits, show_size},
    state::{GuestLimits, State},
};

/// Bytes kept of a guest's own words.
const WORDS: usize = 2 << 10;

/// A store with everything that bounds one instance. After any failure it is dropped: the instance is dead.
pub(crate) struct Session<'a> {
    store: Store<State>,
    limits: &'a HostLimits,
    fuel: u64,
}

impl<'a> Session<'a> {
    /// # Errors
    /// The engine does not count fuel.
    pub(crate) fn open(
        engine: &Engine,
        limits: &'a HostLimits,
        manifest: &Manifest,
        rows: u32,
    ) -> Result<Self, PluginFailure> {
        let guest = GuestLimits { memory: limits.memory_for(&manifest.limits), server: limits.clone() };
        let mut store = Store::new(engine, State::new(guest));
        let fuel = limits.fuel_for(rows, &manifest.limits);
        store.limiter(|state| state);
        store.set_hostcall_fuel(limits.guest_bytes);
        store.set_fuel(fuel).map_err(|error| codes::HOST_FAILED.because(error.to_string()))?;
        Ok(Self { store, limits, fuel })
    }

    /// # Errors
    /// The limit it hit, how it trapped, or functions of other types than the contract's.
    pub(crate) fn instantiate<K: Kind>(&mut self, kind: &K) -> Result<K::Instance, PluginFailure> {
        let time = self.limits.init_time;
        self.store.set_epoch_deadline(ticks(time));
        kind.instantiate(&mut self.store).map_err(|error| self.failure(&error, time, codes::WRONG_TYPES))
    }

    /// Lets the guest run for at most `time`.
    ///
    /// # Errors
    /// The limit it hit, how it trapped, or its own refusal.
    pub(crate) fn run<T>(
        &mut self,
        time: Duration,
        act: impl FnOnce(&mut Store<State>) -> Said<T>,
    ) -> Result<T, PluginFailure> {
        self.store.set_epoch_deadline(ticks(time));
        match act(&mut self.store) {
            Ok(Ok(said)) => Ok(said),
            Ok(Err(words)) => Err(codes::REFUSED.because(shorten(&words))),
            Err(error) => Err(self.failure(&error, time, codes::MALFORMED_ANSWER)),
        }
    }

    pub(crate) fn answer<T>(self, output: T) -> Answer<T> {
        let fuel = self.fuel - self.store.get_fuel().unwrap_or(0);
        let state = self.store.into_data();
        Answer { output, fuel, peak_memory: state.peak_memory, log: state.into_log() }
    }

    /// `otherwise`: what it means when the engine stopped for none of the reasons known here.
    fn failure(&mut self, error: &Error, time: Duration, otherwise: Code) -> PluginFailure {
        tracing::debug!(?error, "a guest was ended");
        if let Some(hit) = self.store.data_mut().hit.take() {
            return hit;
        }
        if let Some(trap) = error.downcast_ref::<Trap>() {
            return self.trapped(*trap, time);
        }
        if error.is::<PoolConcurrencyLimitError>() {
            return codes::HOST_FAILED.because("too many plugins run at once");
        }
        let cause = error.root_cause().to_string();
        // The error type of the engine is private.
        if cause.starts_with("too much data is being copied") {
            let limit = show_size(self.limits.guest_bytes as u64);
            return codes::RETURNED_TOO_MUCH.because(format!("one answer or host call holds more than {limit}"));
        }
        otherwise.because(shorten(&cause))
    }

    fn trapped(&self, trap: Trap, time: Duration) -> PluginFailure {
        let last = self.store.data().last_error();
        match trap {
            Trap::OutOfFuel => codes::FUEL_EXHAUSTED.because(format!("used up its {} fuel for this call", self.fuel)),
            Trap::Interrupt => {
                codes::TIME_EXCEEDED.because(format!("stopped after the {} ms it has for this", time.as_millis()))
            }
            Trap::StackOverflow => {
                let limit = show_size(self.limits.stack as u64);
                codes::STACK_EXHAUSTED.because(format!("calls nest deeper than the {limit} of stack allow"))
            }
            Trap::UnreachableCodeReached => {
                codes::PANICKED.because(last.map_or_else(|| "it logged no message".into(), shorten))
            }
            other => match last {
                Some(message) => code_of(other).because(format!("{other}; it logged: {}", shorten(message))),
                None => code_of(other).because(other.to_string()),
            },
        }
    }
}

fn code_of(trap: Trap) -> Code {
    match trap {
        Trap::IntegerDivisionByZero => codes::DIVIDED_BY_ZERO,
        Trap::MemoryOutOfBounds
        | Trap::TableOutOfBounds
        | Trap::ArrayOutOfBounds
        | Trap::StringOutOfBounds
        | Trap::ListOutOfBounds
        | Trap::UnalignedPointer => codes::OUT_OF_BOUNDS,
        _ => codes::TRAPPED,
    }
}

fn shorten(words: &str) -> String {
    words.get(..words.floor_char_boundary(WORDS)).unwrap_or_default().to_owned()
}
