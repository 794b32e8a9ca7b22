#!/bin/sh
# The service's user, before files are given to its group.
set -e
if ! getent group caddy-wechat >/dev/null; then
	groupadd --system caddy-wechat
fi
if ! getent passwd caddy-wechat >/dev/null; then
	useradd --system --gid caddy-wechat --home-dir /var/lib/caddy-wechat --shell /usr/sbin/nologin caddy-wechat
fi
