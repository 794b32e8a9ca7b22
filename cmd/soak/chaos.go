package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// soak runs one variant.
func soak(ctx context.Context, o options, v variant, dir string) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	w, err := newWorld(ctx, v, o.gateway, dir)
	defer w.close()
	if err != nil {
		return err
	}
	var persons []*person
	for i := range o.persons {
		if status, body := w.ask(http.MethodPost, w.simulator.addr, "/simulator/users", "", fmt.Sprintf(`{"name":"person%d"}`, i)); status/100 != 2 {
			return fmt.Errorf("making a user at the simulator: %d %s", status, body)
		}
		persons = append(persons, &person{name: fmt.Sprintf("person%d", i), random: rand.New(rand.NewPCG(o.seed, uint64(i)))}) //nolint:gosec // not a secret
	}
	ends := time.Now().Add(o.duration)
	var group sync.WaitGroup
	for _, p := range persons {
		group.Go(func() {
			for time.Now().Before(ends) && ctx.Err() == nil {
				w.step(p)
				time.Sleep(time.Duration(p.random.IntN(10)) * time.Millisecond)
			}
		})
	}
	err = w.chaos(ends, persons, rand.New(rand.NewPCG(o.seed, 1<<32))) //nolint:gosec // not a secret
	group.Wait()
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	// In the end all is well, and everybody knows everything.
	time.Sleep(recovery + propagation)
	for _, p := range persons {
		for _, l := range p.logins {
			for _, n := range w.nodes {
				w.check(p, l, n)
			}
		}
	}
	return w.report()
}

func (w *world) report() error {
	for _, what := range slices.Sorted(maps.Keys(w.ledger.counts)) {
		fmt.Printf("  %-28s %d\n", what, w.ledger.counts[what])
	}
	if wrong := w.ledger.wrong; len(wrong) > 0 {
		return fmt.Errorf("%d times something was wrong, first:\n%s", len(wrong), strings.Join(wrong[:min(len(wrong), 10)], "\n"))
	}
	if w.ledger.counts["passed"] == 0 || w.ledger.counts["turned away"] == 0 {
		return errors.New("nothing was tried")
	}
	return nil
}

// chaos lets something happen to nodes and store, one thing after another.
func (w *world) chaos(ends time.Time, persons []*person, random *rand.Rand) error {
	for w.ctx.Err() == nil {
		pause := time.Duration(300+random.IntN(700)) * time.Millisecond
		if time.Now().Add(pause).After(ends) {
			return nil
		}
		time.Sleep(pause)
		n := w.nodes[random.IntN(len(w.nodes))]
		dice := random.IntN(100)
		var err error
		switch {
		case dice < 15:
			err = w.kill(n, persons)
		case dice < 30:
			w.ledger.count("stops of a node")
			err = w.restart(n, os.Interrupt)
		case dice < 45:
			err = w.reload(n)
		case dice < 50:
			w.endApp(n, persons)
		case w.redis == nil:
		case dice < 75:
			w.ledger.count("hangs of the store")
			end := w.store.begin()
			w.pause(true)
			w.store.last(time.Duration(200+random.IntN(3000)) * time.Millisecond)
			w.pause(false)
			end()
		default:
			w.ledger.count("deaths of the store")
			end := w.store.begin()
			w.redis.end(os.Kill)
			w.store.last(time.Duration(random.IntN(4000)) * time.Millisecond)
			err = w.startRedis()
			end()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *world) restart(n *node, signal os.Signal) error {
	end := n.down.begin()
	defer end()
	n.end(signal)
	return w.startNode(n)
}

// kill ends a node without a warning. Sessions in its memory are lost, and what
// had ended stays ended.
func (w *world) kill(n *node, persons []*person) error {
	w.ledger.count("deaths of a node")
	if w.redis != nil {
		return w.restart(n, os.Kill)
	}
	w.turn.Lock()
	defer w.turn.Unlock()
	err := w.restart(n, os.Kill)
	for _, p := range persons {
		p.deniedUnsure = true
		for _, l := range p.logins {
			l.unsure = true
		}
	}
	return err
}

// reload loads the node's configuration again.
func (w *world) reload(n *node) error {
	w.ledger.count("reloads")
	end := n.down.begin()
	defer end()
	req, err := http.NewRequestWithContext(w.ctx, http.MethodPost, "http://"+n.admin+"/load", strings.NewReader(w.caddyfile(n)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "text/caddyfile")
	req.Header.Set("Cache-Control", "must-revalidate") // also if nothing has changed
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("reloading: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("reloading: %s", resp.Status)
	}
	return nil
}

// endApp ends all sessions. No user does anything meanwhile.
func (w *world) endApp(n *node, persons []*person) {
	w.turn.Lock()
	defer w.turn.Unlock()
	life := n.lives()
	status, body := w.ask(http.MethodPost, n.admin, "/wechat/sessions/end", "", fmt.Sprintf(`{"appid":%q}`, appID))
	if status != http.StatusOK && status != http.StatusServiceUnavailable && status != 0 {
		w.ledger.fail("%d for the end of an app: %s", status, body)
	}
	for _, p := range persons {
		for _, l := range p.logins {
			l.unsure = true
			if status == http.StatusOK {
				l.end(n, life)
			}
		}
	}
	w.ledger.count("ends of an app")
}
