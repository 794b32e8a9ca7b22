// Package strictjson reads small JSON objects that come from somebody else, and
// refuses what two readers could understand differently: duplicate members,
// trailing data, deep nesting, text that is not UTF-8. encoding/json alone takes
// the last of two equal names, and OPENID for openid.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Errors of Object. They never quote the input.
var (
	// ErrSyntax: not JSON, or not in UTF-8, or followed by something.
	ErrSyntax = errors.New("malformed JSON")
	// ErrNotObject: JSON, but no object.
	ErrNotObject = errors.New("not a JSON object")
	// ErrDuplicateKey: an object, at any depth, names a member twice.
	ErrDuplicateKey = errors.New("JSON object with a duplicate member")
	// ErrTooDeep: nested deeper than allowed.
	ErrTooDeep = errors.New("JSON nested too deep")
)

// Object returns the members of the one JSON object in data, which may be
// nested at most maxDepth deep, itself included. Names are as they stand: exact
// case, escapes decoded.
func Object(data []byte, maxDepth int) (map[string]json.RawMessage, error) {
	if !utf8.Valid(data) {
		return nil, ErrSyntax
	}
	if err := check(data, maxDepth); err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return nil, ErrSyntax
	}
	return members, nil
}

// level is an object or array that is being read.
type level struct {
	names    map[string]bool // nil for an array
	wantName bool
}

// check walks the tokens for what json.Unmarshal lets pass.
func check(data []byte, maxDepth int) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var open []level
	for first := true; first || len(open) > 0; first = false {
		token, err := decoder.Token()
		if err != nil {
			return ErrSyntax
		}
		if first && token != json.Delim('{') {
			return ErrNotObject
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			if len(open) == maxDepth {
				return ErrTooDeep
			}
			next := level{}
			if token == json.Delim('{') {
				next = level{names: make(map[string]bool), wantName: true}
			}
			open = append(open, next)
			continue
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
		default:
			if top := &open[len(open)-1]; top.wantName {
				name, _ := token.(string)
				if top.names[name] {
					return ErrDuplicateKey
				}
				top.names[name] = true
				top.wantName = false
				continue
			}
		}
		if len(open) > 0 && open[len(open)-1].names != nil {
			open[len(open)-1].wantName = true
		}
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return ErrSyntax
	}
	return nil
}

// String returns the value of a JSON string.
func String(raw json.RawMessage) (string, bool) {
	var value string
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &value) != nil {
		return "", false
	}
	return value, true
}

// Int returns the value of a JSON number that is written as an integer: no
// fraction, no exponent, no string.
func Int(raw json.RawMessage) (int64, bool) {
	value, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || raw[0] == '+' {
		return 0, false
	}
	return value, true
}

// Declared reports whether the body is declared as plain JSON in UTF-8. Anything
// else could be a cross-site form post.
func Declared(h http.Header) bool {
	if len(h["Content-Type"]) != 1 || len(h["Content-Encoding"]) > 0 {
		return false
	}
	mediaType, params, err := mime.ParseMediaType(h["Content-Type"][0])
	if err != nil || mediaType != "application/json" {
		return false
	}
	charset, declared := params["charset"]
	if declared && !strings.EqualFold(charset, "utf-8") {
		return false
	}
	return len(params) == 0 || declared && len(params) == 1
}
