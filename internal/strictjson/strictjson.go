// Package strictjson reads small JSON objects from untrusted sources, and
// refuses what two readers could understand differently: duplicate members,
// trailing data, deep nesting, text that is not UTF-8. encoding/json alone takes
// the last of two equal names, and OPENID for openid.
package strictjson

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Errors of [Object]. They never quote the input.
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
// case, escapes decoded. The values are parts of data.
func Object(data []byte, maxDepth int) (map[string]json.RawMessage, error) {
	if !utf8.Valid(data) || !json.Valid(data) {
		return nil, ErrSyntax
	}
	r := reader{data: data, maxDepth: maxDepth}
	r.skipSpace()
	if r.next() != '{' {
		return nil, ErrNotObject
	}
	members := make(map[string]json.RawMessage)
	if err := r.object(1, func(name string, value []byte) { members[name] = value }); err != nil {
		return nil, err
	}
	return members, nil
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
