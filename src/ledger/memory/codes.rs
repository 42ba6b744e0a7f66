//! The numbers by which a row names a value of an enum: values are listed as they are declared.

use super::packing::Coded;
use crate::lane::Lane;
use crate::ledger::{Role, Status};
use crate::pricing::{PartialReason, PriceSource, UnpricedReason};

macro_rules! coded {
    ($name:ident: $($value:ident)+) => {
        impl Coded for $name {
            const ALL: &'static [Self] = &[$(Self::$value),+];

            fn code(self) -> u8 {
                // A value that is missing here does not compile.
                match self {
                    $(Self::$value => Self::$value as u8),+
                }
            }
        }
    };
}

coded!(Role: Primary Fallback Step Hedge Shadow Opinion);
coded!(Status: Succeeded Failed Unanswered CutShort Abandoned Unreported);
coded!(Lane: Standard Flex Priority Batch);
coded!(PriceSource: Confirmed SingleSource Own);
coded!(PartialReason: UnpricedMeter ToolFee CacheLifetime LostAttempt Abandoned CutShort InconsistentUsage NoUsage);
coded!(UnpricedReason: UnknownModel UnpricedLane UnknownTier UnmeteredEndpoint Overflow Unbounded);
