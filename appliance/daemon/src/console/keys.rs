//! Bytes of a terminal to keys.

use super::dialogue::Key;

const ESCAPE: char = '\u{1b}';

/// The keys in what was read at once. What a terminal sends for arrows and the like is no key, and neither is the rest of an
/// end of line of two characters.
pub(super) fn keys(bytes: &[u8]) -> Vec<Key> {
    let text = String::from_utf8_lossy(bytes);
    let mut characters = text.chars().peekable();
    let mut keys = Vec::new();
    while let Some(character) = characters.next() {
        match character {
            '\r' => {
                characters.next_if_eq(&'\n');
                keys.push(Key::Enter);
            }
            '\n' => keys.push(Key::Enter),
            '\u{8}' | '\u{7f}' => keys.push(Key::Back),
            ESCAPE => match characters.next_if(|next| ['[', 'O'].contains(next)) {
                // Control sequences end with a sign of this range (ECMA-48, section 5.4).
                Some(_) => drop(characters.by_ref().find(|one| ('@'..='~').contains(one))),
                None => keys.push(Key::Escape),
            },
            '\u{3}' => keys.push(Key::Escape),
            character if character.is_control() || character == char::REPLACEMENT_CHARACTER => {}
            character => keys.push(Key::Char(character)),
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_keys() {
        let all = [Key::Char('a'), Key::Char('é'), Key::Enter, Key::Back, Key::Back, Key::Enter, Key::Escape];
        assert_eq!(keys("aé\r\n\u{8}\u{7f}\n\u{3}".as_bytes()), all);
        assert_eq!(keys(b"\x1b[A\x1b[15~\x1bOPx\x1b"), [Key::Char('x'), Key::Escape]);
        assert_eq!(keys(b"\x00\x07\xff\t"), []);
    }
}
