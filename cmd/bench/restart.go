package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxRestart is how long stop and start with all sessions may take together.
const maxRestart = 5 * time.Second

type restartReport struct {
	Sessions    int           `json:"sessions"`
	Stop        time.Duration `json:"stop_ns"`
	FirstAnswer time.Duration `json:"first_answer_ns"`
	StartPeak   int           `json:"peak_bytes_of_start"`
	Reload      time.Duration `json:"reload_ns"`
	ReloadPause time.Duration `json:"longest_answer_in_reload_ns"`
	UsualPause  time.Duration `json:"longest_answer_before_ns"`
	ReloadPeak  int           `json:"peak_bytes_with_reload"`
}

// restart measures a stop and a start with many sessions, and then a reload.
func (b *bench) restart() error {
	r := restartReport{Sessions: 1_000_000}
	if b.quick {
		r.Sessions = 1000
	}
	tokens, dir, err := b.seeds("restart", r.Sessions, oneApp)
	if err != nil {
		return err
	}
	checks := make([]*variant, 3) // the first, one in the middle, the last
	var p *process
	var admin string
	start := func() error {
		p, admin, err = b.gatewayWithAdmin("gateway", dir, scaleMaxSessions)
		if err != nil {
			return err
		}
		for i := range checks {
			token := tokens[i*(len(tokens)-1)/(len(checks)-1)]
			checks[i] = withCheck(&variant{name: "gateway", proxy: p}, ask{token: token}, b.openID(token))
		}
		return b.awaitSessions(checks...)
	}
	if err := start(); err != nil {
		return err
	}
	began := time.Now()
	p.stop()
	r.Stop = time.Since(began)
	began = time.Now()
	if err := start(); err != nil {
		return err
	}
	r.FirstAnswer = time.Since(began)
	if r.StartPeak, err = peakBytes(p.cmd.Process.Pid); err != nil {
		return err
	}
	if err := b.reload(p, admin, tokens[0], &r); err != nil {
		return err
	}
	for _, v := range checks {
		if err := b.verify(v); err != nil {
			return err
		}
	}
	if r.ReloadPeak, err = peakBytes(p.cmd.Process.Pid); err != nil {
		return err
	}
	if err := b.printRestart(r); err != nil {
		return err
	}
	if b.check && r.Stop+r.FirstAnswer > maxRestart {
		return errBound
	}
	return nil
}

// longest is the longest that anybody waits for an answer until meanwhile is done.
// A client whose kept connection is closed under it asks again, as browsers do.
func (b *bench) longest(p *process, token string, meanwhile func() error) (time.Duration, error) {
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	var (
		workers sync.WaitGroup
		waits   = make([]time.Duration, 4)
		errs    = make([]error, len(waits))
	)
	for i := range waits {
		workers.Go(func() {
			transport := new(http.Transport) // a connection of its own
			defer transport.CloseIdleConnections()
			for ctx.Err() == nil && errs[i] == nil {
				began := time.Now()
				errs[i] = askOnce(b.ctx, transport, p.addr, token)
				waits[i] = max(waits[i], time.Since(began))
			}
		})
	}
	err := meanwhile()
	cancel()
	workers.Wait()
	return slices.Max(waits), errors.Join(err, firstError(errs))
}

func askOnce(ctx context.Context, transport *http.Transport, addr, token string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("asking: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return fmt.Errorf("reading answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: %d", errStatus, resp.StatusCode)
	}
	return nil
}

// reload loads another configuration while clients ask.
func (b *bench) reload(p *process, admin, token string, r *restartReport) error {
	pause := func() error {
		select {
		case <-b.ctx.Done():
			return b.ctx.Err()
		case <-time.After(2 * time.Second):
			return nil
		}
	}
	var err error
	if r.UsualPause, err = b.longest(p, token, pause); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(p.dir, "Caddyfile"))
	if err != nil {
		return fmt.Errorf("reading configuration: %w", err)
	}
	r.ReloadPause, err = b.longest(p, token, func() error {
		began := time.Now()
		defer func() { r.Reload = time.Since(began) }()
		return b.load(admin, strings.Replace(string(text), "login_limit off", "login_limit 1000000 1m", 1))
	})
	return err
}

// load gives a Caddyfile to the admin endpoint.
func (b *bench) load(admin, caddyfile string) error {
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+admin+"/load", strings.NewReader(caddyfile))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "text/caddyfile")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("reloading: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("reloading: the admin endpoint answers %d", resp.StatusCode)
	}
	return nil
}

func (b *bench) printRestart(r restartReport) error {
	if b.json {
		return printJSON(b.out, r)
	}
	_, err := fmt.Fprintf(b.out, `%d sessions in memory
stop, which writes them                      %s
start until the first authenticated answers  %s
most memory in use until then                %.0f MB
reload                                       %s
longest answer while reloading               %s (without: %s)
most memory in use with the reload           %.0f MB
`, r.Sessions, r.Stop.Round(time.Millisecond), r.FirstAnswer.Round(time.Millisecond), megabytes(r.StartPeak),
		r.Reload.Round(time.Millisecond), r.ReloadPause.Round(100*time.Microsecond), r.UsualPause.Round(100*time.Microsecond), megabytes(r.ReloadPeak))
	return err
}
