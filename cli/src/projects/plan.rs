//! What `sealift projects plan` and `apply` print.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::bail;
use project_fanout::{Applied, Situation};
use sealift_core::export::message::Start;
use sealift_core::id::XactId;
use sealift_core::provision::drift::Drift;
use serde_json::json;

use super::history::{Beginnings, History};
use crate::text::{count, printable};

/// Steps that the table shows.
const STEPS_SHOWN: usize = 40;

/// A plan, and what else was asked for.
pub(super) struct Printed<'a> {
    pub(super) situation: &'a Situation,
    pub(super) drift: Option<Vec<Drift>>,
    /// Where the exports start that are to be created.
    pub(super) beginnings: Beginnings,
    pub(super) history: Option<History>,
    /// Requests that the plan took of the API.
    pub(super) requests: u64,
}

impl Printed<'_> {
    /// For programs: one document.
    pub(super) fn json(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let plan = &self.situation.plan;
        let document = json!({
            "projects": self.situation.projects.len(),
            "settled": plan.settled,
            "excluded": plan.excluded,
            "totals": self.totals(),
            "steps": plan.steps,
            "mode": self.situation.settings.mode,
            "of_the_other_mode": plan.others,
            "start": self.situation.settings.start,
            "drift": self.drift,
            "history": self.history,
            "api_requests": self.requests,
        });
        Ok(writeln!(out, "{document}")?)
    }

    /// For people.
    pub(super) fn table(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let plan = &self.situation.plan;
        if self.situation.settings.templates.is_empty() {
            writeln!(
                out,
                "There is no template, so projects get nothing: give --path (ProvisionPath), or write \
                 provisioning/settings.json.\n"
            )?;
        }
        let shown = plan.steps.iter().take(STEPS_SHOWN);
        let rows: Vec<[String; 4]> = shown
            .map(|step| {
                let automation = step.action.automation().map(ToString::to_string);
                let name = if step.name.is_empty() {
                    "(gone)"
                } else {
                    &step.name
                };
                [
                    step.action.word().to_owned(),
                    short(name),
                    short(&step.template),
                    automation.unwrap_or_else(|| step.project.to_string()),
                ]
            })
            .collect();
        if !rows.is_empty() {
            let head = ["", "project", "template", "automation, or project id"];
            table(head, &rows, out)?;
            let more = plan.steps.len() - rows.len();
            if more > 0 {
                writeln!(out, "… and {more} more; --json prints all")?;
            }
            writeln!(out)?;
        }
        let totals = self.totals();
        let totals: Vec<String> = totals
            .iter()
            .map(|(word, n)| format!("{n} to {word}"))
            .collect();
        let todo = match totals.as_slice() {
            [] => "nothing to do".to_owned(),
            totals => totals.join(", "),
        };
        writeln!(
            out,
            "{} ({}): {todo}; {} settled, {} excluded. {} to the API.",
            count(u64::try_from(self.situation.projects.len())?, "project"),
            self.situation.settings.mode,
            plan.settled,
            plan.excluded,
            count(self.requests, "request"),
        )?;
        self.others(out)?;
        self.beginning(out)?;
        self.drifted(out)
    }

    /// What the other mode has provisioned.
    fn others(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let others = &self.situation.plan.others;
        let Some(one) = others.first() else {
            return Ok(());
        };
        writeln!(
            out,
            "{} of mode {} left alone, such as {}, so that nothing is exported twice.",
            count(u64::try_from(others.len())?, "automation"),
            one.mode,
            one.automation
        )?;
        let undone = others.iter().filter(|one| !one.done).count();
        if undone > 0 {
            writeln!(
                out,
                "{undone} of them not registered yet: with --mode {} `apply` completes them.",
                one.mode
            )?;
        }
        Ok(())
    }

    fn totals(&self) -> BTreeMap<&'static str, usize> {
        let mut totals = BTreeMap::new();
        for step in &self.situation.plan.steps {
            *totals.entry(step.action.word()).or_default() += 1;
        }
        totals
    }

    /// Where new exports start, and how much that is.
    fn beginning(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let Beginnings { older, new, .. } = self.beginnings;
        if older > 0 {
            let start = match self.situation.settings.start {
                Start::Now => "now: nothing of what is there already is exported",
                Start::Behind(XactId::ZERO) => "with the first row: all history is exported",
                Start::Behind(_) => "at the date: everything since is exported",
            };
            writeln!(
                out,
                "Exports of projects that were there before provisioning began ({older}) start {start}."
            )?;
        }
        if new > 0 {
            writeln!(
                out,
                "Exports of projects that were created since provisioning began, or ten minutes before it at the \
                 most ({new}), start with their first row."
            )?;
        }
        let requests = self.beginnings.requests();
        match &self.history {
            Some(history) => writeln!(
                out,
                "That is {} in {} ({}).",
                count(history.rows, "row"),
                count(u64::try_from(history.projects)?, "project"),
                count(history.requests, "request"),
            )?,
            None if requests == 0 => {}
            None => {
                let requests = count(u64::try_from(requests)?, "request");
                writeln!(out, "--history asks how many rows that is ({requests}).")?;
            }
        }
        Ok(())
    }

    fn drifted(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let Some(drift) = &self.drift else {
            return Ok(());
        };
        if drift.is_empty() {
            writeln!(out, "All automations are as their templates have them.")?;
        }
        for one in drift {
            let Drift {
                project,
                template,
                automation,
                differences,
            } = one;
            writeln!(
                out,
                "\n{automation} (project {project}, template {template:?})"
            )?;
            if differences.is_empty() {
                writeln!(out, "  was deleted by hand")?;
            }
            for difference in differences {
                let text = format!(
                    "{}: {}, and the template says {}",
                    difference.field, difference.is, difference.template
                );
                writeln!(out, "  {}", printable(&text))?;
            }
        }
        Ok(())
    }
}

/// Prints what was done; an error if something was not.
pub(super) fn print_applied(
    applied: &Applied,
    situation: &Situation,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let Applied {
        created,
        adopted,
        stopped,
        restarted,
        noted,
        left,
        why_left,
        untold,
        failed,
    } = applied;
    writeln!(
        out,
        "{created} created, {adopted} adopted, {stopped} stopped, {restarted} restarted, {noted} noted; {} \
         settled before, {} excluded",
        situation.plan.settled, situation.plan.excluded
    )?;
    for one in failed {
        let text = format!(
            "{} ({}): {}: {}",
            one.name, one.project, one.template, one.message
        );
        writeln!(out, "  failed: {}", printable(&text))?;
    }
    if let Some(why) = why_left {
        writeln!(out, "  {left} left: {}", printable(why))?;
    }
    let undone = failed.len() + left + untold;
    if undone > 0 {
        bail!(
            "{undone} of {} steps are not done ({} failed, {left} left, {untold} not taken by the bus); run \
             it again to go on",
            situation.plan.steps.len(),
            failed.len()
        );
    }
    Ok(())
}

/// A name that fits a column.
fn short(text: &str) -> String {
    let text = printable(text);
    if text.chars().count() <= 36 {
        return text;
    }
    let start: String = text.chars().take(35).collect();
    format!("{start}…")
}

/// Prints rows in columns as wide as they need.
pub(super) fn table<const N: usize>(
    head: [&str; N],
    rows: &[[String; N]],
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let mut widths = head.map(|title| title.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut line = |cells: [&str; N]| {
        let mut text = String::new();
        for (cell, width) in cells.into_iter().zip(widths) {
            let padding = width.saturating_sub(cell.chars().count()) + 2;
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', padding));
        }
        writeln!(out, "{}", text.trim_end())
    };
    line(head)?;
    for row in rows {
        line(row.each_ref().map(String::as_str))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
