//! Texts into tokens, one rule for what is stored and what is looked for, so that both databases find the same.
//!
//! Letters are folded (NFKC, then case), and whatever is no letter, digit or mark separates. Scripts without spaces
//! between words, Chinese above all, give every character and every two neighbours; other scripts give words. Numbers of
//! five digits and more are also kept backwards, and telephone numbers also without their country's code: they are found by
//! how they begin, at home and from abroad, and by their last four digits or more. Each number costs two or three tokens,
//! whatever its length, because a token that no other record has is the dearest thing to keep in an index.

use std::{collections::BTreeSet, ops::Bound};

use phonenumber::metadata::DATABASE;
use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

/// Raised when the rule changes, so that stored tokens are made anew.
pub(super) const RULE: u32 = 2;
/// Letters of a token; what follows counts neither here nor there.
const LETTERS: usize = 64;
/// Distinct tokens of a record, the first ones of its fields in their order.
const TOKENS: usize = 1000;
/// From this many digits on a text of nothing but digits and separators is one number: `+86 138-0013-8000`.
const NUMBER: usize = 7;
/// From this many digits on the end of a number finds it.
const SHORTEST_END: usize = 4;
/// Stands before digits that are written backwards. No text has it there: it only begins words of phonetic script.
const BACKWARDS: char = '\u{1dd}';

/// Adds the tokens of one searched text, which is what these values are together.
pub(super) fn add(tokens: &mut BTreeSet<String>, texts: &[String]) {
    let mut add = |token: String| {
        if tokens.len() < TOKENS {
            tokens.insert(token);
        }
    };
    let folded: Vec<_> = texts.iter().map(|text| fold(text)).collect();
    for text in &folded {
        if let Some(number) = number(text) {
            number.home().into_iter().for_each(&mut add);
            backwards(&number.digits).into_iter().for_each(&mut add);
            add(number.digits);
        }
    }
    for run in runs(&folded.join(" "), true) {
        match run {
            Run::Word(word) => {
                backwards(&word).filter(|_| word.len() > SHORTEST_END).into_iter().for_each(&mut add);
                add(word);
            }
            Run::Dense(run) => {
                let pairs = run.windows(2).map(|pair| pair.iter().collect());
                run.iter().map(char::to_string).chain(pairs).for_each(&mut add);
            }
        }
    }
}

/// What a record must have to be found: one token of each word, or one of the number that the text is as a whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub words: Vec<Vec<Token>>,
    pub number: Vec<Token>,
}

impl Wanted {
    /// Whether a record of these tokens has every word, or the number.
    pub fn is_in(&self, tokens: &BTreeSet<String>) -> bool {
        let from = |token: &Token| tokens.range::<str, _>((Bound::Included(&*token.text), Bound::Unbounded)).next();
        let begun = |token: &Token| from(token).is_some_and(|there| there.starts_with(&token.text));
        let has = |token: &Token| if token.prefix { begun(token) } else { tokens.contains(&token.text) };
        let every = self.words.iter().all(|choice| choice.iter().any(has));
        (!self.words.is_empty() && every) || self.number.iter().any(has)
    }
}

/// `prefix`: as the beginning of a stored token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub text: String,
    pub prefix: bool,
}

/// The tokens of a text that is looked for; no words where it has no letter and no digit. Its last word may be unfinished.
pub(super) fn wanted(text: &str) -> Wanted {
    let folded = fold(text);
    let runs = runs(&folded, false);
    let last = runs.len().saturating_sub(1);
    let mut words: Vec<Vec<Token>> = Vec::new();
    for (place, run) in runs.into_iter().enumerate() {
        let found = match run {
            Run::Word(word) => {
                let end = backwards(&word).map(|text| Token { text, prefix: true });
                vec![[Token { text: word, prefix: place == last }].into_iter().chain(end).collect()]
            }
            Run::Dense(run) if run.len() == 1 => vec![vec![Token { text: run.iter().collect(), prefix: false }]],
            Run::Dense(run) => {
                run.windows(2).map(|pair| vec![Token { text: pair.iter().collect(), prefix: false }]).collect()
            }
        };
        for choice in found {
            if !words.contains(&choice) {
                words.push(choice);
            }
        }
    }
    let number = number(&folded).into_iter().flat_map(Number::wanted);
    Wanted { words, number: number.map(|text| Token { text, prefix: true }).collect() }
}

/// Width, compatibility forms and case folded. Upper case first: what has no lower case of its own (ß, ς) is then equal
/// to what it is written as elsewhere.
fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.nfkc().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfkc().collect()
}

/// A text that is one number.
struct Number {
    digits: String,
    /// It begins with a plus sign, as from abroad.
    abroad: bool,
}

fn number(folded: &str) -> Option<Number> {
    let digits: String = folded.chars().filter(char::is_ascii_digit).take(LETTERS).collect();
    let plain = folded.chars().all(|c| c.is_ascii_digit() || " +-.()/".contains(c));
    let abroad = folded.trim_start().starts_with('+');
    (plain && digits.len() >= NUMBER).then_some(Number { digits, abroad })
}

impl Number {
    /// Without the code of its country: no code is the beginning of another.
    fn home(&self) -> Option<String> {
        let codes = (1..=3).filter_map(|end| self.digits.split_at_checked(end));
        let known = |code: &str| code.parse().is_ok_and(|code| DATABASE.by_code(&code).is_some());
        codes.filter(|_| self.abroad).find(|(code, _)| known(code)).map(|(_, home)| home.to_owned())
    }

    /// How it may stand in the index: as it is, without the zeros that are dialled before it, or as an end.
    fn wanted(self) -> Vec<String> {
        let bare = self.digits.strip_prefix("00").or_else(|| self.digits.strip_prefix('0'));
        let bare = bare.filter(|rest| rest.len() >= SHORTEST_END).map(str::to_owned);
        backwards(&self.digits).into_iter().chain(bare).chain([self.digits.clone()]).collect()
    }
}

/// A number from its last digit to its first.
fn backwards(word: &str) -> Option<String> {
    let number = word.len() >= SHORTEST_END && word.bytes().all(|byte| byte.is_ascii_digit());
    number.then(|| [BACKWARDS].into_iter().chain(word.chars().rev()).collect())
}

enum Run {
    Word(String),
    Dense(Vec<char>),
}

/// `joined`: spaces do not end a run of a script without spaces, so that 王 小明 holds 王小明 too.
fn runs(folded: &str, joined: bool) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut open = false;
    for c in folded.chars() {
        let belongs = c.is_alphanumeric() || (open && is_combining_mark(c));
        if !belongs {
            open = open && joined && c == ' ' && matches!(runs.last(), Some(Run::Dense(_)));
            continue;
        }
        match runs.last_mut().filter(|_| open) {
            Some(Run::Dense(run)) if is_dense(c) => run.push(c),
            Some(Run::Word(word)) if !is_dense(c) => {
                if word.chars().count() < LETTERS {
                    word.push(c);
                }
            }
            _ if is_dense(c) => runs.push(Run::Dense(vec![c])),
            _ => runs.push(Run::Word(c.to_string())),
        }
        open = true;
    }
    runs
}

/// Scripts that put no spaces between words, or glue particles to them.
fn is_dense(c: char) -> bool {
    matches!(u32::from(c),
        0x0E00..=0x0EFF // Thai, Lao
        | 0x1000..=0x109F | 0x1780..=0x17FF // Burmese, Khmer
        | 0x1100..=0x11FF | 0xAC00..=0xD7FF // Hangul
        | 0x3005..=0x3007 | 0x3040..=0x312F | 0x31A0..=0x31BF | 0x31F0..=0x31FF // kana, bopomofo
        | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x3FFFF) // Han
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<String> {
        let mut tokens = BTreeSet::new();
        add(&mut tokens, &[text.to_owned()]);
        tokens.into_iter().collect()
    }

    fn finds(query: &str, text: &str) -> bool {
        wanted(query).is_in(&tokens(text).into_iter().collect())
    }

    #[test]
    fn words_are_folded_and_split_at_what_is_no_letter() {
        assert_eq!(tokens("  Ｏ'Brien & Söhne-GROß\0 "), ["brien", "gross", "o", "söhne"]);
        assert_eq!(tokens("ΟΔΟΣ οδος"), ["οδοσ"]);
        assert_eq!(tokens("ann.archer@Example.com"), ["ann", "archer", "com", "example"]);
        assert_eq!(tokens("!!! … \u{301}"), Vec::<String>::new());
        assert_eq!(tokens("x\u{301}y"), ["x\u{301}y"], "a mark stays with its letter");
    }

    #[test]
    fn scripts_without_spaces_give_characters_and_pairs() {
        assert_eq!(tokens("北京A4紙"), ["a4", "京", "北", "北京", "紙"]);
        assert_eq!(tokens("王 小明"), ["小", "小明", "明", "王", "王小"]);
        assert_eq!(tokens("王、小"), ["小", "王"]);
    }

    #[test]
    fn what_was_stored_is_found_as_people_type_it() {
        for (query, text) in [
            ("acm", "ACME Ltd"),
            ("ltd acme", "ACME Ltd"),
            ("ＡＣＭＥ", "acme"),
            ("京公", "北京公司"),
            ("公", "北京公司"),
            ("王小明", "王 小明"),
            ("王 小明", "王小明"),
            ("8000", "+8613800138000"),
            ("138-0013-8000", "+8613800138000"),
            ("+86 138 0013 8000", "+8613800138000"),
            ("13800", "+8613800138000"),
            ("0086 138 0013", "+8613800138000"),
            ("030 1234 56", "+49 30 1234567"),
            ("(415) 555-0132", "+1 415 555 0132"),
            ("555 0132", "+1 415 555 0132"),
            ("20 1234", "+353 20 1234567"),
            ("2024-001234", "Contract 2024-001234 of May"),
            ("001234", "Contract 2024-001234"),
            ("archer@exam", "ann.archer@example.com"),
            ("straße", "STRASSE"),
        ] {
            assert!(finds(query, text), "{query} in {text}");
        }
        for (query, text) in [
            ("cme", "ACME Ltd"),
            ("ac ltd", "ACME Ltd"),
            ("北公", "北京公司"),
            ("acme inc", "ACME Ltd"),
            ("138-0013-8001", "+8613800138000"),
            ("0013", "+8613800138000"),
            ("12 34", "1234"),
            ("", "anything"),
            ("%", "100 %"),
        ] {
            assert!(!finds(query, text), "{query} in {text}");
        }
    }

    #[test]
    fn the_number_and_the_length_of_tokens_are_bounded() {
        let words: Vec<String> = (0..5000).map(|n| format!("w{n}")).collect();
        assert_eq!(tokens(&words.join(" ")).len(), TOKENS);
        let long = "x".repeat(10_000);
        assert_eq!(tokens(&long), ["x".repeat(LETTERS)]);
        assert!(finds(&long, &format!("{long}yz")), "what is cut off counts on neither side");
        assert!(tokens(&"7".repeat(10_000)).len() <= LETTERS);
    }
}
