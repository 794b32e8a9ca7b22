package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/caddyserver/xcaddy"
)

// platform is what a release is built for, by Go's names.
type platform struct{ os, arch string }

// platforms of a release. Each is 64 bits wide: the gateway counts in 64 bits on its
// way of every request.
var platforms = []platform{
	{"linux", "amd64"},
	{"linux", "arm64"},
	{"darwin", "amd64"},
	{"darwin", "arm64"},
	{"windows", "amd64"},
}

func (p platform) String() string { return p.os + "/" + p.arch }

// parsePlatform accepts the platforms of a release.
func parsePlatform(text string) (platform, error) {
	for _, p := range platforms {
		if p.String() == text {
			return p, nil
		}
	}
	return platform{}, fmt.Errorf("-platform %q: must be one of %v", text, platforms)
}

// target makes the builder build for the platform.
func (p platform) target(builder *xcaddy.Builder) {
	builder.Platform = xcaddy.Platform{OS: p.os, Arch: p.arch}
}

// binary is the name of the executable file.
func (p platform) binary() string {
	if p.os == "windows" {
		return "caddy-wechat.exe"
	}
	return "caddy-wechat"
}

// archive is the name of the file that people download.
func (p platform) archive(version string) string {
	name := fmt.Sprintf("caddy-wechat_%s_%s_%s", strings.TrimPrefix(version, "v"), p.os, p.arch)
	if p.os == "windows" {
		return name + ".zip"
	}
	return name + ".tar.gz"
}

// versionTag is a tag by Semantic Versioning, as Go's modules use it.
var versionTag = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z]+(\.[0-9A-Za-z]+)*)?$`)

// linkerFlags is where the recipe sets what the linker is told.
const linkerFlags = "'-ldflags=-s -w"

// setVersion makes `caddy version` print the version.
func setVersion(builder *xcaddy.Builder, version string) error {
	if version == "" {
		return nil
	}
	if !versionTag.MatchString(version) {
		return fmt.Errorf("-version %q: must be a tag such as v1.2.3 or v1.2.3-rc.1", version)
	}
	if !strings.Contains(builder.BuildFlags, linkerFlags) {
		return fmt.Errorf("-version: the recipe's build_flags must contain %s'", linkerFlags)
	}
	builder.BuildFlags = strings.Replace(builder.BuildFlags, linkerFlags,
		linkerFlags+" -X github.com/caddyserver/caddy/v2.CustomVersion="+version, 1)
	return nil
}

// enclosed is what goes into every archive beside the binary.
var enclosed = []string{"LICENSE", "README.md", "README.zh-CN.md", "CHANGELOG.md", "SECURITY.md"}

// buildRelease builds an archive for each platform and a file with their checksums,
// the format of sha256sum. Two runs on one commit write the same bytes.
func buildRelease(ctx context.Context, builder xcaddy.Builder, source, dir, version string, wanted []platform) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // to be published
		return fmt.Errorf("making folder: %w", err)
	}
	var sums bytes.Buffer
	for _, p := range wanted {
		binary := filepath.Join(dir, p.os+"-"+p.arch, p.binary())
		p.target(&builder)
		if err := build(ctx, builder, binary); err != nil {
			return err
		}
		files, err := readFiles(source, binary)
		if err != nil {
			return err
		}
		data, err := pack(p, files)
		if err != nil {
			return fmt.Errorf("packing %s: %w", p, err)
		}
		name := p.archive(version)
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil { //nolint:gosec // to be published
			return fmt.Errorf("writing archive: %w", err)
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(data), name)
	}
	if err := os.WriteFile(filepath.Join(dir, "SHA256SUMS"), sums.Bytes(), 0o644); err != nil { //nolint:gosec // to be published
		return fmt.Errorf("writing checksums: %w", err)
	}
	return nil
}

// file is a member of an archive.
type file struct {
	name string
	data []byte
	mode os.FileMode
}

func readFiles(source, binary string) ([]file, error) {
	data, err := os.ReadFile(binary) //nolint:gosec // just built
	if err != nil {
		return nil, fmt.Errorf("reading what was built: %w", err)
	}
	files := []file{{filepath.Base(binary), data, 0o755}}
	for _, name := range enclosed {
		data, err := os.ReadFile(filepath.Join(source, name)) //nolint:gosec // of the checkout
		if err != nil {
			return nil, fmt.Errorf("reading what goes with it: %w", err)
		}
		files = append(files, file{name, data, 0o644})
	}
	return files, nil
}

// packed is the time of every member, so that archives are reproducible. (A zip has no
// earlier one than 1980.)
var packed = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

func pack(p platform, files []file) ([]byte, error) {
	var out bytes.Buffer
	var err error
	if p.os == "windows" {
		err = packZip(&out, files)
	} else {
		err = packTar(&out, files)
	}
	return out.Bytes(), err
}

func packTar(out io.Writer, files []file) error {
	compressed, err := gzip.NewWriterLevel(out, gzip.BestCompression)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(compressed)
	for _, f := range files {
		header := &tar.Header{Name: f.name, Mode: int64(f.mode), Size: int64(len(f.data)), ModTime: packed, Format: tar.FormatUSTAR}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(f.data); err != nil {
			return err
		}
	}
	return errors.Join(archive.Close(), compressed.Close())
}

func packZip(out io.Writer, files []file) error {
	archive := zip.NewWriter(out)
	for _, f := range files {
		header := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: packed}
		header.SetMode(f.mode)
		member, err := archive.CreateHeader(header)
		if err != nil {
			return err
		}
		if _, err := member.Write(f.data); err != nil {
			return err
		}
	}
	return archive.Close()
}
