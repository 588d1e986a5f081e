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
        let [recency, frequency, money] = weights;
        if weights.iter().any(|weight| !weight.is_finite() || *weight < 0.0) || weights == [0.0; 3] {
            return Err("weights: three numbers from 0, and at least one above 0".into());
        }
        // Three times 0.1 does not add up like three times 1: equal weights count as 1, so that equal sums of digits
        // give the same value to the last bit.
        let equal = recency == frequency && frequency == money;
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
