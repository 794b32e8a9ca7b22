// Command soak runs gateways for a while as they are run, and with everything that
// happens to them: logins, logouts, operators, denials, nodes that are killed,
// stopped and reloaded, a store that hangs or dies. It keeps its own ledger of who
// may pass, and ends with an error if a gateway ever lets a user pass who may
// not, refuses one who may, or loses a logout.
//
//	go run ./cmd/soak -duration 5m
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

type options struct {
	gateway  string
	duration time.Duration
	seed     uint64
	persons  int
}

func main() {
	var o options
	flag.StringVar(&o.gateway, "gateway", "", "existing `binary` with the module and the simulator (default: built from ./cmd/caddy)")
	flag.DurationVar(&o.duration, "duration", time.Minute, "how long, starts and ends not counted")
	flag.Uint64Var(&o.seed, "seed", 1, "of what is done in which order")
	flag.IntVar(&o.persons, "persons", 8, "who log in and out, each one thing after another")
	flag.Parse()
	if flag.NArg() > 0 || o.duration < 3*time.Second || o.persons < 1 {
		fmt.Fprintln(os.Stderr, "soak: -duration must be at least 3s and -persons at least 1; there are no arguments")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// variant is one way to run gateways.
type variant struct {
	name  string
	nodes int
	redis bool
	grace time.Duration
	share int // of the duration
}

var variants = []variant{
	{name: "two nodes, Redis", nodes: 2, redis: true, share: 2},
	{name: "two nodes, Redis, grace 3s", nodes: 2, redis: true, grace: 3 * time.Second, share: 2},
	{name: "one node, memory", nodes: 1, share: 1},
}

func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return fmt.Errorf("making a directory: %w", err)
	}
	if o.gateway == "" {
		o.gateway = filepath.Join(dir, "gateway")
		build := exec.CommandContext(ctx, "go", "build", "-o", o.gateway, "github.com/caddy-wechat/gateway/cmd/caddy") //nolint:gosec // the module itself
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("building the gateway: %w", err)
		}
	}
	shares := 0
	for _, v := range variants {
		shares += v.share
	}
	var failed error
	for i, v := range variants {
		own := o
		own.duration = o.duration * time.Duration(v.share) / time.Duration(shares)
		fmt.Printf("%s: %s, seed %d\n", v.name, own.duration.Round(time.Millisecond), o.seed)
		if err := soak(ctx, own, v, filepath.Join(dir, fmt.Sprint(i))); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", v.name, err))
		}
	}
	if failed != nil {
		return fmt.Errorf("%w\nlogs are in %s", failed, dir)
	}
	return os.RemoveAll(dir)
}
