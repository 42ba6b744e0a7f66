//! The client's own errors.

use std::fmt;
use std::time::Duration;

use async_openai::error::OpenAIError;

use crate::batch::BatchError;
use crate::budget::{BudgetError, InvalidBudget, Refusal};
use crate::error::ErrorKind;
use crate::ledger::LedgerError;
use crate::openai::AttemptError;

/// What went wrong in thrifty itself.
///
/// Faults of the server and of the connection reach you as the same `OpenAIError` as without thrifty. Those of thrifty
/// travel through async-openai as `OpenAIError::Boxed`:
///
/// ```
/// use async_openai::error::OpenAIError;
///
/// fn is_ours(error: &OpenAIError) -> bool {
///     matches!(error, OpenAIError::Boxed(boxed) if boxed.downcast_ref::<thrifty::Error>().is_some())
/// }
/// # assert!(!is_ours(&OpenAIError::InvalidArgument("x".into())));
/// ```
pub struct Error {
    repr: Box<Repr>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Repr {
    #[error(
        "the router chose no model for `auto` and has no reference model; name a model, or use a router that has one"
    )]
    AutoWithoutReference,
    #[error(
        "the URL names the deployment (as `AzureConfig` does), and such a URL has no Batch API; use Azure's v1 base (`https://<resource>.openai.azure.com/openai/v1`) with `OpenAIConfig`"
    )]
    DeploymentUrlHasNoBatches,
    #[error("the request could not be answered in time")]
    Attempt(#[source] AttemptError),
    #[error("the batched request was not answered")]
    Batch(#[source] BatchError),
    #[error(transparent)]
    Budget(BudgetError),
    #[error("the budgets cannot be kept")]
    InvalidBudget(#[source] InvalidBudget),
    #[error("the ledger could not do its work")]
    Ledger(#[source] LedgerError),
}

impl Error {
    pub(super) fn new(repr: Repr) -> Self {
        Self { repr: Box::new(repr) }
    }

    /// Returns what kind of fault it is.
    pub fn kind(&self) -> ErrorKind {
        match &*self.repr {
            Repr::AutoWithoutReference | Repr::DeploymentUrlHasNoBatches | Repr::InvalidBudget(_) => {
                ErrorKind::Invalid
            }
            Repr::Budget(BudgetError::Refused(_)) => ErrorKind::Budget,
            Repr::Budget(_) => ErrorKind::Storage,
            Repr::Attempt(_) => ErrorKind::Timeout,
            Repr::Batch(error) => error.kind(),
            Repr::Ledger(error) => error.kind(),
        }
    }

    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.kind(),
            ErrorKind::Busy | ErrorKind::Timeout | ErrorKind::Connection
        )
    }

    /// Returns what a budget says of a call that it did not let through.
    ///
    /// ```
    /// use async_openai::error::OpenAIError;
    /// use thrifty::budget::Refusal;
    ///
    /// fn refusal(error: &OpenAIError) -> Option<&Refusal> {
    ///     match error {
    ///         OpenAIError::Boxed(boxed) => boxed.downcast_ref::<thrifty::Error>()?.refusal(),
    ///         _ => None,
    ///     }
    /// }
    /// # assert!(refusal(&OpenAIError::InvalidArgument("x".into())).is_none());
    /// ```
    pub fn refusal(&self) -> Option<&Refusal> {
        let error = match &*self.repr {
            Repr::Budget(error) => error,
            Repr::Batch(BatchError::NotAdmitted(error)) => error.downcast_ref()?,
            _ => return None,
        };
        match error {
            BudgetError::Refused(refusal) => Some(refusal),
            BudgetError::History(_) => None,
        }
    }

    /// Returns how long the server asked to wait, if it did.
    pub fn retry_after(&self) -> Option<Duration> {
        match &*self.repr {
            Repr::Batch(BatchError::Api(error)) => error.retry_after,
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&*self.repr, f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.repr, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.repr)
    }
}

impl From<Error> for OpenAIError {
    fn from(error: Error) -> Self {
        Self::Boxed(Box::new(error))
    }
}

impl From<LedgerError> for Error {
    fn from(error: LedgerError) -> Self {
        Self::new(Repr::Ledger(error))
    }
}

impl From<BudgetError> for Error {
    fn from(error: BudgetError) -> Self {
        Self::new(Repr::Budget(error))
    }
}

impl From<BatchError> for Error {
    fn from(error: BatchError) -> Self {
        Self::new(Repr::Batch(error))
    }
}

/// Turns a time limit of our own into our own error; everything else stays as async-openai knows it.
pub(super) fn ours(error: OpenAIError) -> OpenAIError {
    match error {
        OpenAIError::Boxed(boxed) => match boxed.downcast::<AttemptError>() {
            Ok(attempt) => Error::new(Repr::Attempt(*attempt)).into(),
            Err(other) => OpenAIError::Boxed(other),
        },
        other => other,
    }
}
