//! The closed set of facts: what each one counts, of which source, for which subjects.

use sea_orm::{EnumIter, Iterable};

/// One definition. Later ones join here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter)]
pub enum Fact {
    /// Orders placed or fulfilled.
    OrderCount,
    /// Their amounts, in minor units of the base currency.
    OrderRevenue,
    /// Calendar days since the first of them.
    DaysSinceFirstOrder,
    /// Calendar days since the last of them.
    DaysSinceLastOrder,
    /// Opportunities won, by the time they were closed.
    WonCount,
    /// Their amounts, in minor units of the base currency.
    WonAmount,
    /// Calendar days since the last win.
    DaysSinceLastWin,
    /// Calendar days since an opportunity was opened, while it is open.
    OpenDealAge,
    /// Interactions, by the time they began.
    InteractionCount,
}

/// What a fact is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Count,
    Days,
    Money,
}

/// A table that facts are read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Orders,
    Wins,
    OpenDeals,
    Interactions,
}

/// How the rows of a subject become one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    Count,
    Sum,
    First,
    Last,
}

impl Fact {
    pub fn all() -> impl Iterator<Item = Self> {
        Self::iter()
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::iter().find(|fact| fact.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::OrderCount => "order_count",
            Self::OrderRevenue => "order_revenue",
            Self::DaysSinceFirstOrder => "days_since_first_order",
            Self::DaysSinceLastOrder => "days_since_last_order",
            Self::WonCount => "won_count",
            Self::WonAmount => "won_amount",
            Self::DaysSinceLastWin => "days_since_last_win",
            Self::OpenDealAge => "open_deal_age",
            Self::InteractionCount => "interaction_count",
        }
    }

    pub fn unit(self) -> Unit {
        match self.measure() {
            Measure::Count => Unit::Count,
            Measure::Sum => Unit::Money,
            Measure::First | Measure::Last => Unit::Days,
        }
    }

    pub(super) fn source(self) -> Source {
        match self {
            Self::OrderCount | Self::OrderRevenue | Self::DaysSinceFirstOrder | Self::DaysSinceLastOrder => {
                Source::Orders
            }
            Self::WonCount | Self::WonAmount | Self::DaysSinceLastWin => Source::Wins,
            Self::OpenDealAge => Source::OpenDeals,
            Self::InteractionCount => Source::Interactions,
        }
    }

    pub(super) fn measure(self) -> Measure {
        match self {
            Self::OrderCount | Self::WonCount | Self::InteractionCount => Measure::Count,
            Self::OrderRevenue | Self::WonAmount => Measure::Sum,
            Self::DaysSinceFirstOrder => Measure::First,
            Self::DaysSinceLastOrder | Self::DaysSinceLastWin | Self::OpenDealAge => Measure::Last,
        }
    }
}

impl Source {
    pub(super) fn table(self) -> &'static str {
        match self {
            Self::Orders => "order",
            Self::Wins | Self::OpenDeals => "opportunity",
            Self::Interactions => "interaction",
        }
    }

    /// The column that leads from a row to its subject.
    pub(super) fn subject_column(self, subject: &str) -> Option<&'static str> {
        match (self, subject) {
            (Self::OpenDeals, "opportunity") => Some("id"),
            (Self::OpenDeals, _) => None,
            (_, "account") => Some("account_id"),
            (_, "user") => Some("owner_id"),
            (Self::Wins, "product") => Some("product_id"),
            (Self::Interactions, "contact") => Some("contact_id"),
            (Self::Interactions, "opportunity") => Some("opportunity_id"),
            _ => None,
        }
    }

    /// When a row happened, and whether that is a date of the tenant's zone rather than an instant.
    pub(super) fn time_column(self) -> (&'static str, bool) {
        match self {
            Self::Orders => ("placed_on", true),
            Self::Wins => ("closed_at", false),
            Self::OpenDeals => ("opened_on", true),
            Self::Interactions => ("start_at", false),
        }
    }
}
