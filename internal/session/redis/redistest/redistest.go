// Package redistest starts real Redis servers for tests, on free loopback ports
// and with a password.
package redistest

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/freeport"
)

// Password of every server.
const Password = "correct horse battery staple"

// Server is a running redis-server.
type Server struct {
	// Addr is host:port.
	Addr string

	t    testing.TB
	args []string
	dir  string
	cmd  *exec.Cmd
}

// Start starts a server with more arguments, or skips the test if there is no
// redis-server on this machine.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s := &Server{Addr: freeAddr(t), t: t, args: args, dir: t.TempDir()}
	s.Run()
	t.Cleanup(s.Kill)
	return s
}

// binary is the server, or a skip that says what is missing.
func binary(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not installed, so nothing is tested against Redis; Debian's package is redis-server")
	}
	return path
}

func freeAddr(t testing.TB) string {
	t.Helper()
	addr, err := freeport.Addr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// Run starts the server again after Kill, empty, and waits until it answers.
func (s *Server) Run() {
	s.t.Helper()
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		s.t.Fatal(err)
	}
	args := append([]string{
		"--bind", host, "--port", port, "--requirepass", Password, "--masterauth", Password,
		"--save", "", "--appendonly", "no", "--dir", s.dir, "--daemonize", "no",
	}, s.args...)
	s.run(args)
}

func (s *Server) run(args []string) {
	s.t.Helper()
	log, err := os.Create(filepath.Join(s.dir, "redis.log"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	s.cmd = exec.Command(binary(s.t), args...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for range 200 {
		if _, err := Command(s.Addr, "PING"); err == nil {
			return
		}
		time.Sleep(25 * time.Millisecond) // another process: nothing to wait on but its port
	}
	text, _ := os.ReadFile(log.Name())
	s.t.Fatalf("redis-server does not answer:\n%s", text)
}

// Kill ends the server at once; what it held is gone.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.cmd = nil
}

// Pause stops the server from answering until Resume, with its port open.
func (s *Server) Pause() { _ = s.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume undoes Pause.
func (s *Server) Resume() { _ = s.cmd.Process.Signal(syscall.SIGCONT) }

// Do sends a command and returns the whole answer as text.
func (s *Server) Do(args ...string) string {
	s.t.Helper()
	answer, err := Command(s.Addr, args...)
	if err != nil {
		s.t.Fatalf("%v: %v", args, err)
	}
	return answer
}

// Command sends a command to any server with the password of these tests.
func Command(addr string, args ...string) (string, error) {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	reader := bufio.NewReader(conn)
	if !strings.EqualFold(args[0], "SENTINEL") {
		fmt.Fprint(conn, encode("AUTH", Password))
		if _, err := reply(reader); err != nil {
			return "", err
		}
	}
	fmt.Fprint(conn, encode(args...))
	return reply(reader)
}

func encode(args ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, arg := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(arg), arg)
	}
	return b.String()
}

// reply reads one answer of the protocol (RESP2), lists with a line an item.
func reply(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", fmt.Errorf("empty answer")
	}
	switch kind, rest := line[0], line[1:]; kind {
	case '+', ':':
		return rest, nil
	case '-':
		return "", fmt.Errorf("%s", rest)
	case '$', '*':
		n := 0
		if _, err := fmt.Sscanf(rest, "%d", &n); err != nil {
			return "", err
		}
		if n < 0 {
			return "", nil
		}
		if kind == '$' {
			data := make([]byte, n+2)
			for read := 0; read < len(data); {
				k, err := r.Read(data[read:])
				if err != nil {
					return "", err
				}
				read += k
			}
			return string(data[:n]), nil
		}
		var items []string
		for range n {
			item, err := reply(r)
			if err != nil {
				return "", err
			}
			items = append(items, item)
		}
		return strings.Join(items, "\n"), nil
	}
	return "", fmt.Errorf("unknown answer %q", line)
}

// Cluster starts a cluster of three nodes and returns them.
func Cluster(t testing.TB) []*Server {
	t.Helper()
	nodes := make([]*Server, 3)
	for i := range nodes {
		nodes[i] = Start(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
	}
	for i, node := range nodes {
		first, last := 16384*i/3, 16384*(i+1)/3-1
		node.Do("CLUSTER", "ADDSLOTSRANGE", fmt.Sprint(first), fmt.Sprint(last))
		host, port, err := net.SplitHostPort(nodes[0].Addr)
		if err != nil {
			t.Fatal(err)
		}
		node.Do("CLUSTER", "MEET", host, port)
	}
	for _, node := range nodes {
		for try := 0; !strings.Contains(node.Do("CLUSTER", "INFO"), "cluster_state:ok"); try++ {
			if try == 400 {
				t.Fatalf("the cluster does not come up:\n%s", node.Do("CLUSTER", "NODES"))
			}
			time.Sleep(25 * time.Millisecond)
		}
	}
	return nodes
}

// Sentinel starts a server that watches master under the name "main".
func Sentinel(t testing.TB, master *Server) *Server {
	t.Helper()
	s := &Server{Addr: freeAddr(t), t: t, dir: t.TempDir()}
	binary(t)
	host, port, err := net.SplitHostPort(master.Addr)
	if err != nil {
		t.Fatal(err)
	}
	ownHost, ownPort, err := net.SplitHostPort(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(s.dir, "sentinel.conf")
	text := fmt.Sprintf("bind %s\nport %s\ndir %s\nsentinel monitor main %s %s 1\nsentinel auth-pass main %s\n", ownHost, ownPort, s.dir, host, port, `"`+Password+`"`)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.cmd = exec.Command(binary(t), config, "--sentinel")
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	for try := 0; ; try++ {
		if answer, err := Command(s.Addr, "SENTINEL", "get-master-addr-by-name", "main"); err == nil && strings.Contains(answer, port) {
			return s
		}
		if try == 400 {
			t.Fatal("the sentinel does not answer")
		}
		time.Sleep(25 * time.Millisecond)
	}
}
