package main

import "fmt"

// collectorSetting is how a gateway collects its garbage.
type collectorSetting struct {
	gogc string // empty: as the gateway sets it
	// container is the memory of a container in MiB, 0 for none. Caddy takes nine
	// tenths of it for Go's limit.
	container int
}

var collectorSettings = []collectorSetting{
	{gogc: "100"},
	{gogc: "200"},
	{gogc: "400"},
	{gogc: "800"},
	{gogc: "1600"},
	{gogc: "3200"},
	{},
	{container: 512},
	{container: 256},
	{container: 128},
	{container: 64},
}

// goDefault is Go's own setting.
var goDefault = collectorSetting{gogc: "100"}

func (s collectorSetting) String() string {
	switch {
	case s.gogc != "":
		return "GOGC=" + s.gogc
	case s.container > 0:
		return fmt.Sprintf("as shipped in %d MiB", s.container)
	}
	return "as shipped"
}

// environment is that of a process with the setting.
func (s collectorSetting) environment() (lines []string) {
	if s.gogc != "" {
		lines = append(lines, "GOGC="+s.gogc)
	}
	if s.container > 0 {
		lines = append(lines, fmt.Sprintf("GOMEMLIMIT=%d", s.container<<20*9/10))
	}
	return lines
}
