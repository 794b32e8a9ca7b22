package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The recipe and go.mod name the same things; what is tested is what is built.
func TestRecipeAgreesWithGoMod(t *testing.T) {
	root := filepath.Join("..", "..")
	goMod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	builder, err := readRecipe(filepath.Join(root, "xcaddy.json"))
	if err != nil {
		t.Fatal(err)
	}
	var module string
	for line := range strings.Lines(string(goMod)) {
		if name, ok := strings.CutPrefix(line, "module "); ok {
			module = strings.TrimSpace(name)
		}
	}
	if want := "github.com/caddyserver/caddy/v2 " + builder.CaddyVersion + "\n"; !strings.Contains(string(goMod), want) {
		t.Errorf("go.mod does not require Caddy %s", builder.CaddyVersion)
	}
	if len(builder.Plugins) != 1 || builder.Plugins[0].PackagePath != module+"/caddymodule" {
		t.Errorf("plugins %v, want %s/caddymodule alone: the simulator is not for production", builder.Plugins, module)
	}
	absolute, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(builder.Replacements) != 1 || string(builder.Replacements[0].Old) != module || string(builder.Replacements[0].New) != absolute {
		t.Errorf("replacements %v, want %s by this checkout", builder.Replacements, module)
	}
}

// A profile beside a main package would be used by every build, and everything
// compiled once more for it: go run ./cmd/caddy and go test ./... share a cache.
func TestOnlyProductionBuildsUseTheProfile(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	if found, err := filepath.Glob(filepath.Join(root, "cmd", "*", "default.pgo")); err != nil || len(found) > 0 {
		t.Errorf("every build uses %v, %v", found, err)
	}
	builder, err := readRecipe(filepath.Join(root, "xcaddy.json"))
	if err != nil {
		t.Fatal(err)
	}
	profile := filepath.Join(root, "cmd", "build", "caddy.pgo")
	if !strings.Contains(builder.BuildFlags, "'-pgo="+profile+"'") {
		t.Errorf("production builds have the flags %s, without the profile", builder.BuildFlags)
	}
	if _, err := os.Stat(profile); err != nil {
		t.Error(err)
	}
}

// The image is built with the Go that go.mod asks for.
func TestDockerfileAgreesWithGoMod(t *testing.T) {
	root := filepath.Join("..", "..")
	goMod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	dockerfile, err := os.ReadFile(filepath.Join(root, "docs", "deploy", "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(goMod)
	if version == nil {
		t.Fatal("go.mod names no Go version")
	}
	if want := "ARG BUILD_IMAGE=golang:" + string(version[1]) + "-"; !strings.Contains(string(dockerfile), want) {
		t.Errorf("the Dockerfile has no %q", want)
	}
}

// The build runs in a folder of its own, where a relative profile is not found.
func TestProfileIsRelativeToTheRecipe(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's here")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	profile := "'-pgo=" + strings.ReplaceAll(filepath.Join(dir, "cmd", "default.pgo"), "'", `'\''`) + "'"
	for flags, want := range map[string]string{
		"-pgo=./cmd/default.pgo":                     profile,
		"-trimpath -pgo=./cmd/default.pgo -tags=one": "-trimpath " + profile + " -tags=one",
		"-trimpath -pgo=off":                         "-trimpath -pgo=off",
		"-pgo=auto '-ldflags=-s -w'":                 "-pgo=auto '-ldflags=-s -w'",
		"-pgo=/srv/default.pgo":                      "-pgo=/srv/default.pgo",
	} {
		text, err := json.Marshal(map[string]string{"build_flags": flags})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "xcaddy.json")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		builder, err := readRecipe(file)
		if err != nil {
			t.Fatal(err)
		}
		if builder.BuildFlags != want {
			t.Errorf("%s: got %s, want %s", flags, builder.BuildFlags, want)
		}
	}
}

func TestBadRecipesAreRefused(t *testing.T) {
	for name, text := range map[string]string{"unknown member": `{"caddy":"v2.11.9"}`, "not JSON": `caddy_version: v2`} {
		file := filepath.Join(t.TempDir(), "xcaddy.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readRecipe(file); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := readRecipe(filepath.Join(t.TempDir(), "none.json")); err == nil || !strings.Contains(err.Error(), "-config") {
		t.Errorf("a missing recipe: %v", err)
	}
}
