// Command build makes a production Caddy with this module from the checkout,
// by the recipe in xcaddy.json. It is what `xcaddy build` would do, without
// having to install xcaddy.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"

	"github.com/caddyserver/xcaddy"
)

func main() {
	recipe := flag.String("config", "xcaddy.json", "recipe: xcaddy's Builder as JSON; paths in it are relative to it")
	output := flag.String("o", "caddy", "file to write")
	version := flag.String("version", "", "what `caddy version` prints: a tag such as v1.2.3 (default: Caddy's own version)")
	release := flag.String("release", "", "folder to write an archive for every platform to, with their checksums; needs -version")
	only := flag.String("platform", "", "the one platform to build for, such as linux/arm64 (default: this one; with -release all)")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "build: unexpected argument %q; the file to write is named with -o\n", flag.Arg(0))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	if err := run(ctx, *recipe, *output, *version, *release, *only); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, recipe, output, version, release, only string) error {
	builder, err := readRecipe(recipe)
	if err != nil {
		return err
	}
	if err := setVersion(&builder, version); err != nil {
		return err
	}
	wanted := platforms
	if only != "" {
		p, err := parsePlatform(only)
		if err != nil {
			return err
		}
		wanted = []platform{p}
		p.target(&builder)
	}
	cleanup, err := toleratePrivateModules(ctx)
	if err != nil {
		return err
	}
	defer cleanup()
	cleanup, err = hideFolder(&builder)
	if err != nil {
		return err
	}
	defer cleanup()
	if release == "" {
		return build(ctx, builder, output)
	}
	if version == "" {
		return errors.New("-release needs -version: archives are named after it")
	}
	return buildRelease(ctx, builder, filepath.Dir(recipe), release, version, wanted)
}

func build(ctx context.Context, builder xcaddy.Builder, output string) error {
	if err := builder.Build(ctx, output); err != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
			return errors.New("interrupted")
		}
		return fmt.Errorf("building %s: %w (the go command's own words are above; it needs a module proxy or a full module cache, "+
			"and the Go version of go.mod)", output, err)
	}
	return nil
}

// hideFolder keeps the checkout's folder out of the binary, which names what a module
// was replaced by: it becomes a link beside the folder that xcaddy builds in, and is
// named relative to that. So builds in two folders are equal to the byte. Only on Linux:
// elsewhere xcaddy builds in another place, or links need privileges.
func hideFolder(builder *xcaddy.Builder) (cleanup func(), err error) {
	if runtime.GOOS != "linux" {
		return func() {}, nil
	}
	dir, err := os.MkdirTemp("", "build")
	if err != nil {
		return nil, fmt.Errorf("making folder: %w", err)
	}
	for i, replacement := range builder.Replacements {
		if !filepath.IsAbs(string(replacement.New)) {
			continue
		}
		name := fmt.Sprintf("source%d", i)
		if err := os.Symlink(string(replacement.New), filepath.Join(dir, name)); err != nil {
			return nil, fmt.Errorf("linking the checkout: %w", err)
		}
		builder.Replacements[i].New = xcaddy.ReplacementPath("../" + name)
	}
	if err := os.Setenv("TMPDIR", dir); err != nil {
		return nil, fmt.Errorf("setting TMPDIR: %w", err)
	}
	return func() { _ = os.RemoveAll(dir) }, nil
}

// toleratePrivateModules makes the go command take every refusal of a module
// proxy for "not here", by asking an empty one last. It looks for a module by
// the name of the plugin's package although the replacement has that package,
// and gives up where a proxy answers 403 instead of 404 for a missing version.
func toleratePrivateModules(ctx context.Context) (cleanup func(), err error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOPROXY").Output()
	if err != nil {
		return nil, fmt.Errorf("asking go for GOPROXY: %w (is Go installed?)", err)
	}
	empty, err := os.MkdirTemp("", "modules")
	if err != nil {
		return nil, fmt.Errorf("making folder: %w", err)
	}
	proxies := strings.ReplaceAll(strings.TrimSpace(string(out)), ",direct", "")
	last := (&url.URL{Scheme: "file", Path: filepath.ToSlash(empty)}).String()
	if err := os.Setenv("GOPROXY", proxies+"|"+last); err != nil {
		return nil, fmt.Errorf("setting GOPROXY: %w", err)
	}
	return func() { _ = os.RemoveAll(empty) }, nil
}

// readRecipe reads the recipe and makes the paths in it absolute, because the
// build runs in a folder of its own.
func readRecipe(name string) (xcaddy.Builder, error) {
	var builder xcaddy.Builder
	data, err := os.ReadFile(name) //nolint:gosec // the recipe that the user names
	if err != nil {
		return builder, fmt.Errorf("reading recipe: %w (run this in the checkout, or name the recipe with -config)", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&builder); err != nil {
		return builder, fmt.Errorf("reading recipe %s: %w", name, err)
	}
	dir, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		return builder, fmt.Errorf("finding folder of %s: %w", name, err)
	}
	for i, replacement := range builder.Replacements {
		path := string(replacement.New)
		if path == "." || strings.HasPrefix(path, "./") || strings.HasPrefix(path, "../") {
			builder.Replacements[i].New = xcaddy.ReplacementPath(filepath.Join(dir, path))
		}
	}
	builder.BuildFlags = profilePath.ReplaceAllStringFunc(builder.BuildFlags, func(flag string) string {
		before, path, _ := strings.Cut(flag, "-pgo=")
		return before + "'-pgo=" + strings.ReplaceAll(filepath.Join(dir, path), "'", `'\''`) + "'"
	})
	return builder, nil
}

// profilePath finds a profile named relative to the recipe; `-pgo=auto` and
// `-pgo=off` are no paths.
var profilePath = regexp.MustCompile(`(^|\s)-pgo=\.\.?/\S+`)
