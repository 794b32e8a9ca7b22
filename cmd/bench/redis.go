package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/session/redis"
)

const (
	// redisSessions is how many are stored to see what one takes.
	redisSessions = 1_000_000
	// redisChecked is how many sessions a new node is asked for.
	redisChecked = 10_000
)

type redisReport struct {
	Login           loginReport `json:"login"`
	LoginCommands   float64     `json:"commands_per_login"`
	Sessions        int         `json:"sessions_stored"`
	BytesPerSession float64     `json:"redis_bytes_per_session"`
	Cold, Again     coldReport
}

// coldReport is what it costs a node to learn of sessions that it does not know.
type coldReport struct {
	Commands float64 `json:"commands_per_check"`
	// Reads is how often Redis read from a connection: what is pipelined comes in one.
	Reads    float64 `json:"reads_per_check"`
	CPU      float64 `json:"cpu_us_per_request"`
	RedisCPU float64 `json:"redis_cpu_us_per_request"`
	P50      float64 `json:"p50_ms"`
}

var errNoRedis = errors.New("redis-server is not installed")

// throughRedis measures logins, cold checks, a resynchronization and memory.
func (b *bench) throughRedis() error {
	server, err := b.redis()
	if err != nil {
		return err
	}
	if server == nil {
		return errNoRedis
	}
	var r redisReport
	store := "\t\tstore redis " + server.addr + "\n"
	gateway, admin, err := b.gatewayWithAdmin("gateway", filepath.Join(b.dir, "redis-login"), store)
	if err != nil {
		return err
	}
	before, err := b.commands(server)
	if err != nil {
		return err
	}
	if r.Login, err = b.measureLogins(gateway, admin); err != nil {
		return err
	}
	after, err := b.commands(server)
	if err != nil {
		return err
	}
	r.LoginCommands = float64(after-before) / float64(max(r.Login.Logins+2*loginConnections, 1))
	if r.Cold, r.Again, err = b.coldChecks(server, gateway, store); err != nil {
		return err
	}
	if err := b.fill(server, &r); err != nil {
		return err
	}
	if err := b.printRedis(r); err != nil {
		return err
	}
	if b.check && (r.Login.CPU > maxLoginCPU || r.Cold.Reads > 1.1) {
		return errBound
	}
	return nil
}

// coldChecks lets users log in at one node and sends their tokens to another, which
// knows none of the sessions; then its connections to Redis are cut, so that it must
// forget all, and they are sent again.
func (b *bench) coldChecks(server, gateway *process, store string) (cold, again coldReport, err error) {
	n := redisChecked
	if b.quick {
		n = 200
	}
	tokens, err := b.logins(gateway.addr, n)
	if err != nil {
		return cold, again, err
	}
	node, err := b.gatewayProxy("a new node", filepath.Join(b.dir, "redis-node"), "off", store)
	if err != nil {
		return cold, again, err
	}
	if cold, err = b.checkEach(server, node, tokens); err != nil {
		return cold, again, err
	}
	if _, err := b.redisDo(server, "CLIENT KILL TYPE normal"); err != nil {
		return cold, again, err
	}
	warm := &variant{name: "the new node", proxy: node, calls: gets("/", tokens[:1], 0), check: call{get("/check", tokens[0], 0), http.StatusOK}, sees: "openid=" + b.openID(tokens[0]) + " extra="}
	if err := b.poll(node, func(context.Context) error { return b.verify(warm) }); err != nil {
		return cold, again, err
	}
	again, err = b.checkEach(server, node, tokens)
	return cold, again, err
}

func (b *bench) checkEach(server, node *process, tokens []string) (coldReport, error) {
	c, err := dial(b.ctx, node.addr, b.connections)
	if err != nil {
		return coldReport{}, err
	}
	defer c.close()
	before, err := b.usage(server, node)
	if err != nil {
		return coldReport{}, err
	}
	result, err := c.run(b.ctx, once(gets("/", tokens, 0)), limit{})
	if err != nil {
		return coldReport{}, fmt.Errorf("checking: %w", err)
	}
	after, err := b.usage(server, node)
	n := float64(max(result.requests, 1))
	return coldReport{
		Commands: float64(after.commands-before.commands) / n, Reads: float64(after.reads-before.reads) / n,
		CPU: micros(after.own-before.own) / n, RedisCPU: micros(after.redis-before.redis) / n,
		P50: micros(quantile(result.latencies, 0.5)) / 1000,
	}, err
}

// usage is what Redis and a node have done so far.
type usage struct {
	commands, reads int
	own, redis      time.Duration
}

func (b *bench) usage(server, node *process) (u usage, err error) {
	if u.commands, err = b.commands(server); err != nil {
		return u, err
	}
	if u.reads, err = b.info(server, "stats", "total_reads_processed"); err != nil {
		return u, err
	}
	if u.own, err = cpuTime(node.cmd.Process.Pid); err != nil {
		return u, err
	}
	u.redis, err = cpuTime(server.cmd.Process.Pid)
	return u, err
}

// fill stores sessions as logins do and sees how much memory Redis takes for them.
func (b *bench) fill(server *process, r *redisReport) error {
	n := redisSessions
	if b.quick {
		n = 1000
	}
	key := make([]byte, 32)
	rand.Read(key)
	store, err := redis.New(redis.Options{Addresses: []string{server.addr}, KeyPrefix: "fill:", Timeout: 10 * time.Second, NameKey: key, ValueKey: key})
	if err != nil {
		return fmt.Errorf("opening Redis: %w", err)
	}
	defer func() { _ = store.Close() }()
	if err := store.Connect(b.ctx); err != nil {
		return fmt.Errorf("connecting to Redis: %w", err)
	}
	before, err := b.redisMemory(server)
	if err != nil {
		return err
	}
	ends, errs := time.Now().Add(24*time.Hour), make([]error, 128)
	var workers sync.WaitGroup
	for worker := range errs {
		workers.Go(func() {
			for i := worker; i < n && errs[worker] == nil && b.ctx.Err() == nil; i += len(errs) {
				_, errs[worker] = store.Put(b.ctx, session.Login{
					Ref:     session.Ref{AppID: appID, OpenID: name(i, "open"), SessionID: name(i, "session")[:22]},
					UnionID: name(i, "union"), SessionKey: secret.New("MDEyMzQ1Njc4OWFiY2RlZg=="), Ends: ends,
				}, 5)
			}
		})
	}
	workers.Wait()
	if err := errors.Join(b.ctx.Err(), firstError(errs)); err != nil {
		return fmt.Errorf("storing sessions: %w", err)
	}
	after, err := b.redisMemory(server)
	r.Sessions, r.BytesPerSession = n, float64(after-before)/float64(n)
	return err
}

// redisDo sends one command as a line and returns what is answered, as it stands.
func (b *bench) redisDo(server *process, command string) (string, error) {
	conn, err := new(net.Dialer).DialContext(b.ctx, "tcp", server.addr)
	if err != nil {
		return "", fmt.Errorf("connecting to Redis: %w", err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprintf(conn, "%s\r\n", command); err != nil {
		return "", fmt.Errorf("asking Redis: %w", err)
	}
	text, buf := "", make([]byte, 64<<10)
	for {
		n, err := conn.Read(buf)
		text += string(buf[:n])
		if err != nil {
			return "", fmt.Errorf("reading from Redis: %w", err)
		}
		if strings.HasPrefix(text, "-") {
			return "", fmt.Errorf("redis: %s", strings.TrimSpace(text))
		}
		head, rest, whole := strings.Cut(text, "\r\n")
		length, isBulk := strings.CutPrefix(head, "$")
		size, _ := strconv.Atoi(length)
		if whole && (!isBulk || len(rest) >= size+2) {
			return text, nil
		}
	}
}

// info is a number that INFO has.
func (b *bench) info(server *process, section, field string) (int, error) {
	text, err := b.redisDo(server, "INFO "+section)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strconv.Atoi(strings.TrimSpace(value))
		}
	}
	return 0, fmt.Errorf("redis: INFO %s has no %s", section, field)
}

func (b *bench) commands(server *process) (int, error) {
	return b.info(server, "stats", "total_commands_processed")
}

func (b *bench) redisMemory(server *process) (int, error) {
	return b.info(server, "memory", "used_memory")
}

func (b *bench) printRedis(r redisReport) error {
	if b.json {
		return printJSON(b.out, r)
	}
	if err := b.printLogin(r.Login); err != nil {
		return err
	}
	_, err := fmt.Fprintf(b.out, `commands of Redis a login  %.1f

checks of %d sessions by a node         commands  reads  CPU µs  Redis' CPU µs  p50 ms
that has never seen them                   %8.2f  %5.2f  %6.1f  %13.1f  %6.2f
after its connections to Redis were cut    %8.2f  %5.2f  %6.1f  %13.1f  %6.2f

memory of Redis for %d sessions, one a user: %.0f bytes each
`, r.LoginCommands, redisChecked, r.Cold.Commands, r.Cold.Reads, r.Cold.CPU, r.Cold.RedisCPU, r.Cold.P50,
		r.Again.Commands, r.Again.Reads, r.Again.CPU, r.Again.RedisCPU, r.Again.P50, r.Sessions, r.BytesPerSession)
	return err
}
