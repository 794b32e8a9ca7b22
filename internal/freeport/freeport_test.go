package freeport

import (
	"net"
	"strconv"
	"testing"
)

// An address stays free until its server listens: nobody else in this process gets it,
// and the system gives it to nobody who does not ask for it.
func TestAddressesAreGivenOutOnce(t *testing.T) {
	seen := make(map[string]bool)
	for range 300 {
		addr, err := Addr()
		if err != nil {
			t.Fatal(err)
		}
		if seen[addr] {
			t.Fatalf("%s is given out twice", addr)
		}
		seen[addr] = true
		host, port, err := net.SplitHostPort(addr)
		if number, _ := strconv.Atoi(port); err != nil || host != "127.0.0.1" || number < first || number >= first+ports {
			t.Fatalf("%s: %v", addr, err)
		}
	}
	for range 300 { // what the system chooses
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		if seen[ln.Addr().String()] {
			t.Errorf("%s was somebody else's", ln.Addr())
		}
	}
}

// A port that is in use over either protocol is passed over.
func TestPortsInUseArePassedOver(t *testing.T) {
	for what, listen := range map[string]func(addr string) (interface{ Close() error }, error){
		"tcp": func(addr string) (interface{ Close() error }, error) { return net.Listen("tcp", addr) },
		"udp": func(addr string) (interface{ Close() error }, error) { return net.ListenPacket("udp", addr) },
	} {
		addr, err := Addr()
		if err != nil {
			t.Fatal(err)
		}
		server, err := listen(addr)
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		last.Add(^uint32(0)) // once more the same
		if next, err := Addr(); err != nil || next == addr {
			t.Errorf("%s: %s is in use and is given out: %v", what, addr, err)
		}
	}
}
