package operate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// probes stand for the apps of a configuration: a listener on loopback for each
// reverse_proxy, which remembers the headers of the last request it got.
type probes struct {
	server    *http.Server
	listeners []net.Listener
	names     map[string]string // of the real apps, by listener address

	mu   sync.Mutex
	seen map[string]http.Header // by listener address
}

const (
	maxProbes = 200
	probeTime = 10 * time.Second
)

func newProbes() *probes {
	p := &probes{names: make(map[string]string), seen: make(map[string]http.Header)}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: probeTime}
	return p
}

// ServeHTTP is the app.
func (p *probes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[addr.String()] = r.Header.Clone()
	w.WriteHeader(http.StatusOK)
}

// take returns and forgets what an app got; nil if it got nothing.
func (p *probes) take(addr string) http.Header {
	p.mu.Lock()
	defer p.mu.Unlock()
	header := p.seen[addr]
	delete(p.seen, addr)
	return header
}

// forget forgets what all apps got.
func (p *probes) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.seen)
}

// any reports whether some app got a request.
func (p *probes) any() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.seen) > 0
}

// add opens another listener.
func (p *probes) add(ctx context.Context) (addr string, err error) {
	if len(p.listeners) == maxProbes {
		return "", fmt.Errorf("more than %d reverse_proxy handlers", maxProbes)
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listening on loopback: %w", err)
	}
	p.listeners = append(p.listeners, ln)
	go func() { _ = p.server.Serve(ln) }() // until close
	return ln.Addr().String(), nil
}

func (p *probes) close() { _ = p.server.Close() }

// replaceApps returns the configuration with every reverse_proxy pointed at a
// probe. How it changes headers stays; how it would connect does not.
func (p *probes) replaceApps(ctx context.Context, config []byte) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(config))
	decoder.UseNumber()
	var root map[string]any
	if err := decoder.Decode(&root); err != nil {
		return nil, errors.New("the configuration cannot be read")
	}
	apps, ok := root["apps"].(map[string]any)
	if !ok {
		return nil, errors.New("the configuration has no apps")
	}
	if err := p.replaceIn(ctx, apps["http"]); err != nil {
		return nil, err
	}
	return json.Marshal(root)
}

func (p *probes) replaceIn(ctx context.Context, value any) error {
	switch v := value.(type) {
	case []any:
		for _, element := range v {
			if err := p.replaceIn(ctx, element); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, member := range v {
			if err := p.replaceIn(ctx, member); err != nil {
				return err
			}
		}
		if v["handler"] != "reverse_proxy" {
			return nil
		}
		addr, err := p.add(ctx)
		if err != nil {
			return err
		}
		p.names[addr] = appName(v["upstreams"])
		for _, connecting := range []string{"transport", "circuit_breaker", "load_balancing", "health_checks", "dynamic_upstreams"} {
			delete(v, connecting)
		}
		v["upstreams"] = []any{map[string]any{"dial": addr}}
	}
	return nil
}

// appName names an app by where it is.
func appName(upstreams any) string {
	list, _ := upstreams.([]any)
	var dials []string
	for _, element := range list {
		upstream, _ := element.(map[string]any)
		if dial, ok := upstream["dial"].(string); ok {
			dials = append(dials, dial)
		}
	}
	if len(dials) == 0 {
		return "dynamic upstreams"
	}
	return strings.Join(dials, ",")
}
