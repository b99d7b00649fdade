//! Finding a key's line in a YAML text, for messages.

/// The line (from 1) of the key at `path`; inside a flow mapping (`{a: 1}`), which stands on one line as a rule, the
/// line of the key before it. `None` if not even the first key is found.
pub(super) fn line_of(text: &str, path: &[String]) -> Option<usize> {
    let mut found = None;
    // How deep each part of the path that was found stands. Depths are doubled, so that a list's entries can stand
    // between their key and what is below it even where they are not indented.
    let mut depths: Vec<usize> = Vec::new();
    // Entries seen of the list that the path goes on into, and how deep they stand: lists inside of them are deeper.
    let mut entries = 0;
    let mut entry_depth = None;
    for (number, line) in text.lines().enumerate() {
        let mut rest = line.trim_start();
        if rest.is_empty() || rest.starts_with('#') {
            continue;
        }
        let mut indent = line.len() - rest.len();
        while let Some(item) = rest.strip_prefix("- ") {
            let depth = indent * 2 + 1;
            leave(&mut depths, depth);
            if *entry_depth.get_or_insert(depth) == depth {
                let wanted = path
                    .get(depths.len())
                    .and_then(|part| part.parse::<usize>().ok());
                if wanted == Some(entries) {
                    depths.push(depth);
                    found = Some(number + 1);
                }
                entries += 1;
            }
            let content = item.trim_start();
            indent += rest.len() - content.len();
            rest = content;
        }
        let Some((key, _)) = rest.split_once(':') else {
            continue;
        };
        let key = key.trim().trim_matches(['"', '\'']);
        leave(&mut depths, indent * 2);
        let at_margin = !depths.is_empty() || indent == 0;
        if at_margin && path.get(depths.len()).is_some_and(|wanted| wanted == key) {
            depths.push(indent * 2);
            found = Some(number + 1);
            entries = 0;
            entry_depth = None;
            if depths.len() == path.len() {
                return found;
            }
        }
    }
    found
}

/// Forgets the parts of the path that a line at `depth` is not below.
fn leave(depths: &mut Vec<usize>, depth: usize) {
    while depths.last().is_some_and(|last| *last >= depth) {
        depths.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_block_style() {
        let text = "# comment\nlog:\n  level: info\n\nclients:\n  broker:\n    topic: x\n  list:\n  - name: a\n    more:\n    - x: 1\n    - y: 2\n  - name: b\n    level: c\nflow: {a: 1, b: 2}\n";
        let line = |path: &str| {
            line_of(
                text,
                &path.split('.').map(str::to_owned).collect::<Vec<_>>(),
            )
        };
        assert_eq!(line("log.level"), Some(3));
        assert_eq!(line("clients.broker.topic"), Some(7));
        assert_eq!(line("clients.list.1.name"), Some(13));
        assert_eq!(line("clients.list.1.level"), Some(14));
        assert_eq!(line("flow.b"), Some(15));
        assert_eq!(line("level"), None);
    }
}
