//! Text into tokens with their places.

use winnow::{
    LocatingSlice, ModalResult, Parser,
    ascii::{digit1, multispace0},
    combinator::{alt, opt, preceded, repeat},
    error::ErrMode,
    stream::{Location, Stream},
    token::{none_of, one_of, take_while},
};

use crate::error::{Code, Violation};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'t> {
    /// A path or a keyword.
    Word(&'t str),
    Number(&'t str),
    Text(String),
    Sign(&'t str),
    /// `-30d`, perhaps with blanks behind its sign.
    Offset(&'t str),
    End,
}

/// A token and the byte where it begins.
pub(super) type Placed<'t> = (Token<'t>, usize);

type Input<'t> = LocatingSlice<&'t str>;

/// All tokens; the last is `End`.
pub(super) fn tokens(text: &str) -> Result<Vec<Placed<'_>>, Violation> {
    let mut input = LocatingSlice::new(text);
    let mut tokens = Vec::new();
    loop {
        let _ = blank(&mut input);
        let at = input.current_token_start();
        if input.peek_token().is_none() {
            tokens.push((Token::End, at));
            return Ok(tokens);
        }
        let token = alt((word, offset, number, string, sign)).parse_next(&mut input);
        let token = token.map_err(|_: ErrMode<_>| unreadable(text, at))?;
        glued(text, &token, &input)?;
        tokens.push((token, at));
    }
}

fn blank<'t>(input: &mut Input<'t>) -> ModalResult<&'t str> {
    multispace0.parse_next(input)
}

fn word<'t>(input: &mut Input<'t>) -> ModalResult<Token<'t>> {
    let start = one_of(|c: char| c.is_ascii_alphabetic() || c == '_');
    let rest = take_while(0.., |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.');
    (start, rest).take().map(Token::Word).parse_next(input)
}

fn number<'t>(input: &mut Input<'t>) -> ModalResult<Token<'t>> {
    (opt('-'), digit1, opt(('.', digit1))).take().map(Token::Number).parse_next(input)
}

fn offset<'t>(input: &mut Input<'t>) -> ModalResult<Token<'t>> {
    let unit = (one_of(|c: char| c.is_ascii_alphabetic()), take_while(0.., |c: char| c.is_ascii_alphanumeric()));
    (one_of(['+', '-']), multispace0, digit1, unit).take().map(Token::Offset).parse_next(input)
}

/// JSON's own rules for what stands between the quotes.
fn string<'t>(input: &mut Input<'t>) -> ModalResult<Token<'t>> {
    let escaped = preceded('\\', winnow::token::any).void();
    let plain = none_of(['"', '\\']).void();
    ('"', repeat::<_, _, (), _, _>(0.., alt((escaped, plain))), '"')
        .take()
        .verify_map(|text: &str| serde_json::from_str(text).ok().map(Token::Text))
        .parse_next(input)
}

fn sign<'t>(input: &mut Input<'t>) -> ModalResult<Token<'t>> {
    alt(("!=", "<=", ">=", one_of(['=', '<', '>', ':', '(', ')', '[', ']', ',']).take()))
        .map(Token::Sign)
        .parse_next(input)
}

/// `2026-01-31` and `12kg` are neither numbers nor names.
fn glued(text: &str, token: &Token<'_>, rest: &Input<'_>) -> Result<(), Violation> {
    let next = rest.peek_token();
    let stuck = next.is_some_and(|c| c.is_alphanumeric() || "-_.:".contains(c));
    if matches!(token, Token::Number(_)) && stuck {
        let detail = "a number ends here; dates, instants and texts stand in double quotes";
        return Err(syntax(text, rest.current_token_start(), detail));
    }
    Ok(())
}

fn unreadable(text: &str, at: usize) -> Violation {
    let rest = text.get(at..).unwrap_or_default();
    let detail = match rest.chars().next() {
        Some('"') if closed(rest) => {
            "the text in quotes is not a JSON string: an escape or a control character is wrong"
        }
        Some('"') => "the quote is not closed",
        Some('\'') => "texts stand in double quotes",
        _ => "this character has no place in a filter",
    };
    syntax(text, at, detail)
}

fn closed(rest: &str) -> bool {
    let mut escaped = false;
    rest.chars().skip(1).any(|c| {
        let end = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        end
    })
}

/// A violation of the grammar at byte `at`.
pub(super) fn syntax(text: &str, at: usize, detail: impl std::fmt::Display) -> Violation {
    Violation::parameter("filter", Code::FilterSyntax, format!("at character {}: {detail}", character(text, at)))
}

/// The character at byte `at`, from 1.
pub(super) fn character(text: &str, at: usize) -> usize {
    text.get(..at).map_or(0, |before| before.chars().count()) + 1
}
