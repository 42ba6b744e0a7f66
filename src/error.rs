//! The kinds that errors of every family fall into.

use std::fmt;

/// What kind of fault an error is: what a program decides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request or a setting is wrong; sending it again does not help.
    Invalid,
    /// The server was asked and refused.
    Refused,
    /// The server is busy or limits the rate; waiting helps.
    Busy,
    /// An answer did not come in time.
    Timeout,
    /// The connection could not be made or broke.
    Connection,
    /// A file or a disk.
    Storage,
    /// The request was cancelled, or the client was shut down.
    Cancelled,
    /// What came back could not be understood.
    Protocol,
    /// A budget has no room for it; nothing was sent.
    Budget,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invalid => "invalid",
            Self::Refused => "refused",
            Self::Busy => "busy",
            Self::Timeout => "timeout",
            Self::Connection => "connection",
            Self::Storage => "storage",
            Self::Cancelled => "cancelled",
            Self::Protocol => "protocol",
            Self::Budget => "budget",
        })
    }
}
