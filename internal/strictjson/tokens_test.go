package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"
)

// objectByTokens is Object by means of encoding/json alone.
func objectByTokens(data []byte, maxDepth int) (map[string]json.RawMessage, error) {
	if !utf8.Valid(data) {
		return nil, ErrSyntax
	}
	if err := checkTokens(data, maxDepth); err != nil {
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

// checkTokens walks the tokens for what json.Unmarshal lets pass.
func checkTokens(data []byte, maxDepth int) error {
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
