package main

// growth is the file that the chart is drawn from: what costs more with more of something.
type growth struct {
	Sessions []scalePoint  `json:"sessions"`
	Apps     []appsPoint   `json:"apps"`
	Streams  []streamPoint `json:"web_sockets"`
}

type appsPoint struct {
	Apps      int     `json:"apps"`
	StartCPU  float64 `json:"start_cpu_ms"` // until the first answer
	ReloadCPU float64 `json:"reload_cpu_ms"`
	Heap      int     `json:"heap_bytes"`
}

type streamPoint struct {
	Streams int      `json:"open"`
	Stock   proxyUse `json:"stock"`
	Gateway proxyUse `json:"gateway"`
}

type proxyUse struct {
	CPU      float64 `json:"cpu_ms_per_second"`
	Resident int     `json:"resident_bytes"`
}
