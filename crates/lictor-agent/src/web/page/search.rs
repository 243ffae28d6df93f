//! Search: checks, incidents, remedies and services, by their names and by what is said of them.

use askama::Template;
use lictor_core::{Remedy, StepKind};

use super::model::TEXT;
use super::{Part, render};
use crate::View;
use crate::web::Site;
use crate::web::error::Failure;
use crate::web::text::{count, visible};

/// Characters of a question; more are cut.
const LONGEST: usize = 200;

/// Things of a kind that are shown.
const MOST: usize = 50;

/// The page of what was found.
#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage {
    title: String,
    asked: String,
    /// How many, in words.
    found: String,
    groups: Vec<Group>,
}

/// What was found of one kind.
#[derive(Debug)]
struct Group {
    title: &'static str,
    hits: Vec<Hit>,
    /// So many more.
    more: usize,
}

/// Something that was found.
#[derive(Debug)]
struct Hit {
    link: String,
    name: String,
    /// What shape and colour it has, if any.
    status: &'static str,
    text: String,
}

/// A question: all of its words must be there, in whatever case.
struct Question(Vec<String>);

impl Question {
    fn new(text: &str) -> Self {
        let text: String = text.chars().take(LONGEST).collect();
        Self(text.split_whitespace().map(str::to_lowercase).collect())
    }

    /// Whether all its words are in one of the texts or another; none are nowhere.
    fn fits(&self, texts: &[&str]) -> bool {
        let texts: Vec<String> = texts.iter().map(|text| text.to_lowercase()).collect();
        !self.0.is_empty() && self.0.iter().all(|word| texts.iter().any(|text| text.contains(word.as_str())))
    }
}

pub(super) fn part(site: &Site, view: &View, asked: &str) -> Result<Part, Failure> {
    let question = Question::new(asked);
    let groups = vec![
        group("Checks", checks(view, &question)),
        group("Incidents", incidents(view, &question)),
        group("Remedies", remedies(view, &question)),
        group("Services", services(site, &question)),
    ];
    let number: usize = groups.iter().map(|group| group.hits.len() + group.more).sum();
    let title = format!("Search · {}", site.node);
    let page = SearchPage {
        title: title.clone(),
        asked: visible(asked, LONGEST),
        found: match (question.0.is_empty(), number) {
            (true, _) => "Words that are in a name or in what is said".to_owned(),
            (false, 0) => "Nothing was found".to_owned(),
            (false, number) => format!("{} found", count(number, "thing")),
        },
        groups: groups.into_iter().filter(|group| !group.hits.is_empty()).collect(),
    };
    render(&page, title, false)
}

fn group(title: &'static str, hits: impl Iterator<Item = Hit>) -> Group {
    let (mut shown, mut more) = (Vec::new(), 0);
    for hit in hits {
        if shown.len() < MOST { shown.push(hit) } else { more += 1 }
    }
    Group { title, hits: shown, more }
}

fn checks<'a>(view: &'a View, question: &'a Question) -> impl Iterator<Item = Hit> + 'a {
    view.checks.iter().filter_map(|(name, check)| {
        let said = check.last.as_ref().map_or("", |(_, sample)| sample.summary.as_str());
        question.fits(&[name.as_str(), said, check.status.as_str()]).then(|| Hit {
            link: format!("/checks/{name}"),
            name: name.to_string(),
            status: check.status.as_str(),
            text: visible(said, TEXT),
        })
    })
}

fn incidents<'a>(view: &'a View, question: &'a Question) -> impl Iterator<Item = Hit> + 'a {
    view.incidents.values().rev().filter_map(|incident| {
        let id = incident.id.to_string();
        question.fits(&[&id, incident.check.as_str(), &incident.summary]).then(|| Hit {
            link: format!("/incidents/{id}"),
            name: format!("{id} {}", incident.check),
            status: incident.status.as_str(),
            text: visible(&incident.summary, TEXT),
        })
    })
}

fn remedies<'a>(view: &'a View, question: &'a Question) -> impl Iterator<Item = Hit> + 'a {
    view.plan.remedies.iter().filter_map(|(name, remedy)| {
        let steps = steps(remedy);
        question.fits(&[name.as_str(), remedy.target.as_str(), &steps]).then(|| Hit {
            link: format!("/remedies#remedy-{name}"),
            name: name.to_string(),
            status: "",
            text: format!("works on {}: {steps}", remedy.target),
        })
    })
}

/// The steps of a remedy with what they do.
fn steps(remedy: &Remedy) -> String {
    let each = remedy.steps.iter().map(|step| match &step.kind {
        StepKind::Act { action, .. } => format!("{} does {action}", step.name),
        StepKind::Wait { condition, .. } => format!("{} waits for {condition}", step.name),
    });
    visible(&each.collect::<Vec<_>>().join(", "), TEXT)
}

fn services<'a>(site: &'a Site, question: &'a Question) -> impl Iterator<Item = Hit> + 'a {
    site.services.all().into_iter().filter_map(|view| {
        let config = &view.config;
        let units: Vec<String> = config.units.iter().map(ToString::to_string).collect();
        let text = format!("{} on {}", units.join(", "), config.nodes.join(", "));
        question.fits(&[config.name.as_str(), &text]).then(|| Hit {
            link: format!("/v1/services/{}", config.name),
            name: config.name.to_string(),
            status: "",
            text: visible(&text, TEXT),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_words_of_a_question_must_be_somewhere() {
        let fits = |question: &str, texts: &[&str]| Question::new(question).fits(texts);
        assert!(fits("SHOP 503", &["shop", "HTTP 503 Service Unavailable"]));
        assert!(!fits("shop 404", &["shop", "HTTP 503"]));
        assert!(!fits("  ", &["shop"]));
        assert!(fits("grün", &["GRÜN"]));
    }
}
