//! Upper and lower case in `contains` and `starts_with`: two letters are equal where each is the other's only counterpart.
//!
//! Neither database folds letters beyond ASCII in the same way as the other, nor without an index of its own. But only the
//! letters of the text that is looked for matter: each of them is replaced in the text that is looked through.

use std::collections::BTreeMap;

use sea_orm::sea_query::{Alias, Expr, Func};

/// Letters beyond ASCII that one condition may fold: two alphabets of them.
pub const MOST: usize = 80;

/// The text with every letter in lower case that has one.
pub(super) fn folded(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() { c.to_ascii_lowercase() } else { lower(c).unwrap_or(c) }).collect()
}

fn only(mut chars: impl Iterator<Item = char>) -> Option<char> {
    chars.next().filter(|_| chars.next().is_none())
}

fn lower(upper: char) -> Option<char> {
    let lower = only(upper.to_lowercase())?;
    (lower != upper && only(lower.to_uppercase()) == Some(upper)).then_some(lower)
}

/// The letters beyond ASCII of a folded text that stand for another, with that one.
pub(super) fn counterparts(folded: &str) -> BTreeMap<char, char> {
    let upper = |c: char| only(c.to_uppercase()).filter(|upper| lower(*upper) == Some(c));
    folded.chars().filter(|c| !c.is_ascii()).filter_map(|c| Some((c, upper(c)?))).collect()
}

/// What is in the text, as far as these letters go.
pub(super) fn replaced(text: Expr, letters: &BTreeMap<char, char>) -> Expr {
    letters.iter().fold(text, |text, (lower, upper)| {
        let replace = Func::cust(Alias::new("replace")).arg(text);
        replace.arg(Expr::val(upper.to_string())).arg(Expr::val(lower.to_string())).into()
    })
}

#[cfg(test)]
mod tests {
    use super::{counterparts, folded};

    #[test]
    fn letters_without_a_single_counterpart_stay_what_they_are() {
        assert_eq!(
            folded("ÄRZTE Москва ΩΔ 北京 Straẞe İstanbul \u{212a}\u{2126}"),
            "ärzte москва ωδ 北京 straẞe İstanbul \u{212a}\u{2126}"
        );
        let pairs: String = counterparts("äßиω北ſ").into_iter().flat_map(|(lower, upper)| [lower, upper]).collect();
        assert_eq!(pairs, "äÄωΩиИ");
    }
}
