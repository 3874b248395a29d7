//! Picks a few scalars out of a JSON text by their pointers, in one pass and without building
//! the rest.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A JSON Pointer (RFC 6901), split into its unescaped tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pointer(Vec<String>);

impl Pointer {
    /// Parses `/a/b`; `None` if the text is no pointer to something within a document.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let tokens = text.strip_prefix('/')?.split('/');
        tokens.map(unescape).collect::<Option<_>>().map(Self)
    }
}

fn unescape(token: &str) -> Option<String> {
    let mut parts = token.split('~');
    let mut text = parts.next()?.to_owned();
    for part in parts {
        let rest = part.strip_prefix('0').map(|rest| ('~', rest));
        let (character, rest) = rest.or_else(|| part.strip_prefix('1').map(|rest| ('/', rest)))?;
        text.push(character);
        text.push_str(rest);
    }
    Some(text)
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for token in &self.0 {
            write!(f, "/{}", token.replace('~', "~0").replace('/', "~1"))?;
        }
        Ok(())
    }
}

/// What stands at a pointer.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Found<'a> {
    /// Nothing, or null.
    #[default]
    Nothing,
    /// A string.
    Text(Cow<'a, str>),
    /// A whole number.
    Integer(i128),
    /// Any other number.
    Float(f64),
    /// A boolean, an array or an object.
    Other,
    /// More than one value: its key stands there repeatedly.
    Repeated,
}

/// Looks up `pointers` in the text of a JSON value. The result has their order.
///
/// Fails if the text is no JSON.
pub(super) fn pluck<'a, const N: usize>(
    text: &'a str,
    pointers: [Option<&Pointer>; N],
) -> Result<[Found<'a>; N], serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let found = Lookup(pointers).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(found)
}

/// Looks up pointers in the value that comes next. The result has their order.
pub(super) struct Lookup<'p, const N: usize>(pub(super) [Option<&'p Pointer>; N]);

impl<'a, const N: usize> DeserializeSeed<'a> for Lookup<'_, N> {
    type Value = [Found<'a>; N];

    fn deserialize<D: serde::Deserializer<'a>>(
        self,
        deserializer: D,
    ) -> Result<Self::Value, D::Error> {
        let mut found = std::array::from_fn(|_| Found::Nothing);
        let walk = Walk {
            pointers: &self.0,
            open: [true; N],
            depth: 0,
            found: &mut found,
        };
        walk.deserialize(deserializer)?;
        Ok(found)
    }
}

/// One value on the way: which pointers have led here, and how deep it lies.
struct Walk<'p, 'f, 'a, const N: usize> {
    pointers: &'p [Option<&'p Pointer>; N],
    open: [bool; N],
    depth: usize,
    found: &'f mut [Found<'a>; N],
}

impl<'a, const N: usize> Walk<'_, '_, 'a, N> {
    /// Records the value for each pointer that ends here.
    fn set(&mut self, value: &Found<'a>) {
        let ends = self.open.iter().zip(self.pointers.iter());
        for ((open, pointer), slot) in ends.zip(self.found.iter_mut()) {
            if *open && pointer.is_some_and(|p| p.0.len() == self.depth) {
                *slot = match slot {
                    Found::Nothing => value.clone(),
                    _ => Found::Repeated,
                };
            }
        }
    }

    /// Which pointers go on below the key.
    fn below(&self, key: &str) -> [bool; N] {
        std::array::from_fn(|i| {
            let open = self.open.get(i).copied().unwrap_or_default();
            let pointer = self.pointers.get(i).copied().flatten();
            let token = pointer.and_then(|p| p.0.get(self.depth));
            open && token.is_some_and(|token| token == key)
        })
    }
}

impl<'a, const N: usize> DeserializeSeed<'a> for Walk<'_, '_, 'a, N> {
    type Value = ();
    fn deserialize<D: serde::Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a, const N: usize> Visitor<'a> for Walk<'_, '_, 'a, N> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_borrowed_str<E: Error>(mut self, text: &'a str) -> Result<(), E> {
        self.set(&Found::Text(Cow::Borrowed(text)));
        Ok(())
    }

    fn visit_str<E: Error>(mut self, text: &str) -> Result<(), E> {
        self.set(&Found::Text(Cow::Owned(text.to_owned())));
        Ok(())
    }

    fn visit_i64<E: Error>(mut self, number: i64) -> Result<(), E> {
        self.set(&Found::Integer(number.into()));
        Ok(())
    }

    fn visit_u64<E: Error>(mut self, number: u64) -> Result<(), E> {
        self.set(&Found::Integer(number.into()));
        Ok(())
    }

    fn visit_f64<E: Error>(mut self, number: f64) -> Result<(), E> {
        self.set(&Found::Float(number));
        Ok(())
    }

    fn visit_bool<E: Error>(mut self, _: bool) -> Result<(), E> {
        self.set(&Found::Other);
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut values: A) -> Result<(), A::Error> {
        self.set(&Found::Other);
        let mut index = 0usize;
        loop {
            let walk = Walk {
                pointers: self.pointers,
                open: self.below(&index.to_string()),
                depth: self.depth + 1,
                found: self.found,
            };
            if walk.open.contains(&true) {
                if values.next_element_seed(walk)?.is_none() {
                    return Ok(());
                }
            } else if values.next_element::<IgnoredAny>()?.is_none() {
                return Ok(());
            }
            index += 1;
        }
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut entries: A) -> Result<(), A::Error> {
        self.set(&Found::Other);
        while let Some(Key(key)) = entries.next_key()? {
            let open = self.below(&key);
            if open.contains(&true) {
                entries.next_value_seed(Walk {
                    pointers: self.pointers,
                    open,
                    depth: self.depth + 1,
                    found: self.found,
                })?;
            } else {
                entries.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// A key or another string, borrowed where it holds no escape.
pub(super) struct Key<'a>(pub(super) Cow<'a, str>);

impl<'a> serde::Deserialize<'a> for Key<'a> {
    fn deserialize<D: serde::Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'a> Visitor<'a> for KeyVisitor {
            type Value = Key<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'a str) -> Result<Key<'a>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Key<'a>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(text: &str, pointer: &str) -> Found<'static> {
        let pointer = Pointer::parse(pointer).unwrap();
        let [found] = pluck(text, [Some(&pointer)]).unwrap();
        match found {
            Found::Text(text) => Found::Text(text.into_owned().into()),
            Found::Nothing => Found::Nothing,
            Found::Integer(n) => Found::Integer(n),
            Found::Float(n) => Found::Float(n),
            Found::Other => Found::Other,
            Found::Repeated => Found::Repeated,
        }
    }

    #[test]
    fn pointers_reach_into_objects_and_arrays() {
        let text = r#"{"a":{"b":[{"c":"x"},{"c":"y"}],"m/n":1,"m~n":2,"":3},"d":null,"e":-1.5}"#;
        assert_eq!(one(text, "/a/b/1/c"), Found::Text("y".into()));
        assert_eq!(one(text, "/a/m~1n"), Found::Integer(1));
        assert_eq!(one(text, "/a/m~0n"), Found::Integer(2));
        assert_eq!(one(text, "/a/"), Found::Integer(3));
        assert_eq!(one(text, "/d"), Found::Nothing);
        assert_eq!(one(text, "/e"), Found::Float(-1.5));
        assert_eq!(one(text, "/a/b"), Found::Other);
        assert_eq!(one(text, "/a/x"), Found::Nothing);
        assert_eq!(one(r#"{"a":1,"a":1}"#, "/a"), Found::Repeated);
        assert_eq!(one(r#"{"a":{"b":1},"a":{"b":2}}"#, "/a/b"), Found::Repeated);
    }

    #[test]
    fn a_text_that_is_no_pointer_is_refused() {
        for bad in ["", "a", "a/b", "/a~2", "/a~"] {
            assert_eq!(Pointer::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn the_same_is_found_as_by_building_the_whole_value(
            keys in proptest::collection::vec("[ab~/\"é]{0,2}", 1..4),
            path in proptest::collection::vec("[ab~/\"é]{0,2}", 1..4),
        ) {
            let mut value = serde_json::json!("leaf");
            for key in keys.iter().rev() {
                value = serde_json::json!({ key.as_str(): value, "other": [1, {"x": null}] });
            }
            let text = value.to_string();
            let pointer = Pointer(path);
            let [found] = pluck(&text, [Some(&pointer)]).unwrap();
            let expected = match value.pointer(&pointer.to_string()) {
                Some(serde_json::Value::String(text)) => Found::Text(text.clone().into()),
                Some(_) => Found::Other,
                None => Found::Nothing,
            };
            prop_assert_eq!(found, expected);
            prop_assert_eq!(Pointer::parse(&pointer.to_string()), Some(pointer));
        }
    }
}
