//! Recency, frequency, money. The rule, its source and a worked example are in the README beside this crate.

use ripen_plugin::{Context, Inputs, Money, Plugin, Reason, Score, Scorer, Segment, Segmenter, ripen_plugin};
use serde::Deserialize;

#[derive(Inputs)]
pub struct Facts {
    recency_days: f64,
    orders: f64,
    revenue: Money,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default = "equal_weights")]
    weights: [f64; 3],
}

fn equal_weights() -> [f64; 3] {
    [1.0; 3]
}

pub struct Rfm {
    weights: [f64; 3],
    recency_cuts: Vec<f64>,
    orders_cuts: Vec<f64>,
    revenue_cuts: Vec<f64>,
}

impl Plugin for Rfm {
    type Config = Config;
    type Inputs = Facts;

    fn new(Config { weights }: Config, cx: &Context) -> Result<Self, String> {
        let sound = weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0);
        if !sound || weights.iter().all(|weight| *weight <= 0.0) {
            return Err("weights: three numbers from 0, and at least one above 0".into());
        }
        // Three times 0.1 does not add up like three times 1: equal weights count as 1, so that equal sums of digits
        // give the same value to the last bit.
        let [first, ..] = weights;
        let equal = weights.iter().all(|weight| weight.total_cmp(&first).is_eq());
        Ok(Self {
            weights: if equal { equal_weights() } else { weights },
            recency_cuts: cuts(cx, "recency_cuts")?,
            orders_cuts: cuts(cx, "orders_cuts")?,
            revenue_cuts: cuts(cx, "revenue_cuts")?,
        })
    }
}

/// The four values between the five groups; none where the population is empty.
fn cuts(cx: &Context, name: &str) -> Result<Vec<f64>, String> {
    let values = cx.statistic(name)?.values;
    if matches!(values.len(), 0 | 4) { Ok(values) } else { Err(format!("{name}: {} cuts instead of 4", values.len())) }
}

/// The group from 1 (lowest) to 5: how many cuts lie strictly below the value, and one.
fn digit(value: f64, cuts: &[f64]) -> f64 {
    cuts.iter().fold(1.0, |digit, cut| if *cut < value { digit + 1.0 } else { digit })
}

struct Digits {
    recency: f64,
    frequency: f64,
    money: f64,
}

impl Rfm {
    fn digits(&self, row: &Facts) -> Digits {
        Digits {
            recency: 6.0 - digit(row.recency_days, &self.recency_cuts),
            frequency: digit(row.orders, &self.orders_cuts),
            money: digit(minor_units(row.revenue), &self.revenue_cuts),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "facts stay within 2^53, where f64 is exact")]
fn minor_units(Money(amount): Money) -> f64 {
    amount as f64
}

impl Scorer for Rfm {
    fn score(&self, row: &Facts) -> Score {
        let Digits { recency, frequency, money } = self.digits(row);
        let [of_recency, of_frequency, of_money] = self.weights;
        let total = of_recency + of_frequency + of_money;
        let points = of_recency * (recency - 1.0) + of_frequency * (frequency - 1.0) + of_money * (money - 1.0);
        // Rounding may lift the best score one bit above 100.
        let value = (25.0 * points / total).min(100.0);
        let mut score = Score::new(value)
            .contribution("recency", 25.0 * (of_recency * (recency - 1.0)) / total)
            .contribution("frequency", 25.0 * (of_frequency * (frequency - 1.0)) / total)
            .contribution("money", 25.0 * (of_money * (money - 1.0)) / total);
        if let Some(code) = extreme(recency, "recent", "inactive") {
            score = score.reason(Reason::new(code).arg(row.recency_days));
        }
        if let Some(code) = extreme(frequency, "frequent", "rare") {
            score = score.reason(Reason::new(code).arg(row.orders));
        }
        if let Some(code) = extreme(money, "high_spend", "low_spend") {
            score = score.reason(Reason::new(code).arg(row.revenue));
        }
        score
    }
}

/// What stands out: the best and the lowest group.
fn extreme(digit: f64, best: &'static str, lowest: &'static str) -> Option<&'static str> {
    if digit >= 5.0 {
        Some(best)
    } else if digit <= 1.0 {
        Some(lowest)
    } else {
        None
    }
}

impl Segmenter for Rfm {
    fn segment(&self, row: &Facts) -> Segment {
        let Digits { recency, frequency, money } = self.digits(row);
        let worth = f64::midpoint(frequency, money);
        let label = match (recency, worth) {
            (4.0.., 4.0..) => "champion",
            (4.0.., 3.0..) => "loyal",
            (4.0.., 2.0..) => "potential",
            (4.0.., _) => "new",
            (3.0.., 3.0..) => "loyal",
            (3.0.., 2.0..) => "potential",
            (3.0.., _) => "hibernating",
            (_, 3.0..) => "at_risk",
            (_, 2.0..) => "hibernating",
            _ => "lost",
        };
        Segment::of(label).reason(Reason::new("digits").arg(recency).arg(frequency).arg(money))
    }
}

ripen_plugin!(scorer: Rfm, segmenter: Rfm);

#[cfg(test)]
mod tests {
    use ripen_plugin::{
        Frame,
        columns::{Scores, Segments},
        testing,
    };

    use super::*;

    /// Cuts that make the digit of an input its value: 1 to 5. Recency is the other way round.
    fn context() -> Context {
        let cuts = [1.0, 2.0, 3.0, 4.0];
        let cx = Context::default().with_statistic("recency_cuts", &cuts, 125);
        cx.with_statistic("orders_cuts", &cuts, 125).with_statistic("revenue_cuts", &cuts, 125)
    }

    /// A row for each combination of digits, in the order recency, frequency, money.
    fn every_digit() -> Vec<[i64; 3]> {
        let digits = || 1..=5;
        digits().flat_map(|r| digits().flat_map(move |f| digits().map(move |m| [r, f, m]))).collect()
    }

    fn frame(rows: &[[i64; 3]]) -> Frame {
        Frame::of("recency_days", rows.iter().map(|[recency, ..]| minor_units(Money(6 - recency))))
            .with("orders", rows.iter().map(|[_, frequency, _]| minor_units(Money(*frequency))))
            .with("revenue", rows.iter().map(|[.., money]| Money(*money)))
    }

    fn scores(config: &str, rows: &[[i64; 3]]) -> Result<Scores, String> {
        testing::score::<Rfm>(config, &context(), &frame(rows))
    }

    fn label(row: [i64; 3]) -> String {
        let Segments { labels, codes, .. } = testing::segment::<Rfm>("{}", &context(), &frame(&[row])).unwrap();
        labels[codes[0] as usize].clone()
    }

    #[test]
    fn the_best_have_100_and_the_last_have_0_whatever_the_weights() {
        for config in
            ["{}", r#"{"weights": [1, 1, 2]}"#, r#"{"weights": [0.1, 0.7, 0.3]}"#, r#"{"weights": [3, 0, 0.01]}"#]
        {
            let scores = scores(config, &every_digit()).unwrap();
            assert_eq!((scores.values[0], scores.values[124]), (0.0, 100.0), "{config}");
            assert!(scores.values.iter().all(|value| (0.0..=100.0).contains(value)), "{config}");
        }
    }

    #[test]
    fn contributions_add_up_to_the_value() {
        let scores = scores(r#"{"weights": [0.1, 0.7, 0.3]}"#, &every_digit()).unwrap();
        for (row, value) in scores.values.iter().enumerate() {
            let sum: f64 = scores.contributions.iter().map(|figure| figure.values[row]).sum();
            assert!((sum - value).abs() <= 1e-9 * value.abs().max(1.0), "row {row}: {sum} for {value}");
        }
    }

    #[test]
    fn equal_sums_of_digits_tie_exactly_at_equal_weights() {
        let rows = every_digit();
        let values = scores("{}", &rows).unwrap().values;
        for (row, value) in rows.iter().zip(&values) {
            let points = minor_units(Money(row.iter().sum::<i64>() - 3));
            assert_eq!(value.to_bits(), (25.0 * points / 3.0).to_bits(), "{row:?}");
        }
        assert_eq!(scores(r#"{"weights": [0.1, 0.1, 0.1]}"#, &rows).unwrap().values, values);
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "digits are whole")]
    fn a_value_on_a_cut_belongs_to_the_group_below() {
        let cuts = [10.0, 20.0, 30.0, 40.0];
        assert_eq!([9.0, 10.0, 10.5, 40.0, 41.0].map(|value| digit(value, &cuts)), [1.0, 1.0, 2.0, 4.0, 5.0]);
        assert_eq!(digit(7.0, &[7.0; 4]), 1.0, "one value for everyone: nobody stands out");
    }

    #[test]
    fn labels_follow_the_table() {
        let table = [
            (5, ["new", "potential", "loyal", "champion"]),
            (4, ["new", "potential", "loyal", "champion"]),
            (3, ["hibernating", "potential", "loyal", "loyal"]),
            (2, ["lost", "hibernating", "at_risk", "at_risk"]),
            (1, ["lost", "hibernating", "at_risk", "at_risk"]),
        ];
        for (recency, labels) in table {
            for (column, expected) in labels.into_iter().enumerate() {
                let [low, high] = [[(1, 1), (1, 2)], [(2, 2), (1, 4)], [(3, 3), (5, 2)], [(4, 4), (5, 5)]][column];
                for (frequency, money) in [low, high] {
                    assert_eq!(label([recency, frequency, money]), expected, "{recency} {frequency} {money}");
                    assert_eq!(label([recency, money, frequency]), expected, "{recency} {money} {frequency}");
                }
            }
        }
    }

    #[test]
    fn reasons_name_what_stands_out() {
        let reasons = scores("{}", &[[5, 3, 1], [1, 5, 3], [3, 3, 3]]).unwrap().reasons;
        let said: Vec<_> = reasons.iter().map(|reason| (reason.code.as_str(), reason.rows.as_slice())).collect();
        assert_eq!(said, [("recent", &[0][..]), ("low_spend", &[0]), ("inactive", &[1]), ("frequent", &[1])]);
    }

    #[test]
    fn what_cannot_be_used_is_refused_in_words() {
        let refused = |config| scores(config, &[[1, 1, 1]]).unwrap_err();
        assert_eq!(refused(r#"{"weights": [0, 0, 0]}"#), "weights: three numbers from 0, and at least one above 0");
        assert_eq!(refused(r#"{"weights": [1, -1, 1]}"#), "weights: three numbers from 0, and at least one above 0");
        assert!(refused(r#"{"weight": [1, 1, 1]}"#).contains("unknown field `weight`"));
        let without = testing::score::<Rfm>("{}", &Context::default(), &frame(&[[1, 1, 1]])).unwrap_err();
        assert_eq!(without, "no statistic `recency_cuts`; the manifest must declare it");
        let cx = context().with_statistic("orders_cuts", &[1.0], 5);
        assert_eq!(testing::score::<Rfm>("{}", &cx, &frame(&[])).unwrap_err(), "orders_cuts: 1 cuts instead of 4");
    }
}
