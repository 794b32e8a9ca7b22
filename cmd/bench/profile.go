package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/caddy-wechat/gateway/internal/freeport"
)

// profile records the CPU profile of a mixed workload: in clear text, over TLS in
// HTTP/1.1 and HTTP/2, and, if there is a redis-server, with Redis.
func (b *bench) profile(file string) error {
	profiles := []string{filepath.Join(b.dir, "plain.prof"), filepath.Join(b.dir, "tls.prof")}
	if err := b.recordPlain(profiles[0], "memory", ""); err != nil {
		return err
	}
	if err := b.recordTLS(profiles[1]); err != nil {
		return err
	}
	server, err := b.redis()
	if err != nil {
		return err
	}
	if server != nil {
		profiles = append(profiles, filepath.Join(b.dir, "redis.prof"))
		if err := b.recordPlain(profiles[2], "redis", "\t\tstore redis "+server.addr+"\n"); err != nil {
			return err
		}
	}
	args := append([]string{"tool", "pprof", "-proto", "-output=" + file}, profiles...)
	if text, err := exec.CommandContext(b.ctx, "go", args...).CombinedOutput(); err != nil { //nolint:gosec // files made here
		return fmt.Errorf("merging profiles: %w\n%s", err, text)
	}
	_, _ = fmt.Fprintf(b.out, "%s: %s of CPU profile of each of %d gateways\n", file, b.profileTime(), len(profiles))
	for _, text := range b.missing {
		_, _ = fmt.Fprintln(b.out, "NOT PROFILED:", text)
	}
	return nil
}

// profileTime is the length of a recording, in whole seconds.
func (b *bench) profileTime() time.Duration {
	return max(time.Second, (time.Duration(b.rounds) * b.duration).Round(time.Second))
}

// recordPlain profiles a gateway that users log in at.
func (b *bench) recordPlain(file, name, store string) error {
	p, admin, err := b.gatewayWithAdmin(name, filepath.Join(b.dir, "gateway-"+name), store)
	if err != nil {
		return err
	}
	defer p.stop()
	tokens, err := b.logins(p.addr, b.sessions)
	if err != nil {
		return err
	}
	return b.record(file, p, admin, tokens, plain)
}

// recordTLS profiles one that half of the clients reach in HTTP/1.1, half in HTTP/2.
func (b *bench) recordTLS(file string) error {
	tokens, dir, err := b.seeds("profile", b.sessions, oneApp)
	if err != nil {
		return err
	}
	admin, err := freeport.Addr()
	if err != nil {
		return err
	}
	p, err := b.proxy("TLS", dir, admin, true, setup{tls: true})
	if err != nil {
		return err
	}
	defer p.stop()
	v := withCheck(&variant{name: p.name, proxy: p, front: https}, ask{token: tokens[0]}, b.openID(tokens[0]))
	if err := b.awaitSessions(v); err != nil {
		return err
	}
	return b.record(file, p, admin, tokens, https, http2)
}

// record has clients of these kinds, in turn, send the workload meanwhile.
func (b *bench) record(file string, p *process, admin string, tokens []string, kinds ...front) error {
	c := new(client)
	defer func() { c.close() }()
	for i := range b.connections {
		s, err := b.dialOne(p.addr, kinds[i%len(kinds)])
		if err != nil {
			return fmt.Errorf("connecting: %w", err)
		}
		c.conns = append(c.conns, s)
	}
	mix := b.mix(tokens)
	if _, err := c.run(b.ctx, mix, limit{requests: max(warmUp, len(tokens))}); err != nil {
		return fmt.Errorf("warming up: %w", err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := c.run(b.ctx, mix, limit{duration: b.profileTime() + time.Second})
		done <- err
	}()
	text, err := b.fetch(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", admin, int(b.profileTime().Seconds())))
	if failed := <-done; failed != nil {
		return fmt.Errorf("sending the workload: %w", failed)
	}
	if err != nil {
		return fmt.Errorf("recording profile: %w", err)
	}
	return os.WriteFile(file, []byte(text), 0o600)
}

// mix is what a gateway sees on a usual day: of 100 requests, 85 with a known
// token, 10 public, 3 without a token, 1 with a forged one and 1 login.
func (b *bench) mix(tokens []string) source {
	known, logins := inTurn(gets("/", tokens, 4)), b.newLogins()
	public := call{get("/public/page", "", 4), http.StatusOK}
	anonymous := call{get("/", "", 4), http.StatusUnauthorized}
	forged := call{get("/", tokens[0][:len(tokens[0])-8]+"AAAAAAAA", 4), http.StatusUnauthorized}
	return func() (call, bool) {
		switch n := rand.IntN(100); { //nolint:gosec // a mixture, no secret
		case n < 85:
			return known()
		case n < 95:
			return public, true
		case n < 98:
			return anonymous, true
		case n < 99:
			return forged, true
		}
		return logins()
	}
}
