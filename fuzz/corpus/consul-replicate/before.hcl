consul = "127.0.0.1:8500"
token = "abcd1234"
retry = "10s"
path = "/etc"
wait = "5s:10s"

auth {
  username = "test"
}

ssl "x" "y" {
  enabled = true
}
