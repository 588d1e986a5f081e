//! What `#[derive(Inputs)]` reads from a frame.

use ripen_plugin::{Frame, Inputs, Money};

#[derive(Debug, PartialEq, Inputs)]
struct Every {
    number: f64,
    integer: i64,
    amount: Money,
    flag: bool,
    text: String,
    words: Vec<String>,
    series: Vec<f64>,
    maybe: Option<f64>,
    r#type: Option<String>,
}

fn frame() -> Frame {
    Frame::of("number", [1.5, -2.0])
        .with("integer", [7_i64, -8])
        .with("amount", [Money(1250), Money(0)])
        .with("flag", [true, false])
        .with("text", ["retail".to_string(), String::new()])
        .with("words", [vec!["vip".to_string(), "web".to_string()], vec![]])
        .with("series", [vec![], vec![1.0, 2.0]])
        .with("maybe", [None, Some(3.0)])
        .with("type", [Some("b2b".to_string()), None])
}

fn read<T: Inputs>(frame: &Frame) -> Result<Vec<T>, String> {
    Ok(T::rows(frame)?.collect())
}

#[test]
fn every_type_arrives_row_by_row() {
    let rows: Vec<Every> = read(&frame()).unwrap();
    let first = Every {
        number: 1.5,
        integer: 7,
        amount: Money(1250),
        flag: true,
        text: "retail".into(),
        words: vec!["vip".into(), "web".into()],
        series: vec![],
        maybe: None,
        r#type: Some("b2b".into()),
    };
    let second = Every {
        number: -2.0,
        integer: -8,
        amount: Money(0),
        flag: false,
        text: String::new(),
        words: vec![],
        series: vec![1.0, 2.0],
        maybe: Some(3.0),
        r#type: None,
    };
    assert_eq!(rows, [first, second]);
}

#[derive(Debug, PartialEq, Inputs)]
struct Number {
    number: f64,
}

#[test]
fn an_option_takes_a_column_that_is_always_present() {
    #[derive(Debug, PartialEq, Inputs)]
    struct Maybe {
        number: Option<f64>,
    }
    let rows: Vec<Maybe> = read(&frame()).unwrap();
    assert_eq!(rows, [Maybe { number: Some(1.5) }, Maybe { number: Some(-2.0) }]);
}

#[test]
fn what_does_not_fit_is_named() {
    let error = |frame: Frame| read::<Number>(&frame).unwrap_err();
    assert_eq!(error(Frame::of("other", [1.0])), "no input `number`; the manifest must declare it");
    assert_eq!(error(Frame::of("number", [1_i64])), "input `number` is integer, money, instant or date, read as f64");
    assert_eq!(
        error(Frame::of("number", [None, Some(1.0)])),
        "input `number` has rows without a value: read it as an Option, or give it a default"
    );
    assert_eq!(error(Frame::of("other", [1.0]).with("number", [1.0, 2.0])), "input `number` has 2 values for 1 rows");
}
