//! The records engine: one way in, one way out, for every kind.
//!
//! Typed where rules are ([`Record`]), erased where mechanism is ([`Shape`], [`Resource`]).

pub mod aggregate;
pub mod batch;
mod bytes;
mod cell;
pub(crate) mod cursor;
pub mod custom;
mod draft;
pub mod erase;
mod expand;
pub mod export;
pub mod feed;
mod field;
pub mod filter;
mod follow;
mod history;
mod intervals;
pub mod merge;
mod other;
mod outside;
mod page;
pub mod parts;
mod past;
pub mod read;
mod record;
mod registry;
mod relation;
pub mod search;
mod selection;
mod shape;
mod show;
mod sort;
mod store;
mod unique;
pub mod upsert;
mod visible;
mod write;

pub use self::{
    cell::{bind_cell, read_cell},
    draft::{merge as merge_patch, replacing},
    field::{Field, FieldAccess, FieldType, date, instant, print_instant},
    history::{Change, adopt, changes, lag},
    intervals::{Interval, Move, move_intervals},
    other::{Row, follow_up, load, locked, patch, settled, writable_ids},
    past::known,
    record::{Children, Record, Saved, Since},
    registry::{Operation, Registry, Resource, Verdict, Written, only, typed},
    selection::{MAX_DEPTH, MAX_NAMES},
    shape::{Column, Scope, Shape, money_schema},
    visible::{changeable, visible, within},
};
