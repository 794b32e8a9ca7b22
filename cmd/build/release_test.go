package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/xcaddy"
)

func TestVersionReachesTheLinker(t *testing.T) {
	builder, err := readRecipe(filepath.Join("..", "..", "xcaddy.json"))
	if err != nil {
		t.Fatal(err)
	}
	without := builder.BuildFlags
	if err := setVersion(&builder, ""); err != nil || builder.BuildFlags != without {
		t.Errorf("no version changes the flags: %q, %v", builder.BuildFlags, err)
	}
	if err := setVersion(&builder, "v1.2.3-rc.1"); err != nil {
		t.Fatal(err)
	}
	const want = "'-ldflags=-s -w -X github.com/caddyserver/caddy/v2.CustomVersion=v1.2.3-rc.1'"
	if !strings.Contains(builder.BuildFlags, want) {
		t.Errorf("flags %q, want %s in them", builder.BuildFlags, want)
	}
	for _, bad := range []string{"1.2.3", "v1", "v1.2", "v01.2.3", "v1.2.3+build", "v1.2.3 -X main.x=y", "v1.2.3'", "v1.2.3-", "latest"} {
		if err := setVersion(&builder, bad); err == nil {
			t.Errorf("version %q is accepted", bad)
		}
	}
	if err := setVersion(&xcaddy.Builder{}, "v1.2.3"); err == nil {
		t.Error("a recipe without linker flags takes a version and ignores it")
	}
}

func TestPlatforms(t *testing.T) {
	names := make(map[string]bool)
	for _, p := range platforms {
		if parsed, err := parsePlatform(p.String()); err != nil || parsed != p {
			t.Errorf("%s: got %v, %v", p, parsed, err)
		}
		names[p.archive("v1.2.3")] = true
	}
	for _, want := range []string{
		"caddy-wechat_1.2.3_linux_amd64.tar.gz", "caddy-wechat_1.2.3_linux_arm64.tar.gz", "caddy-wechat_1.2.3_darwin_arm64.tar.gz",
		"caddy-wechat_1.2.3_windows_amd64.zip",
	} {
		if !names[want] {
			t.Errorf("no archive %s", want)
		}
	}
	if _, err := parsePlatform("linux/mips"); err == nil || !strings.Contains(err.Error(), "linux/amd64") {
		t.Errorf("got %v, want an error with the platforms there are", err)
	}
}

func TestArchivesAreReproducible(t *testing.T) {
	files := []file{{"caddy-wechat", []byte("binary"), 0o755}, {"LICENSE", []byte("license"), 0o644}}
	for _, p := range platforms {
		first, err := pack(p, files)
		if err != nil {
			t.Fatal(err)
		}
		second, err := pack(p, files)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, second) {
			t.Errorf("%s: two archives of the same files differ", p)
		}
		got := unpack(t, p, first)
		if want := map[string]string{"caddy-wechat": "-rwxr-xr-x binary", "LICENSE": "-rw-r--r-- license"}; !maps.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", p, got, want)
		}
	}
}

func unpack(t *testing.T, p platform, data []byte) map[string]string {
	t.Helper()
	members := make(map[string]string)
	read := func(name, mode string, r io.Reader) {
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		members[name] = mode + " " + string(content)
	}
	if p.os == "windows" {
		archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.File {
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			read(f.Name, f.Mode().String(), r)
		}
		return members
	}
	compressed, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(compressed)
	for {
		header, err := archive.Next()
		if err == io.EOF {
			return members
		}
		if err != nil {
			t.Fatal(err)
		}
		read(header.Name, header.FileInfo().Mode().String(), archive)
	}
}
