// Command bench measures what the gateway costs: CPU per proxied request beside
// stock Caddy, forward_auth and nginx in one interleaved run, the cost of many
// sessions and of logins. It also records the profile that builds are guided
// by. Everything runs on loopback and ends with it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	if role := os.Getenv(roleVariable); role != "" {
		if err := serve(role); err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", role, err)
			os.Exit(1)
		}
		return
	}
	o := options{out: os.Stdout}
	flag.StringVar(&o.gateway, "gateway", "", "existing `binary` with the module (default: built from ./cmd/caddy)")
	flag.StringVar(&o.stock, "stock", "", "existing stock Caddy `binary` (default: built in the version of go.mod)")
	flag.IntVar(&o.rounds, "rounds", 7, "rounds of one slice per variant")
	flag.DurationVar(&o.duration, "duration", time.Second, "length of a slice")
	flag.IntVar(&o.connections, "connections", 32, "keep-alive connections")
	flag.IntVar(&o.sessions, "sessions", 1000, "sessions whose tokens are used in turn")
	flag.BoolVar(&o.quick, "quick", false, "short run that only shows that everything works; judges nothing")
	flag.BoolVar(&o.check, "check", false, "exit with an error if a bound is broken beyond the noise")
	flag.BoolVar(&o.json, "json", false, "print JSON instead of a table")
	flag.BoolVar(&o.scale, "scale", false, "measure 10^3 to 10^6 sessions, 1 to 5,000 apps and up to -sockets WebSockets, and draw the chart")
	flag.StringVar(&o.figures, "figures", "docs/scale.json", "`file` for the figures of -scale; the chart lies beside it")
	flag.StringVar(&o.redraw, "draw", "", "draw the chart of a `file` of figures, beside it")
	flag.BoolVar(&o.login, "login", false, "measure logins, with WeChat at 50 ms")
	flag.BoolVar(&o.collectors, "collector", false, "measure settings of the garbage collector")
	flag.BoolVar(&o.redisCosts, "redis", false, "measure logins, cold checks and memory of Redis")
	flag.BoolVar(&o.severalNodes, "nodes", false, "count what 8 nodes ask a Redis cluster, and what it tells them")
	flag.BoolVar(&o.model, "model", false, "print what 10^5, 10^7 and 10^8 users need")
	flag.BoolVar(&o.restarts, "restart", false, "measure stop, start and reload with 10^6 sessions")
	flag.BoolVar(&o.webSockets, "streams", false, "measure idle WebSockets and server-sent events beside stock, a logout that closes them, and busy events")
	flag.IntVar(&o.sockets, "sockets", 10_000, "streams of -streams")
	flag.StringVar(&o.profile, "profile", "", "record a CPU profile of a mixed workload into `file`")
	flag.StringVar(&o.binaries, "binaries", "", "compare gateways: two or more `files`, with commas between them")
	flag.Parse()
	if err := o.valid(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures what was asked for and ends every process before it returns.
func run(ctx context.Context, o options) (err error) {
	if o.model {
		printModel(o.out)
		return nil
	}
	if o.redraw != "" {
		return redraw(o.redraw)
	}
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.prepare(); err != nil {
		return err
	}
	switch {
	case o.binaries != "":
		return b.compareBinaries(o.binaries)
	case o.profile != "":
		return b.profile(o.profile)
	case o.scale:
		return b.scale()
	case o.login:
		return b.login()
	case o.collectors:
		return b.collectors()
	case o.redisCosts:
		return b.throughRedis()
	case o.severalNodes:
		return b.nodes()
	case o.restarts:
		return b.restart()
	case o.webSockets:
		return b.streams()
	}
	return b.compare()
}
