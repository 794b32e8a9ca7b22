package relay

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/caddy-wechat/gateway/internal/credential"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/secret"
)

const testToken = "80_AbCdEf-0123456789abcdefghijklmnopqrstuvwxyz"

// open is an answer as an app gets it; refusals counts what was found too late.
func open(t *testing.T, header http.Header, body io.Reader, status int) (got answer, text string, refusals int, err error) {
	t.Helper()
	resp := &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(body), ContentLength: -1}
	l := &loan{from: NewBuffers()}
	defer l.giveBack()
	got, err = openAnswer(resp, secret.New(testToken), l, func() { refusals++ })
	if err != nil {
		return got, "", 0, err
	}
	data, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got, string(data), refusals, nil
}

// A refused token that nobody notices stays in use until its end.
func TestG2ErrcodeIsFoundHoweverTheAnswerIsDressed(t *testing.T) {
	for name, tc := range map[string]struct {
		body string
		want int
	}{
		"an error":               {`{"errcode":40001,"errmsg":"x"}`, 40001},
		"another order":          {`{"errmsg":"x \"errcode\":0","errcode":42001}`, 42001},
		"spaces":                 {" \r\n\t{ \"errcode\" :\n -1 }", -1},
		"a byte order mark":      {"\xef\xbb\xbf{\"errcode\":40014}", 40014},
		"a string for a number":  {`{"errcode":"40001"}`, 40001},
		"a padded string":        {`{"errcode":" 40001 "}`, 40001},
		"a fraction":             {`{"errcode":40001.0}`, 40001},
		"in capitals":            {`{"ErrCode":40001}`, 40001},
		"an escaped name":        {`{"err\u0063ode":40001}`, 40001},
		"below":                  {`{"data":{"errcode":40001}}`, 40001},
		"in a list":              {`[{"errcode":40001}]`, 40001},
		"below, then on top":     {`{"data":{"errcode":0},"errcode":42001}`, 42001},
		"null on top":            {`{"errcode":null,"resp":{"errcode":42001}}`, 42001},
		"twice":                  {`{"errcode":0,"errcode":40001}`, 40001},
		"twice, reversed":        {`{"errcode":40001,"errcode":0}`, 40001},
		"text behind":            {`{"errcode":40001};`, 40001},
		"cut off":                {`{"errcode":40001`, 40001},
		"large":                  {`{"errmsg":"` + strings.Repeat("x", maxPeeked-100) + `","errcode":40001}`, 40001},
		"success":                {`{"errcode":0,"errmsg":"ok"}`, 0},
		"success, below another": {`{"errcode":0,"list":[{"errcode":40001}]}`, 0},
		"another below":          {`{"list":[{"errcode":43004}]}`, 0},
		"no errcode":             {`{"list":[]}`, 0},
		"in a text":              {`{"text":"\"errcode\":40001"}`, 0},
		"a text":                 {`{"text":"errcode","x":40001}`, 0},
		"a value of that name":   {`{"text":"errcode"}`, 0},
		"an object":              {`{"errcode":{"x":40001}}`, 0},
		"no number":              {`{"errcode":"x40001"}`, 0},
		"empty":                  {``, 0},
	} {
		t.Run(name, func(t *testing.T) {
			for _, kind := range []string{"application/json; encoding=utf-8", "text/plain", "image/jpeg", ""} {
				got, text, _, err := open(t, http.Header{"Content-Type": {kind}}, iotest.OneByteReader(strings.NewReader(tc.body)), 200)
				if err != nil || got.found.errcode() != tc.want || text != tc.body {
					t.Errorf("%s: errcode %d, want %d; %v; the answer became %q", kind, got.found.errcode(), tc.want, err, text)
				}
			}
		})
	}
}

// What is too long to wait for is looked at while it passes: the token does not
// stay in use.
func TestG2ErrcodeOfALongAnswerIsFoundLater(t *testing.T) {
	long := `{"errmsg":"` + strings.Repeat("x", 3*maxPeeked) + `","errcode":40001}`
	for kind, body := range map[string]string{"application/octet-stream": long, "text/javascript": "callback(" + long + ")"} {
		_, text, refusals, err := open(t, http.Header{"Content-Type": {kind}}, strings.NewReader(body), 200)
		if err != nil || refusals != 1 || text != body {
			t.Errorf("%s: refused %d times, %v", kind, refusals, err)
		}
	}
}

func compressed(t *testing.T, kind, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch kind {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "zlib":
		w = zlib.NewWriter(&b)
	case "flate":
		w, _ = flate.NewWriter(&b, 5)
	}
	io.WriteString(w, text)
	w.Close()
	return b.Bytes()
}

func TestG2EncodedAnswersAreRead(t *testing.T) {
	const text = `{"errcode":40001,"errmsg":"x"}`
	for _, tc := range []struct{ encoding, kind string }{{"gzip", "gzip"}, {" X-GZIP ", "gzip"}, {"deflate", "zlib"}, {"deflate", "flate"}} {
		header := http.Header{"Content-Encoding": {tc.encoding}, "Content-Length": {"99"}}
		got, body, _, err := open(t, header, bytes.NewReader(compressed(t, tc.kind, text)), 200)
		if err != nil || got.found.errcode() != 40001 || body != text || len(got.Header) != 0 || got.ContentLength != -1 {
			t.Errorf("%s as %s: errcode %d, %v, %q, %v", tc.encoding, tc.kind, got.found.errcode(), err, body, got.Header)
		}
	}
	for _, encoding := range []string{"br", "zstd", "gzip, gzip", "compress", "nonsense"} {
		if _, _, _, err := open(t, http.Header{"Content-Encoding": {encoding}}, strings.NewReader(text), 200); !errors.Is(err, provider.ErrBadAnswer) {
			t.Errorf("%s: %v", encoding, err)
		}
	}
	if _, _, _, err := open(t, http.Header{"Content-Encoding": {"gzip"}}, strings.NewReader(text), 200); !errors.Is(err, provider.ErrBadAnswer) {
		t.Errorf("no gzip: %v", err)
	}
}

func TestG2RedirectsAreRefused(t *testing.T) {
	for _, status := range []int{101, 300, 301, 302, 303, 304, 307, 308, 399} {
		if _, _, _, err := open(t, http.Header{"Location": {"https://x.example/"}}, strings.NewReader(""), status); !errors.Is(err, provider.ErrBadAnswer) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// An app that has the token could use it around the gateway, and so could whoever
// reads the app's log of answers.
func TestG2AnswersDoNotRepeatTheToken(t *testing.T) {
	header := http.Header{"Link": {"<https://x.example/?access_token=" + testToken + ">"}, "X-Other": {"1", testToken}, "X-Third": {"kept"}}
	long := strings.Repeat("x", redactorSize-20)
	for name, body := range map[string]string{
		"short":       `{"url":"/x?access_token=` + testToken + `&a=1"}`,
		"binary":      "\x00" + testToken + testToken + "\x00",
		"at a border": long + testToken + long + testToken,
		"beginnings":  testToken[:10] + testToken[:20] + testToken + testToken[:30],
		"alone":       testToken,
	} {
		for _, reader := range []io.Reader{strings.NewReader(body), iotest.OneByteReader(strings.NewReader(body)), iotest.HalfReader(strings.NewReader(body)), iotest.DataErrReader(strings.NewReader(body))} {
			got, text, _, err := open(t, header.Clone(), reader, 200)
			want := strings.ReplaceAll(body, testToken, strings.Repeat("*", len(testToken)))
			if err != nil || text != want || len(got.Header) != 1 || got.Header.Get("X-Third") != "kept" {
				t.Errorf("%s: %v, %v, %.80q", name, err, got.Header, text)
			}
		}
	}
}

func TestAnswerThatIsCutOff(t *testing.T) {
	broken := io.MultiReader(strings.NewReader(`{"err`), iotest.ErrReader(io.ErrUnexpectedEOF))
	if _, _, _, err := open(t, http.Header{}, broken, 200); !errors.Is(err, provider.ErrBadAnswer) {
		t.Errorf("before it is passed on: %v", err)
	}
	broken = io.MultiReader(strings.NewReader("picture"), iotest.ErrReader(io.ErrUnexpectedEOF))
	resp := &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(broken), ContentLength: -1}
	got, err := openAnswer(resp, secret.New(testToken), &loan{from: NewBuffers()}, func() {})
	if err != nil {
		t.Fatal(err)
	}
	if data, err := io.ReadAll(got.Body); err == nil || string(data) != "picture" {
		t.Errorf("while it is passed on: %q, %v", data, err)
	}
}

// Ten uploads that never end must not take the memory of everybody else (G4).
func TestG4BuffersAreBounded(t *testing.T) {
	buffers := NewBuffers()
	var loans []*loan
	lend := func(body io.Reader) error {
		l := &loan{from: buffers}
		loans = append(loans, l)
		_, _, err := l.readAll(body)
		return err
	}
	full := func() io.Reader { return io.LimitReader(zeros{}, MaxBuffered) }
	if err := errors.Join(lend(full()), lend(full())); err != nil {
		t.Fatal(err)
	}
	if err := lend(full()); !errors.Is(err, ErrBusy) {
		t.Errorf("a third upload: %v", err)
	}
	if err := lend(io.LimitReader(zeros{}, 100)); err != nil {
		t.Errorf("a short body beside them: %v", err)
	}
	if err := lend(io.LimitReader(zeros{}, MaxBuffered+1)); !errors.Is(err, ErrBusy) {
		t.Errorf("a body that is too large: %v", err)
	}
	for _, l := range loans {
		l.giveBack()
	}
	if small, large := buffers.small.Load(), buffers.large.Load(); small != maxSmall || large != maxLarge {
		t.Errorf("%d and %d are left", small, large)
	}
	if err := lend(io.LimitReader(zeros{}, MaxBuffered+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a body that is too large: %v", err)
	}
	cut := io.MultiReader(io.LimitReader(zeros{}, 10), iotest.ErrReader(io.ErrUnexpectedEOF))
	if err := lend(cut); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a body that is cut off: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestG4SlowBodiesAreEnded(t *testing.T) {
	proxy := &Proxy{BodyTime: 50 * time.Millisecond, Buffers: NewBuffers(), Default: "wx1", Owners: map[string]*credential.Owner{"wx1": credential.NewOwner(credential.NewTokens(), provider.Account{ID: "wx1"}, nil, nil)}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := proxy.Serve(w, r, proxy.NewCall(w)); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	}))
	defer server.Close()
	for name, framing := range map[string]string{"chunked": "Transfer-Encoding: chunked\r\n\r\n5\r\n{", "known": "Content-Length: 100\r\n\r\n{"} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, "POST /wxa/x HTTP/1.1\r\nHost: x\r\n"+framing)
		answer, err := io.ReadAll(conn) // hangs if the rest is waited for
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400") || !strings.Contains(string(answer), ErrSlowBody.Error()) {
			t.Errorf("%s: %v, %s", name, err, answer)
		}
	}
	if small, large := proxy.Buffers.small.Load(), proxy.Buffers.large.Load(); small != maxSmall || large != maxLarge {
		t.Errorf("%d and %d are left", small, large)
	}
}

// However an answer is cut into pieces, what is found and passed on is the same.
func FuzzAnswerInPieces(f *testing.F) {
	f.Add([]byte(`{"errcode":40001,"x":"`+testToken+`"}`), 7)
	f.Add([]byte(`{"a":{"errcode":"42001"},"errcode":null}`), 1)
	f.Add([]byte(`{"x":"%`+escapedAll(testToken)[1:]+`\u0`), 3)
	f.Fuzz(func(t *testing.T, body []byte, size int) {
		if len(body) > maxPeeked { // which is passed on before its end
			return
		}
		whole, text, _, err := open(t, http.Header{}, bytes.NewReader(body), 200)
		parts, again, _, errAgain := open(t, http.Header{}, &inPieces{body, max(size&0xff, 1)}, 200)
		if (err == nil) != (errAgain == nil) {
			t.Fatalf("%v, in pieces %v", err, errAgain)
		}
		if err == nil && (whole.found.errcode() != parts.found.errcode() || text != again || spells(text, testToken)) {
			t.Fatalf("errcode %d %q, in pieces %d %q", whole.found.errcode(), text, parts.found.errcode(), again)
		}
	})
}

type inPieces struct {
	left []byte
	size int
}

func (p *inPieces) Read(into []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, io.EOF
	}
	n := copy(into[:min(p.size, len(into))], p.left)
	p.left = p.left[n:]
	return n, nil
}
