//! Text inside HTML and SVG.

use std::fmt::{self, Write};

/// Text that cannot become markup, in an element or in a quoted attribute. A control character, which XML forbids, is
/// shown as one that could not be read.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c if c.is_control() && !c.is_whitespace() => f.write_char(char::REPLACEMENT_CHARACTER)?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_in_markup_is_written_as_what_it_looks_like() {
        let said = Escaped("<b title=\"x\" class='y'>R&D\u{1}\u{1b}\tä</b>").to_string();
        assert_eq!(
            said,
            "&lt;b title=&quot;x&quot; class=&#39;y&#39;&gt;R&amp;D\u{fffd}\u{fffd}\tä&lt;/b&gt;"
        );
    }
}
