//! The members of a JSON object, found without decoding or checking what is inside them.
//!
//! Every answer is scanned on its way to the caller, who decodes it in full right after: a quarter of the work of a
//! JSON reader is enough to find its few members that matter.

use std::borrow::Cow;

use memchr::memchr2;

/// Goes through the members of an object: see [`Rest::members`]. `None` also if more than the object is there.
pub(crate) fn members<'a>(
    json: &'a [u8],
    each: impl FnMut(&'a [u8], &mut Rest<'a>) -> Option<()>,
) -> Option<()> {
    let mut rest = Rest(json);
    rest.members(each)?;
    rest.end()
}

/// Sets a member that may stand there once.
pub(super) fn once<'a>(member: &mut Option<&'a [u8]>, value: &'a [u8]) -> Option<()> {
    member.replace(value).is_none().then_some(())
}

/// Returns the text of a JSON string, without a copy unless it holds escapes; `None` for any other value.
pub(crate) fn text(value: &[u8]) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if memchr::memchr(b'\\', inner).is_none() {
        return std::str::from_utf8(inner).ok().map(Cow::Borrowed);
    }
    serde_json::from_slice::<String>(value).ok().map(Cow::Owned)
}

/// What has not been read yet.
#[derive(Clone, Copy)]
pub(crate) struct Rest<'a>(pub(super) &'a [u8]);

impl<'a> Rest<'a> {
    /// Goes through the own members of an object that is next: each name as it stands between its quotes, and what
    /// begins with its value, which `each` has to take.
    ///
    /// `None` if there is no object, if it does not end, or as soon as `each` says so.
    pub(super) fn members(&mut self, mut each: impl FnMut(&'a [u8], &mut Self) -> Option<()>) -> Option<()> {
        self.token(b'{')?;
        if self.peek()? == b'}' {
            return self.token(b'}');
        }
        loop {
            self.peek()?;
            let name = self.string()?;
            self.token(b':')?;
            self.peek()?;
            each(name.get(1..name.len() - 1)?, self)?;
            if self.peek()? != b',' {
                return self.token(b'}');
            }
            self.token(b',')?;
        }
    }

    /// Goes through the items of an array that is next; `None` if there is none, if it does not end, or as soon as
    /// `each` says so.
    pub(super) fn items(&mut self, mut each: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.token(b'[')?;
        if self.peek()? == b']' {
            return self.token(b']');
        }
        loop {
            each(self)?;
            if self.peek()? != b',' {
                return self.token(b']');
            }
            self.token(b',')?;
        }
    }

    /// Takes a value as it stands. What is nested in it is skipped by its brackets and strings.
    pub(crate) fn value(&mut self) -> Option<&'a [u8]> {
        let length = match self.peek()? {
            b'"' => string_length(self.0)?,
            b'{' | b'[' => nested_length(self.0)?,
            _ => scalar_length(self.0),
        };
        (length > 0).then(|| self.take(length)).flatten()
    }

    /// Whether nothing but white space is left.
    pub(super) fn end(&mut self) -> Option<()> {
        self.peek().is_none().then_some(())
    }

    /// Skips white space and returns the next byte.
    pub(super) fn peek(&mut self) -> Option<u8> {
        while let [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] = self.0 {
            self.0 = rest;
        }
        self.0.first().copied()
    }

    fn token(&mut self, token: u8) -> Option<()> {
        self.peek();
        self.0 = self.0.strip_prefix(&[token])?;
        Some(())
    }

    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    /// A string with its quotes, which begins here.
    fn string(&mut self) -> Option<&'a [u8]> {
        let length = string_length(self.0)?;
        self.take(length)
    }
}

/// How much of a string is looked at byte by byte: most names and values end sooner than a search for them begins.
const SHORT: usize = 24;

fn string_length(json: &[u8]) -> Option<usize> {
    let mut at = json.strip_prefix(b"\"").map(|_| 1)?;
    let short = json.get(1..).unwrap_or_default().iter().take(SHORT);
    for byte in short {
        match byte {
            b'"' => return Some(at + 1),
            b'\\' => break,
            _ => at += 1,
        }
    }
    loop {
        at += memchr2(b'"', b'\\', json.get(at..)?)?;
        match json.get(at)? {
            b'"' => return Some(at + 1),
            _ => at += 2,
        }
    }
}

fn nested_length(json: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0_usize);
    loop {
        match json.get(at)? {
            b'"' => {
                at += string_length(json.get(at..)?)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

fn scalar_length(json: &[u8]) -> usize {
    let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
    json.iter().position(ends).unwrap_or(json.len())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    fn found(json: &[u8]) -> Option<Vec<(String, String)>> {
        let mut found = Vec::new();
        let utf8 = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        members(json, |name, rest| {
            found.push((utf8(name), utf8(rest.value()?)));
            Some(())
        })?;
        Some(found)
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            "[\"\\\\{}\\[\\],:a-c é\u{1F600}\n]{0,8}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::btree_map("[a-c{}\\[]{0,3}", inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn members_are_those_that_serde_json_finds(map in prop::collection::btree_map("[a-z{}\\[,: ]{0,3}", json(), 0..5)) {
            for text in [serde_json::to_string(&map).unwrap(), serde_json::to_string_pretty(&map).unwrap()] {
                let expected: BTreeMap<String, &RawValue> = serde_json::from_str(&text).unwrap();
                let found: BTreeMap<_, _> = found(text.as_bytes()).unwrap().into_iter().collect();
                let expected: BTreeMap<_, _> =
                    expected.into_iter().map(|(name, value)| (name, value.get().to_owned())).collect();
                prop_assert_eq!(found, expected);
                let cut = text.len() - 1;
                prop_assert_eq!(super::tests::found(&text.as_bytes()[..cut]), None, "its last bracket is missing");
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in "[{}\\[\\]\",:\\\\a1 ]{0,40}") {
            let object = serde_json::from_str::<BTreeMap<String, &RawValue>>(&bytes).is_ok();
            prop_assert!(!object || found(bytes.as_bytes()).is_some());
        }
    }

    #[test]
    fn what_is_no_object_or_does_not_end_is_refused() {
        for json in [
            "",
            "[]",
            "{",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":1}x",
            "{\"a\":[1}",
            "{\"a\":\"1}",
            "{a:1}",
            "{\"a\":1 2}",
            "{\"a\" 1}",
        ] {
            assert_eq!(found(json.as_bytes()), None, "{json}");
        }
        assert_eq!(found(b" { } \n"), Some(Vec::new()));
    }
}
