//! What is a secret: by the name of its field, and by its form inside of any text.
//!
//! By form are known private keys, access key ids of AWS and the secret keys beside them, keys
//! and service tokens of Braintrust, JWTs, what an `Authorization` header holds, the password in
//! an address, and `name=value`, `"name": "value"` and `name: value` with a secret's name: so
//! signatures and session tokens of presigned addresses. All else stays: ids, hashes and ARNs
//! must be found again.
//!
//! A secret of 16 characters or more is shown by its last four, which tell two keys apart; a
//! shorter one not at all. An access key id is no secret by AWS's words, but half of one, and
//! its last four characters are enough to find it.
//!
//! **An ExternalId is not redacted.** By AWS's words it is no secret
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html>): it belongs to the
//! tenant that the entry is about, who must copy it into a trust policy, and nobody can have
//! Sealift use one that Sealift did not make for them. Of an export, the suffix is shown, and a
//! change of it seen. That of an audit destination is known to fewer people than read its
//! entries, and whoever makes those leaves it out.

use self::scan::{Assigned, Found, at_start, blank, ends_escape, run, run_of};

mod scan;

/// What stands where a secret was of which nothing may be shown.
pub const HIDDEN: &str = "redacted";

/// The fewest characters of a secret whose end is shown.
const SHOWN_FROM: usize = 16;

/// Words of which a secret's name consists, in part.
const SECRETS: [&str; 14] = [
    "secret",
    "password",
    "passwd",
    "passphrase",
    "apikey",
    "privatekey",
    "rawkey",
    "keyhash",
    "accesstoken",
    "authorization",
    "bearer",
    "ciphertext",
    "cookie",
    "clientassertion",
];

/// Last words of names that describe a secret and do not hold it: a preview is made to be shown,
/// and a secret's name, id or age tells nothing.
const HARMLESS: [&str; 11] = [
    "preview",
    "id",
    "name",
    "arn",
    "type",
    "parameter",
    "status",
    "version",
    "count",
    "at",
    "ms",
];

/// Whether a field's name says that it holds a secret. `external_id` and `role_arn` are none:
/// they are what one has to copy.
pub fn is_secret_name(name: &str) -> bool {
    let plain = plain(name);
    // `next_token` is hidden, too; `max_tokens` counts.
    let secret = plain.ends_with("token") || SECRETS.iter().any(|word| plain.contains(word));
    secret && !is_harmless_name(name)
}

/// Whether a field's name says that it describes what it belongs to.
pub(super) fn is_harmless_name(name: &str) -> bool {
    HARMLESS.contains(&last_word(name).as_str())
}

/// Letters and digits alone, in lower case.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|c| c.to_ascii_lowercase()).collect()
}

/// `Name` of `secretName`, `secret_name`, `SECRET-NAME`: in lower case.
fn last_word(name: &str) -> String {
    let mut word = String::new();
    let mut follows = 'A';
    for c in name
        .trim_end_matches(|c: char| !c.is_ascii_alphanumeric())
        .chars()
        .rev()
    {
        let ends =
            !c.is_ascii_alphanumeric() || (c.is_ascii_lowercase() && follows.is_ascii_uppercase());
        if ends && !word.is_empty() {
            break;
        }
        word.insert(0, c.to_ascii_lowercase());
        follows = c;
    }
    word
}

/// The last four characters of a long secret, nothing of a short one. What is a preview already
/// stays, and so does an ARN, which only says where a secret is.
pub(super) fn preview(secret: &str) -> String {
    if is_preview(secret) || secret.is_empty() {
        return secret.to_owned();
    }
    if secret.starts_with("arn:") {
        return redact_text(secret);
    }
    let count = secret.chars().count();
    if count < SHOWN_FROM || secret.contains('\n') {
        return HIDDEN.to_owned();
    }
    let end: String = secret.chars().skip(count.saturating_sub(4)).collect();
    format!("…{end}")
}

fn is_preview(text: &str) -> bool {
    let end = text.strip_prefix('…');
    text == HIDDEN || end.is_some_and(|end| end.chars().count() <= 4)
}

/// The text, with each secret in it replaced.
///
/// ```
/// use sealift_core::audit::secrets::redact_text;
/// let said = "the key AKIAIOSFODNN7EXAMPLE may not assume arn:aws:iam::123456789012:role/r";
/// let shown = "the key …MPLE may not assume arn:aws:iam::123456789012:role/r";
/// assert_eq!(redact_text(said), shown);
/// ```
pub fn redact_text(text: &str) -> String {
    let beside_key = text.contains("AKIA") || text.contains("ASIA");
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    while let Some((before, rest)) = text.split_at_checked(at) {
        let Some(first) = rest.chars().next() else {
            break;
        };
        let mut found = FORMS.iter().find_map(|form| form(before, rest));
        if beside_key {
            found = found.or_else(|| secret_key(before, rest));
        }
        if let Some(found) = found {
            shown.push_str(found.kept);
            match found.hidden {
                true => shown.push_str(HIDDEN),
                false => shown.push_str(&preview(found.secret)),
            }
            at = at.saturating_add(found.kept.len() + found.secret.len());
        } else {
            shown.push(first);
            at = at.saturating_add(first.len_utf8());
        }
    }
    shown
}

/// A form: what stands before the place in question, and what from there on.
type Form = for<'a> fn(&str, &'a str) -> Option<Found<'a>>;

const FORMS: [Form; 7] = [
    private_key,
    access_key_id,
    platform_key,
    web_token,
    bearer,
    password_of_address,
    assignment,
];

/// `-----BEGIN … PRIVATE KEY-----` to its end, or to that of the text.
fn private_key<'a>(_: &str, rest: &'a str) -> Option<Found<'a>> {
    let (label, body) = rest.strip_prefix("-----BEGIN ")?.split_once("-----")?;
    if label.len() > 64 || !label.contains("PRIVATE KEY") {
        return None;
    }
    let after = body
        .split_once("-----END ")
        .and_then(|(_, end)| end.split_once("-----"))
        .map_or(0, |(_, after)| after.len());
    Found::hidden(rest, 0, rest.len().checked_sub(after)?)
}

/// `AKIA…` (of users) and `ASIA…` (of sessions). Ids of users and roles (`AIDA…`, `AROA…`) are
/// no keys.
///
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html>
fn access_key_id<'a>(before: &str, rest: &'a str) -> Option<Found<'a>> {
    let of_user = rest.starts_with("AKIA");
    if !(of_user || rest.starts_with("ASIA")) || !at_start(before) {
        return None;
    }
    let key = run_of(rest, 129, |b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let goes_on = rest.as_bytes().get(key.len());
    let whole = !goes_on.is_some_and(u8::is_ascii_alphanumeric);
    // A continent is written in capitals, too.
    let fits = of_user || key.bytes().any(|b| b.is_ascii_digit());
    let is_key = (16..=128).contains(&key.len()) && whole && fits;
    is_key.then(|| Found::shown(rest, 0, key.len())).flatten()
}

/// The 40 characters of a secret key, in a text where an access key id stands. Elsewhere they
/// could be anything; a hash of as many digits has no capitals.
fn secret_key<'a>(before: &str, rest: &'a str) -> Option<Found<'a>> {
    let inside = |b: u8| b.is_ascii_alphanumeric() || b == b'/' || b == b'+';
    if before.bytes().next_back().is_some_and(inside) && !at_start(before) {
        return None;
    }
    let key = run_of(rest, 41, inside);
    let has = |kind: fn(&u8) -> bool| key.as_bytes().iter().any(kind);
    let mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    (key.len() == 40 && mixed && has(u8::is_ascii_digit))
        .then(|| Found::shown(rest, 0, 40))
        .flatten()
}

/// Keys (`sk-…`) and service tokens (`bt-st-…`) of Braintrust. Other platforms' keys begin with
/// `sk-`, too, and so may the id of a project named `sk`: after it, chance must be seen.
fn platform_key<'a>(before: &str, rest: &'a str) -> Option<Found<'a>> {
    let prefix = ["sk-", "bt-st-"]
        .into_iter()
        .find(|prefix| rest.starts_with(prefix))?;
    if !at_start(before) {
        return None;
    }
    let inside = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let key = rest.strip_prefix(prefix)?;
    let start = run_of(key, 256, inside);
    let digit = start.bytes().any(|b| b.is_ascii_digit());
    let upper = start.bytes().any(|b| b.is_ascii_uppercase());
    let lower = start.bytes().any(|b| b.is_ascii_lowercase());
    let mut parts = start.split(['-', '_']);
    let secret = match prefix {
        "bt-st-" => start.len() >= 4,
        _ if start.len() < 16 => false,
        _ => (digit && upper && lower) || parts.any(is_chance),
    };
    // The whole run is measured only once it is sure to be left behind.
    let length = || prefix.len() + run(key, inside).len();
    secret.then(|| Found::shown(rest, 0, length())).flatten()
}

/// A JSON Web Token: three parts, of which the first two are objects in base64.
fn web_token<'a>(before: &str, rest: &'a str) -> Option<Found<'a>> {
    if !rest.starts_with("eyJ") || !at_start(before) {
        return None;
    }
    let inside = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let head = run_of(rest, 2048, inside);
    let after = rest.strip_prefix(head)?.strip_prefix('.')?;
    let claims = run_of(after, 65_536, inside);
    after.strip_prefix(claims)?.strip_prefix('.')?;
    if head.len() < 10 || claims.len() < 4 {
        return None;
    }
    let token = run(rest, |b| inside(b) || b == b'.');
    Found::shown(rest, 0, token.trim_end_matches('.').len())
}

/// `Bearer …`, wherever it is spoken of.
fn bearer<'a>(before: &str, rest: &'a str) -> Option<Found<'a>> {
    let (word, after) = rest.split_at_checked("bearer".len())?;
    if !word.eq_ignore_ascii_case("bearer") || !at_start(before) {
        return None;
    }
    let (gap, after) = blank(after);
    let inside = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    let token = run(after, inside).trim_end_matches('.');
    let known = ["sk-", "bt-st-", "eyJ"];
    let secret = known.iter().any(|known| token.starts_with(known))
        || (token.len() >= 8 && token.bytes().any(|b| b.is_ascii_digit()))
        || is_chance(token);
    (secret && !gap.is_empty())
        .then(|| Found::shown(rest, word.len() + gap.len(), token.len()))
        .flatten()
}

/// The password of `https://user:password@host`.
fn password_of_address<'a>(before: &str, rest: &'a str) -> Option<Found<'a>> {
    let after = rest.strip_prefix("://")?;
    if !before.ends_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let ends = |c: char| c.is_whitespace() || "\"'<>`".contains(c);
    let address = after.split("://").next()?.split(ends).next()?;
    let authority = address.split(['/', '?', '#']).next()?;
    let (user, password) = match authority.rsplit_once('@') {
        Some((credentials, _)) => credentials.split_once(':')?,
        // A password with a slash that should have been written as `%2F`: what follows the host's
        // colon is no port.
        None if !authority.starts_with('[') => {
            let (user, behind) = address.split_once(':')?;
            let (password, _) = behind.split_once('@')?;
            let port = run(behind, |b| b.is_ascii_digit());
            let is_port =
                !port.is_empty() && behind.get(port.len()..)?.starts_with(['/', '?', '#']);
            if is_port || user.contains(['/', '?', '#']) {
                return None;
            }
            (user, password)
        }
        None => return None,
    };
    if password.is_empty() || password == HIDDEN {
        return None;
    }
    Found::hidden(rest, "://".len() + user.len() + 1, password.len())
}

/// A secret's name and the secret: `name=…`, `"name": "…"` and, where chance is seen, `name: …`.
fn assignment<'a>(before: &str, rest: &'a str) -> Option<Found<'a>> {
    let inside = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if before.bytes().next_back().is_some_and(inside) && !ends_escape(before) {
        return None;
    }
    let name = run(rest, inside);
    if name.is_empty() {
        return None;
    }
    let (assigned, after) = scan::assigned(rest.strip_prefix(name)?)?;
    let plain = plain(name);
    if !is_secret_name(name) && !plain.ends_with("signature") && plain != "sig" {
        return None;
    }
    let (quote, mut value) = scan::value(after);
    if assigned == Assigned::Perhaps {
        let credentials = credentials(after).filter(|_| plain.ends_with("authorization"));
        value = credentials.or_else(|| Some(value).filter(|value| is_chance(value)))?;
    }
    let nothing = ["", "true", "false", "null", "none"];
    let tells_nothing = nothing.contains(&value.to_ascii_lowercase().as_str());
    if tells_nothing || is_preview(value) || value.starts_with("arn:") {
        return None;
    }
    let start = rest.len().checked_sub(after.len())?.checked_add(quote)?;
    Found::shown(rest, start, value.len())
}

/// All that follows in the line, if it begins with a scheme: `Basic …`, and AWS's signature with
/// its many parts.
///
/// Source: <https://www.iana.org/assignments/http-authschemes/http-authschemes.xhtml>
fn credentials(after: &str) -> Option<&str> {
    let line = after.split(['\n', '\r', '"', '\'']).next()?;
    let (scheme, said) = line.split_once(' ')?;
    let schemes = ["basic", "bearer", "digest", "token", "aws4-hmac-sha256"];
    let known = schemes
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known));
    (known && !is_preview(said.trim())).then(|| line.trim_end())
}

/// Whether no word of a language looks like this: 16 characters or more, with digits, or with a
/// capital inside, or very many of them.
fn is_chance(text: &str) -> bool {
    let digits = text.bytes().any(|b| b.is_ascii_digit());
    let letters = text.bytes().any(|b| b.is_ascii_alphabetic());
    let capitals = text.bytes().skip(1).any(|b| b.is_ascii_uppercase());
    let lower = text.bytes().any(|b| b.is_ascii_lowercase());
    text.len() >= SHOWN_FROM
        && !text.starts_with("arn:")
        && ((digits && letters) || (capitals && lower) || text.len() >= 32)
}

#[cfg(test)]
mod tests;
