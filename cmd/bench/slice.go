package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	// warmUp is how many requests go before a slice, unmeasured, at least.
	warmUp = 200
	// maxFresh bounds the tokens that are minted for a slice.
	maxFresh = 40_000
)

// inRounds measures each variant once a round, in another order each time.
func (b *bench) inRounds(all []*variant) ([]map[string]sample, error) {
	rounds := make([]map[string]sample, b.rounds)
	for i := range rounds {
		rounds[i] = make(map[string]sample, len(all))
		for _, n := range rand.Perm(len(all)) { //nolint:gosec // an order, no secret
			v := all[n]
			s, err := b.measure(v)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", v.name, err)
			}
			rounds[i][v.name] = s
		}
	}
	return rounds, nil
}

// verify checks what the upstream sees of the variant.
func (b *bench) verify(v *variant) error {
	c, err := b.dial(v, 1+len(v.nodes))
	if err != nil {
		return fmt.Errorf("%s: %w", v.name, err)
	}
	defer c.close()
	for _, conn := range c.conns {
		if err := conn.do(v.check, []byte(v.sees)); err != nil {
			return fmt.Errorf("%s: %w: the upstream sees %q, want %q", v.name, err, conn.answered(), v.sees)
		}
	}
	return nil
}

// measure is one slice: the connections are made and warm before it.
func (b *bench) measure(v *variant) (sample, error) {
	warm, measured, err := b.sources(v)
	if err != nil {
		return sample{}, err
	}
	c, err := b.dial(v, b.connections)
	if err != nil {
		return sample{}, err
	}
	defer c.close()
	first := warmUp
	if !v.warm {
		first = max(warmUp, len(v.calls)) // every token once: from then on it is known
	}
	if _, err := c.run(b.ctx, warm, limit{requests: first, body: answer}); err != nil {
		return sample{}, err
	}
	v.warm = true
	executed, err := b.executed(v)
	if err != nil {
		return sample{}, err
	}
	before, besideBefore, err := v.cpu()
	if err != nil {
		return sample{}, err
	}
	result, err := c.run(b.ctx, measured, limit{duration: b.duration})
	if err != nil {
		return sample{}, err
	}
	after, besideAfter, err := v.cpu()
	if err != nil {
		return sample{}, err
	}
	counted, err := executed()
	if err != nil {
		return sample{}, err
	}
	n := time.Duration(max(result.requests, 1))
	return sample{
		executed: counted / float64(n),
		cpu:      (after - before) / n, beside: (besideAfter - besideBefore) / n,
		perSecond: float64(result.requests) / result.elapsed.Seconds(),
		p50:       quantile(result.latencies, 0.50), p99: quantile(result.latencies, 0.99),
	}, nil
}

func (b *bench) sources(v *variant) (warm, measured source, err error) {
	if v.fresh == nil {
		if v.turn == nil {
			v.turn = inTurn(v.calls) // goes on where the last slice has ended
		}
		return v.turn, v.turn, nil
	}
	tokens, err := b.fresh(v.fresh, warmUp+int(min(maxFresh, 40*b.duration.Milliseconds())))
	if err != nil {
		return nil, nil, err
	}
	s := once(gets("/", tokens, 0))
	return s, s, nil
}

// executed begins to count instructions; the function that it returns ends that and
// says how many there were. Where they cannot be counted the run goes on without.
func (b *bench) executed(v *variant) (func() (float64, error), error) {
	if b.uncounted != "" {
		return func() (float64, error) { return 0, nil }, nil
	}
	all := append([]*process{v.proxy}, v.nodes...)
	if v.beside != nil {
		all = append(all, v.beside)
	}
	var counters []*counter
	for _, p := range all {
		c, err := count(p.cmd.Process.Pid, instructions)
		if err != nil {
			for _, open := range counters {
				open.close()
			}
			b.uncounted = err.Error()
			return b.executed(v)
		}
		counters = append(counters, c)
	}
	return func() (total float64, err error) {
		for _, c := range counters {
			n, failed := c.read()
			c.close()
			total, err = total+n, errors.Join(err, failed)
		}
		return total, err
	}, nil
}

func (v *variant) cpu() (own, beside time.Duration, err error) {
	for _, p := range append([]*process{v.proxy}, v.nodes...) {
		used, err := cpuTime(p.cmd.Process.Pid)
		if err != nil {
			return 0, 0, err
		}
		own += used
	}
	if v.beside == nil {
		return own, 0, nil
	}
	beside, err = cpuTime(v.beside.cmd.Process.Pid)
	return own + beside, beside, err // whoever has a verifier pays for it
}
