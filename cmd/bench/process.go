package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/caddy-wechat/gateway/internal/key"
)

// bench is one run: a directory, the processes in it and the key of all tokens.
type bench struct {
	options
	ctx              context.Context
	cancel           context.CancelFunc
	dir              string
	ring             *key.Set
	env              []string
	processes        []*process
	upstream, wechat *process
	stockNote        string
	missing          []string
	uncounted        string // why instructions are not counted
	// collector is the setting of the garbage collector in proxies that are started.
	collector collectorSetting
	// logging is more options for the log of gateways that are started.
	logging             string
	nextToken, nextCode int
	began               time.Time
	roots               *x509.CertPool // of the certificate of secured
}

// errEnded: a server ended without being told to.
var errEnded = errors.New("without an error")

type process struct {
	name string
	addr string // host:port that it serves
	dir  string
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of its end; read after done
}

func newBench(ctx context.Context, o options) (*bench, error) {
	if err := cpuSupported(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "caddy-wechat-bench-")
	if err != nil {
		return nil, fmt.Errorf("making temporary directory: %w", err)
	}
	secret := make([]byte, key.Length)
	rand.Read(secret) // never fails since Go 1.24
	one, err := key.New(secret)
	if err != nil {
		return nil, fmt.Errorf("making key: %w", err)
	}
	ring, err := key.NewSet(one)
	if err != nil {
		return nil, fmt.Errorf("making key: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	env := append(os.Environ(), "BENCH_KEY="+base64.StdEncoding.EncodeToString(secret), "BENCH_SECRET=of-no-real-app")
	return &bench{options: o, ctx: ctx, cancel: cancel, dir: dir, ring: ring, env: env}, nil
}

// close ends all processes and removes the directory.
func (b *bench) close() error {
	b.cancel()
	for _, p := range b.processes {
		<-p.done
	}
	return os.RemoveAll(b.dir)
}

// prepare builds missing binaries, and starts upstream and WeChat.
func (b *bench) prepare() (err error) {
	if b.gateway == "" && b.binaries == "" {
		b.gateway = filepath.Join(b.dir, "gateway")
		flags, err := b.buildFlags()
		if err != nil {
			return err
		}
		if err := b.build(b.gateway, "github.com/caddy-wechat/gateway/cmd/caddy", flags...); err != nil {
			return err
		}
	}
	b.stockNote = "stock is " + b.stock
	if b.stock == "" && b.options.profile == "" {
		b.stock = filepath.Join(b.dir, "stock")
		b.stockNote = "stock is Caddy's own main package, built in the version of go.mod"
		if err := b.build(b.stock, "github.com/caddyserver/caddy/v2/cmd/caddy"); err != nil {
			if b.ctx.Err() != nil {
				return err
			}
			b.stock = b.gateway
			b.stockNote = "a stock Caddy could not be built: stock is the gateway's binary without its handler"
		}
	}
	if b.upstream, err = b.helper("upstream"); err != nil {
		return err
	}
	b.wechat, err = b.helper("wechat")
	return err
}

// buildFlags are those of a production build, as xcaddy.json has them. A quick run
// shares what is compiled already.
func (b *bench) buildFlags() ([]string, error) {
	if b.quick {
		return nil, nil
	}
	if b.options.profile != "" {
		return []string{"-trimpath"}, nil // the profile is for everybody's machine
	}
	text, err := exec.CommandContext(b.ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/caddy-wechat/gateway").Output()
	if err != nil {
		return nil, fmt.Errorf("finding the profile: %w", err)
	}
	return []string{"-pgo", filepath.Join(strings.TrimSpace(string(text)), "cmd", "build", "caddy.pgo")}, nil
}

func (b *bench) build(output, pkg string, flags ...string) error {
	args := append(append([]string{"build", "-o", output}, flags...), pkg)
	cmd := exec.CommandContext(b.ctx, "go", args...) //nolint:gosec // two fixed packages
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", pkg, err, text)
	}
	return nil
}

// start runs a program until close; its output goes to a file of its own.
func (b *bench) start(name, addr string, cmd *exec.Cmd) (*process, error) {
	p := &process{name: name, addr: addr, cmd: cmd, done: make(chan struct{})}
	log, err := os.Create(filepath.Join(b.dir, fmt.Sprintf("%d.log", len(b.processes))))
	if err != nil {
		return nil, fmt.Errorf("making log of %s: %w", name, err)
	}
	defer func() { _ = log.Close() }()
	if cmd.Stdout == nil {
		cmd.Stdout = log
	}
	cmd.Stderr = log
	cmd.Env = append(b.env, cmd.Env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second // then it is killed
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	b.processes = append(b.processes, p)
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// stop ends one process before the others.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	<-p.done
}

// roleVariable tells this program, started by itself, which server to be.
const roleVariable = "CADDY_WECHAT_BENCH_ROLE"

// helper runs this program again in a role of its own.
func (b *bench) helper(role string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	cmd := exec.CommandContext(b.ctx, self) //nolint:gosec // this program
	cmd.Env = []string{roleVariable + "=" + role}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making pipe: %w", err)
	}
	defer func() { _ = read.Close() }()
	cmd.Stdout = write
	p, err := b.start(role, "", cmd)
	_ = write.Close()
	if err != nil {
		return nil, err
	}
	_ = read.SetReadDeadline(time.Now().Add(10 * time.Second)) // pipes have deadlines
	line, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", role, err)
	}
	p.addr = strings.TrimSpace(line)
	return p, nil
}

// caddy runs a Caddy binary with a Caddyfile in a directory of its own, which
// is also its storage.
func (b *bench) caddy(name, binary, dir, addr, caddyfile string) (*process, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making directory of %s: %w", name, err)
	}
	file := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(caddyfile), 0o600); err != nil {
		return nil, fmt.Errorf("writing configuration of %s: %w", name, err)
	}
	cmd := exec.CommandContext(b.ctx, binary, "run", "--config", file, "--adapter", "caddyfile") //nolint:gosec // the binary to measure
	cmd.Env = []string{"XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}
	cmd.Env = append(cmd.Env, b.collector.environment()...)
	p, err := b.start(name, addr, cmd)
	if err != nil {
		return nil, err
	}
	p.dir = dir
	return p, b.await(p)
}

// await waits until the process answers HTTP.
func (b *bench) await(p *process) error {
	return b.poll(p, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.addr+"/", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
}

// awaitPort waits until the process accepts connections.
func (b *bench) awaitPort(p *process) error {
	return b.poll(p, func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.addr)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

func (b *bench) poll(p *process, answers func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(b.ctx, 2*time.Minute)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		if answers(ctx) == nil {
			return nil
		}
		select {
		case <-p.done:
			return b.failed(p)
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", p.name, ctx.Err())
		case <-ticker.C:
		}
	}
}

func (b *bench) failed(p *process) error {
	var text []byte
	for i, other := range b.processes {
		if other == p {
			text, _ = os.ReadFile(filepath.Join(b.dir, fmt.Sprintf("%d.log", i)))
		}
	}
	return fmt.Errorf("%s ended early: %w\n%s", p.name, cmp.Or(p.err, errEnded), text[max(0, len(text)-2000):])
}
