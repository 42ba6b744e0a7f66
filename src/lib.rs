//! Spend less on LLM calls without rewriting the code that makes them.

mod attribution;
mod clock;
mod endpoint;
mod error;
mod id;
mod lane;
pub mod ledger;
mod model;
mod money;
pub mod pricing;
#[cfg(feature = "simulator")]
pub mod simulator;
pub mod tokens;
mod usage;
pub mod wire;

pub use attribution::Attribution;
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use endpoint::Endpoint;
pub use error::ErrorKind;
pub use id::{EntryId, OpId, ParseIdError, RequestId};
pub use lane::Lane;
pub use model::ModelId;
pub use money::{ParseUsdError, Usd, UsdSum};
pub use usage::{Meters, Usage, UsageError};
