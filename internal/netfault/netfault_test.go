package netfault

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
)

// net/http must go on quoting what came: unquoted, it could not be told from its own words.
func TestTextHasNothingOfTheAnswer(t *testing.T) {
	for _, raw := range []string{
		"tiihtNczf5v6AKRyjwEUhQ==",
		"HTTP/tiihtNczf5v6AKRyjwEUhQ== 200 OK\r\n\r\n",
		"HTTP/1.1 tiihtNczf5v6AKRyjwEUhQ== OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\ntiihtNczf5v6AKRyjwEUhQ==\r\n\r\n",
		"HTTP/1.1 200 OK\r\n{\"session_key\":\"tiihtNczf5v6AKRyjwEUhQ==\"}\r\n\r\n",
		"HTTP/1.1 200 OK\r\n tiihtNczf5v6AKRyjwEUhQ==: x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: tiihtNczf5v6AKRyjwEUhQ==\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: tiihtNczf5v6AKRyjwEUhQ==\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: tiihtNczf5v6AKRyjwEUhQ==\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length tiihtNczf5v6AKRyjwEUhQ==\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ntiihtNczf5v6AKRyjwEUhQ==\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\ntiihtNczf5v6AKRyjwEUhQ==\r\n\r\n",
	} {
		resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(raw)), nil)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
		}
		if err != nil && (Text(err) == "" || strings.Contains(Text(err), "tiiht")) {
			t.Errorf("%q: %q of %q", raw, Text(err), err)
		}
	}
}
