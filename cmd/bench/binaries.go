package main

import (
	"fmt"
	"path/filepath"
	"strings"
)

// compareBinaries measures gateways built in different ways, all as shipped, beside
// stock Caddy in the same rounds: before and after a change, one profile and another.
func (b *bench) compareBinaries(list string) error {
	var all []*variant
	for _, name := range []string{"stock", "stock again"} {
		p, err := b.stockProxy(name, "")
		if err != nil {
			return err
		}
		all = append(all, asked(&variant{name: name, proxy: p, base: "stock"}, ask{}, forgedOpenID))
	}
	for i, binary := range strings.Split(list, ",") {
		b.gateway = binary
		p, tokens, openID, err := b.loggedIn(fmt.Sprintf("%d: %s", i+1, filepath.Base(binary)), "")
		if err != nil {
			return err
		}
		calls := gets("/", tokens, 0)
		for _, stock := range all[:2] {
			stock.calls = calls
		}
		all = append(all, asked(&variant{name: p.name, proxy: p, base: "stock", calls: calls}, ask{token: tokens[0]}, openID))
	}
	for _, v := range all {
		if err := b.verify(v); err != nil {
			return err
		}
	}
	rounds, err := b.inRounds(all)
	if err != nil {
		return err
	}
	r := b.judged(all, rounds)
	for _, v := range all[3:] {
		row := summarize(v.name, all[2].name, 0, rounds)
		row.Name += ", to 1"
		r.Rows = append(r.Rows, row)
	}
	if b.json {
		return printJSON(b.out, r)
	}
	return r.print(b.out)
}
