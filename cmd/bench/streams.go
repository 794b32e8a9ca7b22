package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"text/tabwriter"
	"time"
)

// Bounds of an open answer, and of the time a logout takes to close all of them.
const (
	maxStreamCPU    = 1.2
	maxStreamMemory = 1.1
	maxStreamClose  = 2 * time.Second
	// idleCPU is what the gateway may use by itself, in ms/s, with or without streams.
	idleCPU = 5.0
)

// streamKind is one way to keep an answer open.
type streamKind struct {
	name, path, headers string
	status              int
}

var (
	webSockets = streamKind{
		"WebSocket", "/ws", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n",
		http.StatusSwitchingProtocols,
	}
	events = streamKind{"SSE", "/events", "Accept: text/event-stream\r\nCache-Control: no-cache\r\n", http.StatusOK}
)

type streamsReport struct {
	Streams int          `json:"streams"`
	Idle    []idleReport `json:"idle"`
	Busy    []row        `json:"busy"` // CPU is that of an event
	Rounds  int          `json:"rounds"`
	Slice   string       `json:"slice"`
	Missing []string     `json:"missing,omitempty"`
}

type idleReport struct {
	Kind       string        `json:"kind"`
	Stock      streamsOf     `json:"stock"`
	Gateway    streamsOf     `json:"gateway"`
	Memory     float64       `json:"memory_to_stock"`
	LogoutTime time.Duration `json:"logout_ns"`
}

// streamsOf is what a proxy uses for the streams.
type streamsOf struct {
	CPU    float64 `json:"cpu_ms_per_second"`
	Memory float64 `json:"resident_bytes_per_stream"`
}

// streams measures idle WebSockets and events beside stock Caddy, a logout that closes
// all, and events that come often.
func (b *bench) streams() error {
	n := b.allowedStreams()
	b.collector = goDefault // both alike
	r := streamsReport{Streams: n, Rounds: b.rounds, Slice: b.duration.String(), Missing: b.missing}
	for _, kind := range []streamKind{webSockets, events} {
		idle, err := b.idleStreams(kind, n)
		if err != nil {
			return fmt.Errorf("%s: %w", kind.name, err)
		}
		r.Idle = append(r.Idle, idle)
	}
	var err error
	if r.Busy, err = b.busyEvents(); err != nil {
		return fmt.Errorf("busy events: %w", err)
	}
	return b.reportStreams(r)
}

// allowedStreams is how many can be opened here, at most -sockets.
func (b *bench) allowedStreams() int {
	most := maxSockets()
	if b.sockets > most {
		b.missing = append(b.missing, fmt.Sprintf("%d streams: this system allows %d", b.sockets, most))
	}
	return min(b.sockets, most)
}

// idleStreams measures one kind in two proxies that have had no other.
func (b *bench) idleStreams(kind streamKind, n int) (r idleReport, err error) {
	r.Kind = kind.name
	stock, gateway, tokens, err := b.streamProxies(kind.name, n)
	if err != nil {
		return r, err
	}
	defer stock.stop()
	defer gateway.stop()
	var open []net.Conn
	defer func() { closeAll(open) }()
	for _, proxy := range []struct {
		*process
		of *streamsOf
	}{{stock, &r.Stock}, {gateway, &r.Gateway}} {
		conns, each, err := b.openStreams(proxy.process, kind, n, tokens)
		open = append(open, conns...)
		if err != nil {
			return r, err
		}
		proxy.of.Memory = each
	}
	if r.Stock.CPU, r.Gateway.CPU, err = b.idle(stock, gateway); err != nil {
		return r, err
	}
	closeAll(open)
	open = nil
	r.Memory = r.Gateway.Memory / r.Stock.Memory
	r.LogoutTime, err = b.logoutTime(gateway, kind, n, tokens[0])
	return r, err
}

// streamProxies starts both, and has the gateway know n tokens, so that what is left
// over from verifying them is not taken for memory of the streams.
func (b *bench) streamProxies(name string, n int) (stock, gateway *process, tokens []string, err error) {
	if stock, err = b.stockProxy("stock", ""); err != nil {
		return nil, nil, nil, err
	}
	if gateway, err = b.gatewayProxy("gateway", filepath.Join(b.dir, "gateway-"+name), "off", ""); err != nil {
		return nil, nil, nil, err
	}
	if tokens, err = b.logins(gateway.addr, n); err != nil {
		return nil, nil, nil, err
	}
	return stock, gateway, tokens, b.useTokens(gateway, tokens)
}

// useTokens sends a request with each token.
func (b *bench) useTokens(p *process, tokens []string) error {
	c, err := dial(b.ctx, p.addr, b.connections)
	if err != nil {
		return err
	}
	defer c.close()
	if _, err := c.run(b.ctx, inTurn(gets("/", tokens, 0)), limit{requests: len(tokens)}); err != nil {
		return fmt.Errorf("using tokens: %w", err)
	}
	return nil
}

// openStreams opens n of a kind and returns what each takes of the proxy's memory.
func (b *bench) openStreams(p *process, kind streamKind, n int, tokens []string) ([]net.Conn, float64, error) {
	// A few first, so that what is there once is not counted.
	warm, err := b.dialStreams(p, kind, min(n, 100), tokens)
	if err != nil {
		return warm, 0, err
	}
	before, err := b.settled(p)
	if err != nil {
		return warm, 0, err
	}
	conns, err := b.dialStreams(p, kind, n-len(warm), tokens[len(warm):])
	all := slices.Concat(warm, conns)
	if err != nil {
		return all, 0, err
	}
	after, err := b.settled(p)
	return all, float64(after-before) / float64(max(len(conns), 1)), err
}

// settled is the memory of a process once the streams have been idle for a while.
func (b *bench) settled(p *process) (int, error) {
	select {
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	case <-time.After(3 * time.Second):
	}
	return residentBytes(p.cmd.Process.Pid)
}

func (b *bench) dialStreams(p *process, kind streamKind, n int, tokens []string) ([]net.Conn, error) {
	conns, errs := make([]net.Conn, n), make([]error, 16)
	var group sync.WaitGroup
	for worker := range errs {
		group.Go(func() {
			for i := worker; i < n && errs[worker] == nil; i += len(errs) {
				conns[i], _, errs[worker] = b.dialStream(p.addr, kind, tokens[i%len(tokens)])
			}
		})
	}
	group.Wait()
	conns = slices.DeleteFunc(conns, func(conn net.Conn) bool { return conn == nil })
	return conns, firstError(errs)
}

// dialStream returns the connection and the body as far as it goes.
func (b *bench) dialStream(addr string, kind streamKind, token string) (net.Conn, io.Reader, error) {
	conn, err := new(net.Dialer).DialContext(b.ctx, "tcp", addr)
	if err != nil {
		return nil, nil, fmt.Errorf("opening stream: %w", err)
	}
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: bench.test\r\n%sAuthorization: Bearer %s\r\n\r\n", kind.path, kind.headers, token)
	if err != nil {
		return conn, nil, fmt.Errorf("opening stream: %w", err)
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 512), nil) //nolint:bodyclose // the connection is the body
	if err != nil {
		return conn, nil, fmt.Errorf("opening stream: %w", err)
	}
	if resp.StatusCode != kind.status {
		return conn, nil, fmt.Errorf("opening stream: status %d", resp.StatusCode)
	}
	return conn, resp.Body, nil
}

func closeAll(conns []net.Conn) {
	for _, conn := range conns {
		_ = conn.Close()
	}
}

// idle measures both proxies in the same slices, while no client sends anything, in ms/s.
func (b *bench) idle(stock, gateway *process) (ofStock, ofGateway float64, err error) {
	both := func() (s, g time.Duration, err error) {
		if s, err = cpuTime(stock.cmd.Process.Pid); err != nil {
			return 0, 0, err
		}
		g, err = cpuTime(gateway.cmd.Process.Pid)
		return s, g, err
	}
	start := time.Now()
	s, g, err := both()
	if err != nil {
		return 0, 0, err
	}
	select {
	case <-b.ctx.Done():
		return 0, 0, b.ctx.Err()
	case <-time.After(time.Duration(b.rounds) * b.duration):
	}
	seconds := time.Since(start).Seconds()
	sAfter, gAfter, err := both()
	return (sAfter - s).Seconds() * 1000 / seconds, (gAfter - g).Seconds() * 1000 / seconds, err
}

var errOpen = errors.New("a stream is still open long after the logout")

// logoutTime opens n streams of one session and returns how long after its logout
// was asked for the last one is closed.
func (b *bench) logoutTime(p *process, kind streamKind, n int, token string) (time.Duration, error) {
	conns, err := b.dialStreams(p, kind, n, []string{token})
	defer closeAll(conns)
	if err != nil {
		return 0, err
	}
	if _, err := b.settled(p); err != nil {
		return 0, err
	}
	deadline := time.Now().Add(time.Minute)
	errs := make([]error, len(conns))
	var closed sync.WaitGroup
	for i, conn := range conns {
		_ = conn.SetReadDeadline(deadline)
		closed.Go(func() {
			var timeout net.Error
			if _, err := io.Copy(io.Discard, conn); errors.As(err, &timeout) && timeout.Timeout() {
				errs[i] = errOpen
			}
		})
	}
	start := time.Now()
	req, err := http.NewRequestWithContext(b.ctx, http.MethodPost, "http://"+p.addr+"/wechat/logout", nil)
	if err != nil {
		return 0, fmt.Errorf("logging out: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, fmt.Errorf("logging out: %w", err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		return 0, fmt.Errorf("logging out: status %d", resp.StatusCode)
	}
	closed.Wait()
	return time.Since(start), firstError(errs)
}

func (b *bench) reportStreams(r streamsReport) error {
	var err error
	if b.json {
		err = printJSON(b.out, r)
	} else {
		err = r.print(b.out)
	}
	if err != nil {
		return err
	}
	for _, idle := range r.Idle {
		// Idle streams cost stock Caddy next to nothing, so a ratio alone says nothing.
		if b.check && (idle.Gateway.CPU > maxStreamCPU*idle.Stock.CPU+idleCPU || idle.Memory > maxStreamMemory || idle.LogoutTime > maxStreamClose) {
			return errBound
		}
	}
	return nil
}

func (r *streamsReport) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(w, "%d idle streams of as many sessions, %d × %s\n\n", r.Streams, r.Rounds, r.Slice)
	_, _ = fmt.Fprintf(w, "\tCPU ms/s\tKiB each\tto stock\ta logout closes all in\t\n")
	for _, idle := range r.Idle {
		_, _ = fmt.Fprintf(w, "%s, stock\t%.1f\t%.1f\t1.00\t\t\n", idle.Kind, idle.Stock.CPU, idle.Stock.Memory/1024)
		_, _ = fmt.Fprintf(w, "%s, gateway\t%.1f\t%.1f\t%.2f\t%s\t\n", idle.Kind, idle.Gateway.CPU, idle.Gateway.Memory/1024, idle.Memory, idle.LogoutTime.Round(time.Millisecond))
	}
	_, _ = fmt.Fprintf(w, "bound\t≤ %.1f × stock + %.0f\t\t≤ %.1f\t≤ %s\t\n", maxStreamCPU, idleCPU, maxStreamMemory, maxStreamClose)
	_, _ = fmt.Fprintf(w, "\n%d streams with %d events a second each, %d rounds of %s\n\n", busyStreams, busyRate, r.Rounds, r.Slice)
	_, _ = fmt.Fprintf(w, "\tCPU µs an event\tto stock\tspread\tevents/s\t\n")
	for _, row := range r.Busy {
		_, _ = fmt.Fprintf(w, "%s\t%.1f\t%s\t%.0f\t\n", row.Name, row.CPU, row.Ratio, row.PerSecond)
	}
	for _, text := range r.Missing {
		_, _ = fmt.Fprintln(w, "missing:", text)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}
