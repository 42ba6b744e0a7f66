//! Whose fault it is: of the moment, so that another batch may do better, of a request, or of a whole batch.

/// Whether a line with this status is tried in another batch. The others are final.
pub(super) const fn may_pass_later(status: u16) -> bool {
    matches!(status, 0 | 408 | 409 | 429 | 500..)
}

/// Whether a line that was not answered is refused for good, by the code of its error: for what it asks, not because its
/// batch expired or was cancelled.
pub(super) fn refuses_request(code: &str) -> bool {
    if let Ok(status) = code.parse::<u16>() {
        return (400..600).contains(&status) && !may_pass_later(status);
    }
    code.starts_with("invalid_")
        || code.starts_with("unsupported_")
        || matches!(
            code,
            "authentication_error"
                | "content_filter"
                | "content_policy_violation"
                | "context_length_exceeded"
                | "missing_required_parameter"
                | "model_not_found"
                | "not_found"
                | "not_found_error"
                | "permission_denied"
                | "permission_error"
                | "string_above_max_length"
        )
}

/// Whether a whole batch would be refused in the same way whatever its lines are.
pub(super) fn refuses_account(code: &str) -> bool {
    matches!(
        code,
        "access_denied"
            | "account_deactivated"
            | "authentication_error"
            | "billing_hard_limit_reached"
            | "billing_not_active"
            | "insufficient_quota"
            | "invalid_api_key"
            | "model_not_found"
            | "permission_denied"
            | "permission_error"
            | "rate_limit_exceeded"
    )
}

/// Returns the limit of enqueued tokens that a message names, as in `Limit: 2,000,000 enqueued tokens`.
pub(super) fn token_limit(message: &str) -> Option<u64> {
    let (_, after) = message.split_once("Limit:")?;
    let digits: String = after
        .trim_start()
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == ',')
        .filter(char::is_ascii_digit)
        .collect();
    digits.parse().ok().filter(|limit| *limit > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moment_and_the_request_are_told_apart() {
        for status in [0, 408, 409, 429, 500, 503, 599] {
            assert!(may_pass_later(status), "{status}");
        }
        for status in [200, 400, 401, 403, 404, 413, 422] {
            assert!(!may_pass_later(status), "{status}");
        }
        for code in [
            "batch_expired",
            "batch_cancelled",
            "429",
            "500",
            "server_error",
            "7",
            "",
        ] {
            assert!(!refuses_request(code), "{code}");
        }
        for code in [
            "400",
            "context_length_exceeded",
            "content_policy_violation",
            "invalid_prompt",
        ] {
            assert!(refuses_request(code), "{code}");
        }
    }

    #[test]
    fn the_limit_is_read_from_the_servers_words() {
        let named = "Enqueued token limit reached for gpt-4o-mini in organization org-1. Limit: 2,000,000 enqueued \
                     tokens. Please try again once some in_progress batches have been completed.";
        assert_eq!(token_limit(named), Some(2_000_000));
        for unnamed in ["Limit", "Limit: none", "the limit is 7", "Limit: 0", ""] {
            assert_eq!(token_limit(unnamed), None, "{unnamed}");
        }
    }
}
