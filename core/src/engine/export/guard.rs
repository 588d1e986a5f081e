//! Texts that a spreadsheet would run as formulas (OWASP, CSV Injection), made harmless so that they can be read back.

use std::borrow::Cow;

/// Whether a spreadsheet takes what follows any apostrophes for a formula.
fn is_formula(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r'])
}

/// With an apostrophe before what would be a formula, or would be once an apostrophe is taken off.
pub fn guarded(text: &str) -> Cow<'_, str> {
    if is_formula(text) { format!("'{text}").into() } else { text.into() }
}

/// The text that [`guarded`] was given.
pub fn unguarded(text: &str) -> &str {
    text.strip_prefix('\'').filter(|rest| is_formula(rest)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_guarded_is_no_formula_and_reads_back() {
        for text in ["=1+1", "+47", "-5", "@SUM", "\tx", "\r=", "'=1", "''-2", "plain", "'quoted'", "", "'", "a=b"] {
            let safe = guarded(text);
            assert!(!safe.starts_with(['=', '+', '-', '@', '\t', '\r']), "{safe}");
            assert_eq!(unguarded(&safe), text);
        }
    }
}
