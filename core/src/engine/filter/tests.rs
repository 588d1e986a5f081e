use super::*;
use crate::error::Violation;

fn refused(text: &str) -> Violation {
    match parse(text) {
        Err(Error::Malformed(violations)) => violations.into_iter().next().unwrap(),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn text_and_json_forms_survive_the_round_trip() {
    for text in [
        r#"name = "Acme \"Ltd\" 中文""#,
        "employees >= 10 AND employees < 20.5",
        r#"amount BETWEEN -1 AND 1000 AND (stage.kind = "won" OR NOT owner_id IS NULL)"#,
        r#"NOT (a = true OR b != false) OR c IN [1, "x", 90071992547409.93]"#,
        r#"contains(account.parent.name, "x") AND starts_with(name, "") AND a IS NOT NULL"#,
        r#"amount > "1000.50 CNY""#,
        "NOT NOT a = 1",
        r#"any(opportunities, stage.kind = "won" AND NOT any(x_by_y, a : "b")) AND a.b IN [me(), my_team()]"#,
        "at >= now()-30d AND at < now()+2h AND day BETWEEN today() AND today()+1w",
    ] {
        let filter = parse(text).unwrap();
        assert_eq!(filter.to_string(), text);
        let json = serde_json::to_string(&filter).unwrap();
        let back: Filter = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), json, "{text}");
        if !text.contains('.') {
            assert_eq!(back.to_string(), text);
        }
    }
}

#[test]
fn the_json_form_is_that_of_the_api() {
    let filter = parse("amount >= 1000 AND NOT owner_id IS NULL").unwrap();
    let json = r#"{"and":[{"field":"amount","op":"gte","value":1000},{"not":{"field":"owner_id","op":"is_null"}}]}"#;
    assert_eq!(serde_json::to_string(&filter).unwrap(), json);
    let read: Filter = serde_json::from_str(r#"{"field":"amount","op":"gte","value":"1000"}"#).unwrap();
    assert_eq!(read.to_string(), r#"amount >= "1000""#);
}

#[test]
fn keywords_are_read_in_either_case_and_spaces_do_not_matter() {
    let text = "not(a=1)and b in[ 1,2 ]and c is not null and d>1000 CNY and e:me( ) and f in my_team()and g<now() - 3m";
    assert_eq!(
        parse(text).unwrap().to_string(),
        r#"NOT a = 1 AND b IN [1, 2] AND c IS NOT NULL AND d > "1000 CNY" AND e : me() AND f IN [my_team()] AND g < now()-3m"#
    );
}

#[test]
fn not_binds_closest() {
    assert!(matches!(parse("NOT a = 1 AND b = 2").unwrap(), Filter::And(_)));
    assert!(matches!(parse("NOT (a = 1 AND b = 2)").unwrap(), Filter::Not(_)));
}

#[test]
fn what_cannot_be_read_is_refused_with_place_and_reason() {
    for (text, place, reason) in [
        ("", 1, "expected a field"),
        ("名 = 1", 1, "no place in a filter"),
        (r#"name = "中文" AND"#, 16, "found the end"),
        (r#"name = "Acme"#, 8, "quote is not closed"),
        (r#"name = "\x""#, 8, "not a JSON string"),
        (r#"name = "\ud800""#, 8, "not a JSON string"),
        ("name = 'x'", 8, "double quotes"),
        ("name = x", 8, "expected a number"),
        ("name == \"x\"", 7, "found `=`"),
        ("name = null", 8, "IS NULL"),
        ("name LIKE \"x\"", 6, "expected =,"),
        ("a = 1 OR b = 2 AND c = 3", 16, "parentheses"),
        ("a = 1 AND b = 2 OR c = 3", 17, "parentheses"),
        ("(a = 1", 7, "expected `)`"),
        ("a = 1)", 6, "end of the filter"),
        ("a IN []", 7, "expected a number"),
        ("a IN [1", 8, "`,` or `]`"),
        ("a BETWEEN 1 OR 2", 13, "expected AND"),
        ("a IS 1", 6, "expected NULL"),
        ("a..b = 1", 1, "beside a dot"),
        ("a. = 1", 1, "beside a dot"),
        ("between = 1", 1, "keyword"),
        ("day >= 2026-01-31", 12, "double quotes"),
        ("contain(name, \"x\")", 1, "did you mean `contains`?"),
        ("contains(name)", 14, "expected `,`"),
        ("contains(name, 1)", 16, "in double quotes"),
        ("a = 1 ANDD b = 2", 7, "did you mean AND?"),
        ("a = 1\0", 6, "no place in a filter"),
        ("a = 99999999999999999999999999999", 5, "28 digits"),
    ] {
        let violation = refused(text);
        assert_eq!((violation.pointer.as_str(), violation.code), ("filter", Code::FilterSyntax), "{text}");
        let start = format!("at character {place}: ");
        assert!(violation.detail.starts_with(&start) && violation.detail.contains(reason), "{text}: {violation:?}");
    }
}

#[test]
fn budgets_hold_for_nodes_depth_and_values() {
    let conditions = |n: usize| vec!["a = 1"; n].join(" AND ");
    let values = |n: usize| format!("a IN [{}]", vec!["1"; n].join(","));
    let nested = |n: usize| format!("{}a = 1{}", "NOT (".repeat(n), ")".repeat(n));
    for fits in [conditions(49), values(200), nested(4)] {
        assert!(parse(&fits).is_ok(), "{fits}");
    }
    for too_much in [conditions(50), values(201), nested(5), nested(100_000), "NOT ".repeat(9) + "a = 1"] {
        assert_eq!(refused(&too_much).code, Code::QueryTooExpensive);
    }
}
