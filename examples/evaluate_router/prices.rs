//! What models cost that data sets of routers name and the built-in table does not.

use thrifty::pricing::{Price, PriceBook, PriceError};

/// Returns the built-in prices, and list prices as genai-prices 0.2.1 has them: those of Google, up to 128,000 tokens of
/// input, and of Mistral. No second source confirms them.
pub(crate) fn prices() -> Result<PriceBook, PriceError> {
    Ok(PriceBook::builtin()
        .with_price("gemini-1.5-flash-002", Price::per_mtok("0.075", "0.30")?)
        .with_price("gemini-1.5-pro-002", Price::per_mtok("1.25", "5.00")?)
        .with_price("mixtral-8x7b", Price::per_mtok("0.70", "0.70")?)
        .with_alias("gpt-4-1106", "gpt-4-1106-preview"))
}
