//! Reasons in words: the manifest's text of a code with its arguments in place.

use serde_json::Value as Json;

use crate::{ports::Outputs, values::decimal};

/// The text of `code` in `language` (else English, else the code itself). `{0}` is the first argument, `{0:money}` one in
/// minor units of `currency`, `{0:date}` one in days since 1970-01-01.
pub fn in_words(outputs: &Outputs, code: &str, args: &[Json], language: &str, currency: &str) -> String {
    let texts = outputs.reasons.get(code);
    let Some(text) = texts.and_then(|texts| texts.get(language).or_else(|| texts.get("en"))) else {
        return code.to_owned();
    };
    let mut words = String::with_capacity(text.len() + 16);
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        words.push_str(before);
        let Some((place, after)) = after.split_once('}') else {
            words.push('{');
            rest = after;
            continue;
        };
        let (index, format) = place.split_once(':').unwrap_or((place, ""));
        match index.parse().ok().and_then(|index: usize| args.get(index)) {
            Some(arg) => words.push_str(&shown(arg, format, currency)),
            None => words.extend(["{", place, "}"]),
        }
        rest = after;
    }
    words.push_str(rest);
    words
}

fn shown(arg: &Json, format: &str, currency: &str) -> String {
    match (format, arg.as_i64()) {
        ("money", Some(minor)) => format!("{} {currency}", decimal(minor, currency)),
        ("date", Some(day)) => {
            let date =
                chrono::TimeDelta::try_days(day).and_then(|days| chrono::NaiveDate::default().checked_add_signed(days));
            date.map_or_else(|| day.to_string(), |date| date.to_string())
        }
        _ => match arg {
            Json::String(text) => text.clone(),
            // a whole number that came as a float
            Json::Number(number) => number.as_f64().map_or_else(|| number.to_string(), |value| value.to_string()),
            other => other.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::in_words;
    use crate::ports::Outputs;

    #[test]
    fn arguments_stand_where_the_text_wants_them() {
        let outputs: Outputs = serde_json::from_value(json!({"reasons": {
            "inactive": {"en": "No order for {0} days", "zh": "{0} 天无订单"},
            "spend": {"en": "{1:money} since {0:date}"},
            "odd": {"en": "{7} of {"},
        }}))
        .unwrap();
        let words = |code: &str, args: &[serde_json::Value], language| in_words(&outputs, code, args, language, "USD");
        assert_eq!(words("inactive", &[json!(213.0)], "en"), "No order for 213 days");
        assert_eq!(words("inactive", &[json!(213.5)], "zh"), "213.5 天无订单");
        assert_eq!(words("spend", &[json!(17532), json!(123_450)], "de"), "1234.50 USD since 2018-01-01");
        assert_eq!(words("odd", &[], "en"), "{7} of {");
        assert_eq!(words("unknown", &[], "en"), "unknown");
    }
}
