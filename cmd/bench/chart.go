package main

import (
	"fmt"
	"math"
	"strings"
)

const (
	chartWidth  = 640.0
	panelHeight = 200.0
	panelLeft   = 64.0
	panelRight  = 616.0
)

// panel is one diagram over a logarithmic x axis.
type panel struct {
	title, unit string
	bound       float64
	values      []float64
}

// drawScale draws CPU per request and memory per session over the number of
// sessions. Its colours follow the reader's light or dark theme.
func drawScale(points []scalePoint) string {
	cpu := panel{title: "CPU per request, relative to the fewest sessions", unit: "%.2f", bound: maxScaleRatio}
	memory := panel{title: "Heap bytes per session", unit: "%.0f", bound: maxSessionBytes}
	var sessions []float64
	for _, p := range points {
		sessions = append(sessions, float64(p.Sessions))
		cpu.values = append(cpu.values, p.Ratio.Median)
		memory.values = append(memory.values, p.HeapBytes)
	}
	var b strings.Builder
	height := 2*(panelHeight+84) + 12
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" role="img" aria-label="Cost by number of sessions">
<style>
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 14px }
.grid { stroke: #d0d7de }
.bound { stroke: #cf222e; stroke-dasharray: 6 4 }
.line { stroke: #0969da; stroke-width: 2; fill: none }
.point { fill: #0969da }
.ground { fill: #ffffff }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.grid { stroke: #3d444d }
.bound { stroke: #ff7b72 }
.line { stroke: #58a6ff }
.point { fill: #58a6ff }
.ground { fill: #0d1117 }
}
</style>
<rect class="ground" width="100%%" height="100%%"/>
`, chartWidth, height)
	cpu.draw(&b, 36, sessions)
	memory.draw(&b, 36+panelHeight+84, sessions)
	b.WriteString("</svg>\n")
	return b.String()
}

func (p panel) draw(b *strings.Builder, top float64, sessions []float64) {
	highest := p.bound
	for _, v := range p.values {
		highest = max(highest, v)
	}
	highest *= 1.15
	y := func(v float64) float64 { return top + panelHeight - max(v, 0)/highest*panelHeight }
	first, last := math.Log10(sessions[0]), math.Log10(sessions[len(sessions)-1])
	x := func(n float64) float64 {
		return panelLeft + 24 + (math.Log10(n)-first)/max(last-first, 1)*(panelRight-panelLeft-48)
	}
	fmt.Fprintf(b, `<text class="title" x="%.0f" y="%.0f">%s</text>`+"\n", panelLeft, top-12, p.title)
	for i := range 5 {
		v := highest / 4 * float64(i)
		fmt.Fprintf(b, `<line class="grid" x1="%.0f" x2="%.0f" y1="%.1f" y2="%.1f"/><text x="%.0f" y="%.1f" text-anchor="end">%s</text>`+"\n",
			panelLeft, panelRight, y(v), y(v), panelLeft-8, y(v)+4, fmt.Sprintf(p.unit, v))
	}
	fmt.Fprintf(b, `<line class="bound" x1="%.0f" x2="%.0f" y1="%.1f" y2="%.1f"/><text x="%.0f" y="%.1f" text-anchor="end">at most %s</text>`+"\n",
		panelLeft, panelRight, y(p.bound), y(p.bound), panelRight, y(p.bound)-6, fmt.Sprintf(p.unit, p.bound))
	var line []string
	for i, v := range p.values {
		line = append(line, fmt.Sprintf("%.1f,%.1f", x(sessions[i]), y(v)))
		fmt.Fprintf(b, `<circle class="point" cx="%.1f" cy="%.1f" r="4"/><text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n",
			x(sessions[i]), y(v), x(sessions[i]), y(v)+20, fmt.Sprintf(p.unit, v))
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle">10<tspan dy="-5" font-size="10">%.0f</tspan></text>`+"\n",
			x(sessions[i]), top+panelHeight+18, math.Log10(sessions[i]))
	}
	fmt.Fprintf(b, `<polyline class="line" points="%s"/><text x="%.0f" y="%.1f" text-anchor="middle">live sessions</text>`+"\n",
		strings.Join(line, " "), (panelLeft+panelRight)/2, top+panelHeight+36)
}
