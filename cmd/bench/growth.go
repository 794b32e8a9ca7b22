package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caddy-wechat/gateway/internal/freeport"
)

var errSeries = errors.New("a series has less than two points, or they are not in order")

// readGrowth reads a file that -scale has written.
func readGrowth(file string) (*growth, error) {
	data, err := os.ReadFile(file) //nolint:gosec // the file that the user names
	if err != nil {
		return nil, fmt.Errorf("reading figures: %w", err)
	}
	g := new(growth)
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(g); err != nil {
		return nil, fmt.Errorf("reading figures of %s: %w", file, err)
	}
	for _, p := range g.panels() {
		if len(p.at) < 2 || !slices.IsSorted(p.at) || p.logarithmic && p.at[0] < 1 || p.at[0] == p.at[len(p.at)-1] {
			return nil, fmt.Errorf("reading figures of %s: %q: %w", file, p.title, errSeries)
		}
	}
	return g, nil
}

// redraw draws the chart of a file beside it.
func redraw(file string) error {
	g, err := readGrowth(file)
	if err != nil {
		return err
	}
	return writeChart(file, g)
}

func writeChart(file string, g *growth) error {
	chart := strings.TrimSuffix(file, filepath.Ext(file)) + ".svg"
	if err := os.WriteFile(chart, []byte(g.draw()), 0o644); err != nil { //nolint:gosec // a picture for everybody
		return fmt.Errorf("writing chart: %w", err)
	}
	return nil
}

// scale measures more and more sessions, apps and WebSockets, and draws it.
func (b *bench) scale() error {
	var g growth
	var err error
	if g.Sessions, err = b.bySessions(); err != nil {
		return err
	}
	if g.Apps, err = b.byApps(); err != nil {
		return err
	}
	if g.Streams, err = b.byStreams(); err != nil {
		return err
	}
	if !b.quick {
		data, err := json.MarshalIndent(g, "", "\t")
		if err != nil {
			return fmt.Errorf("writing figures: %w", err)
		}
		if err := os.WriteFile(b.figures, append(data, '\n'), 0o644); err != nil { //nolint:gosec // figures for everybody
			return fmt.Errorf("writing figures: %w", err)
		}
		if err := writeChart(b.figures, &g); err != nil {
			return err
		}
	}
	if b.json {
		err = printJSON(b.out, g)
	} else {
		err = g.print(b)
	}
	if err != nil {
		return err
	}
	last := g.Sessions[len(g.Sessions)-1]
	if b.check && (last.Ratio.Low > maxScaleRatio || last.HeapBytes > maxSessionBytes) {
		return errBound
	}
	return nil
}

// byApps starts and reloads gateways with more and more apps.
func (b *bench) byApps() ([]appsPoint, error) {
	sizes := []int{1, 10, 100, 1000, 5000}
	if b.quick {
		sizes = sizes[:3]
	}
	all := make([][]appsPoint, len(sizes))
	for range min(b.rounds, 5) {
		for i, n := range sizes {
			point, err := b.withApps(n)
			if err != nil {
				return nil, fmt.Errorf("%d apps: %w", n, err)
			}
			all[i] = append(all[i], point)
		}
	}
	points := make([]appsPoint, len(sizes))
	for i, of := range all {
		middle := func(value func(appsPoint) float64) float64 {
			var values []float64
			for _, point := range of {
				values = append(values, value(point))
			}
			return spreadOf(values).Median
		}
		points[i] = appsPoint{
			Apps:      sizes[i],
			StartCPU:  middle(func(p appsPoint) float64 { return p.StartCPU }),
			ReloadCPU: middle(func(p appsPoint) float64 { return p.ReloadCPU }),
			Heap:      int(middle(func(p appsPoint) float64 { return float64(p.Heap) })),
		}
	}
	return points, nil
}

func (b *bench) withApps(n int) (appsPoint, error) {
	admin, err := freeport.Addr()
	if err != nil {
		return appsPoint{}, err
	}
	var apps, own strings.Builder
	for i := range n {
		app := fmt.Sprintf("wx%016x", i+1)
		fmt.Fprintf(&apps, "\t\tapp %s {env.BENCH_SECRET}\n", app)
		own.WriteString(" " + app)
	}
	name := fmt.Sprintf("gateway with %d apps", n)
	p, err := b.proxy(name, filepath.Join(b.dir, fmt.Sprintf("apps-%d", len(b.processes))), admin, true, setup{
		apps: apps.String(), auth: func(int) string { return "\t\tapp" + own.String() + "\n" },
	})
	if err != nil {
		return appsPoint{}, err
	}
	defer p.stop()
	point := appsPoint{Apps: n}
	started, err := cpuTime(p.cmd.Process.Pid)
	if err != nil {
		return point, err
	}
	point.StartCPU = started.Seconds() * 1000
	if point.Heap, _, err = b.memory(p, admin); err != nil {
		return point, err
	}
	before, err := cpuTime(p.cmd.Process.Pid)
	if err != nil {
		return point, err
	}
	text, err := os.ReadFile(filepath.Join(p.dir, "Caddyfile"))
	if err != nil {
		return point, fmt.Errorf("reading configuration: %w", err)
	}
	if err := b.load(admin, strings.Replace(string(text), "login_limit off", "login_limit 1000000 1m", 1)); err != nil {
		return point, err
	}
	after, err := cpuTime(p.cmd.Process.Pid)
	point.ReloadCPU = (after - before).Seconds() * 1000
	return point, err
}

// byStreams opens more and more WebSockets through both proxies and leaves them idle.
func (b *bench) byStreams() ([]streamPoint, error) {
	most := b.allowedStreams()
	before := b.collector
	b.collector = goDefault // both alike
	defer func() { b.collector = before }()
	stock, gateway, tokens, err := b.streamProxies("growth", most)
	if err != nil {
		return nil, err
	}
	defer stock.stop()
	defer gateway.stop()
	var points []streamPoint
	open := 0
	for _, n := range []int{0, most / 10, most / 4, most / 2, most} {
		for _, p := range []*process{stock, gateway} {
			conns, err := b.dialStreams(p, webSockets, n-open, tokens[open:])
			defer closeAll(conns)
			if err != nil {
				return nil, err
			}
		}
		open = n
		point := streamPoint{Streams: n}
		if point.Stock.Resident, err = b.settled(stock); err != nil {
			return nil, err
		}
		if point.Gateway.Resident, err = residentBytes(gateway.cmd.Process.Pid); err != nil {
			return nil, err
		}
		if point.Stock.CPU, point.Gateway.CPU, err = b.idle(stock, gateway); err != nil {
			return nil, err
		}
		points = append(points, point)
	}
	return points, nil
}

func (g *growth) print(b *bench) error {
	t := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "sessions\ttokens in use\tCPU µs\tto the fewest\tspread\theap bytes/session\tresident MB\t")
	for _, p := range g.Sessions {
		_, _ = fmt.Fprintf(t, "%d\t%d\t%.1f\t%s\t%.0f\t%.0f\t\n", p.Sessions, p.TokensInUse, p.CPU, p.Ratio, p.HeapBytes, megabytes(p.Resident))
	}
	_, _ = fmt.Fprintln(t, "\napps\tCPU ms of a start\tof a reload\theap MB\t")
	for _, p := range g.Apps {
		_, _ = fmt.Fprintf(t, "%d\t%.0f\t%.0f\t%.1f\t\n", p.Apps, p.StartCPU, p.ReloadCPU, megabytes(p.Heap))
	}
	_, _ = fmt.Fprintln(t, "\nidle WebSockets\tCPU ms/s, stock\tgateway\tresident MB, stock\tgateway\t")
	for _, p := range g.Streams {
		_, _ = fmt.Fprintf(t, "%d\t%.1f\t%.1f\t%.0f\t%.0f\t\n", p.Streams, p.Stock.CPU, p.Gateway.CPU, megabytes(p.Stock.Resident), megabytes(p.Gateway.Resident))
	}
	_, _ = fmt.Fprintf(t, "\nCPU of idle WebSockets is over %s.\n", (time.Duration(b.rounds) * b.duration).Round(time.Second))
	for _, text := range b.missing {
		_, _ = fmt.Fprintln(t, "missing:", text)
	}
	return t.Flush()
}
