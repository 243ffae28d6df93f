//! Temperature: the sensors that the kernel knows, of chips (hwmon) and of thermal zones.
//!
//! A sensor on a slow or broken bus can block its reader, so they are read on a thread, and no second
//! one is started while one is stuck.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use lictor_config::Temperature;
use lictor_core::{Sample, Status, Value};
use tokio::sync::oneshot;
use tokio::time::{Duration, timeout};

use super::fault::Fault;
use super::look::{Look, Memory, World};
use super::pressure;
use super::value::{self, Measured as _, float, named};

/// Sensors that are read at most.
const SENSORS: usize = 256;

/// Sensors whose values are reported one by one.
const REPORTED: usize = 32;

/// What no sensor measures, °C: outside of this it is not connected, or broken.
const PLAUSIBLE: std::ops::RangeInclusive<f64> = -60.0..=250.0;

/// A thread that reads, and may be stuck.
#[derive(Debug)]
pub(super) struct Reading(oneshot::Receiver<Vec<(String, f64)>>);

pub(super) async fn look(
    settings: &Temperature,
    limit: Duration,
    memory: &mut Memory,
    world: &World,
) -> Look {
    let mut reading = match memory.sensors.take() {
        Some(reading) => reading,
        None => match world.tasks.on_thread("sensors", || read(Path::new("/sys"))) {
            Ok(answer) => Box::new(Reading(answer)),
            Err(error) => return Look::new(Fault::io("cannot start a thread", &error).into_sample()),
        },
    };
    Look::new(match timeout(limit, &mut reading.0).await {
        Ok(Ok(found)) => judge(settings, &found),
        Ok(Err(_lost)) => Sample::new(Status::Unknown, "reading the sensors was given up"),
        Err(_late) => {
            memory.sensors = Some(reading);
            Sample::new(Status::Unknown, "a sensor does not answer")
        }
    })
}

fn judge(settings: &Temperature, found: &[(String, f64)]) -> Sample {
    let wanted = |name: &str| settings.sensors.as_ref().is_none_or(|pattern| pattern.is_match(name));
    let mut found: Vec<&(String, f64)> = found.iter().filter(|(name, _)| wanted(name)).collect();
    found.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let Some((sensor, highest)) = found.first() else {
        let which =
            settings.sensors.as_ref().map_or(String::new(), |pattern| format!(" matching /{pattern}/"));
        return Sample::new(
            Status::Unknown,
            format!("this machine has no sensor{which} that tells a temperature"),
        );
    };
    let (status, than) = if *highest > settings.critical_celsius {
        (Status::Critical, Some(settings.critical_celsius))
    } else if *highest > settings.warn_celsius {
        (Status::Warning, Some(settings.warn_celsius))
    } else {
        (Status::Passing, None)
    };
    let than = than.map_or(String::new(), |limit| format!(", more than {limit} °C"));
    let mut sample = Sample::new(status, format!("{sensor} has {highest:.1} °C{than}"));
    sample.number(&value::CELSIUS, *highest);
    sample.text(&value::SENSOR, sensor.as_str());
    sample.number(&value::SENSORS, float(found.len() as u64));
    if found.len() > 1 {
        let each = found.iter().take(REPORTED);
        sample.values.extend(each.filter_map(|(name, celsius)| {
            Some((named(&format!("celsius:{name}"))?, Value::Number(*celsius)))
        }));
    }
    sample
}

/// Every sensor by its name, which is told once.
fn read(root: &Path) -> Vec<(String, f64)> {
    let mut found: BTreeMap<String, f64> = BTreeMap::new();
    let mut add = |name: String, celsius: f64| {
        let another = (2..).map(|number| format!("{name}#{number}"));
        let free = std::iter::once(name.clone()).chain(another).find(|name| !found.contains_key(name));
        if let Some(name) = free {
            found.insert(name, celsius);
        }
    };
    let mut room = SENSORS;
    for chip in entries(&root.join("class/hwmon"), "hwmon") {
        let of = text(&chip, "name").unwrap_or_else(|| "chip".to_owned());
        for input in entries(&chip, "temp") {
            let file = input.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            let Some(sensor) = file.strip_suffix("_input") else { continue };
            if room == 0 {
                break;
            }
            room -= 1;
            let broken = text(&chip, &format!("{sensor}_fault")).is_some_and(|fault| fault != "0");
            if let Some(celsius) = celsius(&chip, &file).filter(|_| !broken) {
                let label = text(&chip, &format!("{sensor}_label")).unwrap_or_else(|| sensor.to_owned());
                add(format!("{of}:{label}"), celsius);
            }
        }
    }
    for zone in entries(&root.join("class/thermal"), "thermal_zone").into_iter().take(SENSORS) {
        let of = text(&zone, "type").unwrap_or_else(|| "zone".to_owned());
        if let Some(celsius) = celsius(&zone, "temp") {
            add(format!("zone:{of}"), celsius);
        }
    }
    found.into_iter().collect()
}

/// What lies in a directory under names that begin so, by their numbers.
fn entries(dir: &Path, start: &str) -> Vec<PathBuf> {
    let begins = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(start))
    };
    let all = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut all: Vec<PathBuf> = all.filter(begins).collect();
    all.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
    all
}

fn text(dir: &Path, name: &str) -> Option<String> {
    let text = pressure::read(dir, name).ok()?;
    let text = crate::text::one_line(&text, 64);
    (!text.is_empty()).then_some(text)
}

/// In thousandths of a degree.
fn celsius(dir: &Path, name: &str) -> Option<f64> {
    let number: i32 = text(dir, name)?.parse().ok()?;
    let celsius = f64::from(number) / 1_000.0;
    PLAUSIBLE.contains(&celsius).then_some(celsius)
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;
    use crate::watch::pressure::tests::tree;

    fn settings(sensors: Option<&str>) -> Temperature {
        let sensors = sensors.map(|pattern| Regex::new(pattern).unwrap());
        Temperature { sensors, warn_celsius: 80.0, critical_celsius: 95.0 }
    }

    const SYS: [(&str, &str); 14] = [
        ("class/hwmon/hwmon0/name", "coretemp\n"),
        ("class/hwmon/hwmon0/temp1_input", "47000\n"),
        ("class/hwmon/hwmon0/temp1_label", "Core 0\n"),
        ("class/hwmon/hwmon0/temp2_input", "81500\n"),
        ("class/hwmon/hwmon0/temp2_max", "100000\n"),
        ("class/hwmon/hwmon1/name", "nvme\n"),
        ("class/hwmon/hwmon1/temp1_input", "38850\n"),
        ("class/hwmon/hwmon2/name", "nvme\n"),
        ("class/hwmon/hwmon2/temp1_input", "39850\n"),
        ("class/hwmon/hwmon2/temp2_input", "127500\n"),
        ("class/hwmon/hwmon2/temp2_fault", "1\n"),
        ("class/hwmon/hwmon2/temp3_input", "-273150\n"),
        ("class/thermal/thermal_zone0/type", "cpu-thermal\n"),
        ("class/thermal/thermal_zone0/temp", "51000\n"),
    ];

    #[test]
    fn every_sensor_has_a_name_of_its_own_and_broken_ones_are_left_out() {
        let dir = tree(&SYS);
        let found = read(dir.path());
        let wanted = [
            ("coretemp:Core 0", 47.0),
            ("coretemp:temp2", 81.5),
            ("nvme:temp1", 38.85),
            ("nvme:temp1#2", 39.85),
            ("zone:cpu-thermal", 51.0),
        ];
        assert_eq!(found, wanted.map(|(name, celsius)| (name.to_owned(), celsius)));
    }

    #[test]
    fn the_highest_counts() {
        let dir = tree(&SYS);
        let sample = judge(&settings(None), &read(dir.path()));
        let told = format!("{}: {}", sample.status, sample.summary);
        assert_eq!(told, "warning: coretemp:temp2 has 81.5 °C, more than 80 °C");
        let value = |name: &str| sample.value(&name.parse().unwrap()).map(ToString::to_string);
        assert_eq!(value("celsius").as_deref(), Some("81.5"));
        assert_eq!(value("celsius:nvme:temp1_2").as_deref(), Some("39.85"));
        assert_eq!(value("sensors").as_deref(), Some("5"));
        let some = judge(&settings(Some("^(nvme|zone):")), &read(dir.path()));
        assert_eq!(some.summary, "zone:cpu-thermal has 51.0 °C");
        let hot = judge(&settings(None), &[("x".to_owned(), 95.1)]);
        assert_eq!(hot.status, Status::Critical);
    }

    #[test]
    fn a_machine_without_sensors_is_unknown() {
        let sample = judge(&settings(None), &read(Path::new("/nonexistent")));
        assert_eq!(sample.status, Status::Unknown);
        let dir = tree(&SYS);
        let sample = judge(&settings(Some("gpu")), &read(dir.path()));
        assert_eq!(sample.summary, "this machine has no sensor matching /gpu/ that tells a temperature");
    }
}
