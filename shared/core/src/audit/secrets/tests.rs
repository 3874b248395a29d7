//! What is known as a secret, and what must not be taken for one.

use proptest::prelude::*;

use super::*;

const JWT: &str =
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P";
const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const PLATFORM: &str = "sk-abcdefghijklmnop0123456789ABCDEFGHIJKLMNOPQRSTUV";

/// A text with a secret, and what is shown of it.
fn shows(text: &str, expected: &str) {
    let shown = redact_text(text);
    assert_eq!(shown, expected, "of {text}");
    assert_eq!(redact_text(&shown), expected, "a second time, of {text}");
}

#[test]
fn access_key_ids_are_known_wherever_they_stand() {
    shows("AKIAIOSFODNN7EXAMPLE", "…MPLE");
    shows("(ASIAIOSFODNN7EXAMPLE)", "(…MPLE)");
    shows("a=%3DAKIAIOSFODNN7EXAMPLE%2F1", "a=%3D…MPLE%2F1");
    shows(r"first\nAKIAIOSFODNN7EXAMPLE", r"first\n…MPLE");
    shows(
        &format!("AKIAIOSFODNN7EXAMPLE:{SECRET_KEY}."),
        "…MPLE:…EKEY.",
    );
}

#[test]
fn keys_and_service_tokens_of_the_platform_are_known() {
    shows(&format!("Invalid key {PLATFORM}!"), "Invalid key …STUV!");
    shows("sk-proj-abcdefghij0123456789_x", "…89_x");
    shows("\"bt-st-0123456789abcdef\"", "\"…cdef\"");
    shows("bt-st-token", "redacted");
}

#[test]
fn tokens_of_web_requests_are_known() {
    shows(JWT, "…3I9P");
    shows(&format!("got {JWT}."), "got …3I9P.");
    shows("bearer 0123abcd0123abcd0123", "bearer …0123");
    shows("Bearer sk-secret", "Bearer redacted");
    shows("Authorization: Basic dXNlcjpwYXNz", "Authorization: …YXNz");
    shows(
        "authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/x, Signature=0a1b",
        "authorization: …0a1b",
    );
    shows(
        "x-api-key: 0123456789abcdef01\nnext",
        "x-api-key: …ef01\nnext",
    );
}

#[test]
fn a_private_key_is_left_out_whole_and_a_certificate_stays() {
    let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKC\n-----END RSA PRIVATE KEY-----";
    shows(&format!("a {key} b"), "a redacted b");
    shows("-----BEGIN PRIVATE KEY-----\nMIIE cut off", "redacted");
    shows(&key.replace('\n', "\\n"), "redacted");
    let certificate = "-----BEGIN CERTIFICATE-----\nMIIDdz\n-----END CERTIFICATE-----";
    shows(certificate, certificate);
}

#[test]
fn presigned_addresses_lose_key_signature_and_session_and_keep_the_rest() {
    shows(
        "https://b.s3.amazonaws.com/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=\
         AKIAIOSFODNN7EXAMPLE%2F20251121%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Date=20251121T000000Z\
         &X-Amz-Security-Token=IQoJb3JpZ2luX2Vj%2F%2Fabcd&X-Amz-Expires=60\
         &X-Amz-Signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "https://b.s3.amazonaws.com/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=\
         …MPLE%2F20251121%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Date=20251121T000000Z\
         &X-Amz-Security-Token=…abcd&X-Amz-Expires=60&X-Amz-Signature=…cdef",
    );
    shows(
        "https://b.s3.amazonaws.com/k?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=vjbyPxybdZ%2BNo%3D&Expires=1",
        "https://b.s3.amazonaws.com/k?AWSAccessKeyId=…MPLE&Signature=…o%3D&Expires=1",
    );
    shows(
        "https://a.example.com/c/b?sv=2024&sig=abc%2B",
        "https://a.example.com/c/b?sv=2024&sig=redacted",
    );
    shows(
        "to=%2Fk%3FX-Amz-Signature%3D0123456789abcdef%26x=1",
        "to=%2Fk%3FX-Amz-Signature%3D…cdef%26x=1",
    );
}

#[test]
fn the_password_of_an_address_is_left_out() {
    shows(
        "postgres://app:hunter2@db.internal:5432/x",
        "postgres://app:redacted@db.internal:5432/x",
    );
    shows(
        "see https://u:p@ss@h.example.com/a?b=c@d",
        "see https://u:redacted@h.example.com/a?b=c@d",
    );
    shows("redis://:p/w#?@cache", "redis://:redacted@cache");
    shows(
        "a https://u:p1@h b https://u:p2@h",
        "a https://u:redacted@h b https://u:redacted@h",
    );
}

#[test]
fn what_is_assigned_to_a_secrets_name_is_left_out() {
    shows("password=hunter2 user=me", "password=redacted user=me");
    shows(
        "aws_secret_access_key = abcdefghijklmnop",
        "aws_secret_access_key = …mnop",
    );
    shows(
        r#"{"apiKey": "hunter2", "n": 1}"#,
        r#"{"apiKey": "redacted", "n": 1}"#,
    );
    shows(
        r#"{"pin": 1, "password": 1234}"#,
        r#"{"pin": 1, "password": redacted}"#,
    );
    shows(
        r#""{\"password\":\"a\\\"hunter2\",\"n\":1}""#,
        r#""{\"password\":\"redacted\",\"n\":1}""#,
    );
    shows(r#"{"token": "a\"hunter2"}"#, r#"{"token": "redacted"}"#);
    shows("secret='hunter2 or so'", "secret='redacted'");
}

#[test]
fn ordinary_text_ids_hashes_and_arns_stay() {
    for text in [
        "",
        "the token: expired; the password: required",
        "no bearer of tokens, Bearer authentication, basic IAM policies",
        "authorization: denied, since PutObject is not allowed",
        "risk-assessment-0123456789abcdef and desk-0123456789abcdef0",
        "sk-logs-export-3b92d3f0",
        "grade-school-math-logs-export-3b92d3f0",
        "AKIA, ASIA, AKIAx and ASIAPACIFICSOUTHEAST",
        "AROAIOSFODNN7EXAMPLE:session AIDAIOSFODNN7EXAMPLE",
        "f1e858a4-58e3-408f-983f-016760d7fa25",
        "bt:5abfae3a-7aa7-4653-a9c8-b3efcb18f584:f1e858a4-58e3-408f-983f-016760d7fa25:301e278faa015dc5616f9630b0074044",
        "301e278faa015dc5616f9630b0074044301e278faa015dc5616f9630b0074044",
        "5dabd63c06cbd5b0f9a1e9d1b2cf6a3f6e0d9a11",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "arn:aws:iam::123456789012:role/service-role/sealift-Audit0123456789",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:Production/Database-AbCdEf",
        "secret: arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf",
        "arn:aws:kms:eu-west-1:123456789012:key/0a1b2c3d-0000-1111-2222-333344445555",
        "s3://your-bucket/braintrust/sk-math/date=2025-11-21/hour=01/",
        "https://host.example.com:8080/a@b and https://git@github.com/a/b and git@github.com:a/b",
        "https://[::1]:9000/a@b, s3://bucket/a:b@c, 12:30@noon",
        "external_id=301e278faa015dc5616f9630b0074044&max_tokens=5&access_key_id=x",
        "token_type=bearer&has_secret=true&password=",
        "eyJub3QiOiJhIHRva2VuIn0 and eyJ.eyJ.",
        "SELECT * FROM project_logs('p') WHERE metadata.token = NULL",
        "üñî ☃ \u{1F680}",
    ] {
        assert_eq!(redact_text(text), text);
    }
}

#[test]
fn names_of_secrets_are_known_in_any_spelling_and_what_describes_one_is_none() {
    for name in [
        "secret",
        "SECRET_ACCESS_KEY",
        "secretAccessKey",
        "api-key",
        "x-api-key",
        "token",
        "Session-Token",
        "serviceToken",
        "next_token",
        "Authorization",
        "client_secret",
        "key_hash",
        "private_key",
        "Set-Cookie",
        "db.password",
        "password1",
    ] {
        assert!(is_secret_name(name), "{name}");
    }
    for name in [
        "",
        "_",
        "external_id",
        "access_key_id",
        "role_arn",
        "secretName",
        "secretARN",
        "token_preview",
        "tokenType",
        "api_key_parameter",
        "password_changed_at",
        "max_tokens",
        "key",
        "prefix",
        "status",
        "tokenizer",
    ] {
        assert!(!is_secret_name(name), "{name}");
    }
}

#[test]
fn much_hostile_text_takes_no_long() {
    for piece in [
        "://",
        "sk--",
        "a-",
        "eyJ-",
        "eyJaaaaaaaa.",
        "a=\"",
        "eyJ.",
        "a='",
        "-----BEGIN ",
        "bearer ",
        "token:",
        r"password=\'",
        "AKIA",
    ] {
        let text = piece.repeat(200_000 / piece.len());
        assert!(redact_text(&text).len() <= text.len() * 2, "{piece}");
    }
}

proptest! {
    #[test]
    fn no_secret_of_a_known_form_stays_in_any_text(
        before in "[ a-z=,\"'(&?\\n]{0,20}",
        after in "[ ,\"')&\\n][ -~]{0,20}",
        form in 0_usize..6,
        chance in "[A-Z0-9]{15}7",
    ) {
        let before = format!("{before} ");
        let secret = match form {
            0 => format!("AKIA{chance}"),
            1 => format!("ASIA{chance}"),
            2 => format!("sk-{chance}"),
            3 => format!("bt-st-{chance}"),
            4 => format!("eyJ{chance}.{chance}.{chance}"),
            _ => format!("{chance}{chance}"),
        };
        let text = match form {
            5 => format!("{before}https://u:{secret}@h{after}"),
            _ => format!("{before}{secret}{after}"),
        };
        let shown = redact_text(&text);
        prop_assert!(!shown.contains(&chance), "{text} gives {shown}");
    }

    #[test]
    fn a_text_without_secrets_stays_byte_by_byte(text in "[ a-z0-9ü.,-]{0,60}") {
        prop_assume!(!text.contains("sk-") && !text.contains("bt-st-") && !text.contains("bearer"));
        prop_assert_eq!(redact_text(&text), text);
    }
}
