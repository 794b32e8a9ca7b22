#!/bin/sh
# "remove" is dpkg's word for a removal, 0 is rpm's; anything else is an upgrade.
# Keys and sessions in /var/lib/caddy-wechat stay.
set -e
case "$1" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl disable --now caddy-wechat.service
	fi
	;;
esac
