node { name = "a" datacenter = "b" }
http {
  port 80
}
agent {
  mode = observe"
}
consul {
  address = "x"
  address = "y"
}
watch "exec" "a" {
  command = ["grep", "\d"]
}
check "c" {
  all = [check.a,, check.b]
}
rule "r" {
  on = check.a ==
}
= 5
