//! How rows become columns, and what no answer may leave the plugin with.

use ripen_plugin::{
    Context, Frame, Inputs, Plugin, Reason, Score, Scorer, Segment, Segmenter,
    columns::{Column, Figure},
    ripen_plugin, testing,
};
use serde::Deserialize;

#[derive(Inputs)]
struct Facts {
    orders: f64,
}

#[derive(Deserialize)]
struct Config {
    limit: f64,
}

/// Declines rows above the limit and says why; labels by the limit.
struct Capped(f64);

impl Plugin for Capped {
    type Config = Config;
    type Inputs = Facts;

    fn new(Config { limit }: Config, _: &Context) -> Result<Self, String> {
        if limit < 0.0 { Err("limit: at least 0".into()) } else { Ok(Self(limit)) }
    }
}

impl Scorer for Capped {
    fn score(&self, row: &Facts) -> Score {
        if row.orders > self.0 {
            return Score::declined(Reason::new("too_many").arg(row.orders));
        }
        let score = Score::new(row.orders).contribution("orders", row.orders);
        if row.orders < 1.0 {
            score.contribution("none", 0.0).reason("none")
        } else {
            score.figure("twice", 2.0 * row.orders)
        }
    }
}

impl Segmenter for Capped {
    fn segment(&self, row: &Facts) -> Segment {
        if row.orders > self.0 { Segment::of("many") } else { Segment::none().and("few", 0.5).and("many", 0.5) }
    }
}

ripen_plugin!(scorer: Capped, segmenter: Capped);

fn frame() -> Frame {
    Frame::of("orders", [2.0, 0.0, 9.0])
}

#[test]
fn rows_become_columns() {
    let scores = testing::score::<Capped>(r#"{"limit": 5}"#, &Context::default(), &frame()).unwrap();
    let figure = |code: &str, values: [f64; 3]| Figure { code: code.into(), values: values.into() };
    assert_eq!(scores.values, [2.0, 0.0, 0.0]);
    assert_eq!(scores.contributions, [figure("orders", [2.0, 0.0, 0.0]), figure("none", [0.0; 3])]);
    assert_eq!(scores.figures, [figure("twice", [4.0, 0.0, 0.0])]);
    let [none] = scores.reasons.as_slice() else { panic!("{:?}", scores.reasons) };
    assert_eq!((none.code.as_str(), none.rows.as_slice(), none.args.len()), ("none", [1].as_slice(), 0));
    let [declined] = scores.declined.as_slice() else { panic!("{:?}", scores.declined) };
    assert_eq!(
        (declined.rows.as_slice(), declined.args.as_slice()),
        ([2].as_slice(), [Column::Numbers(vec![9.0])].as_slice())
    );
}

#[test]
fn labels_become_codes_of_a_dictionary() {
    let segments = testing::segment::<Capped>(r#"{"limit": 5}"#, &Context::default(), &frame()).unwrap();
    assert_eq!(segments.labels, ["few", "many"]);
    assert_eq!(segments.offsets, [0, 2, 4, 5]);
    assert_eq!(segments.codes, [0, 1, 0, 1, 1]);
    assert_eq!(segments.weights, [0.5, 0.5, 0.5, 0.5, 1.0]);
}

#[test]
fn a_refused_configuration_keeps_the_plugins_words() {
    let refused = |config| testing::score::<Capped>(config, &Context::default(), &frame()).unwrap_err();
    assert_eq!(refused(r#"{"limit": -1}"#), "limit: at least 0");
    assert_eq!(refused("{}"), "config: missing field `limit` at line 1 column 2");
}
