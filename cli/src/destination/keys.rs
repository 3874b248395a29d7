//! Access keys, which come from the environment or by standard input.
//!
//! There is no option for them: what stands on a command line is shown by `ps` and kept in a
//! shell's history.

use std::io::{BufRead, IsTerminal};

use anyhow::{Context as _, bail};
use sealift_aws::system::environment;
use serde_json::{Value, json};

const ID: &str = "SEALIFT_ACCESS_KEY_ID";
const SECRET: &str = "SEALIFT_SECRET_ACCESS_KEY";

/// The part of a request that hands them over.
pub(super) fn authentication() -> anyhow::Result<Value> {
    let from_terminal = std::io::stdin().is_terminal();
    read(environment, from_terminal, &mut std::io::stdin().lock())
}

fn read(
    lookup: impl Fn(&str) -> Option<String>,
    from_terminal: bool,
    input: &mut impl BufRead,
) -> anyhow::Result<Value> {
    let given = |name| lookup(name).filter(|value| !value.is_empty());
    let (id, secret) = match (given(ID), given(SECRET)) {
        (Some(id), Some(secret)) => (id, secret),
        (Some(_), None) => bail!("{ID} is set, and {SECRET} is not: set both"),
        (None, Some(_)) => bail!("{SECRET} is set, and {ID} is not: set both"),
        (None, None) if from_terminal => bail!(
            "no access keys were given: set {ID} and {SECRET}, or send two lines to standard \
             input, the key's id and then its secret. They are not asked for here, where they would be \
             seen"
        ),
        (None, None) => {
            let mut line = |what: &str| {
                let mut line = String::new();
                let read = input.read_line(&mut line);
                read.context("standard input cannot be read")?;
                let line = line.trim();
                if line.is_empty() {
                    bail!(
                        "{what} is missing on standard input: it takes two lines, the key's id and then \
                         its secret; or set {ID} and {SECRET}"
                    );
                }
                anyhow::Ok(line.to_owned())
            };
            (line("the key's id")?, line("the key's secret")?)
        }
    };
    Ok(json!({
        "type": "access_keys",
        "access_key_id": id,
        "secret_access_key": secret,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(
        variables: &[(&str, &str)],
        from_terminal: bool,
        mut input: &[u8],
    ) -> Result<(String, String), String> {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let read = read(lookup, from_terminal, &mut input).map_err(|error| error.to_string())?;
        assert_eq!(read["type"], "access_keys");
        let text = |field| read[field].as_str().unwrap().to_owned();
        Ok((text("access_key_id"), text("secret_access_key")))
    }

    #[test]
    fn keys_come_from_variables_or_as_two_lines() {
        let both = [(ID, "AKIA1"), (SECRET, "s+/=")];
        let pair = |a: &str, b: &str| Ok((a.to_owned(), b.to_owned()));
        assert_eq!(keys(&both, true, b""), pair("AKIA1", "s+/="));
        assert_eq!(keys(&[], false, b"AKIA2\r\nt=\n"), pair("AKIA2", "t="));
        let empty = [(ID, ""), (SECRET, "")];
        assert_eq!(keys(&empty, false, b"AKIA2\nt"), pair("AKIA2", "t"));
    }

    #[test]
    fn what_is_missing_is_named_and_nothing_is_asked_for_where_it_would_be_seen() {
        for (variables, terminal, input, named) in [
            (
                vec![(ID, "AKIA1")],
                false,
                "",
                "SEALIFT_SECRET_ACCESS_KEY is not",
            ),
            (
                vec![(SECRET, "sEcReT")],
                false,
                "",
                "SEALIFT_ACCESS_KEY_ID is not",
            ),
            (vec![], true, "AKIA1\nsEcReT\n", "no access keys were given"),
            (vec![], false, "", "the key's id is missing"),
            (vec![], false, "AKIA1\n\n", "the key's secret is missing"),
        ] {
            let error = keys(&variables, terminal, input.as_bytes()).unwrap_err();
            assert!(error.contains(named), "{error}");
            assert!(
                !error.contains("sEcReT") && !error.contains("AKIA1"),
                "{error}"
            );
        }
    }
}
