//! The manifest a plugin carries inside: what it reads, what it gives back, how it is configured.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// Author's declaration, read from TOML when packing and from the `ripen:manifest` section (JSON) ever after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub plugin: PluginInfo,
    /// The only columns the plugin is sent, by name.
    #[serde(default)]
    pub inputs: BTreeMap<String, Input>,
    /// Figures over the whole population that come in with the context, by name.
    #[serde(default)]
    pub statistics: BTreeMap<String, Statistic>,
    #[serde(default)]
    pub outputs: Outputs,
    #[serde(default)]
    pub config: Config,
    #[serde(default)]
    pub limits: Limits,
    #[serde(default)]
    pub tests: Tests,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginInfo {
    /// `[a-z0-9-]{3,40}`
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// Major version of the contract, "1".
    pub api: String,
    pub kinds: Vec<Capability>,
    /// Record kind it was written for; an installation may choose another whose facts fit.
    pub subject: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub license: String,
}

/// What a plugin can do: one exported interface each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    Scorer,
    Segmenter,
    Incentive,
    Fitter,
}

impl Capability {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scorer => "scorer",
            Self::Segmenter => "segmenter",
            Self::Incentive => "incentive",
            Self::Fitter => "fitter",
        }
    }
}

/// One column: its type, where its values come from unless an admin rebinds it, and what happens without a value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    #[serde(rename = "type")]
    pub kind: InputType,
    /// `metric:order_count` or `field:industry`.
    pub from: String,
    /// ISO 8601 period a metric looks back over, `P365D`; without it, all time before `as_of`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
    /// Rows without the fact are not sent and are listed as not scored.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// Fills rows without the fact. With neither this nor `required` such rows arrive with `present = 0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Json>,
}

/// number -> numbers; integer, money, instant, date -> integers; boolean -> booleans; text -> texts; words -> words;
/// series -> series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputType {
    Number,
    Integer,
    Money,
    Instant,
    Date,
    Boolean,
    Text,
    Words,
    Series,
}

/// A figure over the population of the installation: every subject that has all required inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statistic {
    /// Name of an input.
    pub of: String,
    /// Nearest rank: the smallest value v with at least q of the rows <= v. Empty: no quantiles are computed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quantiles: Vec<f64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Outputs {
    /// Lowest and highest value of a score.
    pub range: Option<(f64, f64)>,
    pub contributions: Contributions,
    /// Labels in rank order, best first, with their texts by language where given.
    pub labels: Labels,
    /// More than one label a row, with weights; else exactly one of weight 1.
    pub multiple: bool,
    /// Text by language of each reason code; `{0}`, `{0:money}`, `{0:date}` are its arguments.
    pub reasons: BTreeMap<String, BTreeMap<String, String>>,
}

pub type Labels = Vec<String>;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contributions {
    /// They add up to the value.
    Sum,
    /// They add up to the logit of the value.
    LogOdds,
    #[default]
    None,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// JSON Schema 2020-12. A file name in the author's source, the schema itself once packed.
    pub schema: Option<Json>,
}

/// May only lower the server's limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// `16 MiB`
    pub memory: Option<String>,
    /// Fuel a call, on top of which `fuel_per_row` comes for each row.
    pub fuel: Option<u64>,
    pub fuel_per_row: Option<u64>,
    /// The component is larger than 4 MiB, up to 24 MiB.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub large: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tests {
    /// Glob of fixture files in the author's source, the fixtures themselves once packed.
    pub fixtures: Option<Json>,
}
