package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"
)

const busyStreams = 32

var errNoEvents = errors.New("no events came")

// busyEvents compares what an event costs both proxies, in interleaved rounds.
func (b *bench) busyEvents() ([]row, error) {
	stock, gateway, tokens, err := b.streamProxies("busy", busyStreams)
	if err != nil {
		return nil, err
	}
	again, err := b.stockProxy("stock again", "")
	if err != nil {
		return nil, err
	}
	all := []*process{stock, again, gateway}
	for _, p := range all {
		defer p.stop()
	}
	rounds := make([]map[string]sample, b.rounds)
	for i := range rounds {
		rounds[i] = make(map[string]sample, len(all))
		for _, n := range rand.Perm(len(all)) { //nolint:gosec // an order, no secret
			s, err := b.eventSlice(all[n], tokens)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", all[n].name, err)
			}
			rounds[i][all[n].name] = s
		}
	}
	var rows []row
	for _, p := range all {
		rows = append(rows, summarize(p.name, stock.name, 0, rounds))
	}
	return rows, nil
}

// eventSlice reads all streams for the time of a slice.
func (b *bench) eventSlice(p *process, tokens []string) (sample, error) {
	busy := events
	busy.path = "/busy-events"
	var (
		readers, opened sync.WaitGroup
		begin, end      = make(chan struct{}), make(chan struct{})
		counted         = make([]int, busyStreams)
		refused, failed = make([]error, busyStreams), make([]error, busyStreams)
	)
	stop := func() {
		close(end)
		readers.Wait()
	}
	opened.Add(busyStreams)
	for i := range busyStreams {
		readers.Go(func() {
			conn, body, err := b.dialStream(p.addr, busy, tokens[i%len(tokens)])
			if conn != nil {
				defer func() { _ = conn.Close() }()
			}
			refused[i] = err
			opened.Done()
			if err == nil {
				counted[i], failed[i] = countEvents(body, begin, end)
			}
		})
	}
	opened.Wait()
	if err := firstError(refused); err != nil {
		stop()
		return sample{}, err
	}
	before, err := cpuTime(p.cmd.Process.Pid)
	if err != nil {
		stop()
		return sample{}, err
	}
	start := time.Now()
	close(begin)
	select {
	case <-b.ctx.Done():
	case <-time.After(b.duration):
	}
	after, err := cpuTime(p.cmd.Process.Pid)
	elapsed := time.Since(start)
	stop()
	if err := errors.Join(err, b.ctx.Err(), firstError(failed)); err != nil {
		return sample{}, err
	}
	total := 0
	for _, n := range counted {
		total += n
	}
	if total == 0 {
		return sample{}, errNoEvents
	}
	return sample{cpu: (after - before) / time.Duration(total), perSecond: float64(total) / elapsed.Seconds()}, nil
}

// countEvents counts what comes between both signals.
func countEvents(body io.Reader, begin, end <-chan struct{}) (n int, err error) {
	buf := make([]byte, len(oneEvent))
	for {
		if _, err := io.ReadFull(body, buf); err != nil {
			return n, fmt.Errorf("reading events: %w", err)
		}
		if string(buf) != oneEvent {
			return n, fmt.Errorf("%w: another event", errBody)
		}
		select {
		case <-end:
			return n, nil
		default:
		}
		select {
		case <-begin:
			n++
		default:
		}
	}
}
