//! The catalogue against the page's tables, and against our own page.

use std::collections::BTreeSet;

use crate::audit::catalogue::{EventType, Kind, OwnType};

/// The page's two tables: category, resource types, event types.
const TABLES: &str = "\
Organizations | organization | organization.created, organization.updated
Projects | project | project.created, project.updated, project.deleted
Experiments | experiment | experiment.created, experiment.updated, experiment.deleted
Datasets | dataset | dataset.created, dataset.updated, dataset.deleted
Organization AI providers and secrets | ai_secret | ai_secret.created, ai_secret.updated, ai_secret.deleted
API keys | api_key | api_key.created, api_key.deleted
Data plane manager service tokens | service_token | data_plane_service_token.created, data_plane_service_token.replaced
Permission groups | group | group.created, group.updated, group.deleted
Permission group membership | group_member | group_member.created, group_member.deleted
Roles | role | role.created, role.updated, role.deleted
Role membership | role_member | role_member.created, role_member.deleted
Role permissions | role_permission | role_permission.created, role_permission.deleted
Organization members | org_member | org_member.created, org_member.deleted
Access grants | acl | acl.created, acl.deleted
SQL queries | query | query.read
Logs and spans | project_log | project_log.deleted
Experiment rows | experiment_log | experiment_log.deleted
Dataset rows | dataset_log | dataset_log.deleted";

/// Rows of the second table, which are off by default.
const ROW_LEVEL: usize = 4;

#[test]
fn the_catalogue_is_the_pages_tables() {
    let lines: Vec<&str> = TABLES.lines().collect();
    let mut listed = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let cells: Vec<&str> = line.split(" | ").collect();
        for event_type in cells[2].split(", ") {
            let known = EventType::parse(event_type).unwrap();
            assert_eq!(known.as_str(), event_type);
            assert_eq!(known.to_string(), event_type);
            assert_eq!(known.resource_type(), cells[1], "{event_type}");
            let row_level = number >= lines.len() - ROW_LEVEL;
            assert_eq!(known.is_row_level(), row_level, "{event_type}");
            let kind = match event_type.rsplit('.').next().unwrap() {
                "created" => Kind::Create,
                "updated" | "replaced" => Kind::Update,
                "deleted" => Kind::Delete,
                _ => Kind::ReadOnly,
            };
            assert_eq!(known.kind(), kind, "{event_type}");
            listed.push(event_type);
        }
    }
    let catalogued: Vec<&str> = EventType::all().iter().map(EventType::as_str).collect();
    assert_eq!(catalogued, listed, "the same types in the same order");
    assert_eq!(catalogued.len(), 38);
    assert_eq!(
        BTreeSet::from_iter(catalogued).len(),
        38,
        "none stands there twice"
    );
}

#[test]
fn the_name_of_a_type_is_no_sure_sign_of_its_resource() {
    let token = EventType::find("data_plane_service_token.created").unwrap();
    assert_eq!(token.resource_type(), "service_token");
    let replaced = EventType::find("data_plane_service_token.replaced").unwrap();
    assert_eq!(
        (replaced.resource_type(), replaced.kind()),
        ("service_token", Kind::Update)
    );
}

#[test]
fn a_type_that_the_page_does_not_have_is_unknown() {
    for unknown in [
        "",
        "project",
        "project.",
        "Project.created",
        "project.created ",
        "query.reads",
    ] {
        let error = EventType::parse(unknown).unwrap_err();
        assert!(
            error.to_string().contains(&format!("{unknown:?}")),
            "{error}"
        );
    }
}

#[test]
fn no_type_of_our_own_can_be_taken_for_one_of_the_pages() {
    let theirs: BTreeSet<&str> = EventType::all()
        .iter()
        .map(EventType::resource_type)
        .collect();
    let mut names = BTreeSet::new();
    for own in OwnType::all() {
        let name = own.as_str();
        assert!(EventType::find(name).is_none(), "{name}");
        let (resource, action) = name.split_once('.').unwrap();
        let plain = |word: &str| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        assert!(
            plain(resource) && plain(action) && !action.is_empty(),
            "{name}"
        );
        for word in [resource, own.resource_type()] {
            let taken = theirs.contains(word)
                || EventType::all()
                    .iter()
                    .any(|known| known.as_str().starts_with(&format!("{word}.")));
            assert!(!taken, "{word} of {name}");
        }
        assert_eq!(OwnType::find(name), Some(*own));
        assert!(names.insert(name), "{name} stands there twice");
    }
    assert_eq!(OwnType::find("project.created"), None);
}

#[test]
fn the_page_of_formats_lists_each_type_of_our_own() {
    let page = include_str!("../../../../../docs/formats.md");
    let section = page
        .split("\n## Audit entries of Sealift's own\n")
        .nth(1)
        .unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let listed: Vec<(String, String)> = rows
        .map(|row| {
            let mut cells = row.split('|').map(|cell| cell.trim().replace('`', ""));
            (cells.nth(1).unwrap(), cells.next().unwrap())
        })
        .collect();
    let own = OwnType::all().iter();
    let own: Vec<(String, String)> = own
        .map(|own| (own.as_str().to_owned(), own.resource_type().to_owned()))
        .collect();
    assert_eq!(listed, own);
}
