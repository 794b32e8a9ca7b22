// Package loopback says what is on this machine only.
package loopback

import (
	"net"
	"strings"
)

// Host reports whether a host name or address is a loopback one: an address of
// 127.0.0.0/8, ::1, or localhost (RFC 6761 section 6.3).
func Host(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
