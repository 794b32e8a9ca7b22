package strictjson

import (
	"bytes"
	"encoding/json"
)

// reader walks JSON that [json.Valid] has found valid, for what encoding/json lets
// pass: names that come twice, and depth. Reading the tokens of a [json.Decoder] and
// the members by [json.Unmarshal] takes five times as long (BenchmarkObject).
type reader struct {
	data     []byte
	at       int
	maxDepth int
}

func (r *reader) next() byte { return r.data[r.at] }

func (r *reader) skipSpace() {
	for r.at < len(r.data) && (r.next() == ' ' || r.next() == '\t' || r.next() == '\n' || r.next() == '\r') {
		r.at++
	}
}

// value reads the value that begins here, depth levels deep.
func (r *reader) value(depth int) error {
	switch r.next() {
	case '{':
		return r.object(depth+1, func(string, []byte) {})
	case '[':
		return r.array(depth + 1)
	case '"':
		r.skipString()
	default: // a number, true, false or null ends where something else begins
		for r.at < len(r.data) && bytes.IndexByte([]byte(" \t\n\r,]}"), r.next()) < 0 {
			r.at++
		}
	}
	return nil
}

// object reads the object that begins here, and tells each member.
func (r *reader) object(depth int, member func(name string, value []byte)) error {
	if depth > r.maxDepth {
		return ErrTooDeep
	}
	seen := make(map[string]struct{})
	r.at++
	for r.skipSpace(); r.next() != '}'; r.skipSpace() {
		if r.next() == ',' {
			r.at++
			r.skipSpace()
		}
		name, err := r.name()
		if err != nil {
			return err
		}
		if _, twice := seen[name]; twice {
			return ErrDuplicateKey
		}
		seen[name] = struct{}{}
		r.skipSpace()
		r.at++ // the colon
		r.skipSpace()
		start := r.at
		if err := r.value(depth); err != nil {
			return err
		}
		member(name, r.data[start:r.at:r.at])
	}
	r.at++
	return nil
}

func (r *reader) array(depth int) error {
	if depth > r.maxDepth {
		return ErrTooDeep
	}
	r.at++
	for r.skipSpace(); r.next() != ']'; r.skipSpace() {
		if r.next() == ',' {
			r.at++
			r.skipSpace()
		}
		if err := r.value(depth); err != nil {
			return err
		}
	}
	r.at++
	return nil
}

// name returns the string that begins here, its escapes decoded.
func (r *reader) name() (string, error) {
	start := r.at
	r.skipString()
	quoted := r.data[start:r.at]
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1]), nil
	}
	var name string
	if err := json.Unmarshal(quoted, &name); err != nil {
		return "", ErrSyntax
	}
	return name, nil
}

func (r *reader) skipString() {
	for r.at++; r.next() != '"'; r.at++ {
		if r.next() == '\\' {
			r.at++
		}
	}
	r.at++
}
