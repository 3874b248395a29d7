//! Exports: the cursors that advance over a project's rows, the timetable that starts them, and
//! the budget of requests that they share.
//!
//! An [`automation`] says what is exported of one project, and where to; it is Braintrust's
//! `btql_export` configuration. Its [`cursor`] says how far it has come, and who is at work on
//! it. The source's rows change while they are read ([`source`]), so the unit of an export is
//! the *file*: it is named by the position where it starts ([`name`]) and committed by itself.
//! What is due is found in the [`timetable`] and started within the [`budget`]. [`registry`]
//! keeps the three documents of an automation in line with each other, [`changes`] tells the audit
//! log what people do to them, and [`advice`] says what to do about a failure.

pub mod advice;
pub mod automation;
pub mod budget;
pub mod changes;
pub mod cursor;
pub mod message;
pub mod name;
pub mod registry;
pub mod source;
pub mod timetable;
pub mod user_query;
