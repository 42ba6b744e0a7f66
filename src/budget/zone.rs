//! The time zone that calendar windows follow.

use std::fmt;

use jiff::civil::Date;
use jiff::tz;

use crate::clock::Timestamp;

/// A time zone of the IANA database, such as `Europe/Berlin`.
///
/// Zones are read from the system's database (`/usr/share/zoneinfo`, or `TZDIR`). Where there is none, as in a bare
/// container or on Windows, the feature `bundled-time-zones` brings one along.
///
/// # Examples
/// ```
/// use thrifty::budget::TimeZone;
///
/// let zone = TimeZone::named("Asia/Kolkata")?;
/// assert_eq!(zone.to_string(), "Asia/Kolkata");
/// assert!(TimeZone::named("Mars/Olympus").is_err());
/// # Ok::<(), thrifty::budget::UnknownTimeZone>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct TimeZone(tz::TimeZone);

/// A name that is in no time zone database here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no time zone {name:?} in the database of this system; use an IANA name such as `Europe/Berlin`, or turn on the feature `bundled-time-zones` where the system has no database"
)]
pub struct UnknownTimeZone {
    name: String,
}

impl TimeZone {
    /// Coordinated Universal Time, which needs no database.
    pub const UTC: Self = Self(tz::TimeZone::UTC);

    /// Looks a zone up by its IANA name.
    ///
    /// # Errors
    /// If the database of this system does not know the name, or there is none.
    pub fn named(name: &str) -> Result<Self, UnknownTimeZone> {
        if matches!(name, "UTC" | "Etc/UTC") {
            return Ok(Self::UTC);
        }
        tz::TimeZone::get(name).map(Self).map_err(|_| UnknownTimeZone {
            name: name.to_owned(),
        })
    }

    /// Returns the first moment of a day, which a change of the clock may move away from midnight.
    pub(crate) fn beginning_of(&self, day: Date) -> Option<Timestamp> {
        let first = day.to_zoned(self.0.clone()).ok()?;
        Some(Timestamp::from_unix_millis(first.timestamp().as_millisecond()))
    }

    pub(crate) const fn get(&self) -> &tz::TimeZone {
        &self.0
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.iana_name().unwrap_or("UTC"))
    }
}

impl fmt::Debug for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimeZone({self})")
    }
}
