//! The stretch of time that a limit is for. It is computed from a moment; nothing is ever reset.

use std::time::Duration;

use jiff::ToSpan;
use jiff::civil::Weekday as CivilDay;

use super::TimeZone;
use crate::clock::Timestamp;

/// The stretch of time that a budget's limit is for.
///
/// Calendar windows follow a time zone, [`TimeZone::UTC`] unless [`in_zone`](Self::in_zone) names another: a day may
/// then have 23 or 25 hours. A call belongs to the window in which it was let through.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use thrifty::budget::{TimeZone, Weekday, Window};
///
/// let invoice = Window::month();
/// let office = Window::day().in_zone(TimeZone::named("Europe/Berlin")?);
/// let american = Window::week_from(Weekday::Sunday).in_zone(TimeZone::named("America/New_York")?);
/// let burst = Window::rolling(Duration::from_secs(300));
/// # let _ = (invoice, office, american, burst);
/// # Ok::<(), thrifty::budget::UnknownTimeZone>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Calendar { unit: Unit, zone: TimeZone },
    Rolling(Duration),
    Total,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Hour,
    Day,
    Week(Weekday),
    Month,
}

/// A day of the week, for weeks to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "their names say it all")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Window {
    /// Takes hours of the clock.
    pub const fn hour() -> Self {
        Self::calendar(Unit::Hour)
    }

    /// Takes days from midnight to midnight.
    pub const fn day() -> Self {
        Self::calendar(Unit::Day)
    }

    /// Takes weeks from Monday, as ISO 8601 does.
    pub const fn week() -> Self {
        Self::week_from(Weekday::Monday)
    }

    /// Takes weeks from this day.
    pub const fn week_from(first: Weekday) -> Self {
        Self::calendar(Unit::Week(first))
    }

    /// Takes months of the calendar.
    pub const fn month() -> Self {
        Self::calendar(Unit::Month)
    }

    const fn calendar(unit: Unit) -> Self {
        Self(Kind::Calendar {
            unit,
            zone: TimeZone::UTC,
        })
    }

    /// Takes the time up to now, this long. What was spent leaves it in steps of a 64th of its length, never early.
    pub const fn rolling(length: Duration) -> Self {
        Self(Kind::Rolling(length))
    }

    /// Takes all time: what is spent stays spent.
    pub const fn total() -> Self {
        Self(Kind::Total)
    }

    /// Lets calendar windows follow this time zone; others have none.
    #[must_use]
    pub fn in_zone(mut self, in_zone: TimeZone) -> Self {
        if let Kind::Calendar { zone, .. } = &mut self.0 {
            *zone = in_zone;
        }
        self
    }

    /// Returns the length of a rolling window.
    pub(super) const fn rolls(&self) -> Option<Duration> {
        match self.0 {
            Kind::Rolling(length) => Some(length),
            Kind::Calendar { .. } | Kind::Total => None,
        }
    }

    /// Returns the window that a moment is in. One that does not fit into the calendar is in a window of all time.
    pub(super) fn around(&self, at: Timestamp) -> Span {
        match &self.0 {
            Kind::Calendar { unit, zone } => unit.around(at, zone).unwrap_or(Span::ALL),
            Kind::Rolling(_) | Kind::Total => Span::ALL,
        }
    }
}

/// From when, included, until when, excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
}

impl Span {
    pub(super) const ALL: Self = Self {
        start: Timestamp::from_unix_millis(i64::MIN),
        end: Timestamp::from_unix_millis(i64::MAX),
    };

    #[inline]
    pub(super) fn has(self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }

    /// Returns its end; `None` if it has none.
    pub(super) fn ends(self) -> Option<Timestamp> {
        (self != Self::ALL).then_some(self.end)
    }
}

impl Unit {
    fn around(self, at: Timestamp, zone: &TimeZone) -> Option<Span> {
        let moment = jiff::Timestamp::from_millisecond(at.as_unix_millis()).ok()?;
        let local = moment.to_zoned(zone.get().clone());
        let date = local.date();
        let (first, next) = match self {
            Self::Hour => {
                let into = i64::from(local.minute()) * 60_000
                    + i64::from(local.second()) * 1_000
                    + i64::from(local.millisecond());
                let start = Timestamp::from_unix_millis(at.as_unix_millis().checked_sub(into)?);
                let end = start.saturating_add(Duration::from_secs(3_600));
                return Some(Span { start, end });
            }
            Self::Day => (date, date.tomorrow().ok()?),
            Self::Week(first) => {
                let into = i64::from(date.weekday().since(first.into()));
                let first = date.checked_sub(into.days()).ok()?;
                (first, first.checked_add(7.days()).ok()?)
            }
            Self::Month => (date.first_of_month(), date.last_of_month().tomorrow().ok()?),
        };
        Some(Span {
            start: zone.beginning_of(first)?,
            end: zone.beginning_of(next)?,
        })
    }
}

impl From<Weekday> for CivilDay {
    fn from(day: Weekday) -> Self {
        match day {
            Weekday::Monday => Self::Monday,
            Weekday::Tuesday => Self::Tuesday,
            Weekday::Wednesday => Self::Wednesday,
            Weekday::Thursday => Self::Thursday,
            Weekday::Friday => Self::Friday,
            Weekday::Saturday => Self::Saturday,
            Weekday::Sunday => Self::Sunday,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        let moment: jiff::Timestamp = text.parse().unwrap();
        Timestamp::from_unix_millis(moment.as_millisecond())
    }

    fn zone(name: &str) -> TimeZone {
        TimeZone::named(name).unwrap()
    }

    /// Checks the window around a moment, and that its first and last millisecond are in it.
    fn holds(window: &Window, moment: &str, start: &str, end: &str) {
        let span = window.around(at(moment));
        assert_eq!(
            (span.start, span.end),
            (at(start), at(end)),
            "{window:?} at {moment}"
        );
        for inside in [span.start.as_unix_millis(), span.end.as_unix_millis() - 1] {
            assert_eq!(window.around(Timestamp::from_unix_millis(inside)), span);
        }
    }

    #[test]
    fn a_day_has_23_or_25_hours_where_the_clock_is_changed() {
        let berlin = Window::day().in_zone(zone("Europe/Berlin"));
        holds(
            &berlin,
            "2026-03-29T12:00:00Z",
            "2026-03-28T23:00:00Z",
            "2026-03-29T22:00:00Z",
        );
        holds(
            &berlin,
            "2026-10-25T12:00:00Z",
            "2026-10-24T22:00:00Z",
            "2026-10-25T23:00:00Z",
        );
        holds(
            &berlin,
            "2026-07-01T00:30:00+02:00",
            "2026-06-30T22:00:00Z",
            "2026-07-01T22:00:00Z",
        );
    }

    #[test]
    fn a_day_begins_late_where_midnight_is_skipped() {
        // In Beirut the clock goes from 0:00 to 1:00.
        let beirut = Window::day().in_zone(zone("Asia/Beirut"));
        holds(
            &beirut,
            "2022-03-27T12:00:00Z",
            "2022-03-26T22:00:00Z",
            "2022-03-27T21:00:00Z",
        );
        // In Havana it goes from 1:00 back to 0:00, so that midnight comes twice: the first one counts.
        let havana = Window::day().in_zone(zone("America/Havana"));
        holds(
            &havana,
            "2026-11-01T12:00:00Z",
            "2026-11-01T04:00:00Z",
            "2026-11-02T05:00:00Z",
        );
    }

    #[test]
    fn a_leap_day_is_in_its_month() {
        holds(
            &Window::month(),
            "2028-02-29T23:59:59Z",
            "2028-02-01T00:00:00Z",
            "2028-03-01T00:00:00Z",
        );
        holds(
            &Window::day(),
            "2028-02-29T23:59:59Z",
            "2028-02-29T00:00:00Z",
            "2028-03-01T00:00:00Z",
        );
        holds(
            &Window::month(),
            "2026-02-28T12:00:00Z",
            "2026-02-01T00:00:00Z",
            "2026-03-01T00:00:00Z",
        );
        holds(
            &Window::month(),
            "2026-12-31T12:00:00Z",
            "2026-12-01T00:00:00Z",
            "2027-01-01T00:00:00Z",
        );
    }

    #[test]
    fn hours_in_india_begin_at_half_past() {
        let india = zone("Asia/Kolkata");
        let hour = Window::hour().in_zone(india.clone());
        holds(
            &hour,
            "2026-11-25T10:10:00Z",
            "2026-11-25T09:30:00Z",
            "2026-11-25T10:30:00Z",
        );
        let day = Window::day().in_zone(india);
        holds(
            &day,
            "2026-11-25T10:10:00Z",
            "2026-11-24T18:30:00Z",
            "2026-11-25T18:30:00Z",
        );
    }

    #[test]
    fn a_week_may_start_on_sunday() {
        let sunday = Window::week_from(Weekday::Sunday);
        holds(
            &sunday,
            "2026-11-25T10:00:00Z",
            "2026-11-22T00:00:00Z",
            "2026-11-29T00:00:00Z",
        );
        holds(
            &sunday,
            "2026-11-22T00:00:00Z",
            "2026-11-22T00:00:00Z",
            "2026-11-29T00:00:00Z",
        );
        holds(
            &Window::week(),
            "2026-11-22T00:00:00Z",
            "2026-11-16T00:00:00Z",
            "2026-11-23T00:00:00Z",
        );
        // The clock goes back on the first day of this week.
        let york = sunday.in_zone(zone("America/New_York"));
        holds(
            &york,
            "2026-11-04T10:00:00Z",
            "2026-11-01T04:00:00Z",
            "2026-11-08T05:00:00Z",
        );
    }

    #[test]
    fn a_moment_outside_the_calendar_is_in_a_window_of_all_time() {
        for millis in [i64::MIN, i64::MAX, 253_402_207_200_000] {
            let moment = Timestamp::from_unix_millis(millis);
            assert_eq!(Window::month().around(moment).has(moment), millis != i64::MAX);
            assert_eq!(Window::total().around(moment), Span::ALL);
        }
        assert_eq!(Span::ALL.ends(), None);
    }

    proptest! {
        #[test]
        fn windows_follow_each_other_without_a_gap(
            millis in 0_i64..4_000_000_000_000,
            unit in 0_usize..4,
            place in 0_usize..6,
        ) {
            let name = ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/Havana", "Asia/Beirut", "Pacific/Apia"][place];
            let window = [Window::hour(), Window::day(), Window::week(), Window::month()][unit].clone();
            let window = window.in_zone(zone(name));
            let moment = Timestamp::from_unix_millis(millis);
            let span = window.around(moment);
            prop_assert!(span.has(moment));
            let next = window.around(span.end);
            prop_assert!(next.has(span.end) && next.start <= span.end);
            if unit > 0 {
                prop_assert_eq!(next.start, span.end);
            }
        }
    }
}
