//! The integration tests of the agent, in one binary.

mod act_bench;
mod act_exec;
mod act_http;
mod act_restart;
mod alert_consul;
mod alert_consul_faults;
mod alert_consul_rig;
#[cfg(test)]
mod alert_prometheus;
mod browser;
mod follow_file;
mod follow_journal;
mod follow_rig;
mod follow_stream;
mod guard_host;
mod guard_rig;
mod host_watch;
mod lease;
mod nomad_act;
mod nomad_prepare;
mod nomad_rig;
#[cfg(test)]
mod notify_calls;
#[cfg(test)]
mod notify_mail;
mod notify_sns;
mod prometheus_watch;
mod public_ip_watch;
mod qbittorrent_act;
mod qbittorrent_watch;
mod redis_watch;
mod replicate;
mod replicate_faults;
mod replicate_three;
mod service;
mod service_board;
mod service_hooks;
mod service_http;
mod service_rig;
mod swap_act;
mod systemd_host;
mod systemd_rig;
mod vpn_act;
mod vpn_watch;
mod watch_all;
mod watch_dns;
mod watch_exec;
mod watch_http;
mod watch_process;
mod watch_rig;
mod watch_tcp;
mod watch_tls;
#[cfg(test)]
mod web_alerts;
#[cfg(test)]
mod web_api;
#[cfg(test)]
mod web_audit;
#[cfg(test)]
mod web_auth;
#[cfg(test)]
mod web_client;
#[cfg(test)]
mod web_clustered;
#[cfg(test)]
mod web_copies;
#[cfg(test)]
mod web_copying;
#[cfg(test)]
mod web_desk;
#[cfg(test)]
mod web_events;
#[cfg(test)]
mod web_groups;
mod web_hostile;
#[cfg(test)]
mod web_limits;
#[cfg(test)]
mod web_manual;
#[cfg(test)]
mod web_page;
#[cfg(test)]
mod web_peers;
#[cfg(test)]
mod web_services;
#[cfg(test)]
mod web_story;
#[cfg(test)]
mod web_world;
mod webhook_calls;
mod whole_rig;
