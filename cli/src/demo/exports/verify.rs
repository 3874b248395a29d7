//! Compares the exported files with the rows that the embedded Braintrust was given.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use anyhow::bail;
use sealift_core::export::cursor::Counts;
use sealift_core::export::name::hour_of;
use sealift_core::id::{ProjectId, XactId};
use sealift_core::partition::Hour;
use serde::Deserialize;

use super::files::Found;
use super::{Rows, Way, What};

#[derive(Deserialize)]
struct Head {
    id: String,
    project_id: ProjectId,
    root_span_id: String,
    #[serde(rename = "_xact_id")]
    transaction: XactId,
}

/// What a project has.
#[derive(Default)]
struct Expected {
    versions: HashSet<(String, XactId)>,
    lines: HashSet<String>,
    traces: BTreeSet<String>,
}

/// Fails, with what is wrong, if the files do not hold just the rows.
pub(super) fn compare(rows: &Rows, exported: &[(Way, Counts, Vec<Found>)]) -> anyhow::Result<()> {
    let mut expected: BTreeMap<ProjectId, Expected> = BTreeMap::new();
    for line in Rows::lines(rows.file.as_deref())? {
        let line = line?;
        let head: Head = serde_json::from_str(&line)?;
        let project = expected.entry(head.project_id).or_default();
        project.versions.insert((head.id, head.transaction));
        project.traces.insert(head.root_span_id);
        project.lines.insert(line);
    }
    for (way, counts, found) in exported {
        let Some(expected) = expected.get(&way.project) else {
            bail!("{} is of no project of the rows", way.folder);
        };
        let mut seen: HashSet<&(String, XactId)> = HashSet::new();
        for file in found {
            // A trace that was touched again is exported again, in a later file.
            if way.what == What::Traces {
                seen.clear();
            }
            for row in &file.rows {
                if !seen.insert(row) {
                    bail!("{}/{}: row {} is there twice", way.folder, file.key, row.0);
                }
                let hour = hour_of(row.1).map(Hour::folder).unwrap_or_default();
                if way.what != What::Traces && !file.key.starts_with(&hour) {
                    bail!(
                        "{}/{}: row {} lies in another hour",
                        way.folder,
                        file.key,
                        row.0
                    );
                }
            }
        }
        let total: u64 = found.iter().map(|file| file.rows.len() as u64).sum();
        if total != counts.rows {
            bail!(
                "{}: {total} rows lie there, and {} were counted",
                way.folder,
                counts.rows
            );
        }
        match way.what {
            What::Traces => {
                let rows = found.iter().flat_map(|file| &file.rows);
                let ids: BTreeSet<&str> = rows.map(|(id, _)| id.as_str()).collect();
                let (there, given) = (ids.len(), expected.traces.len());
                if there != given {
                    bail!("{}: {there} of {given} traces", way.folder);
                }
            }
            What::Spans | What::SpansAsLines => {
                let missing = expected.versions.iter().find(|row| !seen.contains(row));
                if let Some((id, _)) = missing {
                    bail!("{}: row {id} is missing", way.folder);
                }
                if seen.len() != expected.versions.len() {
                    bail!("{}: there are rows that nobody has given", way.folder);
                }
            }
        }
        let changed = found
            .iter()
            .flat_map(|file| &file.lines)
            .find(|line| !expected.lines.contains(line.as_str()));
        if let Some(line) = changed {
            let start: String = line.chars().take(80).collect();
            bail!("{}: a line is not as the API gave it: {start}", way.folder);
        }
    }
    Ok(())
}
