//! What happened, as numbers at a time: the closed set of facts that plugins, runs and reports read.
//!
//! A fact is a definition, compiled to set-based SQL grouped by subject: one pass over each source table, whatever the
//! number of facts and subjects. `as_of` is business time: what happened strictly before it counts, a date counts from
//! the start of its day in the tenant's zone, days are calendar days of that zone. Time zones never reach the SQL:
//! bounds are computed here, and "days since" is the latest event's time, turned into days on the way out.

mod compile;
mod fact;
mod forgotten;
mod population;
mod window;

pub use self::{
    compile::{DAYS, Datum, Keys, WHOLE, Wanted, beyond, mixed, read, select, sum},
    fact::{Fact, Unit},
    forgotten::{Forgotten, forgotten},
    population::{Measured, Quantiles, nearest_rank, quantiles},
    window::{Period, Window, first_day_from, local_day, shifted, shifted_day, start_of},
};
