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

// Bounds of an idle WebSocket, and of the time a logout takes to close all of them.
const (
	maxStreamCPU    = 1.2
	maxStreamMemory = 1.1
	maxStreamClose  = 2 * time.Second
	// idleCPU is what the gateway may use by itself, in ms/s, with or without sockets.
	idleCPU = 5.0
)

type streamsReport struct {
	Sockets    int           `json:"sockets"`
	Sessions   int           `json:"sessions"`
	Stock      streamsOf     `json:"stock"`
	Gateway    streamsOf     `json:"gateway"`
	Memory     float64       `json:"memory_to_stock"`
	LogoutTime time.Duration `json:"logout_ns"`
}

// streamsOf is what a proxy uses for the sockets.
type streamsOf struct {
	CPU    float64 `json:"cpu_ms_per_second"`
	Memory float64 `json:"resident_bytes_per_socket"`
}

// webSocket is the handler of the upstream that takes every WebSocket and then waits.
func webSocket(w http.ResponseWriter, _ *http.Request) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "no WebSocket", http.StatusBadRequest)
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	_, _ = io.Copy(io.Discard, buffered)
}

// streams measures idle WebSockets beside stock Caddy, and a logout that closes all.
func (b *bench) streams() error {
	n := b.sockets
	if most := maxSockets(); n > most {
		b.missing = append(b.missing, fmt.Sprintf("%d sockets: this system allows %d", n, most))
		n = most
	}
	b.gogc = "100" // both alike
	stock, err := b.stockProxy("stock", "")
	if err != nil {
		return err
	}
	gateway, err := b.gatewayProxy("gateway", filepath.Join(b.dir, "gateway-streams"), "off", "")
	if err != nil {
		return err
	}
	tokens, err := b.logins(gateway.addr, n)
	if err != nil {
		return err
	}
	// Tokens are known, so that what is left over from verifying them is not taken for
	// memory of the sockets.
	if err := b.useTokens(gateway, tokens); err != nil {
		return err
	}
	r := streamsReport{Sockets: n, Sessions: len(tokens)}
	var open []net.Conn
	defer func() { closeAll(open) }()
	for _, proxy := range []struct {
		*process
		of *streamsOf
	}{{stock, &r.Stock}, {gateway, &r.Gateway}} {
		conns, perSocket, err := b.openSockets(proxy.process, n, tokens)
		open = append(open, conns...)
		if err != nil {
			return err
		}
		proxy.of.Memory = perSocket
	}
	if err := b.idle(stock, gateway, &r); err != nil {
		return err
	}
	closeAll(open)
	open = nil
	r.Memory = r.Gateway.Memory / r.Stock.Memory
	if r.LogoutTime, err = b.logoutTime(gateway, n, tokens[0]); err != nil {
		return err
	}
	return b.reportStreams(r)
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

// openSockets opens n WebSockets and returns what each takes of the proxy's memory.
func (b *bench) openSockets(p *process, n int, tokens []string) ([]net.Conn, float64, error) {
	// A few first, so that what is there once is not counted.
	warm, err := b.dialSockets(p, min(n, 100), tokens)
	if err != nil {
		return warm, 0, err
	}
	before, err := b.settled(p)
	if err != nil {
		return warm, 0, err
	}
	conns, err := b.dialSockets(p, n-len(warm), tokens[len(warm):])
	all := slices.Concat(warm, conns)
	if err != nil {
		return all, 0, err
	}
	after, err := b.settled(p)
	return all, float64(after-before) / float64(max(len(conns), 1)), err
}

// settled is the memory of a process once the sockets have been idle for a while.
func (b *bench) settled(p *process) (int, error) {
	select {
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	case <-time.After(3 * time.Second):
	}
	return residentBytes(p.cmd.Process.Pid)
}

func (b *bench) dialSockets(p *process, n int, tokens []string) ([]net.Conn, error) {
	conns, errs := make([]net.Conn, n), make([]error, 16)
	var group sync.WaitGroup
	for worker := range errs {
		group.Go(func() {
			for i := worker; i < n && errs[worker] == nil; i += len(errs) {
				conns[i], errs[worker] = b.dialSocket(p.addr, tokens[i%len(tokens)])
			}
		})
	}
	group.Wait()
	conns = slices.DeleteFunc(conns, func(conn net.Conn) bool { return conn == nil })
	return conns, firstError(errs)
}

func (b *bench) dialSocket(addr, token string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(b.ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("opening WebSocket: %w", err)
	}
	_, err = fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: bench.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nAuthorization: Bearer %s\r\n\r\n", token)
	if err != nil {
		return conn, fmt.Errorf("opening WebSocket: %w", err)
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 512), nil) //nolint:bodyclose // the connection is the body
	if err != nil {
		return conn, fmt.Errorf("opening WebSocket: %w", err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return conn, fmt.Errorf("opening WebSocket: status %d", resp.StatusCode)
	}
	return conn, nil
}

func closeAll(conns []net.Conn) {
	for _, conn := range conns {
		_ = conn.Close()
	}
}

// idle measures both proxies in the same slices, while nobody sends anything.
func (b *bench) idle(stock, gateway *process, r *streamsReport) error {
	var ofStock, ofGateway []float64
	for range b.rounds {
		var before, after [2]time.Duration
		for i, p := range []*process{stock, gateway} {
			var err error
			if before[i], err = cpuTime(p.cmd.Process.Pid); err != nil {
				return err
			}
		}
		start := time.Now()
		select {
		case <-b.ctx.Done():
			return b.ctx.Err()
		case <-time.After(b.duration):
		}
		seconds := time.Since(start).Seconds()
		for i, p := range []*process{stock, gateway} {
			var err error
			if after[i], err = cpuTime(p.cmd.Process.Pid); err != nil {
				return err
			}
		}
		s, g := (after[0]-before[0]).Seconds()*1000/seconds, (after[1]-before[1]).Seconds()*1000/seconds
		ofStock, ofGateway = append(ofStock, s), append(ofGateway, g)
	}
	r.Stock.CPU, r.Gateway.CPU = mean(ofStock), mean(ofGateway)
	return nil
}

func mean(values []float64) (mean float64) {
	for _, value := range values {
		mean += value / float64(len(values))
	}
	return mean
}

var errOpen = errors.New("a WebSocket is still open long after the logout")

// logoutTime opens n WebSockets of one session and returns how long after its logout
// was asked for the last one is closed.
func (b *bench) logoutTime(p *process, n int, token string) (time.Duration, error) {
	conns, err := b.dialSockets(p, n, []string{token})
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
	if b.json {
		if err := printJSON(b.out, r); err != nil {
			return err
		}
	} else {
		w := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintf(w, "%d idle WebSockets of %d sessions, %d rounds of %s\n\n", r.Sockets, r.Sessions, b.rounds, b.duration)
		_, _ = fmt.Fprintf(w, "\tCPU ms/s\tKiB a socket\t\n")
		_, _ = fmt.Fprintf(w, "stock\t%.1f\t%.1f\t\n", r.Stock.CPU, r.Stock.Memory/1024)
		_, _ = fmt.Fprintf(w, "gateway\t%.1f\t%.1f\t\n", r.Gateway.CPU, r.Gateway.Memory/1024)
		_, _ = fmt.Fprintf(w, "bound\t≤ %.1f × stock + %.0f\t≤ %.1f × stock\t\n\n", maxStreamCPU, idleCPU, maxStreamMemory)
		_, _ = fmt.Fprintf(w, "memory of a socket: %.2f of stock's\n", r.Memory)
		_, _ = fmt.Fprintf(w, "a logout closes %d of one session in %s; bound ≤ %s\n", r.Sockets, r.LogoutTime.Round(time.Millisecond), maxStreamClose)
		for _, text := range b.missing {
			_, _ = fmt.Fprintln(w, "missing:", text)
		}
		if err := w.Flush(); err != nil {
			return fmt.Errorf("printing: %w", err)
		}
	}
	// Idle sockets cost stock Caddy next to nothing, so a ratio alone says nothing.
	if b.check && (r.Gateway.CPU > maxStreamCPU*r.Stock.CPU+idleCPU || r.Memory > maxStreamMemory || r.LogoutTime > maxStreamClose) {
		return errBound
	}
	return nil
}
