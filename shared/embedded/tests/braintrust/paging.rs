//! Pages: their ends, their cursors, and what changes between them.

use serde_json::json;

use crate::support::World;

fn query(world: &World, rest: &str) -> String {
    let from = world.from();
    format!("SELECT id, _xact_id {from} WHERE _xact_id > '4' AND _xact_id <= '9' {rest}")
}

/// Six rows in three transactions, of which the first is before the range.
async fn filled() -> World {
    let world = World::start().await;
    world.fill(&[("z", 4), ("a", 5), ("b", 7), ("c", 7), ("d", 7), ("e", 9)]);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_by_transaction_end_with_an_empty_one() {
    let world = filled().await;
    let expected = |pages: &[&[&str]]| -> Vec<Vec<String>> {
        let page = |page: &&[&str]| page.iter().map(|id| (*id).to_owned()).collect();
        pages.iter().map(page).collect()
    };
    for (rest, pages) in [
        // The transaction 7 stands across the ends of pages.
        (
            "ORDER BY _xact_id LIMIT 2",
            &[&["a", "b"][..], &["c", "d"], &["e"], &[]][..],
        ),
        (
            "ORDER BY _xact_id LIMIT 3",
            &[&["a", "b", "c"], &["d", "e"], &[]],
        ),
        (
            "ORDER BY _xact_id LIMIT 5",
            &[&["a", "b", "c", "d", "e"], &[]],
        ),
        (
            "ORDER BY _xact_id DESC LIMIT 2",
            &[&["e", "d"], &["c", "b"], &["a"], &[]],
        ),
        (
            "ORDER BY _pagination_key LIMIT 4",
            &[&["a", "b", "c", "d"], &["e"], &[]],
        ),
        (
            "ORDER BY _pagination_key DESC LIMIT 4",
            &[&["e", "d", "c", "b"], &["a"], &[]],
        ),
        ("LIMIT 4", &[&["e", "d", "c", "b"], &["a"], &[]]),
        ("LIMIT 0", &[&[]]),
    ] {
        assert_eq!(
            world.pages(&query(&world, rest)).await,
            expected(pages),
            "{rest}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_no_larger_than_the_server_allows() {
    let world = World::with(|options| options.page_cap(2)).await;
    world.fill(&[("a", 5), ("b", 6), ("c", 7)]);
    for rest in ["ORDER BY _xact_id LIMIT 1000", "ORDER BY _xact_id"] {
        let pages = world.pages(&query(&world, rest)).await;
        assert_eq!(pages, [vec!["a", "b"], vec!["c"], vec![]], "{rest}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_forms_of_a_query_go_on_by_their_cursor() {
    let world = filled().await;
    let pipe = |rest: &str| {
        format!(
            "select: id | from: project_logs('{}') spans | filter: _xact_id > '4' \
             | sort: _xact_id ASC | limit: 2{rest}",
            world.project
        )
    };
    let first = world.sql(&pipe("")).await;
    assert_eq!(first.column("id"), ["a", "b"]);
    let cursor = first.cursor().unwrap();
    let second = world.sql(&pipe(&format!(" | cursor: '{cursor}'"))).await;
    assert_eq!(second.column("id"), ["c", "d"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn cursors_by_pagination_key_are_as_recorded() {
    let world = World::start().await;
    let row = json!({
        "id": "a", "root_span_id": "t", "_xact_id": "1000196031862014125",
        "_pagination_key": "p07566690484853997568",
    });
    world.plane.load(&world.project, [row.to_string()]).unwrap();
    let query = format!(
        "SELECT id {} WHERE created IS NULL AND _xact_id > '0' ORDER BY _pagination_key DESC",
        world.from()
    );
    let page = world.sql(&query).await;
    assert_eq!(page.cursor().as_deref(), Some("aQJI5+sNAAA"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_another_make_or_another_query_is_refused() {
    let world = filled().await;
    let by_xact = query(&world, "ORDER BY _xact_id LIMIT 2");
    let by_key = query(&world, "ORDER BY _pagination_key LIMIT 2");
    let xact_token = world.sql(&by_xact).await.cursor().unwrap();
    let key_token = world.sql(&by_key).await.cursor().unwrap();
    let wider = by_xact.replace("<= '9'", "<= '10'");
    for (query, token, said) in [
        (
            &by_xact,
            key_token.as_str(),
            "not one that this server has given",
        ),
        (&by_key, &xact_token, "not one that this server has given"),
        (&by_xact, "", "not one that this server has given"),
        (&by_xact, "2", "not one that this server has given"),
        (&by_key, "AAAA", "not one that this server has given"),
        (&wider, &xact_token, "belongs to another query"),
    ] {
        let answer = world.sql(&format!("{query} OFFSET '{token}'")).await;
        assert_eq!(answer.status, 400, "{query} {token}");
        assert!(answer.message().contains(said), "{}", answer.message());
    }
    // The limit may change on the way.
    let rest = by_xact.replace("LIMIT 2", "LIMIT 9");
    let answer = world.sql(&format!("{rest} OFFSET '{xact_token}'")).await;
    assert_eq!(answer.column("id"), ["c", "d", "e"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_between_two_pages_moves_the_row_to_its_new_place() {
    for (updated, xact, second, third) in [
        // Later in the range: it comes once more.
        ("a", 8, vec!["c", "d"], vec!["a", "e"]),
        // Out of the range: it comes no more, or has come already.
        ("d", 10, vec!["c", "e"], vec![]),
        ("a", 10, vec!["c", "d"], vec!["e"]),
        // The row that the cursor stands at.
        ("b", 8, vec!["c", "d"], vec!["b", "e"]),
    ] {
        let world = filled().await;
        let query = query(&world, "ORDER BY _xact_id LIMIT 2");
        let first = world.sql(&query).await;
        assert_eq!(first.column("id"), ["a", "b"]);
        let key = |world: &World| {
            let row = world.plane.row(&world.project, updated).unwrap();
            let row: serde_json::Value = serde_json::from_slice(&row).unwrap();
            (
                row["_pagination_key"].clone(),
                row["_xact_id"].clone(),
                row["output"].clone(),
            )
        };
        let (before, _, _) = key(&world);
        world.put(
            &json!({"id": updated, "root_span_id": "t", "output": "new"}),
            xact,
        );
        // The key of the first insert stays.
        assert_eq!(key(&world), (before, json!(xact.to_string()), json!("new")));
        assert_eq!(world.plane.row_count(&world.project), 6);

        let next = world
            .sql(&format!("{query} OFFSET '{}'", first.cursor().unwrap()))
            .await;
        assert_eq!(next.column("id"), second, "{updated} {xact}");
        let last = world
            .sql(&format!("{query} OFFSET '{}'", next.cursor().unwrap()))
            .await;
        assert_eq!(last.column("id"), third, "{updated} {xact}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_appears_late_before_the_cursor_is_not_on_later_pages() {
    let world = filled().await;
    let query = query(&world, "ORDER BY _xact_id LIMIT 3");
    let first = world.sql(&query).await;
    world.fill(&[("late", 6)]);
    let next = world
        .sql(&format!("{query} OFFSET '{}'", first.cursor().unwrap()))
        .await;
    assert_eq!(next.column("id"), ["d", "e"]);
    assert_eq!(world.sql(&query).await.column("id"), ["a", "late", "b"]);
}
