package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// compareBinaries measures gateways built in different ways, all as shipped, beside
// stock Caddy in the same rounds: before and after a change, one profile and another.
// Each is reached in clear text and over HTTP/2.
func (b *bench) compareBinaries(list string) error {
	tokens, seeded, err := b.seeds("binaries", b.sessions, oneApp)
	if err != nil {
		return err
	}
	var all []*variant
	add := func(name, base string, gateway bool) error {
		for _, way := range []struct {
			front
			name string
		}{{plain, ""}, {http2, ", HTTP/2"}} {
			openID, dir := forgedOpenID, ""
			if gateway {
				openID = b.openID(tokens[0])
				dir = filepath.Join(b.dir, fmt.Sprintf("binary-%d", len(all)))
				if err := os.CopyFS(dir, os.DirFS(seeded)); err != nil {
					return fmt.Errorf("copying sessions: %w", err)
				}
			}
			p, err := b.proxy(name+way.name, dir, "off", gateway, setup{tls: way.front != plain})
			if err != nil {
				return err
			}
			v := &variant{name: p.name, proxy: p, base: base + way.name, front: way.front, calls: gets("/", tokens, 0)}
			all = append(all, withCheck(v, ask{token: tokens[0]}, openID))
		}
		return nil
	}
	for _, name := range []string{"stock", "stock again"} {
		if err := add(name, "stock", false); err != nil {
			return err
		}
	}
	for i, binary := range strings.Split(list, ",") {
		b.gateway = binary
		if err := add(fmt.Sprintf("%d: %s", i+1, filepath.Base(binary)), "stock", true); err != nil {
			return err
		}
	}
	if err := b.awaitSessions(all...); err != nil {
		return err
	}
	rounds, err := b.inRounds(all)
	if err != nil {
		return err
	}
	r := b.judged(all, rounds)
	stocks, ways := 4, 2
	for i, v := range all[stocks+ways:] {
		row := summarize(v.name, all[stocks+i%ways].name, 0, rounds)
		row.Name += ", to 1"
		r.Rows = append(r.Rows, row)
	}
	if b.json {
		return printJSON(b.out, r)
	}
	return r.print(b.out)
}
