//! A source file as tokens: comments, doc examples and test code left out.

use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// One file of the crate, or a text that stands in for one.
#[derive(Debug)]
pub(crate) struct Source {
    /// The path below `src/`, with `/` between its parts.
    pub(crate) path: String,
    pub(crate) lines: usize,
    pub(crate) tokens: Vec<Token>,
}

#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// A path written in the code, `use` trees spread out: `use a::{b, c::*}` is `a::b` and `a::c`.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) line: usize,
    pub(crate) segments: Vec<String>,
}

/// Reads every file below `src/`, except those that are modules of tests.
pub(crate) fn all() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let below: Vec<_> = path.strip_prefix(&root).unwrap().iter().collect();
                let name = below.join("/".as_ref()).into_string().unwrap();
                files.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    let mut of_tests = Vec::new();
    let sources: Vec<_> = files
        .iter()
        .map(|(path, text)| Source::read(path, text, &mut of_tests))
        .collect();
    sources
        .into_iter()
        .filter(|source| !of_tests.contains(&source.path))
        .collect()
}

impl Source {
    /// Reads a file's text, and adds the files of its test modules to `tests`.
    pub(crate) fn read(path: &str, text: &str, tests: &mut Vec<String>) -> Self {
        let stream: TokenStream = text.parse().unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut source = Self {
            path: path.to_owned(),
            lines: text.lines().count(),
            tokens: Vec::new(),
        };
        let mut modules = Vec::new();
        flatten(stream, &mut source.tokens, &mut modules);
        let folder = source.modules().join("/");
        tests.extend(modules.iter().map(|module| format!("{folder}/{module}.rs")));
        source
    }

    /// The modules that the file is in, from the crate's root: `router/mod.rs` is `router`.
    pub(crate) fn modules(&self) -> Vec<&str> {
        let path = self.path.strip_suffix(".rs").unwrap();
        path.split('/')
            .filter(|part| !matches!(*part, "mod" | "lib"))
            .collect()
    }

    /// Every path in the code, and single names in `use` items.
    pub(crate) fn named(&self) -> Vec<Named> {
        let text = |at: usize| self.tokens.get(at).map_or("", |token| token.text.as_str());
        let (mut found, mut at) = (Vec::new(), 0);
        while at < self.tokens.len() {
            let goes_on = at > 0
                && (text(at - 1) == "." || (text(at - 1) == "::" && at > 1 && ends_a_path(text(at - 2))));
            let starts = at > 0 && text(at - 1) == "use" || text(at + 1) == "::";
            let opens_a_use = text(at) == "{" && at > 0 && text(at - 1) == "use";
            if opens_a_use || (is_name(text(at)) && starts && !goes_on) {
                at = self.tree(at, &mut Vec::new(), &mut found).max(at + 1);
            } else {
                at += 1;
            }
        }
        found
    }

    /// Reads a path or a `use` tree, and returns where it ends.
    fn tree(&self, mut at: usize, before: &mut Vec<String>, found: &mut Vec<Named>) -> usize {
        let depth = before.len();
        let start = at;
        while let Some(token) = self.tokens.get(at) {
            if is_name(&token.text) {
                before.push(token.text.clone());
                at += 1;
                if self.tokens.get(at).is_some_and(|token| token.text == "::") {
                    at += 1;
                    continue;
                }
            } else if token.text == "{" {
                at += 1;
                while self.tokens.get(at).is_some_and(|token| token.text != "}") {
                    at = self.tree(at, before, found).max(at + 1);
                    while self
                        .tokens
                        .get(at)
                        .is_some_and(|token| !matches!(&*token.text, "," | "}"))
                    {
                        at += 1;
                    }
                    at += usize::from(self.tokens.get(at).is_some_and(|token| token.text == ","));
                }
                before.truncate(depth);
                return at + 1;
            }
            break;
        }
        if before.len() > depth
            && let Some(first) = self.tokens.get(start)
        {
            found.push(Named {
                line: first.line,
                segments: before.clone(),
            });
        }
        before.truncate(depth);
        at
    }
}

/// Lists the tokens of a stream in order, without items under `#[cfg(test)]`; of modules of tests, their names.
fn flatten(stream: TokenStream, tokens: &mut Vec<Token>, test_modules: &mut Vec<String>) {
    let mut trees = stream.into_iter().peekable();
    while let Some(tree) = trees.next() {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Punct(hash) if hash.as_char() == '#' && trees.peek().is_some_and(is_cfg_test) => {
                let mut item = Vec::new();
                for skipped in trees.by_ref() {
                    let text = skipped.to_string();
                    let ends = text == ";" || is_block(&skipped);
                    item.push(text);
                    if ends {
                        break;
                    }
                }
                if let [.., keyword, name, end] = item.as_slice()
                    && keyword == "mod"
                    && end == ";"
                {
                    test_modules.push(name.clone());
                }
            }
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::None => ("", ""),
                };
                let end = group.span_close().end().line;
                tokens.push(token(line, open));
                flatten(group.stream(), tokens, test_modules);
                tokens.push(token(end, close));
            }
            TokenTree::Punct(colon)
                if colon.as_char() == ':'
                    && matches!(trees.peek(), Some(TokenTree::Punct(next)) if next.as_char() == ':') =>
            {
                trees.next();
                tokens.push(token(line, "::"));
            }
            other => tokens.push(token(line, &other.to_string())),
        }
    }
}

fn token(line: usize, text: &str) -> Token {
    Token {
        line,
        text: text.to_owned(),
    }
}

fn is_cfg_test(tree: &TokenTree) -> bool {
    let text: String = tree.to_string().split_whitespace().collect();
    text == "[cfg(test)]" || text.starts_with("[cfg(all(test,")
}

fn is_block(tree: &TokenTree) -> bool {
    matches!(tree, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_') && text != "use"
}

fn ends_a_path(text: &str) -> bool {
    text == ">" || is_name(text)
}
