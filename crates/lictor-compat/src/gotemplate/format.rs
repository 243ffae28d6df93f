//! `print`, `println` and `printf`.

use super::OUTPUT_LIMIT;
use super::value::Value;
use crate::push;

/// Greatest width and precision.
const WIDEST: usize = 1_000_000;

/// The values, with a blank between two of which none is a text.
pub(super) fn print(values: &[Value]) -> Result<String, String> {
    let mut text = String::new();
    let mut before_text = true;
    for value in values {
        let is_text = matches!(value, Value::Text(_));
        if !is_text && !before_text {
            text.push(' ');
        }
        plain(value, &mut text)?;
        before_text = is_text;
    }
    Ok(text)
}

/// The values with blanks between them, and a new line.
pub(super) fn println(values: &[Value]) -> Result<String, String> {
    let mut text = String::new();
    for (place, value) in values.iter().enumerate() {
        if place > 0 {
            text.push(' ');
        }
        plain(value, &mut text)?;
    }
    text.push('\n');
    Ok(text)
}

/// A value as it is shown without further wishes.
pub(super) fn plain(value: &Value, text: &mut String) -> Result<(), String> {
    match value {
        Value::Nil => text.push_str("<nil>"),
        Value::Bool(yes) => text.push_str(if *yes { "true" } else { "false" }),
        Value::Int(number) => text.push_str(&number.to_string()),
        Value::Float(number) => text.push_str(&shortest(*number)),
        Value::Text(found) => text.push_str(found),
        Value::Time(time) => text.push_str(&time.to_string()),
        Value::List(values) => {
            text.push('[');
            for (place, value) in values.iter().enumerate() {
                if place > 0 {
                    text.push(' ');
                }
                plain(value, text)?;
            }
            text.push(']');
        }
        Value::Map(entries) => {
            text.push_str("map[");
            for (place, (name, value)) in entries.values.iter().enumerate() {
                if place > 0 {
                    text.push(' ');
                }
                text.push_str(name);
                text.push(':');
                plain(value, text)?;
            }
            text.push(']');
        }
        Value::Record(record) => {
            text.push('{');
            for (place, (_, value)) in record.fields.iter().enumerate() {
                if place > 0 {
                    text.push(' ');
                }
                plain(value, text)?;
            }
            text.push('}');
        }
    }
    within(text)
}

fn within(text: &str) -> Result<(), String> {
    if text.len() > OUTPUT_LIMIT {
        return Err(format!("a text became longer than {OUTPUT_LIMIT} bytes"));
    }
    Ok(())
}

/// What stands between `%` and the verb.
#[derive(Clone, Copy, Default)]
struct Wishes {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// The values in a format.
pub(super) fn printf(format: &str, values: &[Value]) -> Result<String, String> {
    let mut text = String::new();
    let mut values = values.iter();
    let mut characters = format.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '%' {
            text.push(character);
            continue;
        }
        let mut wishes = Wishes::default();
        while let Some(flag) = characters.next_if(|flag| "-+# 0".contains(*flag)) {
            match flag {
                '-' => wishes.minus = true,
                '+' => wishes.plus = true,
                '#' => wishes.sharp = true,
                ' ' => wishes.space = true,
                _ => wishes.zero = true,
            }
        }
        wishes.zero &= !wishes.minus;
        let mut number = |digits: &mut std::iter::Peekable<std::str::Chars<'_>>| {
            if digits.next_if_eq(&'*').is_some() {
                return match values.next() {
                    Some(Value::Int(number)) => {
                        usize::try_from(*number).ok().filter(|number| *number <= WIDEST)
                    }
                    _ => None,
                };
            }
            let mut found = None;
            while let Some(digit) = digits.next_if(char::is_ascii_digit) {
                let digit = digit.to_digit(10).and_then(|digit| usize::try_from(digit).ok()).unwrap_or(0);
                found = Some((found.unwrap_or(0_usize) * 10 + digit).min(WIDEST));
            }
            found
        };
        wishes.width = number(&mut characters);
        if characters.next_if_eq(&'.').is_some() {
            wishes.precision = Some(number(&mut characters).unwrap_or(0));
        }
        match characters.next() {
            None => text.push_str("%!(NOVERB)"),
            Some('%') => text.push('%'),
            Some(verb) => match values.next() {
                None => push(&mut text, format_args!("%!{verb}(MISSING)")),
                Some(value) => verb_of(verb, value, wishes, &mut text)?,
            },
        }
        within(&text)?;
    }
    let extra: Vec<&Value> = values.collect();
    if !extra.is_empty() {
        text.push_str("%!(EXTRA ");
        for (place, value) in extra.into_iter().enumerate() {
            if place > 0 {
                text.push_str(", ");
            }
            if *value != Value::Nil {
                text.push_str(go_type(value));
                text.push('=');
            }
            plain(value, &mut text)?;
        }
        text.push(')');
    }
    within(&text)?;
    Ok(text)
}

fn verb_of(verb: char, value: &Value, wishes: Wishes, text: &mut String) -> Result<(), String> {
    // `%+v` asks for names of fields, not for a sign.
    let wishes = Wishes { plus: wishes.plus && verb != 'v', ..wishes };
    let shown = match (verb, value) {
        ('v', Value::Text(found)) if wishes.sharp => quoted(found),
        ('v' | 's', Value::Text(found)) => cut(found, wishes),
        ('v' | 'd', Value::Int(number)) => return pad_number(&number.to_string(), wishes, text),
        ('v' | 'g' | 'G' | 'e' | 'E' | 'f' | 'F', Value::Float(number)) => {
            let shown = float(verb, *number, wishes);
            let upper = matches!(verb, 'G' | 'E') && number.is_finite();
            return pad_number(if upper { shown.to_uppercase() } else { shown }.as_str(), wishes, text);
        }
        ('v' | 's', Value::Time(time)) => cut(&time.to_string(), wishes),
        ('v' | 't', Value::Bool(yes)) => yes.to_string(),
        ('T', value) => go_type(value).to_owned(),
        ('v', Value::Nil) => "<nil>".to_owned(),
        ('q', Value::Text(found)) if wishes.sharp && !found.contains('`') => format!("`{found}`"),
        ('q', Value::Text(found)) => quoted(&cut(found, wishes)),
        ('q', Value::Int(number)) => quoted_letter(letter(*number)),
        ('c', Value::Int(number)) => letter(*number).to_string(),
        ('U', Value::Int(number)) => format!("U+{number:04X}"),
        ('x' | 'X', Value::Text(found)) => hex(found, verb),
        ('x' | 'X' | 'o' | 'b', Value::Int(number)) => {
            return pad_number(&radix(verb, *number, wishes), wishes, text);
        }
        ('v' | 's' | 'd' | 'q' | 'x' | 't', Value::List(values)) => {
            text.push('[');
            for (place, value) in values.iter().enumerate() {
                if place > 0 {
                    text.push(' ');
                }
                verb_of(verb, value, wishes, text)?;
            }
            text.push(']');
            return within(text);
        }
        ('v', value) => {
            let mut shown = String::new();
            plain(value, &mut shown)?;
            shown
        }
        (verb, Value::Nil) => format!("%!{verb}(<nil>)"),
        (verb, value) => {
            let mut shown = format!("%!{verb}({}=", go_type(value));
            plain(value, &mut shown)?;
            shown.push(')');
            shown
        }
    };
    pad(&shown, wishes, text);
    within(text)
}

fn cut(text: &str, wishes: Wishes) -> String {
    match wishes.precision {
        Some(most) => text.chars().take(most).collect(),
        None => text.to_owned(),
    }
}

fn pad(shown: &str, wishes: Wishes, text: &mut String) {
    let missing = wishes.width.unwrap_or(0).saturating_sub(shown.chars().count());
    let fill = if wishes.zero { "0" } else { " " };
    if !wishes.minus {
        text.push_str(&fill.repeat(missing));
    }
    text.push_str(shown);
    if wishes.minus {
        text.push_str(&" ".repeat(missing));
    }
}

/// A number: its sign stands before the zeros that fill it.
fn pad_number(shown: &str, wishes: Wishes, text: &mut String) -> Result<(), String> {
    let (sign, digits) = match shown.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None if wishes.plus => ("+", shown),
        None if wishes.space => (" ", shown),
        None => ("", shown),
    };
    if wishes.zero {
        text.push_str(sign);
        let width = wishes.width.map(|width| width.saturating_sub(sign.len()));
        pad(digits, Wishes { width, ..wishes }, text);
    } else {
        pad(&format!("{sign}{digits}"), wishes, text);
    }
    within(text)
}

fn radix(verb: char, number: i64, wishes: Wishes) -> String {
    let sign = if number < 0 { "-" } else { "" };
    let size = number.unsigned_abs();
    let (prefix, digits) = match verb {
        'x' => ("0x", format!("{size:x}")),
        'X' => ("0X", format!("{size:X}")),
        'o' => ("0", format!("{size:o}")),
        _ => ("0b", format!("{size:b}")),
    };
    format!("{sign}{}{digits}", if wishes.sharp { prefix } else { "" })
}

fn hex(text: &str, verb: char) -> String {
    let digit = |byte: u8| if verb == 'x' { format!("{byte:02x}") } else { format!("{byte:02X}") };
    text.bytes().map(digit).collect()
}

fn letter(number: i64) -> char {
    u32::try_from(number).ok().and_then(char::from_u32).unwrap_or('\u{fffd}')
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text, '"'))
}

fn quoted_letter(letter: char) -> String {
    format!("'{}'", escaped(letter.encode_utf8(&mut [0; 4]), '\''))
}

fn escaped(text: &str, quote: char) -> String {
    let mut shown = String::new();
    for character in text.chars() {
        match character {
            _ if character == quote => {
                shown.push('\\');
                shown.push(quote);
            }
            '\\' => shown.push_str("\\\\"),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            '\x07' => shown.push_str("\\a"),
            '\x08' => shown.push_str("\\b"),
            '\x0b' => shown.push_str("\\v"),
            '\x0c' => shown.push_str("\\f"),
            control if control.is_ascii_control() => {
                push(&mut shown, format_args!("\\x{:02x}", u32::from(control)));
            }
            control if control.is_control() => {
                push(&mut shown, format_args!("\\u{:04x}", u32::from(control)));
            }
            other => shown.push(other),
        }
    }
    shown
}

fn float(verb: char, number: f64, wishes: Wishes) -> String {
    if !number.is_finite() {
        return shortest(number);
    }
    match (verb, wishes.precision) {
        ('f' | 'F', precision) => format!("{number:.*}", precision.unwrap_or(6)),
        ('e' | 'E', precision) => exponent(&format!("{number:.*e}", precision.unwrap_or(6))),
        (_, None) => shortest(number),
        (_, Some(precision)) => {
            // So many digits in all, without zeros at the end.
            let digits = precision.max(1);
            let scientific = format!("{number:.*e}", digits - 1);
            let power: i32 =
                scientific.split_once('e').and_then(|(_, power)| power.parse().ok()).unwrap_or(0);
            let trimmed = |shown: &str| {
                if shown.contains('.') {
                    shown.trim_end_matches('0').trim_end_matches('.').to_owned()
                } else {
                    shown.to_owned()
                }
            };
            if power < -4 || power >= i32::try_from(digits).unwrap_or(i32::MAX) {
                let (mantissa, power) = scientific.split_once('e').unwrap_or((&scientific, "0"));
                exponent(&format!("{}e{power}", trimmed(mantissa)))
            } else {
                let after = i32::try_from(digits).unwrap_or(i32::MAX) - 1 - power;
                trimmed(&format!("{number:.*}", usize::try_from(after).unwrap_or(0)))
            }
        }
    }
}

/// The fewest digits that give the number back; with an exponent from 7 digits before the point on.
fn shortest(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number < 0.0 { "-Inf".to_owned() } else { "+Inf".to_owned() };
    }
    let scientific = format!("{number:e}");
    let power: i32 = scientific.split_once('e').and_then(|(_, power)| power.parse().ok()).unwrap_or(0);
    if (-4..6).contains(&power) { format!("{number}") } else { exponent(&scientific) }
}

/// `1e-7` as `1e-07`.
fn exponent(scientific: &str) -> String {
    let (mantissa, power) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let (sign, power) = match power.strip_prefix('-') {
        Some(power) => ('-', power),
        None => ('+', power),
    };
    format!("{mantissa}e{sign}{power:0>2}")
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Nil => "<nil>",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Float(_) => "float64",
        Value::Text(_) => "string",
        Value::List(_) => "[]interface {}",
        Value::Map(_) => "map[string]interface {}",
        Value::Record(record) => record.name,
        Value::Time(_) => "time.Time",
    }
}
