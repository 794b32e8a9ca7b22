package caddymodule_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// programs look at the arguments of a command of the documentation.
var programs map[string]func(page string, args []string) error

// They are set here because some run others.
func init() {
	programs = map[string]func(page string, args []string) error{
		"caddy":        func(_ string, args []string) error { return checkCaddyCommand(args) },
		"caddy-wechat": func(_ string, args []string) error { return checkCaddyCommand(args) },
		"curl":         checkCurlCommand,
		"go":           func(_ string, args []string) error { return checkGoCommand(args) },
		"xcaddy":       func(_ string, args []string) error { return checkXcaddyCommand(args) },
		"sudo":         checkSudoCommand,
		"python3":      scriptOf("python3"),
		"bash":         scriptOf("bash"),
		"docker":       options(map[string]string{"build": "f= t= build-arg=", "run": "d rm name= stop-timeout= p= v= e=", "exec": "it", "compose": "f= build up"}),
		"systemctl":    options(map[string]string{"daemon-reload": "", "enable": "now", "disable": "now", "start": "", "stop": "", "restart": "", "reload": "", "status": ""}),
		"journalctl":   options(map[string]string{"": "u= f n= since="}),
		"kubectl":      options(map[string]string{"apply": "f=", "create": "from-file=", "get": "", "rollout": "", "logs": "f"}),
		"dpkg":         options(map[string]string{"": "i"}),
		"rpm":          options(map[string]string{"": "i U"}),
		"apt-get":      options(map[string]string{"install": "y", "update": ""}),
		"install":      options(map[string]string{"": "d m= o= g="}),
		"useradd":      options(map[string]string{"": "system home-dir= shell= gid="}),
		"editor":       options(map[string]string{"": ""}),
		"openssl":      options(map[string]string{"rand": "base64"}),
		"npm":          options(map[string]string{"install": "", "ci": ""}),
	}
}

// standIn stands for a program and writes down how it was called.
const standIn = `#!/bin/sh
printf '%s\0' "$AT" "${0##*/}" "$@" >"$RECORDS/$$"
[ -t 0 ] || /bin/cat >/dev/null
`

// checkCommands runs what a page tells people to type in a shell in which programs are
// recorders, one block after the other, and looks at the arguments that they got: so
// quotes, pipes and variables are the shell's, and nothing happens.
func checkCommands(t *testing.T, commands []block) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not installed, so commands of the documentation are not looked at")
	}
	dir, bin, records := t.TempDir(), t.TempDir(), t.TempDir()
	for name := range programs {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(standIn), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"sed", "tee"} {
		if err := os.Symlink(tool(t, name), filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "token.txt"), []byte("token"), 0o600); err != nil {
		t.Fatal(err)
	}
	script := ""
	for i, b := range commands {
		script += fmt.Sprintf("export AT=%d\n%s\nwait\n", i, typed(b))
	}
	shell := exec.CommandContext(t.Context(), bash, "--norc", "--restricted", "-euo", "pipefail", "-c", script)
	shell.Dir = dir
	shell.Env = []string{"PATH=" + bin, "RECORDS=" + records, "LC_ALL=C"}
	if out, err := shell.CombinedOutput(); err != nil || strings.Contains(string(out), "bash: ") {
		t.Errorf("%s: the commands do not run: %v\n%s", commands[0].page, err, out)
	}
	called := make([]int, len(commands))
	files, err := os.ReadDir(records)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(filepath.Join(records, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		call := strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00")
		at, err := strconv.Atoi(call[0])
		if err != nil {
			t.Fatal(err)
		}
		called[at]++
		if err := programs[call[1]](commands[at].page, call[2:]); err != nil {
			t.Errorf("%v: %q: %v", commands[at], call[1:], err)
		}
	}
	for i, b := range commands {
		if called[i] == 0 && strings.TrimSpace(typed(b)) != "" && !strings.Contains(typed(b), "=$(sed ") {
			t.Errorf("%v calls no program", b)
		}
	}
}

// typed is what of a block is to be typed: all of it, or what follows a prompt.
func typed(b block) string {
	if b.language == "sh" {
		return b.text
	}
	var lines []string
	for line := range strings.Lines(b.text) {
		if line, ok := strings.CutPrefix(line, "$ "); ok {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// flagged parses arguments by a list of options; those that take a value end in "=".
func flagged(known string, args []string) ([]string, error) {
	c := &cobra.Command{}
	for name := range strings.FieldsSeq(known) {
		name, value := strings.CutSuffix(name, "=")
		long, short := name, ""
		if len(name) == 1 {
			long, short = "only-"+name, name
		}
		if value {
			c.Flags().StringArrayP(long, short, nil, "")
		} else {
			c.Flags().BoolP(long, short, false, "")
		}
	}
	err := c.ParseFlags(args)
	return c.Flags().Args(), err
}

// options looks at commands with subcommands, or, named "", without.
func options(known map[string]string) func(string, []string) error {
	return func(_ string, args []string) error {
		list, plain := known[""]
		if !plain {
			if len(args) == 0 {
				return errors.New("it wants a subcommand")
			}
			var ok bool
			if list, ok = known[args[0]]; !ok {
				return fmt.Errorf("unknown subcommand %s", args[0])
			}
			args = args[1:]
			if args = slices.Clone(args); len(args) > 0 && args[0] == "-base64" {
				args[0] = "--base64" // openssl's
			}
		}
		_, err := flagged(list, args)
		return err
	}
}

var (
	repositoryFile = func(name string) error { _, err := os.Stat(filepath.Join("..", name)); return err }
	installedFiles = []string{"/etc/caddy-wechat/Caddyfile", "/etc/caddy/Caddyfile", "Caddyfile"}
)

// checkCaddyCommand parses by the commands themselves.
func checkCaddyCommand(args []string) error {
	root := &cobra.Command{Use: "caddy"}
	for name, c := range caddycmd.Commands() {
		sub := &cobra.Command{Use: name + " " + c.Usage, RunE: func(*cobra.Command, []string) error { return nil }}
		if c.CobraFunc != nil {
			c.CobraFunc(sub)
		} else {
			sub.Flags().AddGoFlagSet(c.Flags)
		}
		root.AddCommand(sub)
	}
	c, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if err := c.ParseFlags(rest); err != nil {
		return err
	}
	if err := errors.Join(c.ValidateArgs(c.Flags().Args()), c.ValidateRequiredFlags()); err != nil {
		return err
	}
	if c == root || c.HasSubCommands() {
		return fmt.Errorf("%s wants a subcommand", c.CommandPath())
	}
	if config := c.Flags().Lookup("config"); config != nil && config.Changed && !slices.Contains(installedFiles, config.Value.String()) {
		return repositoryFile(config.Value.String())
	}
	return nil
}

// checkCurlCommand wants a page whose requests are sent by a test as they stand.
func checkCurlCommand(page string, args []string) error {
	if !slices.Contains([]string{"README.md", "docs/operations.md", "docs/user-data.md"}, inEnglish(page)) {
		return errors.New("no test sends what this page sends")
	}
	rest, err := flagged("s X= H= d= o= w=", args)
	if err == nil && len(rest) != 1 {
		err = fmt.Errorf("it requests %q", rest)
	}
	return err
}

func checkGoCommand(args []string) error {
	switch {
	case slices.Equal(args, []string{"test", "./..."}):
		return nil
	case len(args) < 2 || args[0] != "run" || !strings.HasPrefix(args[1], "./"):
		return errors.New("only run and test of this module are known")
	}
	if err := repositoryFile(filepath.Join(args[1], "main.go")); err != nil {
		return err
	}
	if args[1] == "./cmd/caddy" {
		return checkCaddyCommand(args[2:])
	}
	sources, err := filepath.Glob(filepath.Join("..", args[1], "*.go"))
	if err != nil {
		return err
	}
	defined := ""
	for _, name := range sources {
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		defined += string(data)
	}
	for _, arg := range args[2:] {
		if name, ok := strings.CutPrefix(arg, "-"); ok &&
			!regexp.MustCompile(`\bflag\.\w+\((?:&\w+, )?"`+regexp.QuoteMeta(name)+`"`).MatchString(defined) {
			return fmt.Errorf("%s has no %s", args[1], arg)
		}
	}
	return nil
}

func checkXcaddyCommand(args []string) error {
	module, err := os.ReadFile("../go.mod")
	if err != nil {
		return err
	}
	if len(args) < 2 || args[0] != "build" || !strings.Contains(string(module), "\tgithub.com/caddyserver/caddy/v2 "+args[1]+"\n") {
		return errors.New("that is not to build the Caddy of go.mod")
	}
	_, err = flagged("with= output=", args[2:])
	return err
}

// checkSudoCommand looks at what it runs.
func checkSudoCommand(page string, args []string) error {
	if len(args) > 1 && args[0] == "-u" {
		args = args[2:]
	}
	for len(args) > 0 && strings.Contains(args[0], "=") {
		args = args[1:]
	}
	if len(args) == 0 || programs[args[0]] == nil {
		return errors.New("it runs nothing that is known")
	}
	return programs[args[0]](page, args[1:])
}

// scriptOf wants a file of this repository.
func scriptOf(program string) func(string, []string) error {
	return func(_ string, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("%s wants a file", program)
		}
		return repositoryFile(args[0])
	}
}
