//! Business time: periods, windows, and the days of the tenant's zone.

use chrono::{
    DateTime, Datelike, Days, LocalResult, Months, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone,
    Utc,
};
use chrono_tz::Tz;

/// A span of calendar time, ISO 8601: `P365D`, `P9M`, `P1Y6M`, `P2W`. Months are counted before days; a day that the
/// month lacks becomes its last (31 March - P1M = 28 February).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    months: u32,
    days: u32,
}

impl Period {
    /// # Errors
    /// What is wrong, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not an ISO 8601 period of days, weeks, months or years such as `P365D` or `P9M`");
        let mut rest = text.strip_prefix('P').filter(|rest| !rest.is_empty()).ok_or_else(wrong)?;
        let mut period = Self { months: 0, days: 0 };
        let mut units = ['Y', 'M', 'W', 'D'].iter();
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
            let (number, tail) = rest.split_at(end);
            let number: u32 = number.parse().ok().filter(|n| *n <= 100_000).ok_or_else(wrong)?;
            let unit = tail.chars().next().ok_or_else(wrong)?;
            units.find(|known| **known == unit).ok_or_else(wrong)?;
            match unit {
                'Y' => period.months += 12 * number,
                'M' => period.months += number,
                'W' => period.days += 7 * number,
                _ => period.days += number,
            }
            rest = tail.get(1..).unwrap_or_default();
        }
        if period.months == 0 && period.days == 0 { Err(wrong()) } else { Ok(period) }
    }

    fn before(self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        local.checked_sub_months(Months::new(self.months))?.checked_sub_days(Days::new(self.days.into()))
    }

    fn after(self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        local.checked_add_months(Months::new(self.months))?.checked_add_days(Days::new(self.days.into()))
    }
}

/// Which events count, relative to `as_of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// All before `as_of`.
    All,
    /// `[as_of - P, as_of)`
    Back(Period),
    /// `[as_of, as_of + P)`: what came after, for the outcomes of backtests only.
    Ahead(Period),
}

impl Window {
    /// The window as instants, half-open; no start: since ever. A period that leaves the calendar, whose years both
    /// databases order as they are written, has no bound there.
    pub fn bounds(self, as_of: DateTime<Utc>, zone: Tz) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
        let local = as_of.with_timezone(&zone).naive_local();
        match self {
            Self::All => (None, Some(as_of)),
            Self::Back(period) => (period.before(local).map(|at| resolve(at, zone)).filter(in_calendar), Some(as_of)),
            Self::Ahead(period) => (Some(as_of), period.after(local).map(|at| resolve(at, zone)).filter(in_calendar)),
        }
    }
}

/// Years of four digits.
fn in_calendar(at: &impl Datelike) -> bool {
    (1..=9999).contains(&at.year())
}

/// The instant whose local time lies `months` and then `days` after that of `at`; `None` beyond the calendar.
pub fn shifted(at: DateTime<Utc>, months: i32, days: i32, zone: Tz) -> Option<DateTime<Utc>> {
    let local = at.with_timezone(&zone).naive_local();
    Some(resolve(shifted_day(local.date(), months, days)?.and_time(local.time()), zone))
}

/// The day `months` and then `days` after `day`; a day that the month lacks becomes its last.
pub fn shifted_day(day: NaiveDate, months: i32, days: i32) -> Option<NaiveDate> {
    let size = Months::new(months.unsigned_abs());
    let day = if months < 0 { day.checked_sub_months(size) } else { day.checked_add_months(size) };
    day?.checked_add_signed(TimeDelta::days(days.into()))
}

/// A local time as an instant: the earlier one where clocks go back; where they skip it, as far after the gap as it lay
/// after the gap's start.
fn resolve(local: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
    match zone.from_local_datetime(&local) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => at.to_utc(),
        LocalResult::None => {
            let before = zone.offset_from_utc_datetime(&(local - TimeDelta::days(1)));
            Utc.from_utc_datetime(&(local - before.fix()))
        }
    }
}

/// The instant at which a day starts in the zone.
pub fn start_of(day: NaiveDate, zone: Tz) -> DateTime<Utc> {
    resolve(day.and_time(NaiveTime::MIN), zone)
}

/// The calendar day of an instant in the zone.
pub fn local_day(at: DateTime<Utc>, zone: Tz) -> NaiveDate {
    at.with_timezone(&zone).date_naive()
}

/// The first day that starts at `at` or later: a date is before an instant when its day has started before it.
pub fn first_day_from(at: DateTime<Utc>, zone: Tz) -> NaiveDate {
    let local = at.with_timezone(&zone).naive_local();
    let day = local.date();
    if local.time() == NaiveTime::MIN { day } else { day.succ_opt().filter(in_calendar).unwrap_or(day) }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use chrono_tz::Tz;

    use super::{Period, Window, first_day_from, local_day};

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn periods_are_read_strictly() {
        assert_eq!(Period::parse("P1Y6M").unwrap(), Period { months: 18, days: 0 });
        assert_eq!(Period::parse("P2W3D").unwrap(), Period { months: 0, days: 17 });
        for text in ["", "P", "P0D", "365D", "P1", "PD", "P1D1M", "P-1D", "PT1H", "P1D ", "P99999999999D"] {
            assert!(Period::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn windows_follow_the_calendar_of_the_zone() {
        let berlin: Tz = "Europe/Berlin".parse().unwrap();
        let back = |period: &str| Window::Back(Period::parse(period).unwrap());
        // a day of 23 hours lies between: midnight stays midnight
        assert_eq!(back("P1D").bounds(at("2026-03-29T22:00:00Z"), berlin).0, Some(at("2026-03-28T23:00:00Z")));
        // 2026-03-29 02:30 does not exist in Berlin
        assert_eq!(back("P1D").bounds(at("2026-03-30T00:30:00Z"), berlin).0, Some(at("2026-03-29T01:30:00Z")));
        assert_eq!(back("P1M").bounds(at("2026-03-31T00:00:00Z"), Tz::UTC).0, Some(at("2026-02-28T00:00:00Z")));
        assert_eq!(back("P9000Y").bounds(at("2026-03-31T00:00:00Z"), Tz::UTC).0, None);
        let ahead = Window::Ahead(Period::parse("P9M").unwrap());
        assert_eq!(ahead.bounds(at("1997-10-01T00:00:00Z"), Tz::UTC).1, Some(at("1998-07-01T00:00:00Z")));
        assert_eq!(ahead.bounds(at("9999-10-01T00:00:00Z"), Tz::UTC).1, None);
    }

    #[test]
    fn a_day_is_before_an_instant_once_it_has_started() {
        let shanghai: Tz = "Asia/Shanghai".parse().unwrap();
        assert_eq!(first_day_from(at("2026-01-31T16:00:00Z"), shanghai).to_string(), "2026-02-01");
        assert_eq!(first_day_from(at("2026-01-31T16:00:00.001Z"), shanghai).to_string(), "2026-02-02");
        assert_eq!(local_day(at("2026-01-31T16:00:00.001Z"), shanghai).to_string(), "2026-02-01");
    }
}
