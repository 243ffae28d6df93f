# The least that is of use: one thing watched, and what cures it.

watch "http" "web" {
  url        = "http://127.0.0.1:8080/"
  fail_after = 3
}

rule "restart-web" {
  on = check.web == "critical"
  act "exec" {
    command = ["systemctl", "restart", "web.service"]
  }
  verify = check.web == "passing"
}
