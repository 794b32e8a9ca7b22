package main

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-wechat/gateway/internal/freeport"
)

const (
	weChatDelay = 50 * time.Millisecond
	// loginConnections keep one core busy: 50 ms of waiting is 100 connections
	// per 2,000 logins a second.
	loginConnections = 256
	// maxLoginCPU is one core's share at 2,000 logins a second.
	maxLoginCPU = 500.0
)

type loginReport struct {
	Logins              int     `json:"logins"`
	PerSecond           float64 `json:"logins_per_second"`
	CPU                 float64 `json:"cpu_us_per_login"`
	P50                 float64 `json:"p50_ms"`
	P99                 float64 `json:"p99_ms"`
	WeChatConnections   int     `json:"wechat_connections"`
	HeapBefore          int     `json:"heap_bytes_before"`
	HeapAfter           int     `json:"heap_bytes_after"`
	ResidentBefore      int     `json:"resident_bytes_before"`
	ResidentAfter       int     `json:"resident_bytes_after"`
	HeapBytesPerSession float64 `json:"heap_bytes_per_session"`
}

// login measures logins of users who are all new, with WeChat at 50 ms.
func (b *bench) login() error {
	p, admin, err := b.gatewayWithAdmin("gateway", filepath.Join(b.dir, "gateway-login"), "")
	if err != nil {
		return err
	}
	r, err := b.measureLogins(p, admin)
	if err != nil {
		return err
	}
	if err := b.printLogin(r); err != nil {
		return err
	}
	if b.check && r.CPU > maxLoginCPU {
		return errBound
	}
	return nil
}

// measureLogins logs in users who are all new over many connections.
func (b *bench) measureLogins(p *process, admin string) (r loginReport, err error) {
	if _, err := b.fetch("http://" + b.wechat.addr + "/delay?of=" + weChatDelay.String()); err != nil {
		return r, err
	}
	c, err := dial(b.ctx, p.addr, loginConnections)
	if err != nil {
		return r, err
	}
	defer c.close()
	next := b.newLogins()
	if _, err := c.run(b.ctx, next, limit{requests: 2 * loginConnections}); err != nil {
		return r, fmt.Errorf("warming up: %w", err)
	}
	if r.HeapBefore, r.ResidentBefore, err = b.memory(p, admin); err != nil {
		return r, err
	}
	connections, err := b.weChatConnections()
	if err != nil {
		return r, err
	}
	before, err := cpuTime(p.cmd.Process.Pid)
	if err != nil {
		return r, err
	}
	result, err := c.run(b.ctx, next, limit{duration: time.Duration(b.rounds) * b.duration})
	if err != nil {
		return r, fmt.Errorf("logging in: %w", err)
	}
	after, err := cpuTime(p.cmd.Process.Pid)
	if err != nil {
		return r, err
	}
	if r.WeChatConnections, err = b.weChatConnections(); err != nil {
		return r, err
	}
	r.WeChatConnections -= connections
	if r.HeapAfter, r.ResidentAfter, err = b.memory(p, admin); err != nil {
		return r, err
	}
	r.Logins, r.PerSecond = result.requests, float64(result.requests)/result.elapsed.Seconds()
	r.CPU = micros(after-before) / float64(max(result.requests, 1))
	r.P50, r.P99 = micros(quantile(result.latencies, 0.5))/1000, micros(quantile(result.latencies, 0.99))/1000
	r.HeapBytesPerSession = float64(r.HeapAfter-r.HeapBefore) / float64(max(result.requests, 1))
	return r, nil
}

func (b *bench) printLogin(r loginReport) error {
	if b.json {
		return printJSON(b.out, r)
	}
	_, err := fmt.Fprintf(b.out, `logins, WeChat at %s, %d connections
logins                    %d
logins/s                  %.0f
CPU µs per login          %.0f (at most %.0f for 2,000/s from one core)
p50, p99 ms               %.1f, %.1f
new connections to WeChat %d, %.1f per 1,000 logins
heap after a collection   %.1f MB before, %.1f MB after: %.0f bytes per login, the code and its reply included
resident                  %.1f MB before, %.1f MB after
`, weChatDelay, loginConnections, r.Logins, r.PerSecond, r.CPU, maxLoginCPU, r.P50, r.P99,
		r.WeChatConnections, 1000*float64(r.WeChatConnections)/float64(max(r.Logins, 1)),
		megabytes(r.HeapBefore), megabytes(r.HeapAfter), r.HeapBytesPerSession, megabytes(r.ResidentBefore), megabytes(r.ResidentAfter))
	return err
}

func (b *bench) weChatConnections() (int, error) {
	text, err := b.fetch("http://" + b.wechat.addr + "/connections")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}

// gatewayWithAdmin starts a gateway with Caddy's admin endpoint on loopback.
func (b *bench) gatewayWithAdmin(name, dir, store string) (p *process, admin string, err error) {
	if admin, err = freeport.Addr(); err != nil {
		return nil, "", err
	}
	p, err = b.gatewayProxy(name, dir, admin, store)
	return p, admin, err
}

// memory is what lives on the heap after a collection, and what is resident.
func (b *bench) memory(p *process, admin string) (heap, resident int, err error) {
	text, err := b.fetch("http://" + admin + "/debug/pprof/heap?gc=1&debug=1")
	if err != nil {
		return 0, 0, err
	}
	if heap, err = parseHeap(text); err != nil {
		return 0, 0, err
	}
	resident, err = residentBytes(p.cmd.Process.Pid)
	return heap, resident, err
}

// parseHeap reads HeapAlloc out of the text form of a heap profile.
func parseHeap(text string) (int, error) {
	const field = "# HeapAlloc = "
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			return strconv.Atoi(strings.TrimSpace(rest))
		}
	}
	return 0, fmt.Errorf("reading heap profile: there is no %q", field)
}

func (b *bench) fetch(url string) (string, error) {
	req, err := http.NewRequestWithContext(b.ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", fmt.Errorf("asking: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("asking: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return "", fmt.Errorf("reading answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answered %d", req.URL.Path, resp.StatusCode)
	}
	return string(text), nil
}
