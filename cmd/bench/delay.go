package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// network is what lies between nodes and a server: whatever goes through it arrives
// later, and the messages that tell a node what changed are counted.
type network struct {
	listener      net.Listener
	delay         time.Duration
	invalidations atomic.Int64
	mu            sync.Mutex
	open          []net.Conn
}

// invalidate begins a push message of Redis that names keys which changed.
var invalidate = []byte(">2\r\n$10\r\ninvalidate\r\n")

// newNetwork leads from a port of its own to the server.
func newNetwork(to string, delay time.Duration) (*network, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed with the run
	if err != nil {
		return nil, err
	}
	n := &network{listener: listener, delay: delay}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to) //nolint:noctx // on loopback
			if err != nil {
				_ = client.Close()
				continue
			}
			n.mu.Lock()
			n.open = append(n.open, client, server)
			n.mu.Unlock()
			go n.carry(server, client, nil)
			go n.carry(client, server, &n.invalidations)
		}
	}()
	return n, nil
}

func (n *network) addr() string { return n.listener.Addr().String() }

func (n *network) close() error {
	err := n.listener.Close()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, conn := range n.open {
		err = errors.Join(err, ignoreClosed(conn.Close()))
	}
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

type parcel struct {
	data []byte
	due  time.Time
}

// carry takes what it reads to the other side, later and in order; it never makes the
// sender wait, as a network of that length would not.
func (n *network) carry(to, from net.Conn, count *atomic.Int64) {
	way := make(chan parcel, 4096)
	go func() {
		defer func() { _ = to.Close() }()
		for p := range way {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.data); err != nil {
				break
			}
		}
		for range way { // the other side is gone
		}
	}()
	defer close(way)
	var tail []byte
	for {
		buf := make([]byte, 16<<10)
		read, err := from.Read(buf)
		if read > 0 {
			if count != nil {
				seen := append(tail, buf[:read]...)
				count.Add(int64(bytes.Count(seen, invalidate)))
				tail = bytes.Clone(seen[max(0, len(seen)-len(invalidate)+1):])
			}
			way <- parcel{buf[:read], time.Now().Add(n.delay)}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				_ = from.Close()
			}
			return
		}
	}
}
