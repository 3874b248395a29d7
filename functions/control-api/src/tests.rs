//! The routes on doubles, called as API Gateway calls the function. What the service does is tested
//! where it stands, in the core.

mod admission;
mod automation_entries;
mod automations;
mod bodies;
mod contract;
mod events;
mod refusals;
mod routes;
mod scene;
mod secrets;

#[test]
fn the_readme_has_a_row_for_each_variable() {
    let readme = include_str!("../README.md");
    for variable in super::VARIABLES {
        assert!(readme.contains(&format!("| `{variable}` |")), "{variable}");
    }
}
