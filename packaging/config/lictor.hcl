# What Lictor watches and does on this machine. As it is, it looks at disks and memory, tells nobody and changes nothing.
#
#   lictor validate                   shows every mistake in here, with a way out
#   systemctl enable --now lictor     starts it, now and at each boot
#   systemctl reload lictor           has it read this again
#   lictor status                     how things stand; the page is at http://127.0.0.1:8510/
#
# All files of this directory that end in .hcl or .json are read. docs/configuration.md beside the examples in
# /usr/share/doc/lictor says what there is.

watch "disk" "disks" {
  every = "1m"
}

watch "memory" "memory" {
}

# A unit that is restarted when it has failed, at most three times in an hour. Lictor runs without root; what is named
# here it may do, and nothing else, where polkit is installed.
#
# watch "unit" "shop" {
#   unit = "shop.service"
# }
#
# rule "restart-shop" {
#   on       = check.shop == "critical"
#   cooldown = "2m"
#   budget   = "3 in 1h"
#   act "systemd" {
#     unit         = "shop.service"
#     reset_failed = true
#   }
# }
