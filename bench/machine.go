package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
)

// A machine describes the system that the figures were measured on.
type machine struct {
	CPU   string            `json:"cpu"`
	Cores int               `json:"cores"`
	OS    string            `json:"os"`
	Go    string            `json:"go"`
	Load  string            `json:"load,omitempty"`  // the system's load averages before the run
	Peers map[string]string `json:"peers,omitempty"` // version by name
}

// thisMachine describes this system, as far as it can be read.
func thisMachine() machine {
	m := machine{
		CPU: valueOf("/proc/cpuinfo", "model name", ":"), Cores: runtime.NumCPU(),
		OS: valueOf("/etc/os-release", "PRETTY_NAME", "="), Go: runtime.Version(), Peers: map[string]string{},
	}
	if m.CPU == "" {
		m.CPU = "unknown CPU"
	}
	m.CPU += ", " + runtime.GOARCH
	if m.OS == "" {
		m.OS = runtime.GOOS
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load = strings.Join(strings.Fields(string(load))[:3], " ")
	}
	return m
}

func (m machine) String() string {
	s := fmt.Sprintf("%s; %d cores; %s; %s", m.CPU, m.Cores, m.OS, m.Go)
	if m.Load != "" {
		s += "; load before the run " + m.Load
	}
	return s
}

// valueOf returns the value of the first line "key separator value" of a file, or "".
func valueOf(file, key, separator string) string {
	text, err := os.ReadFile(filepath.FromSlash(file))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(line, separator)
		if ok && strings.TrimSpace(name) == key {
			return strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return ""
}

// moduleVersion returns the version of a module in this program, or the commit of a
// version without a tag.
func moduleVersion(path string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == path {
				return m.Version[strings.LastIndexByte(m.Version, '-')+1:]
			}
		}
	}
	return ""
}
