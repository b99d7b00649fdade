//! The order of a list.

use crate::Error;

/// Sort keys in one order.
pub const MAX_KEYS: usize = 16;

/// One sort key; the field is for the caller to look up in its own list of columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The field.
    pub field: String,
    /// Largest first.
    pub descending: bool,
}

/// Parses Maestro's `orderBy`: a comma list of `field`, `field asc`, `field desc`, in lower case.
///
/// # Errors
/// `bad order value '<argument>'`.
pub fn maestro(text: &str) -> Result<Vec<Key>, Error> {
    keys(
        text,
        |argument| Error::Syntax {
            column: 1,
            message: format!("bad order value '{argument}'"),
        },
        |c| c.is_ascii_alphanumeric() || c == '_',
    )
}

/// Parses the HyperFleet API's `order`: a comma list of `field` or `field asc|desc`.
///
/// # Errors
/// `invalid order format '<argument>': expected 'field' or 'field asc|desc'`.
pub fn hyperfleet(text: &str) -> Result<Vec<Key>, Error> {
    let refuse = |argument: &str| Error::Syntax {
        column: 1,
        message: format!("invalid order format '{argument}': expected 'field' or 'field asc|desc'"),
    };
    keys(text, refuse, |c| {
        c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
    })
}

fn keys(
    text: &str,
    refuse: impl Fn(&str) -> Error,
    fits: fn(char) -> bool,
) -> Result<Vec<Key>, Error> {
    let mut keys = Vec::new();
    for argument in text.split(',') {
        let words: Vec<&str> = argument.split_whitespace().collect();
        let (field, descending) = match words.as_slice() {
            [field] | [field, "asc"] => (*field, false),
            [field, "desc"] => (*field, true),
            _ => return Err(refuse(argument.trim())),
        };
        if !field.chars().all(fits) || field.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(refuse(argument.trim()));
        }
        if keys.len() == MAX_KEYS {
            return Err(Error::Limit(format!("more than {MAX_KEYS} sort keys")));
        }
        keys.push(Key {
            field: field.to_owned(),
            descending,
        });
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(field: &str, descending: bool) -> Key {
        Key {
            field: field.to_owned(),
            descending,
        }
    }

    #[test]
    fn directions_and_lists() {
        assert_eq!(maestro("name"), Ok(vec![key("name", false)]));
        assert_eq!(
            maestro("name desc, id asc"),
            Ok(vec![key("name", true), key("id", false)])
        );
        assert_eq!(
            hyperfleet("created_time desc"),
            Ok(vec![key("created_time", true)])
        );
    }

    #[test]
    fn refusals_have_the_words_of_the_protocol() {
        assert_eq!(
            maestro("name; drop table x").unwrap_err().to_string(),
            "bad order value 'name; drop table x'"
        );
        assert_eq!(
            maestro("name DESC").unwrap_err().to_string(),
            "bad order value 'name DESC'"
        );
        assert_eq!(
            hyperfleet("Name").unwrap_err().to_string(),
            "invalid order format 'Name': expected 'field' or 'field asc|desc'"
        );
        assert!(hyperfleet("").is_err());
        assert!(maestro(&vec!["a"; 17].join(",")).is_err());
    }
}
