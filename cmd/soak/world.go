package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/caddy-wechat/gateway/internal/freeport"
)

const (
	appID    = "wx1234567890abcdef"
	password = "correct horse battery staple"
	// storeTimeout is how long a node waits for Redis.
	storeTimeout = time.Second
)

// world is all that runs.
type world struct {
	ctx       context.Context //nolint:containedctx // of the run, which ends its processes
	variant   variant
	dir       string
	gateway   string
	app       *httptest.Server
	simulator *process
	redis     *process
	nodes     []*node
	ledger    *ledger
	// turn is held shared by single actions, and alone by what concerns everybody.
	turn sync.RWMutex
	// store is when Redis could not answer.
	store intervals
}

// node is one gateway.
type node struct {
	process
	admin string
	index int

	mu   sync.Mutex
	life int // counts starts
	// down is when it was stopped, killed or reloaded.
	down intervals
}

func (n *node) lives() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.life
}

// process is a program that serves an address.
type process struct {
	addr string
	log  string
	args []string
	cmd  *exec.Cmd
}

func freeAddr() string {
	addr, err := freeport.Addr()
	if err != nil {
		panic(err)
	}
	return addr
}

func portOf(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

// start starts the program and waits until it takes connections.
func (p *process) start(ctx context.Context, answers func() bool) error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening a log: %w", err)
	}
	defer log.Close()
	p.cmd = exec.CommandContext(ctx, p.args[0], p.args[1:]...) //nolint:gosec // our own
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.Env = append(os.Environ(), "SOAK_PASSWORD="+password, "XDG_DATA_HOME="+filepath.Dir(p.log), "XDG_CONFIG_HOME="+filepath.Dir(p.log))
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", p.args[0], err)
	}
	for range 600 {
		if answers() {
			return nil
		}
		time.Sleep(25 * time.Millisecond)
	}
	text, _ := os.ReadFile(p.log)
	return fmt.Errorf("%s does not answer:\n%s", filepath.Base(p.args[0]), tail(string(text)))
}

func tail(text string) string { return text[max(len(text)-4000, 0):] }

// end sends a signal and waits.
func (p *process) end(signal os.Signal) {
	if p == nil || p.cmd == nil || p.cmd.Process == nil {
		return
	}
	_ = p.cmd.Process.Signal(signal)
	_ = p.cmd.Wait()
}

func newWorld(ctx context.Context, v variant, gateway, dir string) (*world, error) {
	w := &world{ctx: ctx, variant: v, dir: dir, gateway: gateway, ledger: newLedger()}
	w.app = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprint(rw, r.Header.Get("X-Openid")) //nolint:gosec // nobody's page
	}))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return w, fmt.Errorf("making a directory: %w", err)
	}
	w.simulator = &process{addr: freeAddr(), log: filepath.Join(dir, "simulator.log")}
	config := "{\n\tadmin off\n\tpersist_config off\n\tauto_https off\n}\nhttp://:" + portOf(w.simulator.addr) + " {\n\tbind 127.0.0.1\n\twechat_simulator\n}\n"
	if err := w.caddy(w.simulator, "simulator", config); err != nil {
		return w, err
	}
	if err := w.simulator.start(ctx, func() bool { return reachable(w.simulator.addr) }); err != nil {
		return w, err
	}
	if v.redis {
		addr := freeAddr()
		w.redis = &process{addr: addr, log: filepath.Join(dir, "redis.log"), args: []string{
			"redis-server", "--bind", "127.0.0.1", "--port", portOf(addr), "--requirepass", password, "--dir", dir,
			"--save", "", "--appendonly", "yes", "--appendfsync", "always", // what was answered is kept when it is killed
		}}
		if err := w.startRedis(); err != nil {
			return w, err
		}
	}
	for i := range v.nodes {
		n := &node{process: process{addr: freeAddr(), log: filepath.Join(dir, fmt.Sprintf("node-%d.log", i))}, admin: freeAddr(), index: i}
		w.nodes = append(w.nodes, n)
		if err := w.caddy(&n.process, fmt.Sprintf("node-%d", i), w.caddyfile(n)); err != nil {
			return w, err
		}
		if err := w.startNode(n); err != nil {
			return w, err
		}
	}
	return w, nil
}

func (w *world) caddy(p *process, name, config string) error {
	file := filepath.Join(w.dir, name+".caddyfile")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return fmt.Errorf("writing a configuration: %w", err)
	}
	p.args = []string{w.gateway, "run", "--config", file, "--adapter", "caddyfile"}
	return nil
}

func (w *world) caddyfile(n *node) string {
	store := ""
	if w.variant.redis {
		store = "store redis " + w.redis.addr + " {\n\t\t\tpassword {env.SOAK_PASSWORD}\n\t\t\ttimeout " + storeTimeout.String() + "\n"
		if w.variant.grace > 0 {
			store += "\t\t\ton_failure grace " + w.variant.grace.String() + "\n"
		}
		store += "\t\t}"
	}
	return fmt.Sprintf(`{
	admin %s
	persist_config off
	auto_https off
	grace_period 1s
	storage file_system %q
	log {
		level WARN
	}
	wechat {
		app %s 0123456789abcdef0123456789abcdef
		session {
			max_per_user 100
		}
		login_limit off
		api http://%s
		%s
	}
}
http://:%s {
	bind 127.0.0.1
	wechat_auth
	reverse_proxy %s
}
`, n.admin, filepath.Join(w.dir, "storage"), appID, w.simulator.addr, store, portOf(n.addr), strings.TrimPrefix(w.app.URL, "http://"))
}

func (w *world) startNode(n *node) error {
	n.mu.Lock()
	n.life++
	n.mu.Unlock()
	return n.start(w.ctx, func() bool {
		status, _ := w.ask(http.MethodGet, n.addr, "/", "", "")
		return status == http.StatusUnauthorized
	})
}

func (w *world) startRedis() error {
	return w.redis.start(w.ctx, func() bool { return pong(w.redis.addr) })
}

func reachable(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

// pong reports whether Redis has its data and answers.
func pong(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	fmt.Fprintf(conn, "AUTH %q\r\nPING\r\nQUIT\r\n", password)
	var answer strings.Builder
	buffer := make([]byte, 256)
	for {
		n, err := conn.Read(buffer)
		answer.Write(buffer[:n])
		if err != nil {
			return strings.Contains(answer.String(), "+PONG")
		}
	}
}

func (w *world) close() {
	for _, n := range w.nodes {
		n.end(os.Kill)
	}
	w.redis.end(os.Kill)
	w.simulator.end(os.Kill)
	w.app.Close()
}

// pause lets Redis hang.
func (w *world) pause(hang bool) {
	signal := syscall.SIGCONT
	if hang {
		signal = syscall.SIGSTOP
	}
	_ = w.redis.cmd.Process.Signal(signal)
}

// intervals are the times of something that happens to others.
type intervals struct {
	mu   sync.Mutex
	all  [][2]time.Time
	sure [][2]time.Time // see last
}

// begin starts a fault, and returns the function that ends it.
func (i *intervals) begin() (over func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := len(i.all)
	i.all = append(i.all, [2]time.Time{time.Now(), {}})
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.all[n][1] = time.Now()
	}
}

// touch reports whether it happened between the times, or until shortly before.
func (i *intervals) touch(from, to time.Time, after time.Duration) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, one := range i.all {
		if one[0].Before(to) && (one[1].IsZero() || one[1].Add(after).After(from)) {
			return true
		}
	}
	return false
}

// last lets what has begun go on for a time. Before and after that it may be about to
// begin, or over already: a busy machine takes its time until that is written down.
func (i *intervals) last(lasting time.Duration) {
	now := time.Now()
	i.mu.Lock()
	i.sure = append(i.sure, [2]time.Time{now, now.Add(lasting)})
	i.mu.Unlock()
	time.Sleep(lasting)
}

// cover reports whether it surely lasted all the time between the two.
func (i *intervals) cover(from, to time.Time) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, one := range i.sure {
		if one[0].Before(from) && one[1].After(to) {
			return true
		}
	}
	return false
}
