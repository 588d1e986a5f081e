//! The tree into a condition on the rows of an alias.

use sea_orm::{
    Condition, DbBackend,
    sea_query::{Alias, BinOper, DynIden, Expr, ExprTrait, Func, IntoIden, Query},
};

use super::{
    Check, Filter, Test,
    money::Columns,
    value::{Wrong, bind, plain},
};
use crate::{
    context::Context,
    engine::{
        Field, FieldType, Shape,
        past::rows,
        relation::{Relation, relation, relations},
        selection, within,
    },
    error::{Code, Error, Result, Violation, unknown},
};

/// The filter as a condition on the rows of `alias`, a table or alias of the kind `shape`. It says nothing of what the
/// actor may see of that kind ([`visible`](crate::engine::visible) does); of related kinds it reaches only what they
/// may see.
///
/// # Errors
/// `Malformed` with every condition that names an unknown field or a value the field cannot have.
pub fn compile(cx: &Context, shape: &Shape, filter: &Filter, alias: DynIden) -> Result<Condition> {
    filter.within_budget()?;
    let mut compiler = Compiler { cx, broken: Vec::new() };
    let condition = compiler.filter(&Place { shape, alias, depth: 0, negated: false }, filter);
    if compiler.broken.is_empty() { Ok(condition) } else { Err(Error::Malformed(compiler.broken)) }
}

/// Whose rows a condition is about.
struct Place<'a> {
    shape: &'a Shape,
    alias: DynIden,
    /// Relations followed to come here.
    depth: usize,
    /// Under a `NOT` within this statement, where null must count as false before it is negated.
    negated: bool,
}

impl Place<'_> {
    fn column(&self, field: &Field, n: usize) -> Result<Expr, Wrong> {
        let column = field.columns.get(n).and_then(|i| self.shape.columns.get(*i));
        let name = column.map(|column| Alias::new(column.name.as_str()));
        let name = name.ok_or_else(|| (Code::UnknownField, format!("`{}` has no column", field.name)))?;
        Ok(Expr::col((self.alias.clone(), name)))
    }
}

struct Compiler<'a> {
    cx: &'a Context,
    broken: Vec<Violation>,
}

impl Compiler<'_> {
    fn filter(&mut self, place: &Place<'_>, filter: &Filter) -> Condition {
        match filter {
            Filter::And(none) | Filter::Or(none) if none.is_empty() => {
                let detail = "`and` and `or` need a condition";
                self.broken.push(Violation::parameter("filter", Code::FilterSyntax, detail));
                Condition::all()
            }
            Filter::And(all) => all.iter().fold(Condition::all(), |sum, one| sum.add(self.filter(place, one))),
            Filter::Or(any) => any.iter().fold(Condition::any(), |sum, one| sum.add(self.filter(place, one))),
            Filter::Not(inner) => {
                let place = Place { alias: place.alias.clone(), negated: true, ..*place };
                self.filter(&place, inner).not()
            }
            Filter::Test(test) => {
                let path: Vec<&str> = test.field.split('.').collect();
                self.path(place, &path, &test.check).unwrap_or_else(|wrong| {
                    self.broken.push(violation(test, wrong));
                    Condition::all()
                })
            }
        }
    }

    fn path(&self, place: &Place<'_>, path: &[&str], check: &Check) -> Result<Condition, Wrong> {
        let (name, rest) = path.split_first().map_or(("", path), |(name, rest)| (*name, rest));
        match (place.shape.field(name), rest) {
            (Some(field), []) => return self.leaf(place, field, check).map(|leaf| Condition::all().add(leaf)),
            (Some(field), ["currency"]) if field.kind == FieldType::Money => {
                let leaf = self.plain(&FieldType::Currency, place.column(field, 1)?, check)?;
                return Ok(Condition::all().add(settled(place, field, check, leaf)));
            }
            (Some(field), _) if field.kind == FieldType::Money => {
                return Err((Code::UnknownField, format!("money has only `{name}.currency` beside itself")));
            }
            _ => {}
        }
        let Some(relation) = relation(self.cx, place.shape, name) else { return Err(self.missing(place, name)) };
        if rest.is_empty() {
            let detail = format!("is a relation; name one of its fields, or `{}`", relation.id.name);
            return Err((Code::UnknownField, detail));
        }
        if place.depth == selection::MAX_DEPTH {
            return Err((Code::QueryTooExpensive, format!("follows more than {} relations", selection::MAX_DEPTH)));
        }
        // a path is null where a step is: no such record with a value there
        match check {
            Check::IsNull => Ok(self.related(place, &relation, rest, &Check::IsNotNull)?.not()),
            _ => self.related(place, &relation, rest, check),
        }
    }

    /// A related record exists for which the check holds. Where it may be of several kinds, those that lack the field
    /// do not count, unless all do.
    fn related(
        &self,
        at: &Place<'_>,
        relation: &Relation<'_>,
        rest: &[&str],
        check: &Check,
    ) -> Result<Condition, Wrong> {
        let mut any = Condition::any();
        let mut wrong = None;
        for target in &relation.targets {
            let alias = Alias::new(format!("r{}", at.depth + 1));
            let there = Place { shape: target, alias: alias.clone().into_iden(), depth: at.depth + 1, negated: false };
            let condition = match self.path(&there, rest, check) {
                Ok(condition) => condition,
                Err(found) => {
                    wrong.get_or_insert(found);
                    continue;
                }
            };
            let id = Expr::col((alias.clone(), Alias::new("id"))).eq(at.column(relation.id, 0)?);
            let exists = Query::select()
                .expr(Expr::val(1))
                .from(rows(self.cx, target, alias.clone().into_iden()))
                .cond_where(within(self.cx, target, alias).add(id).add(condition))
                .take();
            let mut one = Condition::all().add(Expr::exists(exists));
            if let Some(kind) = relation.kind {
                one = one.add(at.column(kind, 0)?.eq(&*target.name));
            }
            any = any.add(one);
        }
        match wrong {
            Some(wrong) if any.is_empty() => Err(wrong),
            _ => Ok(any),
        }
    }

    fn leaf(&self, place: &Place<'_>, field: &Field, check: &Check) -> Result<Expr, Wrong> {
        let leaf = match field.kind {
            FieldType::Money => {
                Columns { minor: place.column(field, 0)?, currency: place.column(field, 1)? }.check(check)?
            }
            _ => self.plain(&field.kind, place.column(field, 0)?, check)?,
        };
        Ok(settled(place, field, check, leaf))
    }

    fn plain(&self, kind: &FieldType, column: Expr, check: &Check) -> Result<Expr, Wrong> {
        let compare = |column: Expr, operator, literal| Ok(column.binary(operator, Expr::val(bind(kind, literal)?)));
        match check {
            Check::IsNull => Ok(column.is_null()),
            Check::IsNotNull => Ok(column.is_not_null()),
            _ if *kind == FieldType::Json => Err((Code::WrongType, "holds JSON; only IS NULL can be asked".to_owned())),
            Check::Eq(literal) => compare(column, BinOper::Equal, literal),
            Check::Ne(literal) => compare(column, BinOper::NotEqual, literal),
            Check::In(literals) => {
                let values = literals.iter().map(|literal| bind(kind, literal)).collect::<Result<Vec<_>, _>>()?;
                Ok(column.is_in(values))
            }
            Check::Contains(part) => self.position(kind, column, part).map(|position| position.gt(0)),
            Check::StartsWith(part) => self.position(kind, column, part).map(|position| position.eq(1)),
            _ if matches!(kind, FieldType::Boolean | FieldType::Choice(_)) => {
                Err((Code::WrongType, "has no order; only =, !=, IN and IS NULL can be asked".to_owned()))
            }
            Check::Lt(literal) => compare(column, BinOper::SmallerThan, literal),
            Check::Lte(literal) => compare(column, BinOper::SmallerThanOrEqual, literal),
            Check::Gt(literal) => compare(column, BinOper::GreaterThan, literal),
            Check::Gte(literal) => compare(column, BinOper::GreaterThanOrEqual, literal),
            Check::Between([low, high]) => Ok(column.between(bind(kind, low)?, bind(kind, high)?)),
        }
    }

    /// Where `part` begins in the text, from 1; 0 where it does not. `lower` of SQLite, and of PostgreSQL under the
    /// collation "C", changes ASCII letters only: the same on both.
    fn position(&self, kind: &FieldType, column: Expr, part: &str) -> Result<Expr, Wrong> {
        if !matches!(kind, FieldType::Text | FieldType::Email | FieldType::Phone | FieldType::Url) {
            return Err((Code::WrongType, "is not a text".to_owned()));
        }
        let part = Expr::val(plain(part)?.to_ascii_lowercase());
        Ok(match self.cx.backend() {
            DbBackend::Postgres => Expr::cust_with_exprs(r#"strpos(lower($1 COLLATE "C"), $2)"#, [column, part]),
            _ => Func::cust(Alias::new("instr")).arg(Func::lower(column)).arg(part).into(),
        })
    }

    fn missing(&self, place: &Place<'_>, name: &str) -> Wrong {
        let fields = place.shape.field_names();
        let names: Vec<&str> = fields.chain(relations(self.cx, place.shape).map(|relation| relation.name)).collect();
        let of = if place.depth > 0 { format!(" of {}", place.shape.name) } else { String::new() };
        (Code::UnknownField, format!("{}{of}", unknown("field", name, names)))
    }
}

/// Null is false; only a `NOT` above can tell.
fn settled(place: &Place<'_>, field: &Field, check: &Check, leaf: Expr) -> Expr {
    let may_be_null = field.nullable && !matches!(check, Check::IsNull | Check::IsNotNull);
    if place.negated && may_be_null { Func::coalesce([leaf, Expr::val(false)]).into() } else { leaf }
}

fn violation(test: &Test, (code, detail): Wrong) -> Violation {
    let place = test.at.map(|at| format!("at character {at}: ")).unwrap_or_default();
    Violation::parameter("filter", code, format!("{place}`{}`: {detail}", test.field))
}
