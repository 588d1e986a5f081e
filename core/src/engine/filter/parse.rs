//! Tokens into the tree, by the grammar of the module's documentation.

use rust_decimal::Decimal;

use super::{
    Any, At, Call, Check, Filter, Function, Literal, MAX_DEPTH, Offset, Test,
    lex::{Placed, Token, character, syntax, tokens},
};
use crate::{
    error::{Code, Error, Result, Violation, nearest},
    values::Currency,
};

const KEYWORDS: [&str; 9] = ["AND", "OR", "NOT", "IN", "BETWEEN", "IS", "NULL", "TRUE", "FALSE"];
const FUNCTIONS: [&str; 3] = ["any", "contains", "starts_with"];

const VALUE: &str = "a number, true, false, a function such as now(), or a text, date or id in double quotes";

/// Reads the text form.
///
/// # Errors
/// `filter_syntax` with the place, what was expected there and what stands there; `query_too_expensive`.
pub fn parse(text: &str) -> Result<Filter> {
    let filter = read(text).map_err(|violation| Error::Malformed(vec![violation]))?;
    filter.within_budget("filter")?;
    Ok(filter)
}

fn read(text: &str) -> Result<Filter, Violation> {
    let tokens = tokens(text)?;
    let mut parser = Parser { text, tokens: &tokens, depth: 0 };
    let filter = parser.junction()?;
    if parser.peek() == &Token::End { Ok(filter) } else { Err(parser.expected("AND, OR or the end of the filter")) }
}

struct Parser<'p> {
    text: &'p str,
    tokens: &'p [Placed<'p>],
    depth: usize,
}

impl<'p> Parser<'p> {
    fn junction(&mut self) -> Result<Filter, Violation> {
        let first = self.factor()?;
        let word = ["AND", "OR"].into_iter().find(|word| self.at_keyword(word));
        let Some(word) = word else { return Ok(first) };
        let mut all = vec![first];
        while self.keyword(word) {
            all.push(self.factor()?);
        }
        if self.at_keyword("AND") || self.at_keyword("OR") {
            return Err(syntax(self.text, self.at(), "AND and OR mix here; write parentheses to say what is meant"));
        }
        Ok(if word == "AND" { Filter::And(all) } else { Filter::Or(all) })
    }

    fn factor(&mut self) -> Result<Filter, Violation> {
        let at = self.at();
        let filter = if self.keyword("NOT") {
            self.deeper(at)?;
            Filter::Not(Box::new(self.factor()?))
        } else if self.sign("(") {
            self.deeper(at)?;
            let inner = self.junction()?;
            self.expect(")")?;
            inner
        } else {
            return self.condition();
        };
        self.depth -= 1;
        Ok(filter)
    }

    /// The parser calls itself for each level: the budget bounds its stack too.
    fn deeper(&mut self, at: usize) -> Result<(), Violation> {
        self.depth += 1;
        if self.depth <= MAX_DEPTH {
            return Ok(());
        }
        let detail = format!("at character {}: nested deeper than {MAX_DEPTH} levels", character(self.text, at));
        Err(Violation::parameter("filter", Code::QueryTooExpensive, detail))
    }

    fn condition(&mut self) -> Result<Filter, Violation> {
        let at = self.at();
        let name = self.word("a field, NOT or `(`")?;
        if self.peek() == &Token::Sign("(") {
            return self.function(name, at);
        }
        let field = self.path(name, at)?;
        let check = self.check()?;
        Ok(Filter::Test(Test { field, check, at: self.place(at) }))
    }

    fn place(&self, at: usize) -> At {
        At::Character(character(self.text, at))
    }

    fn function(&mut self, name: &str, at: usize) -> Result<Filter, Violation> {
        if Function::parse(name).is_ok() {
            let detail = format!("{name}() is a value; it stands behind a comparison: `owner_id = me()`");
            return Err(syntax(self.text, at, detail));
        }
        if !FUNCTIONS.contains(&name) {
            let detail = crate::error::unknown("function", name, FUNCTIONS);
            return Err(syntax(self.text, at, format!("{detail} (there are {})", FUNCTIONS.join(", "))));
        }
        self.expect("(")?;
        let inside = self.at();
        let path = self.word(if name == "any" { "a relation" } else { "a field" })?;
        let field = self.path(path, inside)?;
        self.expect(",")?;
        if name == "any" {
            self.deeper(at)?;
            let filter = Box::new(self.junction()?);
            self.expect(")")?;
            self.depth -= 1;
            return Ok(Filter::Any(Any { relation: field, filter, at: self.place(inside) }));
        }
        let part = match self.peek() {
            Token::Text(text) => text.clone(),
            _ => return Err(self.expected("a text in double quotes")),
        };
        self.advance();
        self.expect(")")?;
        let check = if name == "contains" { Check::Contains(part) } else { Check::StartsWith(part) };
        Ok(Filter::Test(Test { field, check, at: self.place(inside) }))
    }

    fn check(&mut self) -> Result<Check, Violation> {
        if self.keyword("IS") {
            let not = self.keyword("NOT");
            return match self.keyword("NULL") {
                true if not => Ok(Check::IsNotNull),
                true => Ok(Check::IsNull),
                false => Err(self.expected(if not { "NULL" } else { "NULL or NOT NULL" })),
            };
        }
        if self.keyword("IN") {
            return self.list().map(Check::In);
        }
        if self.keyword("BETWEEN") {
            let low = self.value()?;
            return if self.keyword("AND") {
                Ok(Check::Between([low, self.value()?]))
            } else {
                Err(self.expected("AND and the upper end"))
            };
        }
        let make = match self.peek() {
            Token::Sign("=") => Check::Eq,
            Token::Sign("!=") => Check::Ne,
            Token::Sign("<") => Check::Lt,
            Token::Sign("<=") => Check::Lte,
            Token::Sign(">") => Check::Gt,
            Token::Sign(">=") => Check::Gte,
            Token::Sign(":") => Check::Has,
            _ => return Err(self.expected("=, !=, <, <=, >, >=, :, IN, BETWEEN or IS")),
        };
        self.advance();
        self.value().map(make)
    }

    fn list(&mut self) -> Result<Vec<Literal>, Violation> {
        if self.at_keyword(Function::MyTeam.name()) {
            return Ok(vec![self.value()?]);
        }
        self.expect("[")?;
        let mut values = vec![self.value()?];
        while self.sign(",") {
            values.push(self.value()?);
        }
        if self.sign("]") { Ok(values) } else { Err(self.expected("`,` or `]`")) }
    }

    fn value(&mut self) -> Result<Literal, Violation> {
        let literal = match self.peek() {
            Token::Text(text) => Literal::Text(text.clone()),
            Token::Number(digits) => return self.number(digits),
            Token::Word(word) if word.eq_ignore_ascii_case("true") => Literal::Boolean(true),
            Token::Word(word) if word.eq_ignore_ascii_case("false") => Literal::Boolean(false),
            Token::Word(word) if word.eq_ignore_ascii_case("null") => {
                return Err(syntax(self.text, self.at(), "compare with null by IS NULL or IS NOT NULL"));
            }
            Token::Word(name) => return self.call(name),
            _ => return Err(self.expected(VALUE)),
        };
        self.advance();
        Ok(literal)
    }

    /// `me()`, `now()-30d`
    fn call(&mut self, name: &str) -> Result<Literal, Violation> {
        let at = self.at();
        if !matches!(self.tokens, [_, (Token::Sign("("), _), ..]) {
            let mut wrong = self.expected(VALUE);
            if let Some(near) = nearest(name, Function::ALL.map(Function::name)) {
                wrong.detail = format!("{}; did you mean `{near}()`?", wrong.detail);
            }
            return Err(wrong);
        }
        let function = Function::parse(name).map_err(|detail| syntax(self.text, at, detail))?;
        self.advance();
        self.expect("(")?;
        self.expect(")")?;
        let at = self.at();
        let offset = match self.peek() {
            Token::Offset(text) => {
                self.advance();
                Some(Offset::parse(&text.split_whitespace().collect::<String>()))
            }
            _ => None,
        };
        let call = offset.transpose().and_then(|offset| Call::new(function, offset));
        call.map(Literal::Call).map_err(|detail| syntax(self.text, at, detail))
    }

    /// `1000`, or an amount with its currency, `1000 CNY`.
    fn number(&mut self, digits: &str) -> Result<Literal, Violation> {
        let at = self.at();
        self.advance();
        if let Token::Word(code) = self.peek()
            && Currency::parse(code).is_ok()
        {
            let amount = format!("{digits} {code}");
            self.advance();
            return Ok(Literal::Text(amount));
        }
        let number = Decimal::from_str_exact(digits);
        number.map(Literal::Number).map_err(|_| syntax(self.text, at, "the number has more than 28 digits"))
    }

    fn path(&self, name: &str, at: usize) -> Result<String, Violation> {
        if KEYWORDS.iter().any(|keyword| keyword.eq_ignore_ascii_case(name)) {
            return Err(syntax(self.text, at, format!("expected a field, found the keyword {name}")));
        }
        if name.split('.').any(str::is_empty) {
            return Err(syntax(self.text, at, format!("`{name}` lacks a name beside a dot")));
        }
        Ok(name.to_owned())
    }

    fn word(&mut self, wanted: &str) -> Result<&'p str, Violation> {
        let Token::Word(word) = *self.peek() else { return Err(self.expected(wanted)) };
        self.advance();
        Ok(word)
    }

    fn peek(&self) -> &'p Token<'p> {
        self.tokens.first().map_or(&Token::End, |(token, _)| token)
    }

    /// The byte where the next token begins.
    fn at(&self) -> usize {
        self.tokens.first().map_or(self.text.len(), |(_, at)| *at)
    }

    fn advance(&mut self) {
        self.tokens = self.tokens.split_first().map_or(self.tokens, |(_, rest)| rest);
    }

    fn at_keyword(&self, keyword: &str) -> bool {
        matches!(self.peek(), Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        let there = self.at_keyword(keyword);
        if there {
            self.advance();
        }
        there
    }

    fn sign(&mut self, sign: &str) -> bool {
        let there = matches!(self.peek(), Token::Sign(found) if *found == sign);
        if there {
            self.advance();
        }
        there
    }

    fn expect(&mut self, sign: &str) -> Result<(), Violation> {
        if self.sign(sign) { Ok(()) } else { Err(self.expected(&format!("`{sign}`"))) }
    }

    fn expected(&self, wanted: &str) -> Violation {
        let found = match self.peek() {
            Token::Word(word) => {
                let near = nearest(&word.to_ascii_uppercase(), KEYWORDS).filter(|near| wanted.contains(near));
                format!("`{word}`{}", near.map(|near| format!(" (did you mean {near}?)")).unwrap_or_default())
            }
            Token::Number(text) | Token::Sign(text) | Token::Offset(text) => format!("`{text}`"),
            Token::Text(_) => "a text".to_owned(),
            Token::End => "the end".to_owned(),
        };
        syntax(self.text, self.at(), format!("expected {wanted}, found {found}"))
    }
}
