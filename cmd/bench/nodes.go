package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-wechat/gateway/internal/freeport"
)

// The cluster that the model of docs/scale.md is checked against.
const (
	modelNodes   = 8
	modelMasters = 3
	modelDelay   = time.Millisecond // one way
	modelUsers   = 200
)

type nodesReport struct {
	Nodes, Masters, Users int
	Delay                 time.Duration `json:"delay_ns"`
	LoginCommands         float64       `json:"commands_per_login"`
	ColdCommands          float64       `json:"commands_per_cold_check"`
	WarmCommands          float64       `json:"commands_per_warm_check"`
	LoginMessages         float64       `json:"invalidations_per_login"`
	LogoutMessages        float64       `json:"invalidations_per_logout"`
	LogoutKnown           time.Duration `json:"logout_known_everywhere_ns"`
}

// nodes runs gateways against a Redis cluster with a network between, and counts what
// the model of docs/scale.md says: commands, and messages to nodes that hold a record.
func (b *bench) nodes() error {
	masters, networks, err := b.cluster()
	defer func() {
		for _, n := range networks {
			_ = n.close()
		}
	}()
	if err != nil {
		return err
	}
	var store strings.Builder
	store.WriteString("\t\tstore redis")
	for _, n := range networks {
		store.WriteString(" " + n.addr())
	}
	store.WriteString("\n")
	var gateways []*process
	for i := range modelNodes {
		p, err := b.gatewayProxy(fmt.Sprintf("node %d", i+1), filepath.Join(b.dir, fmt.Sprintf("node-%d", i)), "off", store.String())
		if err != nil {
			return err
		}
		gateways = append(gateways, p)
	}
	r := nodesReport{Nodes: modelNodes, Masters: modelMasters, Users: modelUsers, Delay: modelDelay}
	// counted is what something costs, for each user, in commands and messages.
	counted := func(times int, do func() error) (commands, messages float64, err error) {
		c1, m1, err := b.clusterUse(masters, networks)
		if err != nil {
			return 0, 0, err
		}
		if err := do(); err != nil {
			return 0, 0, err
		}
		time.Sleep(20 * modelDelay) // what is under way
		c2, m2, err := b.clusterUse(masters, networks)
		return float64(c2-c1) / float64(times), float64(m2-m1) / float64(times), err
	}
	var tokens []string
	if r.LoginCommands, _, err = counted(modelUsers, func() (err error) {
		tokens, err = b.logins(gateways[0].addr, modelUsers)
		return err
	}); err != nil {
		return err
	}
	everywhere := func() error {
		for _, p := range gateways {
			if err := b.useTokens(p, tokens); err != nil {
				return err
			}
		}
		return nil
	}
	if r.ColdCommands, _, err = counted(modelUsers*modelNodes, everywhere); err != nil {
		return err
	}
	if r.WarmCommands, _, err = counted(modelUsers*modelNodes, everywhere); err != nil {
		return err
	}
	// The same users again: their records change, and every node holds them.
	b.nextCode -= modelUsers
	if _, r.LoginMessages, err = counted(modelUsers, func() error { return b.loginAgain(gateways[0].addr) }); err != nil {
		return err
	}
	if err := everywhere(); err != nil {
		return err
	}
	if _, r.LogoutMessages, err = counted(modelUsers, func() (err error) {
		r.LogoutKnown, err = b.logoutEverywhere(gateways, tokens)
		return err
	}); err != nil {
		return err
	}
	return b.printNodes(r)
}

// cluster starts masters, each behind a network, and waits until they agree.
func (b *bench) cluster() (masters []*process, networks []*network, err error) {
	path, _ := exec.LookPath("redis-server")
	if path == "" {
		return nil, nil, errNoRedis
	}
	for i := range modelMasters {
		addr, err := freeport.Addr()
		if err != nil {
			return masters, networks, err
		}
		n, err := newNetwork(addr, modelDelay)
		if err != nil {
			return masters, networks, fmt.Errorf("making network: %w", err)
		}
		networks = append(networks, n)
		bus, err := freeport.Addr()
		if err != nil {
			return masters, networks, err
		}
		cmd := exec.CommandContext(b.ctx, path, "--bind", "127.0.0.1", "--port", port(addr), "--save", "", "--appendonly", "no", "--dir", b.dir, //nolint:gosec // as installed here
			"--cluster-enabled", "yes", "--cluster-config-file", fmt.Sprintf("master-%d.conf", i), "--cluster-port", port(bus),
			"--cluster-announce-ip", "127.0.0.1", "--cluster-announce-port", port(n.addr()), "--cluster-announce-bus-port", port(bus))
		p, err := b.start(fmt.Sprintf("redis-server %d", i+1), addr, cmd)
		if err != nil {
			return masters, networks, err
		}
		if err := b.awaitPort(p); err != nil {
			return masters, networks, err
		}
		first, last := i*16384/modelMasters, (i+1)*16384/modelMasters-1
		if _, err := b.redisDo(p, fmt.Sprintf("CLUSTER ADDSLOTSRANGE %d %d", first, last)); err != nil {
			return masters, networks, err
		}
		if i > 0 {
			if _, err := b.redisDo(masters[0], "CLUSTER MEET 127.0.0.1 "+port(addr)+" "+port(bus)); err != nil {
				return masters, networks, err
			}
		}
		masters = append(masters, p)
	}
	for _, p := range masters {
		if err := b.poll(p, func(context.Context) error {
			text, err := b.redisDo(p, "CLUSTER INFO")
			if err == nil && (!strings.Contains(text, "cluster_state:ok") || !strings.Contains(text, "cluster_known_nodes:"+strconv.Itoa(modelMasters))) {
				err = errors.New("the masters do not agree yet")
			}
			return err
		}); err != nil {
			return masters, networks, err
		}
	}
	return masters, networks, nil
}

func (b *bench) clusterUse(masters []*process, networks []*network) (commands, messages int, err error) {
	for _, p := range masters {
		n, err := b.commands(p)
		if err != nil {
			return 0, 0, err
		}
		commands += n - 1 // the question itself
	}
	for _, n := range networks {
		messages += int(n.invalidations.Load())
	}
	return commands, messages, nil
}

// loginAgain lets the users of the last logins log in with new codes.
func (b *bench) loginAgain(addr string) error {
	for i := range modelUsers {
		if _, err := b.loginOnce(addr, fmt.Sprintf("code-%d%s", b.nextCode+i, again)); err != nil {
			return err
		}
	}
	b.nextCode += modelUsers
	return nil
}

// logoutEverywhere logs out at the first node and returns how long at most it takes
// until the last node refuses.
func (b *bench) logoutEverywhere(gateways []*process, tokens []string) (time.Duration, error) {
	var longest time.Duration
	last := gateways[len(gateways)-1]
	for _, token := range tokens {
		began := time.Now()
		status, err := b.status(http.MethodPost, gateways[0], "/wechat/logout", token)
		if err != nil || status != http.StatusNoContent {
			return 0, fmt.Errorf("logging out: %d, %w", status, errors.Join(errStatus, err))
		}
		if err := b.poll(last, func(context.Context) error {
			status, err := b.status(http.MethodGet, last, "/", token)
			if err == nil && status != http.StatusUnauthorized {
				err = errStatus
			}
			return err
		}); err != nil {
			return 0, err
		}
		longest = max(longest, time.Since(began))
	}
	return longest, nil
}

func (b *bench) status(method string, p *process, path, token string) (int, error) {
	req, err := http.NewRequestWithContext(b.ctx, method, "http://"+p.addr+path, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

func (b *bench) printNodes(r nodesReport) error {
	if b.json {
		return printJSON(b.out, r)
	}
	_, err := fmt.Fprintf(b.out, `%d nodes, Redis cluster of %d masters, %s each way, %d users who are known to every node

                                  counted  model
commands, a login                 %7.1f  %5d
commands, a check that is new     %7.2f  %5d
commands, a check that is known   %7.2f  %5d
messages, a login again           %7.2f  %5d at most
messages, a logout                %7.2f  %5d at most
a logout is known to the last node after %s at most
`, r.Nodes, r.Masters, r.Delay, r.Users, r.LoginCommands, modelLogin, r.ColdCommands, modelCold, r.WarmCommands, 0,
		r.LoginMessages, r.Nodes, r.LogoutMessages, r.Nodes, r.LogoutKnown.Round(time.Millisecond))
	return err
}
