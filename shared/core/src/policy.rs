//! IAM policies as typed values.
