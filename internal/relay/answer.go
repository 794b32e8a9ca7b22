package relay

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"

	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/provider/wechat"
	"github.com/caddy-wechat/gateway/internal/secret"
)

// maxPeeked is the longest answer that is read to its end before it is passed on.
const maxPeeked = pieceSize

// answer is WeChat's answer on its way to the app.
type answer struct {
	*http.Response
	found *finder
}

// openAnswer returns WeChat's answer as the app may have it: not a redirect, in
// plain, without the token; and looks for an errcode. whenRefused is called if
// one about the token comes after what it has looked at.
func openAnswer(resp *http.Response, token secret.String, l *loan, whenRefused func()) (answer, error) {
	if resp.StatusCode < 200 || resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return answer{}, fmt.Errorf("%w: HTTP status %d", provider.ErrBadAnswer, resp.StatusCode)
	}
	// A copy: net/http adds trailers to the original one, which WeChat does not
	// have, and which nobody would look at for the token.
	opened := *resp
	opened.Header, opened.Trailer = maps.Clone(resp.Header), nil
	word := []byte(token.Reveal())
	dropHeaders(opened.Header, word)
	delete(opened.Header, "Trailer")
	body, err := decode(&opened)
	if err != nil {
		return answer{}, err
	}
	found := new(finder)
	start, worth, ended, err := peek(body, l, found)
	if err != nil {
		return answer{}, fmt.Errorf("%w: its body ends early", provider.ErrBadAnswer)
	}
	var passed io.Reader
	if ended {
		redact(start, word, true)
		passed = bytes.NewReader(start)
	} else {
		rest := io.Reader(unlogged{body})
		if worth || isText(opened.Header.Get("Content-Type")) {
			if !worth {
				_, _ = found.Write(start)
			}
			rest = &watched{rest, found, whenRefused}
		}
		passed = &redactor{from: io.MultiReader(bytes.NewReader(start), rest), token: word}
	}
	opened.Body = struct {
		io.Reader
		io.Closer
	}{passed, resp.Body}
	return answer{&opened, found}, nil
}

func isText(contentType string) bool {
	return strings.Contains(contentType, "json") || strings.Contains(contentType, "text/") || strings.Contains(contentType, "javascript")
}

// decode returns the answer's body in plain. No encoding was asked for.
func decode(resp *http.Response) (io.Reader, error) {
	encoding := strings.ToLower(strings.TrimSpace(strings.Join(resp.Header["Content-Encoding"], ",")))
	delete(resp.Header, "Content-Encoding")
	if encoding == "" || encoding == "identity" || resp.ContentLength == 0 || resp.Body == http.NoBody {
		return resp.Body, nil
	}
	delete(resp.Header, "Content-Length")
	resp.ContentLength = -1
	body := bufio.NewReader(resp.Body)
	var plain io.Reader
	var err error
	switch encoding {
	case "gzip", "x-gzip":
		plain, err = gzip.NewReader(body)
	case "deflate":
		if isZlib(body) {
			plain, err = zlib.NewReader(body)
		} else { // as some servers understand the name
			plain = flate.NewReader(body)
		}
	default:
		return nil, fmt.Errorf("%w: an encoding that was not asked for", provider.ErrBadAnswer)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: it is not what its Content-Encoding says", provider.ErrBadAnswer)
	}
	return plain, nil
}

// isZlib checks the two bytes before the data (RFC 1950 section 2.2).
func isZlib(body *bufio.Reader) bool {
	head, err := body.Peek(2)
	return err == nil && head[0]&0x0f == 8 && (uint(head[0])<<8|uint(head[1]))%31 == 0
}

// peek reads the beginning of an answer: to its end if it is short and could be
// JSON, else what came first. An answer that the buffers have no room for is not
// read before it is passed on.
func peek(body io.Reader, l *loan, found *finder) (start []byte, worth, ended bool, err error) {
	const first = 1 << 10
	start = make([]byte, 0, first)
	seen := 0
	for err == nil && len(start) < maxPeeked && !wechat.RefusesToken(found.errcode()) {
		if len(start) == cap(start) {
			if !l.takeSmall(int64(cap(start))) {
				break
			}
			start = append(make([]byte, 0, 2*cap(start)), start...)
		}
		var n int
		n, err = body.Read(start[len(start):cap(start)])
		start = start[:len(start)+n]
		var unsure bool
		if worth, unsure = mayBeJSON(start); worth {
			_, _ = found.Write(start[seen:])
			seen = len(start)
		} else if !unsure {
			break
		}
	}
	if errors.Is(err, io.EOF) {
		found.end()
		return start, worth, true, nil
	}
	return start, worth, false, err
}

// watched looks for the errcode of an answer that is passed on while it comes.
type watched struct {
	io.Reader
	found       *finder
	whenRefused func()
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	_, _ = w.found.Write(p[:n])
	if err != nil && !w.found.finished {
		w.found.end()
		if wechat.RefusesToken(w.found.errcode()) {
			w.whenRefused()
		}
	}
	return n, err
}

// unlogged makes an answer that is cut off end like a call that the app has
// ended, which is the one kind of error that httputil.ReverseProxy does not log.
// It aborts the app's connection all the same.
type unlogged struct{ io.Reader }

func (u unlogged) Read(p []byte) (int, error) {
	n, err := u.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = context.Canceled
	}
	return n, err
}
