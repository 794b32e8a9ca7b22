package redistest

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy is the network in front of a server: what passes it can be late, and its
// connections can be cut.
type Proxy struct {
	// Addr is host:port.
	Addr string

	to       string
	listener net.Listener

	mu    sync.Mutex
	delay time.Duration
	conns map[net.Conn]bool
}

// NewProxy starts a proxy in front of an address.
func NewProxy(t testing.TB, to string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Addr: listener.Addr().String(), to: to, listener: listener, conns: make(map[net.Conn]bool)}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		p.Cut()
		group.Wait()
	})
	return p
}

// Delay makes whatever the server answers from now on arrive this much later.
func (p *Proxy) Delay(delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = delay
}

// Cut closes all connections; new ones can be made.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		conn.Close()
	}
}

func (p *Proxy) track(conn net.Conn, open bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if open {
		p.conns[conn] = true
		return
	}
	delete(p.conns, conn)
	conn.Close()
}

func (p *Proxy) serve(client net.Conn) {
	p.track(client, true)
	defer p.track(client, false)
	server, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	p.track(server, true)
	defer p.track(server, false)
	go func() {
		_, _ = io.Copy(server, client)
		server.Close()
	}()
	// Answers keep their order, and each its own delay: it is latency, not a
	// narrow line.
	type part struct {
		data []byte
		due  time.Time
	}
	parts := make(chan part, 1024)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for part := range parts {
			time.Sleep(time.Until(part.due))
			if _, err := client.Write(part.data); err != nil {
				server.Close()
			}
		}
	}()
	for {
		data := make([]byte, 16<<10)
		n, err := server.Read(data)
		if n > 0 {
			p.mu.Lock()
			delay := p.delay
			p.mu.Unlock()
			parts <- part{data[:n], time.Now().Add(delay)}
		}
		if err != nil {
			break
		}
	}
	close(parts)
	<-done
}
