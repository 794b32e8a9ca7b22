// Package freeport finds addresses for servers whose ports must be known before they
// listen: those of tests, measurements and soaks.
package freeport

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
)

// The ports are below those that systems give to whoever does not ask for one, to
// connect from or to listen at. Redis in a cluster also takes its port + 10000, which is
// above these and below those.
const (
	first = 12000
	ports = 10000
)

// last is the port given out last. Processes begin at different ports.
var last atomic.Uint32

func init() { last.Store(rand.Uint32N(ports)) } //nolint:gosec // not a secret

var errNone = errors.New("no loopback port from 12000 to 21999 is free")

// Addr returns a loopback address with no listener, over TCP or UDP. In this
// process it is not given out again before all others.
func Addr() (string, error) {
	for range ports {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(first+int(last.Add(1)%ports)))
		if free(addr) {
			return addr, nil
		}
	}
	return "", errNone
}

func free(addr string) bool {
	stream, err := net.Listen("tcp", addr) //nolint:noctx // closed at once
	if err != nil {
		return false
	}
	defer func() { _ = stream.Close() }()
	packets, err := net.ListenPacket("udp", addr) //nolint:noctx // closed at once
	if err != nil {
		return false
	}
	defer func() { _ = packets.Close() }()
	return true
}
