//! Words of a line: bare ones and quoted texts.

/// A word of a line: text in quotes is one.
#[derive(Clone, Debug, PartialEq)]
pub enum Word {
    /// A bare word.
    Plain(String),
    /// A text.
    Quoted(Vec<u8>),
}

/// Splits a line into words and drops its comment.
pub fn split(line: &str) -> Result<Vec<Word>, String> {
    let (mut words, mut rest) = (Vec::new(), line.trim_start());
    while let Some(first) = rest.chars().next().filter(|first| *first != '#') {
        if first == '"' {
            let (bytes, after) = unquote(&rest[1..])?;
            // Quotes one after the other are one text.
            match words.last_mut() {
                Some(Word::Quoted(before)) => before.extend(bytes),
                _ => words.push(Word::Quoted(bytes)),
            }
            rest = after.trim_start();
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            words.push(Word::Plain(rest[..end].to_owned()));
            rest = rest[end..].trim_start();
        }
    }
    Ok(words)
}

/// Reads the text behind an opening quote, its closing quote and repetition; gives what follows.
fn unquote(text: &str) -> Result<(Vec<u8>, &str), String> {
    let (mut bytes, mut chars) = (Vec::new(), text.char_indices());
    let end = loop {
        let (at, char) = chars.next().ok_or("a quote is not closed")?;
        match char {
            '"' => break at + 1,
            '\\' => bytes.push(unescape(&mut chars)?),
            _ => bytes.extend(char.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    };
    let rest = &text[end..];
    let Some(factor) = rest.strip_prefix('*') else { return Ok((bytes, rest)) };
    let digits = factor.find(|char: char| !char.is_ascii_digit()).unwrap_or(factor.len());
    let times: usize = number(&factor[..digits])?;
    Ok((bytes.repeat(times), &factor[digits..]))
}

fn unescape(chars: &mut core::str::CharIndices<'_>) -> Result<u8, String> {
    let mut next = || chars.next().map(|(_, char)| char).ok_or("an escape is not complete");
    Ok(match next()? {
        'r' => b'\r',
        'n' => b'\n',
        't' => b'\t',
        '0' => 0,
        'x' => {
            let digits: String = [next()?, next()?].iter().collect();
            u8::from_str_radix(&digits, 16).map_err(|_| format!("\\x{digits} is not a byte"))?
        }
        char @ ('\\' | '"') => char as u8,
        char => return Err(format!("\\{char} is not an escape")),
    })
}

/// Bare words only.
pub fn plain(words: &[Word]) -> Result<Vec<&str>, String> {
    let text = |word: &'_ Word| match word {
        Word::Plain(_) => Ok(()),
        Word::Quoted(_) => Err("no quoted text belongs here".to_owned()),
    };
    words.iter().try_for_each(text)?;
    Ok(words.iter().filter_map(|word| if let Word::Plain(text) = word { Some(text.as_str()) } else { None }).collect())
}

/// Reads a number.
pub fn number<T: core::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text} is not a number that fits"))
}
