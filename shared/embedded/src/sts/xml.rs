//! The little XML that STS speaks.

/// STS's namespace.
const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// An element under construction.
pub(super) struct Element {
    name: &'static str,
    text: String,
}

impl Element {
    /// The outermost element.
    pub(super) fn root(name: &'static str) -> Self {
        Self {
            name,
            text: format!("<{name} xmlns=\"{NAMESPACE}\">"),
        }
    }

    pub(super) fn new(name: &'static str) -> Self {
        Self {
            name,
            text: format!("<{name}>"),
        }
    }

    pub(super) fn child(mut self, child: Self) -> Self {
        self.text.push_str(&child.finish());
        self
    }

    /// A child that holds text.
    pub(super) fn text(self, name: &'static str, text: &str) -> Self {
        let mut child = Self::new(name);
        for c in text.chars() {
            match c {
                '<' => child.text.push_str("&lt;"),
                '>' => child.text.push_str("&gt;"),
                '&' => child.text.push_str("&amp;"),
                c => child.text.push(c),
            }
        }
        self.child(child)
    }

    pub(super) fn finish(self) -> String {
        format!("{}</{}>", self.text, self.name)
    }
}

/// The text of the first element of that name.
pub(crate) fn find(xml: &str, name: &str) -> Option<String> {
    let (_, after) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = after.split_once(&format!("</{name}>"))?;
    let plain = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&amp;", "&"),
    ];
    let unescape = |text: String, (from, to)| text.replace(from, to);
    Some(plain.into_iter().fold(text.to_owned(), unescape))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_back_as_it_went_in() {
        let xml = Element::root("R").text("Code", "a<b>&amp;c").finish();
        assert_eq!(find(&xml, "Code").unwrap(), "a<b>&amp;c");
        assert_eq!(find(&xml, "Message"), None);
    }
}
