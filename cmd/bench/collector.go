package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"text/tabwriter"
)

type collectorPoint struct {
	Setting  string  `json:"setting"`
	CPU      float64 `json:"cpu_us"`
	Ratio    spread  `json:"ratio"` // to the first setting
	Resident int     `json:"resident_bytes"`
}

// collectors measures gateways that differ in nothing but the garbage collector,
// in interleaved rounds: what it saves, and what that takes in memory.
func (b *bench) collectors() error {
	var all []*variant
	for i, setting := range collectorSettings {
		name := setting.String()
		b.collector = setting
		p, err := b.gatewayProxy(name, filepath.Join(b.dir, fmt.Sprintf("collector-%d", i)), "off", "")
		if err != nil {
			return err
		}
		tokens, err := b.logins(p.addr, b.sessions)
		if err != nil {
			return err
		}
		v := &variant{name: name, proxy: p, calls: gets("/", tokens, 0)}
		v.check, v.sees = call{get("/check", tokens[0], 0), http.StatusOK}, "openid="+b.openID(tokens[0])+" extra="
		if err := b.verify(v); err != nil {
			return err
		}
		all = append(all, v)
	}
	rounds, err := b.inRounds(all)
	if err != nil {
		return err
	}
	points := make([]collectorPoint, len(all))
	for i, v := range all {
		row := summarize(v.name, all[0].name, 0, rounds)
		resident, err := residentBytes(v.proxy.cmd.Process.Pid)
		if err != nil {
			return err
		}
		points[i] = collectorPoint{v.name, row.CPU, row.Ratio, resident}
	}
	if b.json {
		return printJSON(b.out, points)
	}
	t := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(t, "collector\tCPU µs\tto %s\tspread\tresident MB\t\n", all[0].name)
	for _, p := range points {
		_, _ = fmt.Fprintf(t, "%s\t%.1f\t%.2f\t%.2f–%.2f\t%.0f\t\n", p.Setting, p.CPU, p.Ratio.Median, p.Ratio.Low, p.Ratio.High, megabytes(p.Resident))
	}
	return t.Flush()
}
