package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

const (
	panelWidth  = 520.0
	panelHeight = 200.0
	panelStep   = panelHeight + 84
	panelMargin = 64.0 // on the left, for the numbers
)

// panel is one diagram.
type panel struct {
	title, axis string
	unit        string // how values are written
	logarithmic bool   // of the x axis
	at          []float64
	lines       []line
	bound       float64 // 0: none
}

type line struct {
	class  string // of its colour: gateway or stock
	values []float64
}

// draw draws what grows with sessions, apps and streams. Its colours follow the
// reader's light or dark theme.
func (g *growth) draw() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" role="img" aria-label="Cost by number of sessions, apps and WebSockets">
<style>
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 14px }
.grid { stroke: #d0d7de }
.bound { stroke: #cf222e; stroke-dasharray: 6 4 }
polyline { stroke-width: 2; fill: none }
.gateway { fill: #0969da; color: #0969da }
.stock { fill: #6e7781; color: #6e7781 }
polyline.gateway, polyline.stock { stroke: currentColor; fill: none }
.ground { fill: #ffffff }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.grid { stroke: #3d444d }
.bound { stroke: #ff7b72 }
.gateway { fill: #58a6ff; color: #58a6ff }
.stock { fill: #9198a1; color: #9198a1 }
.ground { fill: #0d1117 }
}
</style>
<rect class="ground" width="100%%" height="100%%"/>
`, 2*panelWidth, 3*panelStep+12)
	for i, p := range g.panels() {
		p.draw(&b, float64(i%2)*panelWidth+panelMargin, float64(i/2)*panelStep+36)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (g *growth) panels() []panel {
	const sessions, apps, sockets = "live sessions", "apps", "idle WebSockets"
	ofSessions := func(title, unit string, bound float64, value func(scalePoint) float64) panel {
		p := panel{title: title, axis: sessions, unit: unit, logarithmic: true, bound: bound, lines: []line{{class: "gateway"}}}
		for _, point := range g.Sessions {
			p.at, p.lines[0].values = append(p.at, float64(point.Sessions)), append(p.lines[0].values, value(point))
		}
		return p
	}
	ofApps := func(title, unit string, value func(appsPoint) float64) panel {
		p := panel{title: title, axis: apps, unit: unit, logarithmic: true, lines: []line{{class: "gateway"}}}
		for _, point := range g.Apps {
			p.at, p.lines[0].values = append(p.at, float64(point.Apps)), append(p.lines[0].values, value(point))
		}
		return p
	}
	ofSockets := func(title, unit string, value func(proxyUse) float64) panel {
		p := panel{title: title, axis: sockets, unit: unit, lines: []line{{class: "stock"}, {class: "gateway"}}}
		for _, point := range g.Streams {
			p.at = append(p.at, float64(point.Streams))
			p.lines[0].values = append(p.lines[0].values, value(point.Stock))
			p.lines[1].values = append(p.lines[1].values, value(point.Gateway))
		}
		return p
	}
	return []panel{
		ofSessions("CPU per request, relative to the fewest sessions", "%.2f", maxScaleRatio, func(p scalePoint) float64 { return p.Ratio.Median }),
		ofSessions("Heap bytes per session", "%.0f", maxSessionBytes, func(p scalePoint) float64 { return p.HeapBytes }),
		ofApps("CPU of a start, ms", "%.0f", func(p appsPoint) float64 { return p.StartCPU }),
		ofApps("Heap after it, MB", "%.0f", func(p appsPoint) float64 { return megabytes(p.Heap) }),
		ofSockets("CPU, ms per second", "%.1f", func(u proxyUse) float64 { return u.CPU }),
		ofSockets("Memory in RAM, MB", "%.0f", func(u proxyUse) float64 { return megabytes(u.Resident) }),
	}
}

func (p panel) highest() float64 {
	highest := p.bound
	for _, line := range p.lines {
		highest = max(highest, slices.Max(line.values))
	}
	return max(highest, 1e-9) * 1.15
}

func (p panel) draw(b *strings.Builder, left, top float64) {
	right, highest := left+panelWidth-panelMargin-24, p.highest()
	y := func(v float64) float64 { return top + panelHeight - max(v, 0)/highest*panelHeight }
	scale := func(n float64) float64 { return n }
	if p.logarithmic {
		scale = math.Log10
	}
	first, last := scale(p.at[0]), scale(p.at[len(p.at)-1])
	x := func(n float64) float64 { return left + 24 + (scale(n)-first)/(last-first)*(right-left-48) }
	fmt.Fprintf(b, `<text class="title" x="%.0f" y="%.0f">%s</text>`+"\n", left, top-12, p.title)
	for i := range 5 {
		v := highest / 4 * float64(i)
		fmt.Fprintf(b, `<line class="grid" x1="%.0f" x2="%.0f" y1="%.1f" y2="%.1f"/><text x="%.0f" y="%.1f" text-anchor="end">%s</text>`+"\n",
			left, right, y(v), y(v), left-8, y(v)+4, fmt.Sprintf(p.unit, v))
	}
	if p.bound > 0 {
		fmt.Fprintf(b, `<line class="bound" x1="%.0f" x2="%.0f" y1="%.1f" y2="%.1f"/><text x="%.0f" y="%.1f" text-anchor="end">at most %s</text>`+"\n",
			left, right, y(p.bound), y(p.bound), right, y(p.bound)-6, fmt.Sprintf(p.unit, p.bound))
	}
	for _, n := range p.at {
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n", x(n), top+panelHeight+18, grouped(int(n)))
	}
	fmt.Fprintf(b, `<text x="%.0f" y="%.1f" text-anchor="middle">%s</text>`+"\n", (left+right)/2, top+panelHeight+36, p.axis)
	for i, line := range p.lines {
		below := 20.0
		if len(p.lines) > 1 {
			below = []float64{20, -10}[i] // stock's numbers below, the gateway's above
			fmt.Fprintf(b, `<text class="%s" x="%.0f" y="%.0f" text-anchor="end">%s</text>`+"\n",
				line.class, right-float64(i)*90, top-12, map[string]string{"stock": "stock Caddy", "gateway": "gateway"}[line.class])
		}
		var points []string
		for i, v := range line.values {
			at := x(p.at[i])
			points = append(points, fmt.Sprintf("%.1f,%.1f", at, y(v)))
			fmt.Fprintf(b, `<circle class="%s" cx="%.1f" cy="%.1f" r="4"/><text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n",
				line.class, at, y(v), at, min(y(v)+below, top+panelHeight-4), fmt.Sprintf(p.unit, v))
		}
		fmt.Fprintf(b, `<polyline class="%s" points="%s"/>`+"\n", line.class, strings.Join(points, " "))
	}
}

// grouped writes a number with commas between thousands.
func grouped(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
