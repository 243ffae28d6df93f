//! What must be true.

use lictor_core::lease::Belief;

use super::World;

impl World<'_> {
    /// What must be true whenever a node begins to believe, or goes on.
    pub(super) fn judge(&mut self, node: usize, released: bool) -> Result<(), String> {
        let now = self.now;
        let Some(claim) = self.nodes[node].claim(now) else {
            if self.nodes[node].told.take().is_some() && !released {
                self.report.lapses += 1;
                self.say(|world| format!("{} believes nothing any more", world.nodes[node].name));
            }
            return Ok(());
        };
        let before = self.nodes[node].told.replace(claim);
        if before == Some(claim) {
            return Ok(());
        }
        self.say(|world| format!("{} believes in token {}", world.nodes[node].name, claim.token));
        let fresh = self.nodes[node].danger.is_none_or(|before| before.token != claim.token);
        self.nodes[node].danger = Some(claim);
        if fresh {
            self.report.takings += 1;
            // Who comes back to its own lease goes on under the same token.
            let again = self.highest == (claim.token, node);
            if claim.token <= self.highest.0 && !again && self.report.restores == 0 {
                return Err(format!(
                    "{} has token {} after {}",
                    self.nodes[node].name, claim.token, self.highest.0
                ));
            }
            self.highest = self.highest.max((claim.token, node));
        }
        for other in (0..self.nodes.len()).filter(|&other| other != node) {
            if !self.nodes[other].is_dangerous(now) {
                continue;
            }
            if self.nodes[node].rests_on_a_restore() || self.nodes[other].rests_on_a_restore() {
                self.report.after_restores += 1;
            } else {
                let (name, other) = (&self.nodes[node].name, &self.nodes[other].name);
                return Err(format!("{name} acts while what {other} began may still be going on"));
            }
        }
        Ok(())
    }

    /// Who holds the lease: exactly one does.
    pub(super) fn check(&self) -> Result<Belief, String> {
        let claims: Vec<Belief> = self.nodes.iter().filter_map(|node| node.claim(self.now)).collect();
        match claims.as_slice() {
            [claim] => Ok(*claim),
            others => Err(format!("{} hold the lease although all is well", others.len())),
        }
    }
}
